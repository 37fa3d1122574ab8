"""Choosing one of several candidates privately: the exponential mechanism and its better sibling.

Exponential mechanism: McSherry & Talwar 2007. Permute-and-flip: McKenna & Sheldon 2020, whose expected error
is never larger; it is what report-noisy-max with exponential noise does (Ding et al. 2021). Report-noisy-max
with Gumbel noise is the exponential mechanism. Both choose by coins of exact probability.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import mpmath
import numpy as np

from p2n2sim.privacy.coins import flip
from p2n2sim.privacy.draws import Draws, Reals


def exponential_probabilities(
    scores: Sequence[float], *, epsilon: float, sensitivity: float, monotonic: bool = False
) -> Reals:
    """Probability of each candidate by the exponential mechanism, proportional to exp(epsilon q / 2 Delta).

    Args:
        scores: q of each candidate.
        epsilon: above 0.
        sensitivity: Delta, how far any score can move between neighbours.
        monotonic: whether all scores move in the same direction, which saves the 2.

    Returns:
        (candidates,) that sum to 1.
    """
    logs = _logs(scores, epsilon, sensitivity, monotonic)
    weights = np.exp(logs)
    normalised: Reals = weights / weights.sum()
    return normalised


def exponential(
    draws: Draws,
    scores: Sequence[float],
    *,
    epsilon: float,
    sensitivity: float,
    monotonic: bool = False,
) -> int:
    """Index of a candidate by the exponential mechanism: (epsilon, 0)-differentially private.

    A candidate is proposed uniformly and accepted with probability exp(epsilon (q - max q) / 2 Delta), which
    gives the mechanism's distribution.

    Args:
        draws: randomness.
        scores: q of each candidate.
        epsilon: above 0.
        sensitivity: Delta, how far any score can move between neighbours.
        monotonic: whether all scores move in the same direction, which saves the 2.

    Raises:
        ValueError: no candidate, or a number out of range.
    """
    while True:
        chosen = int(draws.below(len(scores), 1)[0]) if len(scores) else 0
        if _accepts(draws, scores, chosen, epsilon, sensitivity, monotonic):
            return chosen


def permute_and_flip(
    draws: Draws,
    scores: Sequence[float],
    *,
    epsilon: float,
    sensitivity: float,
    monotonic: bool = False,
) -> int:
    """Index of a candidate by permute-and-flip: (epsilon, 0)-differentially private.

    Arguments and errors as of `exponential`.
    """
    for chosen in draws.permutation(len(scores)) if len(scores) else [0]:
        if _accepts(draws, scores, int(chosen), epsilon, sensitivity, monotonic):
            return int(chosen)
    raise AssertionError("the best candidate is accepted with certainty")


def _accepts(
    draws: Draws, scores: Sequence[float], chosen: int, epsilon: float, sensitivity: float, monotonic: bool
) -> bool:
    log_p = _logs(scores, epsilon, sensitivity, monotonic)[[chosen]]
    gap = Fraction(float(scores[chosen])) - Fraction(float(max(scores)))
    factor = Fraction(epsilon) / (Fraction(sensitivity) * (1 if monotonic else 2))
    exact = gap * factor
    if not exact:
        return True
    error = 1e-10 + 1e-14 * abs(float(log_p[0]))
    return bool(flip(draws, log_p, lambda _: mpmath.mpf(exact.numerator) / exact.denominator, error=error)[0])


def check_scores(scores: Sequence[float], *, epsilon: float, sensitivity: float) -> Reals:
    """The scores as an array; a ValueError if there is none, or a number is out of range."""
    real = np.asarray(scores, dtype=np.float64)
    if not real.size:
        raise ValueError("there is no candidate to choose")
    if not np.isfinite(real).all():
        raise ValueError("scores are finite numbers")
    if not epsilon > 0 or not sensitivity > 0:
        raise ValueError("epsilon and the sensitivity are above 0")
    return real


def _logs(scores: Sequence[float], epsilon: float, sensitivity: float, monotonic: bool) -> Reals:
    """(candidates,) log of each weight relative to the best."""
    real = check_scores(scores, epsilon=epsilon, sensitivity=sensitivity)
    logs: Reals = (real - real.max()) * (epsilon / ((1 if monotonic else 2) * sensitivity))
    return logs
