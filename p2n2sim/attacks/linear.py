"""What a linear cut h1 = X theta allows: the best linear reconstruction, and what theta alone gives."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]


def best_linear_error(X: Matrix, theta: Matrix) -> float:
    """The mean squared error of the linear estimate of X from X theta with the least error.

    With C the covariance of X it is tr(C - C theta (theta^T C theta)^+ theta^T C) / k, the error of the
    linear minimum mean squared error estimator (Kay: Fundamentals of Statistical Signal Processing, volume I,
    1993, chapter 12) for these very rows: no affine function of h1 does better on them. Zero if theta has
    rank k.

    Args:
        X: (m, k).
        theta: (k, n).
    """
    centred = X - X.mean(axis=0)
    observed = centred @ theta  # (m, n)
    U, s, _ = np.linalg.svd(observed, full_matrices=False)
    U = U[:, s > 1e-10 * max(float(s[0]), 1e-300)]  # (m, rank), an orthonormal basis of what is seen
    return float(np.mean((centred - U @ (U.T @ centred)) ** 2))


def projection_error(X: Matrix, theta: Matrix) -> float:
    """The mean squared error of the shortest X that theta explains: X projected on theta's column space.

    Who knows theta but nothing of X can take h1 theta^+ as its guess; this is what is lost.

    Args:
        X: (m, k).
        theta: (k, n).
    """
    U, s, _ = np.linalg.svd(theta, full_matrices=False)
    U = U[:, s > 1e-10 * max(float(s[0]), 1e-300)]  # (k, rank)
    return float(np.mean((X - X @ U @ U.T) ** 2))


def known_theta(h1: Matrix, theta: Matrix, mean: Matrix, covariance: Matrix) -> Matrix:
    """The estimate of X by who knows theta and the mean and covariance of X, but no row of it.

    x = mean + C theta (theta^T C theta)^+ (h1 - mean theta), the estimator of `best_linear_error`.

    Args:
        h1: (m, n).
        theta: (k, n).
        mean: (k,).
        covariance: C, (k, k).

    Returns:
        (m, k).
    """
    inner = np.linalg.pinv(theta.T @ covariance @ theta, rcond=1e-10, hermitian=True)
    guess: Matrix = (h1 - mean @ theta) @ inner @ (theta.T @ covariance) + mean
    return guess
