"""Mechanisms: scales and probabilities against figures of an authority, samples against their distribution.

The figures without a source in their test were computed to 50 digits from the definitions, and agree with
dp-accounting 0.6.0.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from p2n2sim.privacy import additive, response, selection
from p2n2sim.privacy.draws import Draws

N = 20_000


@pytest.mark.parametrize(("epsilon", "sensitivity", "scale"), [(0.1, 1, 10.0), (1, 1, 1.0), (3, 0.5, 1 / 6)])
def test_the_scale_of_laplace_noise(epsilon: float, sensitivity: float, scale: float) -> None:
    """b = sensitivity / epsilon."""
    assert additive.laplace_scale(l1_sensitivity=sensitivity, epsilon=epsilon) == pytest.approx(scale)


def test_laplace_noise_is_distributed_as_it_says() -> None:
    """Around the value, with density exp(-|x| / b) / 2 b."""
    noisy = additive.laplace(Draws.of_seed(1), np.full(N, 7.0), l1_sensitivity=3, epsilon=0.5)
    assert stats.kstest(noisy, "laplace", args=(7, 6)).pvalue > 1e-4


@pytest.mark.parametrize(
    ("epsilon", "delta", "sigma"),
    [
        (0.1, 1e-5, 30.74956613197745),
        (1, 1e-5, 3.730631634815942),
        (1, 1 / 227_845, 3.9125243009915933),
        (3, 1e-5, 1.3905934566745368),
    ],
)
def test_the_analytic_gaussian_mechanism(epsilon: float, delta: float, sigma: float) -> None:
    """sigma of Balle & Wang 2018, and back from it to epsilon."""
    found = additive.analytic_sigma(l2_sensitivity=2, epsilon=epsilon, delta=delta)
    assert found == pytest.approx(2 * sigma, rel=1e-9)
    assert additive.gaussian_epsilon(noise_multiplier=sigma, delta=delta) == pytest.approx(epsilon, rel=1e-9)


@pytest.mark.parametrize(
    ("sigma", "delta", "epsilon"), [(1, 1e-5, 4.377178095681137), (4, 1e-6, 1.0607018623282733)]
)
def test_epsilon_of_a_sigma(sigma: float, delta: float, epsilon: float) -> None:
    """The curve of the Gaussian mechanism."""
    assert additive.gaussian_epsilon(noise_multiplier=sigma, delta=delta) == pytest.approx(epsilon, rel=1e-9)


@pytest.mark.parametrize(("epsilon", "sigma"), [(0.1, 48.44805262605389), (1, 4.844805262605389)])
def test_the_classic_gaussian_mechanism(epsilon: float, sigma: float) -> None:
    """sqrt(2 log(1.25 / delta)) / epsilon at delta = 1e-5 (Dwork & Roth 2014, theorem A.1)."""
    assert additive.classic_sigma(l2_sensitivity=1, epsilon=epsilon, delta=1e-5) == pytest.approx(sigma)


def test_the_classic_bound_is_refused_where_its_theorem_ends() -> None:
    """It says nothing of an epsilon above 1."""
    with pytest.raises(ValueError, match="at most 1"):
        additive.classic_sigma(l2_sensitivity=1, epsilon=3, delta=1e-5)


def test_gaussian_noise_is_distributed_as_it_says() -> None:
    """Around the value, with the deviation asked for."""
    noisy = additive.gaussian(Draws.of_seed(2), np.full((N, 2), -1.0), sigma=2.5)
    assert noisy.shape == (N, 2)
    assert stats.kstest(noisy.ravel(), "norm", args=(-1, 2.5)).pvalue > 1e-4


SCORES = [
    ([0, 1, 2, 3], 1.0, 1.0,
     [0.1015363240915518, 0.16740509727844333, 0.27600434470659363, 0.45505423392341127],
     [0.079477288794785, 0.13721944982098838, 0.24767001165613162, 0.535633249728095]),
    ([0.91, 0.9231, 0.927], 10.0, 0.1, [0.18994112201919133, 0.36566372979731687, 0.4443951481834918],
     [0.15509216274468546, 0.35280202579833114, 0.4921058114569834]),
]  # fmt: skip


@pytest.mark.parametrize(("scores", "epsilon", "sensitivity", "probabilities", "flipped"), SCORES)
def test_choices_have_their_probabilities(
    scores: list[float], epsilon: float, sensitivity: float, probabilities: list[float], flipped: list[float]
) -> None:
    """Closed form of the exponential mechanism, enumeration of permute-and-flip."""
    exact = selection.exponential_probabilities(scores, epsilon=epsilon, sensitivity=sensitivity)
    assert exact == pytest.approx(probabilities, rel=1e-12)
    for choose, expected in ((selection.exponential, probabilities), (selection.permute_and_flip, flipped)):
        draws = Draws.of_seed(3)
        chosen = [choose(draws, scores, epsilon=epsilon, sensitivity=sensitivity) for _ in range(3_000)]
        counts = np.bincount(chosen, minlength=len(scores))
        assert stats.chisquare(counts, 3_000 * np.array(expected)).pvalue > 1e-4


@settings(max_examples=50, deadline=None)
@given(
    scores=st.lists(st.floats(-50, 50), min_size=1, max_size=5),
    moves=st.lists(st.floats(-1, 1), min_size=5, max_size=5),
    epsilon=st.floats(0.01, 5),
)
def test_the_exponential_mechanism_is_private(
    scores: list[float], moves: list[float], epsilon: float
) -> None:
    """No probability moves by more than e^epsilon when every score moves by its sensitivity at most."""
    moved = [score + move for score, move in zip(scores, moves, strict=False)]
    one, two = (
        selection.exponential_probabilities(s, epsilon=epsilon, sensitivity=1) for s in (scores, moved)
    )
    assert np.all(np.abs(np.log(one) - np.log(two)) <= epsilon * (1 + 1e-9))


def test_the_best_of_far_better_candidates_is_chosen() -> None:
    """A gap that is large in units of sensitivity over epsilon decides."""
    assert selection.permute_and_flip(Draws.of_seed(4), [0, 1e6, 5], epsilon=1, sensitivity=1) == 1


@pytest.mark.parametrize("scores", [[], [math.nan, 1.0], [math.inf]])
def test_scores_that_are_none_are_refused(scores: list[float]) -> None:
    """There must be a candidate, and every score must be a number."""
    for choose in (selection.exponential, selection.permute_and_flip):
        with pytest.raises(ValueError, match=r"candidate|finite"):
            choose(Draws.of_seed(1), scores, epsilon=1, sensitivity=1)


@pytest.mark.parametrize(
    ("epsilon", "classes", "p"),
    [(1, 2, 0.731058578630005), (0.5, 2, 0.6224593312018546), (3, 10, 0.6905678577030157)],
)
def test_randomized_response_tells_the_truth_as_often_as_it_may(
    epsilon: float, classes: int, p: float
) -> None:
    """e^epsilon / (e^epsilon + c - 1), and the other classes equally often."""
    assert response.truth_probability(epsilon=epsilon, classes=classes) == pytest.approx(p, rel=1e-12)
    told = response.randomized_response(Draws.of_seed(5), np.full(N, 1), epsilon=epsilon, classes=classes)
    expected = np.full(classes, N * (1 - p) / (classes - 1))
    expected[1] = N * p
    assert stats.chisquare(np.bincount(told, minlength=classes), expected).pvalue > 1e-4


def test_counts_are_estimated_without_bias() -> None:
    """What was reported tells how many there were, within what the noise allows."""
    labels = np.repeat([0, 1, 2], [6_000, 3_000, 1_000])
    told = response.randomized_response(Draws.of_seed(6), labels, epsilon=1, classes=3)
    estimate = response.estimate_counts(told, epsilon=1, classes=3)
    assert estimate.sum() == pytest.approx(10_000)
    assert estimate == pytest.approx([6_000, 3_000, 1_000], abs=600)
