"""Noisy moments and choices: without noise the exact ones, with noise as spread as the theorem says."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from p2n2sim.privacy.backends import Streamed
from p2n2sim.privacy.draws import Draws
from p2n2sim.privacy.preprocessing import association, choose, moments, moments_sensitivity, rate, variation

UNIT = st.floats(-1, 1)


def _stream(seed: int) -> Streamed:
    return Streamed(Draws.of_seed(seed))


def test_moments_without_noise() -> None:
    """Without noise they are mean and deviation."""
    u = np.random.default_rng(1).uniform(-1, 1, (200, 3))
    mean, deviation = moments(_stream(1), u, noise_multiplier=0.0)
    np.testing.assert_allclose(mean, u.mean(0))
    np.testing.assert_allclose(deviation, u.std(0))


def test_noise_of_moments() -> None:
    """The mean's noise has the deviation sigma sqrt(2 k) / n."""
    u = np.zeros((1_000, 4))
    found = [moments(_stream(seed), u, noise_multiplier=5.0)[0] for seed in range(500)]
    expected = 5 * math.sqrt(8) / 1_000
    assert np.std(found) == pytest.approx(expected, rel=0.08)  # four standard errors of 2,000 draws


@given(arrays(float, (6, 3), elements=UNIT), arrays(float, 3, elements=UNIT))
def test_sensitivity_of_moments(u: np.ndarray, row: np.ndarray) -> None:
    """One more row moves the sums of u and u^2 by no more than the sensitivity."""
    more = np.vstack([u, row])
    moved = np.concatenate([more.sum(0) - u.sum(0), (more**2).sum(0) - (u**2).sum(0)])
    assert np.linalg.norm(moved) <= moments_sensitivity(3) + 1e-12


@given(
    arrays(float, (6, 2), elements=UNIT), arrays(float, 2, elements=UNIT), st.integers(0, 1), st.floats(0, 1)
)
def test_scores_have_sensitivity_one(u: np.ndarray, row: np.ndarray, label: int, positive: float) -> None:
    """One more row moves no score by more than 1."""
    y = np.array([0, 1, 0, 0, 1, 0.0])
    more = np.vstack([u, row])
    moved = association(more, np.append(y, label), positive=positive) - association(u, y, positive=positive)
    assert np.abs(moved).max() <= 1 + 1e-12
    binary = np.array([True, False])
    z, z_more = np.where(binary, u > 0, u), np.where(binary, more > 0, more)
    assert np.abs(variation(z_more, binary) - variation(z, binary)).max() <= 1 + 1e-12


@pytest.mark.parametrize("mechanism", ["permute-and-flip", "exponential"])
def test_choice(mechanism: str) -> None:
    """Without noise the best are kept; with a small epsilon others are, too; none is kept twice."""
    scores = np.array([1.0, 50.0, 3.0, 40.0, 2.0])
    best = choose(_stream(1), scores, keep=2, epsilon=math.inf, mechanism=mechanism)
    assert best.tolist() == [1, 3]
    drawn = [choose(_stream(s), scores, keep=2, epsilon=0.01, mechanism=mechanism) for s in range(40)]
    assert len({tuple(found) for found in drawn}) > 3
    assert all(found[0] < found[1] for found in drawn)
    firm = [choose(_stream(s), scores, keep=2, epsilon=5.0, mechanism=mechanism) for s in range(40)]
    assert all(found.tolist() == [1, 3] for found in firm)


def test_rate() -> None:
    """The share of class 1 is exact without noise, and stays a share with much."""
    y = np.array([1.0, 0, 0, 0])
    assert rate(_stream(1), y, epsilon=math.inf) == 0.25
    assert all(0 <= rate(_stream(seed), y, epsilon=0.1) <= 1 for seed in range(50))
