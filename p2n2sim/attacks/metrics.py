"""How well an attack did: distances of images, explained variance, areas and rates of classifiers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.stats import beta
from sklearn.metrics import roc_auc_score

Matrix = NDArray[np.floating[Any]]


def mean_squared_error(truth: Matrix, guess: Matrix) -> float:
    """Averaged over rows and columns."""
    return float(np.mean((truth.astype(np.float64) - guess) ** 2))


def psnr(truth: Matrix, guess: Matrix, data_range: float) -> float:
    """Peak signal-to-noise ratio in dB of the mean squared error of all rows; infinite without error.

    Args:
        truth: (m, k).
        guess: (m, k).
        data_range: the largest value that can be minus the smallest.
    """
    error = mean_squared_error(truth, guess)
    return math.inf if error == 0 else float(10 * math.log10(data_range**2 / error))


def ssim(truth: Matrix, guess: Matrix, shape: tuple[int, int], data_range: float) -> float:
    """Structural similarity, averaged over all pixels of all images: 1 for equal images.

    A Gaussian window of deviation 1.5 pixels with radius 5 and K = 0.01, 0.03 (Wang, Bovik, Sheikh,
    Simoncelli: Image quality assessment, 2004, Eq. 13). Images are mirrored at their borders, because the
    window is larger than a small image.

    Args:
        truth: (m, height * width).
        guess: (m, height * width).
        shape: height and width.
        data_range: the largest value that can be minus the smallest.
    """
    a, b = (values.astype(np.float64).reshape(-1, *shape) for values in (truth, guess))

    def local(values: Matrix) -> Matrix:
        smoothed: Matrix = gaussian_filter(values, sigma=(0, 1.5, 1.5), truncate=3.5, mode="reflect")
        return smoothed

    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    mean_a, mean_b = local(a), local(b)
    var_a, var_b = local(a * a) - mean_a**2, local(b * b) - mean_b**2
    both = local(a * b) - mean_a * mean_b
    return float(
        np.mean(
            (2 * mean_a * mean_b + c1)
            * (2 * both + c2)
            / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))
        )
    )


def explained(truth: Matrix, guess: Matrix) -> NDArray[np.float64]:
    """R^2 of every column, 1 for a perfect guess and 0 for the column's mean; NaN for a constant column."""
    wide = truth.astype(np.float64)
    residual = np.sum((wide - guess) ** 2, axis=0)
    total = np.sum((wide - wide.mean(axis=0)) ** 2, axis=0)
    return np.where(total > 0, 1 - residual / np.where(total > 0, total, 1.0), np.nan)


def auc(truth: NDArray[Any], scores: Matrix) -> float:
    """Area under the ROC curve; of several classes the mean of one against the rest.

    Args:
        truth: (m,) classes as whole numbers.
        scores: (m,) of class 1, or (m, classes).

    Returns:
        NaN if there is only one class.
    """
    y = truth.astype(np.int64)
    if scores.ndim == 1 or scores.shape[1] == 2:
        one = scores if scores.ndim == 1 else scores[:, 1] - scores[:, 0]
        return float(roc_auc_score(y, one)) if 0 < y.sum() < len(y) else math.nan
    each = [
        roc_auc_score(y == label, scores[:, label])
        for label in range(scores.shape[1])
        if 0 < np.count_nonzero(y == label) < len(y)
    ]
    return float(np.mean(each)) if each else math.nan


def balanced_accuracy(truth: NDArray[Any], guess: NDArray[Any]) -> float:
    """The mean over the classes of the share of their rows that is recognised."""
    y = truth.astype(np.int64)
    return float(np.mean([np.mean(guess[y == label] == label) for label in np.unique(y)]))


@dataclass(frozen=True, slots=True)
class Rate:
    """A true positive rate at a bounded false positive rate.

    Attributes:
        rate: share of the positives that is found.
        low: lower end of its 95 % confidence interval.
        high: upper end.
        resolved: whether there are enough negatives that one of them is a smaller share than the bound;
            otherwise the rate is that without any false positive.
    """

    rate: float
    low: float
    high: float
    resolved: bool


def rate_at(positive: Matrix, negative: Matrix, false_positive: float = 1e-3) -> Rate:
    """The true positive rate at a false positive rate of at most so much.

    The interval is that of Clopper and Pearson (1934) for the positives; that the threshold depends on the
    negatives is left aside.

    Args:
        positive: (p,) scores, larger ones more suspicious.
        negative: (q,) scores.
        false_positive: the bound.
    """
    allowed = int(false_positive * len(negative))
    threshold = np.sort(negative)[::-1][allowed]  # that many negatives may lie above it
    found, total = int(np.count_nonzero(positive > threshold)), len(positive)
    low = float(beta.ppf(0.025, found, total - found + 1)) if found else 0.0
    high = float(beta.ppf(0.975, found + 1, total - found)) if found < total else 1.0
    return Rate(found / total, low, high, allowed > 0)
