"""Bits of many ring elements, plane by plane: plane i holds bit i of every element, eight elements a byte.

Shared bits are XOR shares. In planes, an operation on bit i of all elements is one operation on a row of
bytes, and any number of planes can be sent without gaps.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from p2n2sim.mpc.width import Ring, Width

Planes = NDArray[np.uint8]


def plane_bytes(count: int) -> int:
    """Bytes of one plane of so many elements."""
    return -(-count // 8)


def planes(x: Ring, width: Width) -> Planes:
    """The low ``width`` bits of each element.

    Args:
        x: int64 of any shape, read in C order.
        width: how many bits.

    Returns:
        uint8 (width, plane_bytes(x.size)), plane 0 the least significant.
    """
    octets = np.ascontiguousarray(x).reshape(-1).astype("<i8", copy=False).view(np.uint8).reshape(-1, 8)
    used = octets[:, : width // 8].T  # (width / 8, count): byte planes, which pack much faster than rows
    out = np.empty((width, plane_bytes(x.size)), np.uint8)
    for i, octet in enumerate(used):
        octet = np.ascontiguousarray(octet)
        for bit in range(8):
            out[8 * i + bit] = np.packbits(octet & (1 << bit), bitorder="little")
    return out


def unpack(plane: Planes, shape: tuple[int, ...]) -> Ring:
    """The bits of one plane as ring elements 0 and 1 of a shape."""
    count = int(np.prod(shape))
    return np.unpackbits(plane, count=count, bitorder="little").astype(np.int64).reshape(shape)
