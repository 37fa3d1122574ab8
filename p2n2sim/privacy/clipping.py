"""Clipping every row's gradient, so that no row moves their sum by more than a norm.

Source: Abadi et al., "Deep learning with differential privacy", CCS 2016, Algorithm 1: with the gradient g_r
of one row's loss, C the clipping norm and sigma the noise multiplier,

    g = 1/B (sum_r g_r min(1, C / |g_r|) + N(0, sigma^2 C^2)).

A network in p parts can be clipped part by part, each to C / sqrt(p): the whole of a row's gradient then has
a norm of at most C as well.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


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
    with np.errstate(invalid="ignore"):
        out: Floats = np.repeat(f, rows.shape[1]).reshape(rows.shape)  # faster than f[:, None]
        out *= rows
    if not f.all():
        out[f == 0] = 0
    return out
