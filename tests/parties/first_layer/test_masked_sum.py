"""Masked sums: value, bytes, rounds, and that the masks hide and cancel."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from p2n2sim.errors import FixedPointError
from p2n2sim.messages import SERVER, HiddenShare, PublicKey
from p2n2sim.mpc import fixed_point, prg
from p2n2sim.nn.training import product
from p2n2sim.simulate import Outcome, simulate
from tests.laws import (
    LAST_ROUNDS,
    Spoken,
    batch_goes,
    bytes_agree,
    chi_square,
    declared_as_it_is,
    listen,
    same_when_encoded,
    sized,
    waits_when_silent,
)
from tests.small import small_setup

THIS = {"protocol.first_layer": "masked-sum"}


@pytest.mark.parametrize("holders", [2, 3, 5])
def test_sum_server_reconstructs_h1_to_the_bit(holders: int) -> None:
    """What reaches the server adds up to the sum of the encoded summands, exactly: the masks cancel."""
    setup = small_setup(holders=holders, overrides=THIS)
    theta = setup.parts.theta.numpy().copy()
    _, spoken = listen(setup)
    X = setup.dataset.X_train[next(iter(setup.schedule)).rows]
    summands = [
        fixed_point.encode(product(np.ascontiguousarray(X[:, block]), theta[block]), 40)
        for block in setup.blocks
    ]
    shares = [m.h1 for _, _, m in spoken if isinstance(m, HiddenShare) and m.step == 0]
    assert np.array_equal(np.add.reduce(shares), np.add.reduce(summands))
    assert not any(np.array_equal(share, summand) for share in shares for summand in summands)


@pytest.mark.parametrize("holders", [2, 3])
def test_sum_rounds_and_order(holders: int) -> None:
    """A batch takes four rounds; the holders say nothing to each other."""
    batch_goes(
        small_setup(rows=18, holders=holders, overrides=THIS),
        ["HiddenShare", *LAST_ROUNDS],
        {
            "HiddenShare": holders,
            "LastHidden": 1,
            "LastHiddenGradient": 1,
            "FirstHiddenGradient": holders,
        },
    )


@pytest.mark.parametrize(
    ("rows", "features", "hidden", "total"),
    [(5000, 28, [8, 8], 1_280_000), (2570, 556, [400, 8], 24_836_480)],
    ids=["fraud", "distress"],
)
def test_sum_bytes_three_ways(rows: int, features: int, hidden: list[int], total: int) -> None:
    """Formula, ledger and encoded messages agree to the byte: 8 hmn + 4 hmn + 8 mq."""
    assert total == 12 * 2 * rows * hidden[0] + 8 * rows * hidden[1]
    assert bytes_agree(sized(rows, features, hidden, protocol__first_layer="masked-sum")) == total


@pytest.mark.parametrize("silent", ["A", "B", "C", SERVER])
def test_sum_one_party_stays_silent(silent: str) -> None:
    """When one party says nothing, the run ends with who waits for what from whom."""
    expected = {
        "A": ("B", "A", "PublicKey"),
        "B": ("A", "B", "PublicKey"),
        "C": ("A", "C", "PublicKey"),
        SERVER: ("A", SERVER, "FirstHiddenGradient"),
    }[silent]
    waits = waits_when_silent(small_setup(holders=3, overrides=THIS), silent)
    assert expected in [(wait.party, wait.sender, wait.kind) for wait in waits]


def test_sum_what_is_declared_uniform_is_uniform() -> None:
    """The masked summands pass a chi-square test of their bytes; so does the sum of two out of three."""
    overrides = THIS | {"train.batch_size": 500}
    setup = small_setup(rows=4000, features=20, holders=3, overrides=overrides)
    assert "HiddenShare.h1" in declared_as_it_is(setup)
    _, spoken = listen(small_setup(rows=4000, features=20, holders=3, overrides=overrides))
    sent = [m.h1 for _, _, m in spoken if isinstance(m, HiddenShare)]

    def sums(*holders: int) -> bytes:
        batches = [sent[i : i + 3] for i in range(0, len(sent), 3)]
        return b"".join(np.add.reduce([batch[j] for j in holders]).tobytes() for batch in batches)

    for pair in itertools.combinations(range(3), 2):
        assert abs(chi_square(sums(*pair))) < 6
    assert chi_square(sums(0, 1, 2)) > 100


def steps_between(spoken: Spoken) -> bytes:
    """The differences of A's messages from batch to batch, in which a mask that is used twice cancels."""
    sent = [m.h1 for sender, _, m in spoken if isinstance(m, HiddenShare) and sender == "A"]
    return b"".join((b - a).tobytes() for a, b in itertools.pairwise(sent))


def test_sum_masks_are_fresh_in_every_batch() -> None:
    """The difference of what a holder sends in two batches is uniform."""
    _, spoken = listen(small_setup(rows=600, overrides=THIS | {"train.batch_size": 50}))
    assert abs(chi_square(steps_between(spoken))) < 6


def test_sum_a_planted_reuse_of_the_masks_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the same masks in every batch the training is the same, but the differences are not uniform."""
    honest = prg.uniform

    def reused(key: bytes, step: int, *shape: Any, **options: Any) -> Any:
        return honest(key, 0, *shape, **options)

    monkeypatch.setattr(prg, "uniform", reused)
    setup = small_setup(rows=600, overrides=THIS | {"train.batch_size": 50})
    _, spoken = listen(setup)
    assert chi_square(steps_between(spoken)) > 100


def test_sum_every_pair_has_keys_of_its_own() -> None:
    """No two holders publish the same key, and another seed gives other keys."""
    keys = []
    for seed in (3, 4):
        _, spoken = listen(small_setup(holders=3, overrides=THIS | {"train.seed": seed}))
        keys += [(sender, m.key.tobytes()) for sender, _, m in spoken if isinstance(m, PublicKey)]
    assert len({key for _, key in keys}) == len({sender for sender, _ in keys}) * 2 == 6
    assert len(keys) == 2 * 6


def test_sum_server_learns_the_sum_alone() -> None:
    """The server's view is Algorithm 1's, h1 and uniform shares of it; the holders see gradients only."""
    views = []
    for first_layer in ("algorithm1", "masked-sum"):
        outcome, _ = listen(small_setup(holders=3, overrides={"protocol.first_layer": first_layer}))
        view = outcome.ledger.views(["A", "B", "C", SERVER])
        assert list(view["B"].clear) == ["dL/dh1"]
        views.append(view[SERVER])
    assert views[0] == views[1]
    assert set(views[1].clear) == {"h1", "dL/dh_L"}


def test_sum_of_a_hundred_holders() -> None:
    """With 100 holders, 4,950 pairs of masks cancel in every batch."""
    setup = small_setup(rows=6, features=100, holders=100, overrides=THIS)
    theta = setup.parts.theta.numpy().copy()
    outcome = Outcome()
    shares: list[np.ndarray] = []

    def tap(sender: str, receiver: str, message: object) -> None:
        if isinstance(message, HiddenShare) and message.step == 0:
            shares.append(message.h1)

    simulate(setup, outcome, tap=tap)
    X = setup.dataset.X_train[next(iter(setup.schedule)).rows]
    assert len(shares) == 100
    h1 = fixed_point.decode(np.add.reduce(shares), 40)
    np.testing.assert_allclose(h1, X @ theta, atol=1e-4)


def test_sum_encoding_every_message_changes_nothing() -> None:
    """With every message encoded and decoded on its way, ledger and weights are the same to the bit."""
    same_when_encoded(overrides=THIS)


def test_sum_a_summand_too_large_for_the_ring() -> None:
    """A summand that the fixed-point ring cannot hold ends the run with an error that shows it."""
    setup = small_setup(overrides=THIS)
    setup.dataset.X_train[3, 2] = 2.0**40
    with pytest.raises(FixedPointError):
        listen(setup)
