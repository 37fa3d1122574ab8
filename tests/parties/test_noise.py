"""Noise on h1: every holder's part, in every member of the family, and nothing else changes."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from p2n2sim.assemble import Setup
from p2n2sim.messages import HiddenPart, HiddenShare
from p2n2sim.mpc import fixed_point
from p2n2sim.parties.first_layer.family import MEMBERS
from p2n2sim.parties.noise import Noise
from p2n2sim.run import weights_sha256
from tests.laws import declared_as_it_is, listen
from tests.small import small_setup

DEVIATION = 0.5


def noisy(first_layer: str, *, deviation: float = DEVIATION, holders: int = 3, rows: int = 24) -> Setup:
    """A run of two epochs with noise on h1."""
    keys = {"protocol.first_layer": first_layer, "defence.noise": deviation, "train.epochs": 2}
    keys |= {"protocol.crypto": "modelled"}
    return small_setup(rows=rows, holders=holders, overrides=keys)


def first_h1(setup: Setup) -> NDArray[np.float64]:
    """h1 of the first batch, as the server is told it."""
    _, spoken = listen(setup)
    shares = [m.h1 for _, _, m in spoken if isinstance(m, HiddenShare) and m.step == 0]
    if shares:
        return fixed_point.decode(np.add.reduce(shares), 40, np.float64)
    return np.add.reduce([m.part for _, _, m in spoken if isinstance(m, HiddenPart) and m.step == 0])


def drawn(holders: int, shape: tuple[int, int], step: int = 0, seed: int = 3) -> NDArray[np.float64]:
    """The noise that all holders together add."""
    names = "ABCDE"[:holders]
    parts = [Noise.part(DEVIATION, holders, seed, name) for name in names]
    zeros = np.zeros(shape, np.int64)
    return sum(fixed_point.decode(part.on_share(zeros, step, 40), 40, np.float64) for part in parts)


@pytest.mark.parametrize("first_layer", [name for name in MEMBERS if name not in ("ckks", "paillier")])
def test_h1_is_the_product_and_the_noise(first_layer: str) -> None:
    """What reaches the server is X theta plus the sum of all holders' noise, in every first layer."""
    setup = noisy(first_layer)
    batch = next(iter(setup.schedule))
    product = setup.dataset.X_train[batch.rows] @ setup.parts.theta.numpy()
    h1 = first_h1(setup)
    np.testing.assert_allclose(h1 - product, drawn(3, h1.shape), atol=1e-5)
    assert np.abs(h1 - product).max() > 0.3


def test_its_deviation() -> None:
    """The parts add up to the deviation that the scenario names, whatever the number of holders."""
    for holders in (2, 3, 5):
        noise = drawn(holders, (2000, 10))
        assert noise.std() == pytest.approx(DEVIATION, rel=0.02)
        part = Noise.part(DEVIATION, holders, 3, "A").on_summand(np.zeros((2000, 10), np.float32), 0)
        assert part.std() == pytest.approx(DEVIATION / holders**0.5, rel=0.02)


def test_every_batch_has_noise_of_its_own() -> None:
    """Noise of different steps, holders and seeds is unrelated, and of the same ones the same."""
    usual = drawn(3, (50, 4))
    assert np.array_equal(usual, drawn(3, (50, 4)))
    for other in (drawn(3, (50, 4), step=1), drawn(3, (50, 4), seed=4)):
        assert np.abs(np.corrcoef(usual.reshape(-1), other.reshape(-1))[0, 1]) < 0.3


@pytest.mark.parametrize("first_layer", MEMBERS)
def test_no_byte_more(first_layer: str) -> None:
    """Noise costs no message and no byte, and changes the weights of every first layer."""
    results = []
    for deviation in (DEVIATION, 0.0):
        setup = noisy(first_layer, deviation=deviation)
        outcome, _ = listen(setup)
        results.append((outcome.ledger.sha256(), weights_sha256(setup.parts), outcome.passes[-1].logits))
    assert results[0][0] == results[1][0]
    assert results[0][1] != results[1][1]
    assert np.abs(results[0][2] - results[1][2]).max() > 1e-3  # in prediction, too


def test_the_family_agrees_on_noise() -> None:
    """With one seed every first layer trains with the same noise, up to rounding."""
    thetas = []
    for first_layer in MEMBERS:
        setup = noisy(first_layer)
        listen(setup)
        thetas.append(setup.parts.theta.numpy())
    assert max(np.abs(theta - thetas[0]).max() for theta in thetas) < 2e-4


def test_shares_stay_uniform() -> None:
    """Shares of a noisy h1 are uniform as those of an exact one."""
    keys = {"defence.noise": DEVIATION, "train.batch_size": 600}
    assert "HiddenShare.h1" in declared_as_it_is(small_setup(rows=1200, overrides=keys))


def test_its_work_is_charged() -> None:
    """Where nothing but drawing random bytes takes time, a second each, noise takes 8 mn seconds a batch."""
    worked = []
    for deviation in (DEVIATION, 0.0):
        keys = {"compute.holder": {"random_bytes_per_s": 1.0}, "protocol.first_layer": "plaintext"}
        setup = small_setup(overrides=keys | {"defence.noise": deviation})
        outcome, _ = listen(setup)
        worked.append(sum(end - start for start, end, _ in outcome.intervals["B"]))
    assert worked[0] - worked[1] == 8 * 4 * sum(len(batch.rows) for batch in setup.schedule)
