"""Is what somebody sees uniformly random? Statistics of bytes, alone and jointly, in standard deviations.

A statistic of chi-square with k degrees of freedom has mean k and variance 2 k; at the sizes used here it is
close to normal, so that a number above 6 or so does not happen by chance. All streams are fixed, so a test
that passes once passes always.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

ALL_LAYERS: dict[str, Any] = {"protocol.secret_layers": 3}
"""The tiny network of `tests.small`, all of it under secret sharing."""

LIMIT = 6.0
"""Standard deviations that chance does not reach."""
ENOUGH = 256 * 10
"""Bytes that a test needs."""


def _deviation(counts: NDArray[Any], expected: float) -> float:
    statistic = float(((counts - expected) ** 2).sum()) / expected
    freedom = counts.size - 1
    return (statistic - freedom) / math.sqrt(2 * freedom)


def chi_square(data: bytes) -> float:
    """Pearson's statistic of the bytes against the uniform distribution."""
    counts = np.bincount(np.frombuffer(data, np.uint8), minlength=256)
    return _deviation(counts, len(data) / 256)


def joint_chi_square(a: NDArray[Any], b: NDArray[Any]) -> float:
    """The same of pairs of bytes, one of each: whether together they are uniform on the plane.

    With fewer than five pairs for each of 65536 cells, their high and low halves are looked at instead, and
    the worst of the four combinations is given.
    """
    length = min(a.nbytes, b.nbytes)
    first, second = (np.frombuffer(x.tobytes()[:length], np.uint8).astype(np.int64) for x in (a, b))
    if first.size >= 5 << 16:
        return _deviation(np.bincount(first << 8 | second, minlength=1 << 16), first.size / (1 << 16))
    return max(
        (
            _deviation(np.bincount(x << 4 | y, minlength=256), first.size / 256)
            for x in (first >> 4, first & 15)
            for y in (second >> 4, second & 15)
        ),
        key=abs,
    )


def correlation(a: NDArray[Any], b: NDArray[Any]) -> float:
    """The correlation of two rows of numbers; of independent ones about normal with deviation 1."""
    x, y = (np.asarray(v, np.float64).reshape(-1) for v in (a, b))
    x, y = x - x.mean(), y - y.mean()
    xx, yy, xy = (float((u * v).sum()) for u, v in ((x, x), (y, y), (x, y)))
    return xy / math.sqrt(xx * yy) * math.sqrt(x.size) if xx and yy else 0.0


def joined(named: Iterable[tuple[str, NDArray[Any]]]) -> dict[str, bytes]:
    """All arrays of one name after each other, where there are enough bytes for a test."""
    parts: dict[str, list[bytes]] = {}
    for name, array in named:
        parts.setdefault(name, []).append(array.tobytes())
    together = {name: b"".join(chunks) for name, chunks in parts.items()}
    return {name: data for name, data in together.items() if len(data) >= ENOUGH}


def not_uniform(named: Iterable[tuple[str, NDArray[Any]]]) -> dict[str, float]:
    """The names whose bytes are not uniform, with their deviation.

    Raises:
        ValueError: there is nothing to test.
    """
    data = joined(named)
    if not data:
        raise ValueError("nothing is long enough for a test")
    found = {name: chi_square(part) for name, part in data.items()}
    return {name: deviation for name, deviation in found.items() if abs(deviation) > LIMIT}


def not_independent(
    named: Iterable[tuple[str, NDArray[Any], NDArray[Any]]], statistic: Callable[[Any, Any], float]
) -> dict[str, float]:
    """The names whose two arrays have something to do with each other.

    Args:
        named: arrays of one name are put after each other; of two the shorter length counts.
        statistic: `joint_chi_square` of bytes or `correlation` of numbers, in standard deviations.

    Raises:
        ValueError: there is nothing to test.
    """
    parts: dict[str, tuple[list[NDArray[Any]], list[NDArray[Any]]]] = {}
    for name, a, b in named:
        count = min(a.size, b.size)
        left, right = parts.setdefault(name, ([], []))
        left.append(a.reshape(-1)[:count])
        right.append(b.reshape(-1)[:count])
    pairs = {name: tuple(map(np.concatenate, sides)) for name, sides in parts.items()}
    pairs = {name: pair for name, pair in pairs.items() if min(x.nbytes for x in pair) >= ENOUGH}
    if not pairs:
        raise ValueError("nothing is long enough for a test")
    found = {name: statistic(*pair) for name, pair in pairs.items()}
    return {name: deviation for name, deviation in found.items() if abs(deviation) > LIMIT}
