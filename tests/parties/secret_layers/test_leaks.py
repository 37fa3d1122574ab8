"""Planted leaks: the tests of `test_views.py` report each, and the run is none the wiser."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

from p2n2sim.inputs import Inputs
from p2n2sim.mpc import comparison, prg, sources, truncation
from p2n2sim.mpc.bits import plane_bytes, planes, unpack
from p2n2sim.mpc.comparison import Comparisons
from p2n2sim.mpc.correlated import Source
from p2n2sim.mpc.truncation import TruncationPair
from p2n2sim.mpc.width import Ring, Width
from p2n2sim.parties.secret_layers.belongings import Own
from p2n2sim.under_sharing import UnderSharing
from tests import eavesdropper
from tests.uniformity import correlation, joint_chi_square, not_independent, not_uniform
from tests.views import Run, watch


def honest_links(run: Run) -> dict[str, float]:
    """What a look at each link by itself reports of the openings."""
    said = [(name, x) for name, field, x in eavesdropper.links(run) if field.startswith("Opening")]
    return not_uniform(said)


def test_a_mask_reused_in_the_next_batch_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted: the streams of correlated randomness forget the step. A batch by itself looks as before.

    The change of X from batch to batch is a small number, and the openings of two batches go together.
    """

    def forgetful(key: bytes, step: int, *, purpose: int) -> prg.Stream:
        return prg.Stream(key, 0, purpose=purpose)

    monkeypatch.setattr(sources, "prg", SimpleNamespace(Stream=forgetful))
    run = watch(eavesdropper.setup(2, {}), monkeypatch)
    for session in run.sessions:
        first = [(one.label, one.value) for one in session.seen if one.step == 0]
        assert not_uniform(first) == {}
        found = not_uniform(eavesdropper.openings(run, session))
        assert found["opening 1, values 0, 2048, change"] > 100
    together = not_independent(eavesdropper.pairs(run), joint_chi_square)
    assert together["opening 1, values 0, 2048, two batches"] > 100


def test_a_key_given_to_a_third_party_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted: A's own key of its shares is also the seed that it gives to C.

    What C is sent looks as random as before, but with that key it becomes A's features. B sees nothing.
    """
    real = UnderSharing._own

    def planted(self: UnderSharing, name: str, inputs: Inputs) -> Own:
        own = real(self, name, inputs)
        given_to_c = prg.derive_key(own.seed, "shares", "A", "C")
        return dataclasses.replace(own, key=given_to_c) if name == "A" else own

    monkeypatch.setattr(UnderSharing, "_own", planted)
    run = watch(eavesdropper.setup(3, {}), monkeypatch)
    assert not_uniform((name, x) for name, _, x in eavesdropper.links(run)) == {}
    _, b, c = run.sessions
    assert not_uniform(eavesdropper.with_keys(run, b)) == {}
    found = not_uniform(eavesdropper.with_keys(run, c))
    assert [name.split(",")[0] for name in found] == ["from A"]
    pairs = list(eavesdropper.with_keys(run, c))
    X = run.setup.dataset.X_train[next(iter(run.setup.schedule)).rows][:, run.setup.blocks[0]]
    first = next(x for name, x in pairs if name in found)
    np.testing.assert_allclose(first / 2**20, X, atol=1e-6)


def test_one_dealer_key_for_two_holders_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted: both holders have the same key with the dealer, so each knows the other's mask."""
    real = prg.derive_key

    def planted(seed: int, *labels: str | int) -> bytes:
        return real(seed, "triples", "A") if labels[0] == "triples" else real(seed, *labels)

    monkeypatch.setattr("p2n2sim.under_sharing.derive_key", planted)
    run = watch(eavesdropper.setup(2, {}), monkeypatch)
    assert honest_links(run) == {}
    for session in run.sessions:
        found = not_uniform(eavesdropper.openings(run, session))
        assert found["opening 1, values 0, 2048 less own mask twice"] > 100


@pytest.mark.parametrize("holders", [2, 3])
def test_a_truncation_opened_without_mask_is_reported(monkeypatch: pytest.MonkeyPatch, holders: int) -> None:
    """Planted: the number itself is opened. Its shares are uniform on every link; their sum is not."""

    def planted(x: Ring, pair: TruncationPair, width: Width, *, first: bool) -> Ring:
        return x + (1 << width - 2) if first else x.copy()

    monkeypatch.setattr(truncation, "masked", planted)
    run = watch(eavesdropper.setup(holders, {"model.activations": "identity"}), monkeypatch)
    assert honest_links(run) == {}
    for session in run.sessions:
        found = not_uniform(eavesdropper.openings(run, session))
        assert found["opening 2, values 0, 2048"] > 100


def one_dabit_for_all(source: Source, count: int, ways: int) -> Comparisons:
    """`comparison.comparisons` with the same random bits in every batch, freshly shared."""
    width, row = source.width, plane_bytes(count)
    r = source.random((count,))
    bits = source.share_bits((width, row), lambda: planes(r, width))
    levels = tuple(comparison._level(source, ways, pairs, row) for pairs in comparison.level_pairs(width))
    stream = prg.uniform(prg.derive_key(3, "the same"), 0, (ways, row))
    known = stream.astype(np.uint8)
    ring = np.stack([unpack(plane, (count,)) for plane in known])
    return Comparisons(
        r,
        bits,
        levels,
        source.share_bits((ways, row), lambda: known),
        source.share((ways, count), lambda: ring),
        source.share((ways, count), lambda: r * ring),
    )


def test_a_random_bit_used_twice_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted: the bit that masks a comparison's result is the same in every batch.

    What is opened is uniform; the change from batch to batch is that of the results.
    """
    monkeypatch.setattr(comparison, "comparisons", one_dabit_for_all)
    run = watch(eavesdropper.setup(2, {"train.batch_size": 768}), monkeypatch)
    assert honest_links(run) == {}
    label = "opening 9, bits 0, 1536"  # 768 rows of 8 units and 2 kinks: after the product, number and tree
    results = next(
        secret for one, secret in zip(run.sessions[0].seen, run.secrets(), strict=True) if one.label == label
    )
    assert results.size == 1536
    for session in run.sessions:
        found = not_uniform(eavesdropper.openings(run, session))
        assert [name for name in found if "bits" in name] != []
        assert all(name.endswith("change") for name in found)


def test_a_mask_that_is_too_small_is_reported() -> None:
    """Planted: masks four times as large as the secrets; what is opened follows what is under them."""
    random = np.random.default_rng(2)
    secret = random.normal(size=5_000) * 2**20
    for bits, leaks in ((20, True), (22, True), (62, False)):
        value = (secret + random.integers(-(1 << bits), 1 << bits, 5_000)).astype(np.int64)
        found = not_independent([("value", value, secret)], correlation)
        assert bool(found) == leaks
