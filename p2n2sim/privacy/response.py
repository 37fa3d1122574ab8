"""Randomized response: every person tells the truth with a known probability (Warner 1965).

With c classes the truth is told with probability e^epsilon / (e^epsilon + c - 1) and each other class equally
often, which is (epsilon, 0)-differentially private for each person without trusting anybody (Kairouz,
Oh & Viswanath 2014: optimal where epsilon is large).
"""

from __future__ import annotations

import math

import mpmath
import numpy as np
from numpy.typing import NDArray

from p2n2sim.privacy.coins import flip
from p2n2sim.privacy.draws import Draws, Integers, Reals


def truth_probability(*, epsilon: float, classes: int) -> float:
    """e^epsilon / (e^epsilon + classes - 1).

    Raises:
        ValueError: epsilon is not above 0, or there are fewer than two classes.
    """
    _check(epsilon, classes)
    return 1 / (1 + (classes - 1) * math.exp(-epsilon))


def randomized_response(
    draws: Draws, labels: NDArray[np.integer], *, epsilon: float, classes: int
) -> Integers:
    """Labels of which some are not true.

    Args:
        draws: randomness.
        labels: (rows,) integers in [0, classes).
        epsilon: above 0.
        classes: at least two.

    Returns:
        (rows,) int64.

    Raises:
        ValueError: a number, or a label, out of range.
    """
    true = check_labels(labels, epsilon=epsilon, classes=classes)
    log_p = np.full(len(true), math.log(truth_probability(epsilon=epsilon, classes=classes)))
    honest = flip(draws, log_p, lambda _: -mpmath.log1p((classes - 1) * mpmath.exp(-mpmath.mpf(epsilon))))
    other = (true + 1 + draws.below(classes - 1, len(true))) % classes
    return np.where(honest, true, other)


def estimate_counts(reported: Integers, *, epsilon: float, classes: int) -> Reals:
    """Unbiased estimate of how many rows of each class there were, from what was reported.

    Returns:
        (classes,) float64; an estimate may be negative.
    """
    p = truth_probability(epsilon=epsilon, classes=classes)
    q = (1 - p) / (classes - 1)
    counts = np.bincount(reported, minlength=classes).astype(np.float64)
    estimate: Reals = (counts - len(reported) * q) / (p - q)
    return estimate


def check_labels(labels: NDArray[np.integer], *, epsilon: float, classes: int) -> Integers:
    """The labels as int64; a ValueError if a number, or a label, is out of range."""
    _check(epsilon, classes)
    true = np.asarray(labels, dtype=np.int64)
    if true.size and not (true.min() >= 0 and true.max() < classes):
        raise ValueError(f"labels are in [0, {classes})")
    return true


def _check(epsilon: float, classes: int) -> None:
    if not epsilon > 0:
        raise ValueError(f"epsilon is above 0, not {epsilon:g}")
    if classes < 2:
        raise ValueError(f"there are two classes at least, not {classes}")
