"""Real numbers in the ring: fixed point with f fractional bits, in two's complement.

x stands in Z_2^64 as the integer nearest to x * 2^f. A product of two such numbers has 2 f fractional bits.

Source: Algorithm 1 of the P2N2 paper ("fixed-point numbers"); Mohassel and Zhang, "SecureML", 2017,
section 4.1.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from p2n2sim.errors import FixedPointError

MAX_FRACTIONAL_BITS = 62
"""Most fractional bits: 1.0 must still be a number of the ring."""

_BLOCK = 1 << 14  # elements: the intermediate results of one block stay in the cache
_LIMIT = 2.0**63  # exact in float32 and float64


def encode(
    x: NDArray[np.floating[Any]], fractional_bits: int, *, out: NDArray[np.int64] | None = None
) -> NDArray[np.int64]:
    """The ring elements nearest to ``x * 2^fractional_bits``, halves rounded to even.

    The scaling is by a power of two and therefore exact; only the rounding to an integer loses anything.

    Args:
        x: float32 or float64 array of any shape.
        fractional_bits: 0 to 62.
        out: a C-contiguous int64 array of the shape of x to write to.

    Returns:
        ``out``, or a new C-contiguous int64 array.

    Raises:
        FixedPointError: a number that is not finite or whose magnitude reaches 2^(63 - fractional_bits); the
            message names the first such number and its index. ``out`` may then be partly written.
        TypeError: x is neither float32 nor float64.
        ValueError: fractional_bits out of range, or an ``out`` that does not fit.
    """
    scale = _power_of_two(fractional_bits)
    if x.dtype not in (np.float32, np.float64):
        raise TypeError(f"encode takes float32 or float64, not {x.dtype}")
    if out is None:
        out = np.empty(x.shape, dtype=np.int64)
    elif out.shape != x.shape or out.dtype != np.int64 or not out.flags.c_contiguous:
        raise ValueError(f"out must be a C-contiguous int64 array of shape {x.shape}")
    source, target = np.ascontiguousarray(x).reshape(-1), out.reshape(-1)
    work = np.empty(min(x.size, _BLOCK), dtype=x.dtype)
    factor = x.dtype.type(scale)
    with np.errstate(over="ignore", invalid="ignore"):  # found below, where the index is known
        for first in range(0, x.size, _BLOCK):
            part = source[first : first + _BLOCK]
            scaled = work[: part.size]
            np.multiply(part, factor, out=scaled)
            # NaN makes both comparisons false.
            if not (scaled.max() < _LIMIT and scaled.min() > -_LIMIT):
                raise _misfit(x, first, scaled, fractional_bits)
            np.rint(scaled, out=scaled)
            target[first : first + _BLOCK] = scaled
    return out


def decode(
    ring: NDArray[np.int64], fractional_bits: int, dtype: DTypeLike = np.float32
) -> NDArray[np.floating[Any]]:
    """The floats nearest to ``ring / 2^fractional_bits``, the ring element taken as signed; ties to even.

    The conversion from int64 rounds once and correctly (IEEE 754); the scaling after it is exact.

    Args:
        ring: int64 array of any shape.
        fractional_bits: 0 to 62 for one factor, up to 124 for a product of two.
        dtype: float32 or float64.

    Returns:
        A new C-contiguous array of that dtype.

    Raises:
        TypeError: ring is not int64, or dtype is neither float32 nor float64.
        ValueError: fractional_bits out of range.
    """
    kind = np.dtype(dtype)
    if kind not in (np.float32, np.float64):
        raise TypeError(f"decode gives float32 or float64, not {kind}")
    if ring.dtype != np.int64:
        raise TypeError(f"a ring element is int64, not {ring.dtype}")
    if not 0 <= fractional_bits <= 2 * MAX_FRACTIONAL_BITS:
        raise ValueError(f"fractional_bits must be in [0, {2 * MAX_FRACTIONAL_BITS}], not {fractional_bits}")
    result: NDArray[np.floating[Any]] = ring.astype(kind, order="C")
    # 2^-124 is a normal float32 (the smallest is 2^-126), so no product is subnormal.
    result *= math.ldexp(1.0, -fractional_bits)
    return result


def _power_of_two(fractional_bits: int) -> float:
    if not 0 <= fractional_bits <= MAX_FRACTIONAL_BITS:
        raise ValueError(f"fractional_bits must be in [0, {MAX_FRACTIONAL_BITS}], not {fractional_bits}")
    return math.ldexp(1.0, fractional_bits)


def _misfit(
    x: NDArray[np.floating[Any]], first: int, scaled: NDArray[np.floating[Any]], fractional_bits: int
) -> FixedPointError:
    """The error for the first number of a block that the ring can not hold."""
    fits = np.abs(scaled) < _LIMIT
    index = np.unravel_index(first + int(np.argmin(fits)), x.shape)
    value = x[index]
    place = ", ".join(str(int(i)) for i in index)
    reason = (
        f"reaches 2^{63 - fractional_bits}, the limit with {fractional_bits} fractional bits"
        if np.isfinite(value)
        else "is not finite"
    )
    return FixedPointError(f"the number {value!s} at index [{place}] {reason}")
