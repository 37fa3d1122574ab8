"""Rings of 32 and of 64 bits in int64 arrays.

2^32 divides 2^64, so sums and products modulo 2^64 are also right modulo 2^32: the arithmetic is the same for
both rings. Only where a value is looked at as a number, or put on the wire, does the width matter.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Width = Literal[32, 64]
Ring = NDArray[np.int64]
Elements = NDArray[np.int64] | NDArray[np.int32]
"""As they travel."""


def signed(x: Ring, width: Width) -> Ring:
    """The representative in [-2^(width-1), 2^(width-1)), int64."""
    return x if width == 64 else x.astype(np.int32).astype(np.int64)


def unsigned(x: Ring, width: Width) -> NDArray[np.uint64]:
    """The representative in [0, 2^width), uint64."""
    plain = x.view(np.uint64)
    return plain if width == 64 else plain & np.uint64(0xFFFF_FFFF)


def narrow(x: Ring, width: Width) -> Elements:
    """The elements as they travel: int64, or int32 for the narrow ring."""
    return x if width == 64 else x.astype(np.int32)


def widen(x: Elements) -> Ring:
    """Received elements as they are computed with: int64."""
    return x.astype(np.int64, copy=False)
