"""Lower bounds on epsilon: below what holds, above what does not."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta

from p2n2sim.privacy.accounting import GaussianSteps, epsilon
from p2n2sim.privacy.audit import by_scores, by_view, clopper_pearson, from_rates, one_run, p_value

DELTA = 1e-6


def test_bounds_of_a_rate() -> None:
    """None of a hundred successes: at most 1 - 0.05^(1/100); and the two bounds are mirror images."""
    assert clopper_pearson(0, 100) == (0.0, pytest.approx(1 - 0.05 ** (1 / 100)))
    low, high = clopper_pearson(30, 100)
    assert clopper_pearson(70, 100) == (pytest.approx(1 - high), pytest.approx(1 - low))
    assert low == pytest.approx(beta.ppf(0.05, 30, 71))


def test_many_runs() -> None:
    """Rates that no epsilon of 1 allows disprove it; equal rates nothing; rare false alarms do more."""
    assert from_rates(950, 1000, 50, 1000, delta=DELTA) > 2
    assert from_rates(500, 1000, 500, 1000, delta=DELTA) == 0
    assert from_rates(600, 1000, 1, 1000, delta=DELTA) > from_rates(600, 1000, 100, 1000, delta=DELTA)


def test_all_right_in_one_run() -> None:
    """m right guesses of m have probability (1 + e^-epsilon)^-m, which tells the bound in closed form."""
    for m in (10, 100, 1000):
        assert one_run(canaries=m, guesses=m, correct=m, delta=0.0) == pytest.approx(
            -math.log(0.05 ** (-1 / m) - 1), abs=1e-3
        )


@given(st.integers(1, 60), st.data())
def test_p_value_grows(guesses: int, data: st.DataObject) -> None:
    """With epsilon and with delta more is allowed; more right guesses are never likelier."""
    correct = data.draw(st.integers(0, guesses))
    values = {"canaries": guesses, "guesses": guesses, "correct": correct}
    usual = p_value(**values, epsilon=1.0, delta=1e-3)
    assert p_value(**values, epsilon=2.0, delta=0.0) >= p_value(**values, epsilon=1.0, delta=0.0) - 1e-12
    assert usual >= p_value(**values, epsilon=1.0, delta=0.0)
    if correct:
        assert usual <= p_value(**values | {"correct": correct - 1}, epsilon=1.0, delta=1e-3) + 1e-12


def test_randomized_response_is_met_from_below() -> None:
    """The mechanism of which the theorem is tight: the bound comes near epsilon, and is above it in no more
    runs than the confidence allows."""
    random, above, found = np.random.default_rng(1), 0, []
    for _ in range(100):
        coins = random.random(1000) < 0.5
        honest = random.random(1000) < 1 / (1 + math.exp(-1.5))
        audit = by_scores(np.where(coins == honest, 1.0, -1.0), coins, delta=0.0)
        above += audit.lower > 1.5
        found.append(audit.lower)
    assert above <= 10  # 5 expected at most; 11 or more have a probability of 1 %
    assert np.median(found) > 1.1


def dp_sgd(*, sigma: float, rate: float, clip: bool = True, seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """What an adversary sees who is told every noisy sum of DP-SGD: projections on canaries, and their coins.

    1500 canaries with gradients along axes of their own, of which half take part; a gradient is 4 times as
    long as the clipping norm, if it is not clipped. A canary is in each of 40 steps with probability
    `rate`.
    """
    random, m = np.random.default_rng(seed), 1500
    coins, total = random.random(m) < 0.5, np.zeros(m)
    for _ in range(40):
        present = coins & (random.random(m) < rate)
        total += present * (1.0 if clip else 4.0) + sigma * random.normal(size=m)
    return total - 40 * rate / 2, coins


CLAIMED = epsilon([GaussianSteps(noise_multiplier=8.0, count=40, sampler="poisson", rate=0.05)], delta=DELTA)


def test_no_mistake_is_not_caught() -> None:
    """With the noise, the clipping and the sampling that were accounted for the bound is below the claim."""
    for seed in range(20):
        scores, coins = dp_sgd(sigma=8.0, rate=0.05, seed=seed)
        assert by_scores(scores, coins, delta=DELTA, confidence=0.999).lower <= CLAIMED


@pytest.mark.parametrize(
    "mistake",
    [
        {"sigma": 0.0, "rate": 0.05},
        {"sigma": 8.0 / 32, "rate": 0.05},
        {"sigma": 8.0, "rate": 1.0, "clip": False},
        {"sigma": 8.0, "rate": 1.0},
    ],
    ids=["noise forgotten", "noise too small", "clip forgotten", "sampling not as claimed"],
)
def test_planted_mistakes_are_caught(mistake: dict[str, float]) -> None:
    """Of a claim for sigma 8 and Poisson sampling at 0.05: each planted mistake gives a bound above it."""
    scores, coins = dp_sgd(**mistake)  # type: ignore[arg-type]
    assert by_scores(scores, coins, delta=DELTA, confidence=0.999).lower > CLAIMED


def test_learning_from_known_canaries() -> None:
    """What a view holds is found without being told where: one column of many, of either sign."""
    random = np.random.default_rng(2)
    coins = random.random(600) < 0.5
    seen = random.normal(size=(600, 12))
    assert by_view(seen, coins, delta=0.0).lower < 0.5
    seen[:, 7] -= 6.0 * coins
    assert by_view(seen, coins, delta=0.0).lower > 2.5
