"""Theta and its noise under secret sharing: exact in the ring, as large as claimed, known to nobody."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import chi2

from p2n2sim.assemble import Setup
from p2n2sim.checkpoint import Checkpoints
from p2n2sim.errors import ScenarioError
from p2n2sim.messages import FeatureShare, FirstHiddenGradient, HiddenShare, InputShare, WeightShare
from p2n2sim.mpc import fixed_point
from p2n2sim.mpc.prg import Purpose, derive_key
from p2n2sim.parties.first_layer.traffic import payload_by_link, setup_by_link
from p2n2sim.parties.noise import secret_draws
from p2n2sim.parties.perturbation.owner import DRAWN_TOGETHER
from p2n2sim.perturbing import Perturbing
from p2n2sim.privacy.discrete import skellam
from p2n2sim.run import weights_sha256
from p2n2sim.simulate import Outcome, simulate
from p2n2sim.state import State
from tests.laws import declared_as_it_is, listen
from tests.perturbed import by_hand, perturbed, weights

SHARING = ("algorithm1", "algorithm1-prg", "algorithm1-masked-once")


def shared(noise: float = 0.0, **keys: Any) -> Setup:
    """A small run of DP-SGD with theta under sharing."""
    return perturbed(noise=noise, **{"privacy.gradients.noise_by": "shares"} | keys)


def drawn(setup: Setup, name: str, steps: int) -> list[np.ndarray[Any, np.dtype[np.int64]]]:
    """What a holder subtracts as its part of the noise in the first batches, drawn here once more."""
    does = Perturbing(setup).of(name)
    assert does is not None
    layer, scenario = setup.layer, setup.scenario
    assert layer.weight_bits is not None
    scale = Fraction(scenario.train.learning_rate) * Fraction(does.deviation) / Fraction(does.divisor)
    mu = (scale * 2**layer.weight_bits) ** 2 / len(layer.holders)
    size = layer.features * layer.units
    many = DRAWN_TOGETHER // size
    out = []
    for step in range(steps):
        key = derive_key(scenario.train.seed, "perturbation", name)
        numbers = skellam(secret_draws(key, step // many, Purpose.PERTURBATION), mu, many * size)
        out.append(numbers.reshape(many, layer.features, layer.units)[step % many])
    return out


@pytest.mark.parametrize("first_layer", SHARING)
@pytest.mark.parametrize(
    ("clipping", "holders", "sampler", "reduction"),
    [("flat", 2, "shuffled", "sum"), ("per-part", 3, "poisson", "mean")],
)
def test_without_noise_it_is_the_same_training(
    first_layer: str, clipping: str, holders: int, sampler: str, reduction: str
) -> None:
    """Weights as per-row gradients by torch.func give them, whoever has which share of theta."""
    keys = {
        "protocol.first_layer": first_layer,
        "privacy.gradients.clipping": clipping,
        "train.sampler": sampler,
        "train.loss_reduction": reduction,
    }
    setup = shared(holders=holders, **keys)
    before, expected = weights(setup), by_hand(setup)
    simulate(setup, Outcome())
    torch.testing.assert_close(weights(setup), expected, atol=2e-5, rtol=0)
    assert (expected - before).abs().max() > 1e-3


def test_the_shares_add_up_exactly() -> None:
    """After a batch: the initial theta, minus what every holder encoded, minus every part of the noise.

    All of it as Python integers modulo 2^64; the gradients are those that holders were sent.
    """
    setup = shared(
        1e-4, rows=6, **{"train.epochs": 1, "privacy.gradients.clip": 1e3, "train.predict_every": 1}
    )
    layer, rate = setup.layer, setup.scenario.train.learning_rate
    start = fixed_point.encode(setup.parts.theta.numpy(), 30)
    _, spoken = listen(setup)
    d_1 = next(m.d_1 for _, _, m in spoken if isinstance(m, FirstHiddenGradient))  # (6, n), not clipped here
    rows = next(batch.rows for batch in setup.schedule if batch.stage == "train")
    X = setup.dataset.X_train[rows].astype(np.float64)
    expected = start.astype(object)
    for name in layer.holders:
        own = layer.columns(name)
        gradient = rate * (X[:, own].T @ d_1.astype(np.float64))
        expected[own] -= fixed_point.encode(gradient, 30).astype(object)
        expected -= drawn(setup, name, 1)[0].astype(object)
    total = fixed_point.decode(np.array(expected % 2**64, np.uint64).view(np.int64), 30)
    assert np.array_equal(setup.parts.theta.numpy(), total)


def test_the_opened_sum_carries_the_noise_that_is_claimed() -> None:
    """Skellam noise of every holder has its part of the variance, and all of them together all of it."""
    keys = {"privacy.gradients.clip": 1e-6, "model.hidden": [40, 30], "train.learning_rate": 1.0}
    setup = shared(1e6, features=30, rows=12, **keys)
    before = setup.parts.theta.clone()
    simulate(setup, Outcome())
    steps = setup.schedule.training_batches
    moved = (setup.parts.theta - before).double()
    low, high = chi2.ppf([1e-4, 1 - 1e-4], moved.numel())
    assert low < float(moved.square().sum()) / steps < high
    parts = {name: np.sum(drawn(setup, name, 1), axis=0) * 2.0**-30 for name in setup.layer.holders}
    for part in parts.values():
        assert low < 3 * float(np.square(part).sum()) < high
    assert np.abs(np.corrcoef([part.reshape(-1) for part in parts.values()]) - np.eye(3)).max() < 0.15


def test_the_noise_shrinks_with_rate_and_divisor() -> None:
    """A step is the learning rate over D times the noisy sum, and so is the noise that is added to shares."""
    keys = {"privacy.gradients.clip": 1e-6, "train.learning_rate": 1.0, "train.batch_size": 5}
    whole = shared(1e6, **keys)
    smaller = shared(1e6, **keys | {"train.learning_rate": 0.5, "train.loss_reduction": "mean"})
    spread = []
    for setup in (whole, smaller):
        start = setup.parts.theta.clone()
        simulate(setup, Outcome())
        spread.append(float((setup.parts.theta - start).square().sum()))
    low, high = chi2.ppf([1e-4, 1 - 1e-4], 28)
    assert low / high < spread[1] * 100 / spread[0] < high / low


@pytest.mark.parametrize("first_layer", SHARING)
def test_bytes_are_the_closed_form(first_layer: str) -> None:
    """Theta is shared once, before the first batch, and no batch sends a share of it."""
    setup = shared(1.0, **{"protocol.first_layer": first_layer})
    outcome, spoken = listen(setup)
    layer = setup.layer
    rows = outcome.ledger.frame()
    rows["link"] = rows["sender"] + "->" + rows["receiver"]
    batch = rows[rows["step"] == 1].groupby("link")["payload_bytes"].sum()
    expected = payload_by_link(layer, "A", 6, 3, first_layer=first_layer)
    assert {link: int(size) for link, size in batch.items() if size} == expected
    start = rows[rows["step"] < 0].groupby("link")["payload_bytes"].sum()
    set_up = setup_by_link(layer, 18, 9, first_layer=first_layer)
    assert {link: int(size) for link, size in start.items() if size} == {k: v for k, v in set_up.items() if v}
    shares = [m for _, _, m in spoken if isinstance(m, WeightShare)]
    assert len(shares) == 6  # every holder to each of two others
    assert not any(isinstance(m, InputShare) for _, _, m in spoken)
    assert any(isinstance(m, FeatureShare) for _, _, m in spoken) == (first_layer == "algorithm1")


def test_what_is_declared_uniform_is() -> None:
    """Shares of theta, too; and h1 is opened with the digits of X and of theta."""
    seen = declared_as_it_is(shared(1.0, features=30, **{"model.hidden": [80, 3]}))
    assert "WeightShare.theta" in seen
    setup = shared(1.0)
    _, spoken = listen(setup)
    first = [m.h1 for _, _, m in spoken if isinstance(m, HiddenShare)][:3]
    h1 = fixed_point.decode(np.add.reduce(first), setup.layer.hidden_bits, np.float64)
    assert setup.layer.hidden_bits == 50
    assert 0.1 < np.abs(h1).max() < 100


def test_a_share_tells_nothing_of_theta() -> None:
    """Every holder's share, its own rows' included, is uniform: its top bytes are all there is to see."""
    setup = shared(1.0, features=30, **{"model.hidden": [40, 30], "train.checkpoint_every": 100})
    kept: list[State] = []
    simulate(setup, Outcome(), on_checkpoint=kept.append)
    for part in kept[-1].shares.values():
        top = (part.W[0].view(np.uint64) >> np.uint64(56)).astype(int).reshape(-1)
        counts = np.bincount(top, minlength=256)
        expected = part.W[0].size / 256
        assert ((counts - expected) ** 2 / expected).sum() < chi2.ppf(1 - 1e-6, 255)
    total = np.add.reduce([part.W[0] for part in kept[-1].shares.values()])
    assert np.array_equal(fixed_point.decode(total, 30), setup.parts.theta.numpy())


@pytest.mark.parametrize("first_layer", SHARING)
def test_it_goes_on_with_the_shares_that_were_kept(first_layer: str, tmp_path: Path) -> None:
    """Theta is not shared a second time, and no bit of the weights changes."""
    keys = {"protocol.first_layer": first_layer}
    whole = shared(1.0, **keys)
    simulate(whole, Outcome())
    setup, outcome = shared(1.0, **keys, **{"train.checkpoint_every": 4}), Outcome()
    checkpoints = Checkpoints(tmp_path, setup, outcome)

    class Killed(Exception):
        """The process ends here."""

    def store(state: State) -> None:
        checkpoints.store(state)
        raise Killed

    with pytest.raises(Killed):
        simulate(setup, outcome, on_checkpoint=store)
    again, other = shared(1.0, **keys, **{"train.checkpoint_every": 4}), Outcome()
    state = Checkpoints(tmp_path, again, other).load()
    assert state is not None
    simulate(again, other, state=state)
    assert weights_sha256(again.parts) == weights_sha256(whole.parts)
    kinds = other.ledger.frame()["kind"]
    assert (kinds == "WeightShare").sum() == 6


@pytest.mark.parametrize(
    ("keys", "place", "told"),
    [
        ({"protocol.first_layer": "masked-sum"}, "noise_by", "'masked-sum' knows nothing"),
        ({"train.momentum": 0.9}, "noise_by", "momentum 0.9 multiplies"),
        ({"train.optimiser": "adam"}, "noise_by", "'adam' multiplies"),
        ({"privacy.h1.clip": 1.0, "privacy.h1.noise_multiplier": 1.0}, "noise_by", "clip rows by its theta"),
        ({"privacy.gradients.weight_bits": 33}, "weight_bits", "at most 32 would do"),
    ],
)
def test_what_does_not_go_together_is_refused(keys: dict[str, Any], place: str, told: str) -> None:
    """In one line that names the key and what would do."""
    with pytest.raises(ScenarioError) as raised:
        shared(1.0, **keys)
    assert f"privacy.gradients.{place}" in str(raised.value)
    assert told in str(raised.value)


def test_the_deviation_is_that_of_the_sum() -> None:
    """Perturbing gives every holder the whole deviation; the division among holders is the ring's affair."""
    setup = shared(2.0)
    does = Perturbing(setup).of("B")
    assert does is not None
    assert math.isclose(does.deviation, 2.0 * (setup.scenario.privacy.gradients.clip or 0))
