"""Algorithm 1 with shares from seeds: value, bytes, rounds, and what is left unsaid."""

from __future__ import annotations

import pytest

from p2n2sim.errors import FixedPointError
from p2n2sim.messages import DEALER, SERVER, MaskedShare, ShareSeed
from tests.laws import (
    LAST_ROUNDS,
    batch_goes,
    bytes_agree,
    declared_as_it_is,
    listen,
    opened_is_the_ring_product,
    same_when_encoded,
    sized,
    waits_when_silent,
)
from tests.small import small_setup

THIS = {"protocol.first_layer": "algorithm1-prg"}


@pytest.mark.parametrize("holders", [2, 3, 5])
def test_prg_server_reconstructs_h1_to_the_bit(holders: int) -> None:
    """The shares that reach the server add up to the ring product of the encoded inputs, exactly."""
    opened_is_the_ring_product(small_setup(rows=20, holders=holders, overrides=THIS))


@pytest.mark.parametrize("holders", [2, 3])
def test_prg_rounds_and_order(holders: int) -> None:
    """A batch takes five rounds: no round of input shares."""
    pairs = holders * (holders - 1)
    batch_goes(
        small_setup(rows=18, holders=holders, overrides=THIS),
        ["MaskedShare", "HiddenShare", *LAST_ROUNDS],
        {
            "MaskedShare": pairs,
            "HiddenShare": holders,
            "LastHidden": 1,
            "LastHiddenGradient": 1,
            "FirstHiddenGradient": holders,
        },
    )


@pytest.mark.parametrize(
    ("rows", "features", "hidden", "total"),
    [(5000, 28, [8, 8], 3_843_584), (2570, 556, [400, 8], 59_481_600)],
    ids=["fraud", "distress"],
)
def test_prg_bytes_three_ways(rows: int, features: int, hidden: list[int], total: int) -> None:
    """Formula, ledger and encoded messages agree to the byte with 3.844 MB and 59.48 MB."""
    assert bytes_agree(sized(rows, features, hidden, protocol__first_layer="algorithm1-prg")) == total


@pytest.mark.parametrize("holders", [2, 3])
def test_prg_bytes_of_the_seeds(holders: int) -> None:
    """Before the first batch every holder has sent 16 bytes to every other, whatever the data's size."""
    _, spoken = listen(small_setup(holders=holders, overrides=THIS))
    seeds = [(s, r, m.seed.tobytes()) for s, r, m in spoken if isinstance(m, ShareSeed)]
    assert len(seeds) == len({seed for _, _, seed in seeds}) == holders * (holders - 1)
    assert {len(seed) for _, _, seed in seeds} == {16}


@pytest.mark.parametrize("silent", ["A", "B", "C", SERVER, DEALER])
def test_prg_one_party_stays_silent(silent: str) -> None:
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


def test_prg_what_is_declared_uniform_is_uniform() -> None:
    """Masked shares and shares of h1 pass a chi-square test of their bytes, for both holders."""
    overrides = THIS | {"train.batch_size": 500}
    tested = declared_as_it_is(small_setup(rows=4000, features=20, overrides=overrides))
    assert {"MaskedShare.E", "MaskedShare.F", "HiddenShare.h1"} <= tested


def test_prg_masks_are_fresh_in_every_batch() -> None:
    """No masked share is ever sent twice, though rows and weights repeat in every epoch."""
    _, spoken = listen(small_setup(overrides={**THIS, "train.epochs": 3, "train.learning_rate": 1e-9}))
    sent = [
        (sender, array.tobytes())
        for sender, _, m in spoken
        if isinstance(m, MaskedShare)
        for array in (m.E, m.F)
    ]
    assert len(set(sent)) == len(sent) > 10


def test_prg_encoding_every_message_changes_nothing() -> None:
    """With every message encoded and decoded on its way, ledger and weights are the same to the bit."""
    same_when_encoded(overrides=THIS)


def test_prg_a_feature_too_large_for_the_ring() -> None:
    """A feature that the fixed-point ring cannot hold ends the run with an error that shows it."""
    setup = small_setup(overrides=THIS | {"protocol.fractional_bits": 30})
    setup.dataset.X_train[3, 2] = 2.0**40
    with pytest.raises(FixedPointError):
        listen(setup)
