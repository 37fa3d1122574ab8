"""Normal random numbers from the streams of `p2n2sim.mpc.prg`.

Source: Box and Muller, "A note on the generation of random normal deviates", Annals of Mathematical
    Statistics
29(2), 1958.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from p2n2sim.mpc import prg


def normal(
    key: bytes, step: int, shape: tuple[int, ...], *, purpose: int = prg.Purpose.GENERIC
) -> NDArray[np.float64]:
    """Independent numbers of the standard normal distribution, from the stream (key, purpose, step).

    Two elements of the stream give two numbers; each is taken as a multiple of 2^-53 in (0, 1].

    Args:
        key: 16 bytes.
        step: 0 <= step < 2^48.
        shape: of the result.
        purpose: 0 <= purpose < 2^16.
    """
    count = math.prod(shape)
    pairs = (count + 1) // 2
    elements = prg.uniform(key, step, (2, pairs), purpose=purpose).view(np.uint64) >> np.uint64(11)
    first, second = (elements + 1.0) * 2.0**-53
    radius, angle = np.sqrt(-2.0 * np.log(first)), 2.0 * np.pi * second
    numbers = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])
    return numbers[:count].reshape(shape)
