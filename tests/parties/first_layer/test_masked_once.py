"""Algorithm 1 with X masked once: value, bytes, rounds, and that no mask is used twice."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from p2n2sim.messages import DEALER, SERVER, MaskedRows, MaskedWeights
from p2n2sim.mpc import beaver
from tests.laws import (
    LAST_ROUNDS,
    Spoken,
    batch_goes,
    bytes_agree,
    chi_square,
    declared_as_it_is,
    listen,
    opened_is_the_ring_product,
    same_when_encoded,
    sized,
    waits_when_silent,
)
from tests.small import small_setup

THIS = {"protocol.first_layer": "algorithm1-masked-once"}


@pytest.mark.parametrize("triples", ["dealer", "dealer-full"])
@pytest.mark.parametrize("holders", [2, 3, 5])
def test_once_server_reconstructs_h1_to_the_bit(holders: int, triples: str) -> None:
    """The shares add up to the ring product of the encoded inputs in every batch of several epochs."""
    overrides = THIS | {"train.epochs": 3, "protocol.triples": triples}
    opened_is_the_ring_product(small_setup(rows=20, holders=holders, overrides=overrides))


@pytest.mark.parametrize("holders", [2, 3])
def test_once_rounds_and_order(holders: int) -> None:
    """A batch takes five rounds; between holders only the masked weights travel."""
    batch_goes(
        small_setup(rows=18, holders=holders, overrides=THIS),
        ["MaskedWeights", "HiddenShare", *LAST_ROUNDS],
        {
            "MaskedWeights": holders * (holders - 1),
            "HiddenShare": holders,
            "LastHidden": 1,
            "LastHiddenGradient": 1,
            "FirstHiddenGradient": holders,
        },
    )


@pytest.mark.parametrize(
    ("rows", "features", "hidden", "total"),
    [(5000, 28, [8, 8], 1_603_584), (2570, 556, [400, 8], 36_618_880)],
    ids=["fraud", "distress"],
)
def test_once_bytes_three_ways(rows: int, features: int, hidden: list[int], total: int) -> None:
    """Formula, ledger and encoded messages agree to the byte with 1.604 MB and 36.62 MB."""
    assert bytes_agree(sized(rows, features, hidden, protocol__first_layer="algorithm1-masked-once")) == total


def test_once_traffic_between_holders_does_not_depend_on_the_batch() -> None:
    """Per batch the holders send each other 8 kn bytes, with 5 rows and with 50."""
    sizes = set()
    for rows in (5, 50):
        setup = sized(rows, 7, [4, 3], protocol__first_layer="algorithm1-masked-once")
        outcome, _ = listen(setup)
        batches = outcome.ledger.frame().query("step >= 0")
        sizes |= set(
            batches[batches.sender.isin(["A", "B"]) & batches.receiver.isin(["A", "B"])].payload_bytes
        )
    assert sizes == {8 * 7 * 4}


@pytest.mark.parametrize("silent", ["A", "B", "C", SERVER, DEALER])
def test_once_one_party_stays_silent(silent: str) -> None:
    """When one party says nothing, the run ends with who waits for what from whom."""
    expected = {
        "A": ("B", "A", "ShareSeed"),
        "B": ("A", "B", "ShareSeed"),
        "C": ("A", "C", "ShareSeed"),
        SERVER: ("A", SERVER, "FirstHiddenGradient"),
        DEALER: ("A", DEALER, "DealerKey"),
    }[silent]
    waits = waits_when_silent(small_setup(holders=3, overrides=THIS), silent)
    assert expected in [(wait.party, wait.sender, wait.kind) for wait in waits]


def test_once_what_is_declared_uniform_is_uniform() -> None:
    """The masked rows and weights and the shares of h1 pass a chi-square test of their bytes."""
    overrides = {**THIS, "train.batch_size": 500, "train.epochs": 4}
    tested = declared_as_it_is(small_setup(rows=4000, features=20, overrides=overrides))
    assert {"MaskedRows.train", "MaskedRows.test", "MaskedWeights.F", "HiddenShare.h1"} <= tested


def opened_weights(spoken: Spoken) -> list[np.ndarray]:
    """F of every batch: what any holder knows after the opening."""
    by_step: dict[int, list[np.ndarray]] = {}
    for _, _, message in spoken:
        if isinstance(message, MaskedWeights):
            by_step.setdefault(message.step, []).append(message.F)
    return [np.add(*by_step[step]) for step in sorted(by_step)]


def steps_between(spoken: Spoken) -> bytes:
    """The differences of F from batch to batch, in which a mask that is used twice cancels."""
    return b"".join((b - a).tobytes() for a, b in itertools.pairwise(opened_weights(spoken)))


def test_once_opened_values_are_uniform() -> None:
    """E of all rows, F of every batch, and the differences of F from batch to batch are uniform."""
    setup = small_setup(rows=400, features=20, overrides=THIS | {"train.batch_size": 20})
    _, spoken = listen(setup)
    rows = [m for _, _, m in spoken if isinstance(m, MaskedRows)]
    E = np.add(rows[0].train, rows[1].train)
    assert E.shape == (400, 20)
    assert abs(chi_square(E.tobytes())) < 6
    assert abs(chi_square(b"".join(F.tobytes() for F in opened_weights(spoken)))) < 6
    assert abs(chi_square(steps_between(spoken))) < 6


def test_once_a_planted_reuse_of_the_mask_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the same V in every batch each F is still uniform, but their differences are theta's steps."""
    honest = beaver.expand_masks
    monkeypatch.setattr(beaver, "expand_masks", lambda key, step, *shape: honest(key, 0, *shape))
    setup = small_setup(rows=400, features=20, overrides=THIS | {"train.batch_size": 20})
    _, spoken = listen(setup)
    assert chi_square(steps_between(spoken)) > 100


def test_once_train_and_test_rows_have_masks_of_their_own() -> None:
    """No row of the opened E occurs twice, though a training row and a test row may be the same."""
    setup = small_setup(overrides=THIS)
    setup.dataset.X_test[:] = setup.dataset.X_train[: len(setup.dataset.X_test)]
    _, spoken = listen(setup)
    mine = [m for sender, _, m in spoken if isinstance(m, MaskedRows) and sender == "A"]
    for message in mine:
        rows = [row.tobytes() for row in (*message.train, *message.test)]
        assert len(set(rows)) == len(rows)


def test_once_encoding_every_message_changes_nothing() -> None:
    """With every message encoded and decoded on its way, ledger and weights are the same to the bit."""
    same_when_encoded(overrides=THIS)
