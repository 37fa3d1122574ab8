"""Clipping every row's gradient, so that no row moves their sum by more than a norm.

Source: Abadi et al., "Deep learning with differential privacy", CCS 2016, Algorithm 1: with the gradient g_r
of one row's loss, C the clipping norm and sigma the noise multiplier,

    g = 1/B (sum_r g_r min(1, C / |g_r|) + N(0, sigma^2 C^2)).

A network in p parts can be clipped part by part, each to C / sqrt(p): the whole of a row's gradient then has
a norm of at most C as well.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

SHORT = 16
"""Rows at most so long are spread by a product (`_spread`)."""


def part_norm(clip: float, parts: int) -> float:
    """To what norm each of so many parts is clipped, so that together they have at most the norm `clip`."""
    return clip / math.sqrt(parts)


def factors(squared: Floats, clip: float) -> Floats:
    """min(1, C / |g_r|) for every row, 0 for a row whose gradient is no number or too large for one.

    Args:
        squared: |g_r|^2, (m,).
        clip: C.

    Returns:
        (m,) float32.
    """
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        f: Floats = np.sqrt(squared)
        np.divide(np.float32(clip), f, out=f)
        np.minimum(f, np.float32(1), out=f)
    if len(f) and not f.min() > 0:  # also where the least is no number
        f[~(f > 0)] = 0
    return f


def scaled(rows: Floats, f: Floats) -> Floats:
    """Every row times its factor; a row with the factor 0 is 0, whatever it was.

    Args:
        rows: (m, n).
        f: (m,), from `factors`.
    """
    out = _spread(f, rows.shape[1])
    with np.errstate(invalid="ignore"):
        out *= rows
    if not f.all():
        out[f == 0] = 0
    return out


def limits(squared: Floats, clip: float) -> Floats:
    """C / |x_r|: how long d_r may be, so that the gradient x_r d_r^T, of norm |x_r| |d_r|, needs no clipping.

    A limit below 2^-62 is 0, and its row counts for nothing, as does one with an x_r that is not finite: f_r
    might be too small for float32, or inexact. An |x_r| below 2^-63 counts as that, whose square is exact.

    Args:
        squared: |x_r|^2, (m,).
        clip: C.

    Returns:
        (m,) float32, all finite.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        length: Floats = np.sqrt(squared)
        np.maximum(length, np.float32(2.0**-63), out=length)
        found: Floats = np.float32(clip) / length
    np.minimum(found, np.finfo(np.float32).max, out=found)
    found[~(found >= 2.0**-62)] = 0  # also what is no number
    return found


def clipped_sum(X: Floats, d: Floats, longest: Floats, *, doubles: bool = False) -> NDArray[Any]:
    """sum_r f_r x_r d_r^T, f_r = min(1, C / (|x_r| |d_r|)); 0 for a row where they overflow.

    Passes over (m, n) are what it costs, so nothing looks for rows that are not finite beforehand: such a row
    makes the sum not finite, whatever its factor, and the sum is then formed again without it.

    Args:
        X: x_r, (m, k).
        d: d_r, (m, n).
        longest: C / |x_r|, (m,), from `limits`.
        doubles: sum the float32 rows in float64.

    Returns:
        (k, n) float32, or float64.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        f: Floats = np.dot(d * d, _ones(d.shape[1])[0])  # |d_r|^2, (m,)
        np.sqrt(f, out=f)
        np.maximum(f, longest, out=f)
        np.divide(longest, f, out=f)  # at most 1; of two arrays this is faster than a minimum with 1
        out = _spread(f, d.shape[1])
        out *= d
        total = _sum(X, out, doubles)
        if not math.isfinite(np.vdot(total, total)):
            good = f > 0  # not where it is no number
            total = _sum(X[good], scaled(d[good], f[good]), doubles)
    return total


def _sum(X: Floats, d: Floats, doubles: bool) -> NDArray[Any]:
    total: NDArray[Any] = np.dot(X.T.astype(np.float64), d.astype(np.float64)) if doubles else np.dot(X.T, d)
    return total


def _spread(f: Floats, n: int) -> Floats:
    """Every factor n times, (m, n).

    Numpy repeats numbers, and goes through short rows, at about a clock cycle for each number written; a
    product with ones and zeros writes a vector at a time, and is exact if f is finite.
    """
    m = len(f)
    if not 1 < n <= SHORT:
        return np.repeat(f, n).reshape(m, n) if n > 1 else f[:, None].copy()
    out = np.empty((m, n), np.float32)
    rows = out
    if m % 2:
        out[-1] = f[-1]
        f, rows = f[:-1], out[:-1]
    np.dot(f.reshape(-1, 2), _ones(n)[1], out=rows.reshape(-1, 2 * n))
    return out


@functools.lru_cache(maxsize=SHORT)
def _ones(n: int) -> tuple[Floats, Floats]:
    """What sums a row, (n,), and what takes two numbers to n of the one and n of the other, (2, 2 n)."""
    both = np.repeat(np.eye(2, dtype=np.float32), n, axis=1)
    both.flags.writeable = False
    return both[0, :n], both
