"""Algorithms 1 and 2: value, bytes, rounds and order, against the paper and against plain training."""

from __future__ import annotations

import itertools

import pytest
import torch

from p2n2sim.errors import FixedPointError
from p2n2sim.messages import DEALER, SERVER, InputShare, MaskedShare
from p2n2sim.mpc import fixed_point
from p2n2sim.wire import layout
from tests.laws import (
    LAST_ROUNDS,
    batch_goes,
    bytes_agree,
    chi_square,
    declared_as_it_is,
    listen,
    opened_is_the_ring_product,
    plain_after,
    same_when_encoded,
    sized,
    waits_when_silent,
)
from tests.small import small_setup


@pytest.mark.parametrize("holders", [2, 3, 5])
def test_server_reconstructs_h1_to_the_bit(holders: int) -> None:
    """The shares that reach the server add up to the ring product of the encoded inputs, exactly."""
    opened_is_the_ring_product(small_setup(holders=holders, overrides={"protocol.fractional_bits": 16}))


@pytest.mark.parametrize("holders", [2, 3])
def test_rounds_order_and_bytes_of_a_training_batch(holders: int) -> None:
    """A batch takes six rounds, which the clock counts, in the order of the algorithm."""
    pairs = holders * (holders - 1)
    batch_goes(
        small_setup(holders=holders, rows=18),
        ["InputShare", "MaskedShare", "HiddenShare", *LAST_ROUNDS],
        {
            "InputShare": pairs,
            "MaskedShare": pairs,
            "HiddenShare": holders,
            "LastHidden": 1,
            "LastHiddenGradient": 1,
            "FirstHiddenGradient": holders,
        },
    )


@pytest.mark.parametrize(
    ("rows", "features", "hidden", "total"),
    [(5000, 28, [8, 8], 4_965_376), (2570, 556, [400, 8], 72_692_160)],
    ids=["fraud", "distress"],
)
def test_bytes_three_ways(rows: int, features: int, hidden: list[int], total: int) -> None:
    """Formula, ledger and encoded messages agree to the byte with 4.965 MB and 72.69 MB."""
    assert bytes_agree(sized(rows, features, hidden)) == total


def test_fixed_point_error_shrinks_with_the_bits() -> None:
    """The distance to plain training falls with the fractional bits: it is their error and no other."""
    distances = []
    for bits in (4, 8, 12, 16):
        setup = small_setup(rows=60, overrides={"protocol.fractional_bits": bits, "train.epochs": 3})
        plain = plain_after(setup)
        listen(setup)
        distances.append(float((setup.parts.theta - plain.theta.detach()).abs().max()))
    assert all(later < earlier / 4 for earlier, later in itertools.pairwise(distances))


def test_label_owner_may_be_any_holder() -> None:
    """With the label at C, h_L and its gradient travel between C and the server; the weights are the same."""
    weights = []
    for owner in ("A", "C"):
        setup = small_setup(holders=3, overrides={"data.label_owner": owner})
        _, spoken = listen(setup)
        kinds = {(s, r) for s, r, m in spoken if type(m).__name__ in ("LastHidden", "LastHiddenGradient")}
        assert kinds == {(SERVER, owner), (owner, SERVER)}
        weights.append(setup.parts.theta.clone())
    assert torch.equal(*weights)


@pytest.mark.parametrize("ahead", [0, 1, 2, 100])
def test_triples_ahead(ahead: int) -> None:
    """However far the dealer works ahead, every batch gets one triple and the weights are the same."""
    setup = small_setup(rows=60, overrides={"protocol.triples_ahead": ahead})
    reference = small_setup(rows=60)
    outcome, _ = listen(setup)
    listen(reference)
    ledger = outcome.ledger.frame()
    for kind in ("TripleRequest", "TripleCorrection"):
        assert list(ledger.query(f"kind == '{kind}'")["step"]) == list(range(len(setup.schedule)))
    assert torch.equal(setup.parts.theta, reference.parts.theta)


@pytest.mark.parametrize("silent", ["A", "B", "C", SERVER, DEALER])
def test_one_party_stays_silent(silent: str) -> None:
    """When one party says nothing, the run ends with who waits for what from whom."""
    setup = small_setup(holders=3)
    expected = {
        "A": ("B", "A", "InputShare"),
        "B": ("A", "B", "InputShare"),
        "C": ("A", "C", "InputShare"),
        SERVER: ("A", SERVER, "FirstHiddenGradient"),
        DEALER: ("A", DEALER, "DealerKey"),
    }[silent]

    waits = waits_when_silent(setup, silent)
    assert expected in [(wait.party, wait.sender, wait.kind) for wait in waits]


def test_what_is_declared_uniform_is_uniform() -> None:
    """What is declared uniform or a share passes a chi-square test of its bytes; what is clear does not."""
    setup = small_setup(rows=4000, features=20, overrides={"train.batch_size": 500})
    tested = declared_as_it_is(setup)
    assert {"InputShare.X", "MaskedShare.E", "HiddenShare.h1", "TripleCorrection.Z"} <= tested


def test_a_planted_leak_is_not_uniform() -> None:
    """The same test catches an encoded input that is sent without a mask."""
    X = fixed_point.encode(small_setup(rows=4000).dataset.X_train, 20)
    assert chi_square(InputShare(0, X, X).X.tobytes()) > 1000


def test_masks_are_fresh_in_every_batch() -> None:
    """No share and no masked share is ever sent twice, though the rows repeat in every epoch."""
    setup = small_setup(overrides={"train.epochs": 3, "train.learning_rate": 1e-9})
    _, spoken = listen(setup)
    sent = [
        (sender, getattr(m, name).tobytes())
        for sender, receiver, m in spoken
        if isinstance(m, InputShare | MaskedShare) and {sender, receiver} == {"A", "B"}
        for name, _ in layout(type(m)).arrays
    ]
    assert len(set(sent)) == len(sent)


def test_encoding_every_message_changes_nothing() -> None:
    """With every message encoded and decoded on its way, ledger and weights are the same to the bit."""
    same_when_encoded()


def test_a_feature_too_large_for_the_ring() -> None:
    """A feature that the fixed-point ring cannot hold ends the run with an error that shows it."""
    setup = small_setup(overrides={"protocol.fractional_bits": 30})
    setup.dataset.X_train[3, 2] = 2.0**40
    with pytest.raises(FixedPointError):
        listen(setup)


def test_dealer_learns_nothing() -> None:
    """The dealer receives no array at all, the holders see only gradients, the server h1 and dL/dh_L."""
    outcome, _ = listen(small_setup(holders=3))
    views = outcome.ledger.views(["A", "B", "C", SERVER, DEALER])
    assert not any(views[DEALER])
    assert list(views["A"].clear) == ["h_L", "dL/dh1"]
    assert list(views["B"].clear) == list(views["C"].clear) == ["dL/dh1"]
    assert set(views[SERVER].clear) == {"h1", "dL/dh_L"}
    train, predict, units = 12, 6, 4
    assert views[SERVER].clear["h1"] == (train + predict) * units
    assert views[SERVER].uniform == {"share of h1": 3 * (train + predict) * units}
