"""Noise on rows and labels before anybody sees them: bounds that no row breaks, moments, golden figures."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from p2n2sim.privacy.backends import Streamed
from p2n2sim.privacy.draws import Draws
from p2n2sim.privacy.local import RowNoise, clip_rows, gaussian_multiplier, perturb_rows, unbiased_labels
from p2n2sim.privacy.response import randomized_response, truth_probability

ROWS = arrays(np.float32, st.tuples(st.just(2), st.integers(1, 8)), elements=st.floats(-1e6, 1e6, width=32))


@given(ROWS, st.sampled_from(["laplace", "gaussian"]), st.floats(1e-3, 1e3))
def test_no_two_rows_are_further_apart_than_claimed(X: np.ndarray, mechanism: str, clip: float) -> None:
    """Clipped and rounded to the grid, any two rows differ by at most the sensitivity that sets the noise."""
    order = 1 if mechanism == "laplace" else 2
    noise = RowNoise(mechanism=mechanism, clip=clip, epsilon=1.0, delta=1e-6)  # type: ignore[arg-type]
    units = np.rint(clip_rows(X, clip, order=order) * 2.0**noise.bits)  # type: ignore[arg-type]
    assert np.linalg.norm(units[0] - units[1], ord=order) <= noise.sensitivity(X.shape[1])


def test_short_rows_stay() -> None:
    """What is within the norm is rounded to the grid and not scaled."""
    X = np.array([[0.5, -0.25], [0.0, 0.0]], np.float32)
    np.testing.assert_array_equal(clip_rows(X, 1.0, order=1), X)


@pytest.mark.parametrize(("mechanism", "deviation"), [("laplace", 2**0.5), ("gaussian", 1.0)])
def test_the_noise_has_the_scale_that_it_needs(mechanism: str, deviation: float) -> None:
    """Laplace: b = 2 clip / epsilon; Gauss: sigma = 2 clip times the multiplier; the mean is the row."""
    noise = RowNoise(mechanism=mechanism, clip=1.0, epsilon=2.0, delta=1e-6)  # type: ignore[arg-type]
    X = np.full((20_000, 2), 0.25, np.float32)
    noisy = perturb_rows(Streamed(Draws.of_seed(4)), X, noise)
    scale = 1.0 if mechanism == "laplace" else 2 * gaussian_multiplier(2.0, 1e-6)
    assert noisy.dtype == np.float32
    assert noisy.std() == pytest.approx(scale * deviation, rel=0.03)
    assert noisy.mean() == pytest.approx(0.25, abs=5 * scale / 200)


@settings(max_examples=20)
@given(st.floats(0.1, 8.0))
def test_labels_are_unbiased(epsilon: float) -> None:
    """Weighted by how probable they are, the two unbiased labels of a true one average to it."""
    p = truth_probability(epsilon=epsilon, classes=2)
    zero, one = unbiased_labels(np.array([0, 1]), epsilon=epsilon).astype(np.float64)
    assert p * one + (1 - p) * zero == pytest.approx(1.0, rel=1e-5)
    assert p * zero + (1 - p) * one == pytest.approx(0.0, abs=1e-5 * abs(one))


@pytest.mark.parametrize(
    ("epsilon", "flips", "precision"),
    [(1, 0.2689414213699951, 0.0046616674443983085), (4, 0.01798620996209156, 0.08598221892078226)],
)
def test_reported_positives_of_fraud(epsilon: float, flips: float, precision: float) -> None:
    """`label_dp_rr` of the reference figures: of 0.172 % frauds, few reported positives are true."""
    p = truth_probability(epsilon=epsilon, classes=2)
    assert 1 - p == pytest.approx(flips)
    rate = 0.00172
    assert rate * p / (rate * p + (1 - rate) * (1 - p)) == pytest.approx(precision, rel=1e-3)
    reported = randomized_response(Draws.of_seed(1), np.zeros(50_000, np.int64), epsilon=epsilon, classes=2)
    assert reported.mean() == pytest.approx(flips, abs=0.01)
