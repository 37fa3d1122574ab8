"""Noise on h1: every holder adds its part before anybody else sees anything of it.

For a standard deviation sigma of h1 each of h holders adds independent normal noise of variance sigma^2 / h
to its own share or summand, so that the sum has sigma^2 and nobody knows all of it. Where shares travel, the
noise is encoded and added in the ring, at no cost in bytes or rounds; the server learns h1 + noise and
nothing else, in training and in prediction. Who pools its knowledge with the server takes its own part off:
with one holder left sigma^2 / h remains.
"""

from __future__ import annotations

import math

import numpy as np

from p2n2sim.messages import Floats, Ring
from p2n2sim.mpc import fixed_point
from p2n2sim.mpc.gaussian import normal
from p2n2sim.mpc.prg import Purpose, derive_key
from p2n2sim.net.cpu import Cost


class Noise:
    """One holder's part.

    Args:
        deviation: standard deviation of this part; 0 leaves everything as it is, at no cost.
        key: 16 bytes known to this holder alone.
    """

    def __init__(self, deviation: float = 0.0, key: bytes = b"") -> None:
        self._deviation = deviation
        self._key = key

    @classmethod
    def part(cls, deviation: float, holders: int, seed: int, name: str) -> Noise:
        """A holder's part of noise with a standard deviation of h1, its key as it would draw it."""
        return cls(deviation / math.sqrt(holders), derive_key(seed, "noise", name))

    def on_share(self, h1_j: Ring, step: int, fractional_bits: int) -> Ring:
        """A share of h1, (m, n), with the noise added in the ring."""
        if not self._deviation:
            return h1_j
        return h1_j + fixed_point.encode(self._draw(step, h1_j.shape), fractional_bits)

    def on_summand(self, part: Floats, step: int) -> Floats:
        """A summand of h1, (m, n) float32, with the noise added."""
        if not self._deviation:
            return part
        noisy: Floats = part + self._draw(step, part.shape).astype(np.float32)
        return noisy

    def _draw(self, step: int, shape: tuple[int, ...]) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        return self._deviation * normal(self._key, step, shape, purpose=Purpose.NOISE)

    def cost(self, elements: int) -> Cost:
        """Of so many numbers: their random bytes, and writing, encoding and adding them."""
        if not self._deviation:
            return Cost()
        return Cost(random_bytes=8 * elements, moved_bytes=48 * elements)


NO_NOISE = Noise()
