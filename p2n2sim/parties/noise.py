"""Noise on h1: every holder adds its part before anybody else sees anything of it.

For a standard deviation sigma of h1 each of h holders adds independent normal noise of variance sigma^2 / h
to its own share or summand, so that the sum has sigma^2 and nobody knows all of it. Where shares travel, the
noise is encoded and added in the ring, at no cost in bytes or rounds; the server learns h1 + noise and
nothing else, in training and in prediction. Who pools its knowledge with the server takes its own part off:
with one holder left sigma^2 / h remains.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from p2n2sim.messages import Floats, Ring
from p2n2sim.mpc import fixed_point
from p2n2sim.mpc.gaussian import normal
from p2n2sim.mpc.prg import Purpose, Stream, derive_key
from p2n2sim.net.cpu import Cost
from p2n2sim.privacy.discrete import skellam
from p2n2sim.privacy.draws import Draws, Words


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


class SkellamNoise(Noise):
    """One holder's part of the noise of `privacy.h1`: whole multiples of the unit of what it is added to.

    Skellam variables add up to Skellam variables, so that the sum of all parts has exactly the distribution
    for which a privacy loss is known (Agarwal, Kairouz & Liu 2021), and no low bit of h1 stays without noise.

    Args:
        variance: of this part, in the square of h1's unit; 0 for none.
        key: 16 bytes known to this holder alone.
        fractional_bits: of the grid on which a summand in the clear gets its noise.
    """

    def __init__(self, variance: Fraction, key: bytes, fractional_bits: int) -> None:
        super().__init__(math.sqrt(variance), key)
        self._variance = variance
        self._bits = fractional_bits

    def on_share(self, h1_j: Ring, step: int, fractional_bits: int) -> Ring:
        """A share of h1, (m, n), with the noise added in the ring."""
        if not self._variance:
            return h1_j
        mu = self._variance * 4**fractional_bits
        drawn = skellam(secret_draws(self._key, step, Purpose.NOISE), mu, h1_j.size)
        return h1_j + drawn.reshape(h1_j.shape)

    def on_summand(self, part: Floats, step: int) -> Floats:
        """A summand of h1, (m, n) float32, rounded to the grid and with the noise added."""
        if not self._variance:
            return part
        noisy = self.on_share(fixed_point.encode(part, self._bits), step, self._bits)
        return fixed_point.decode(noisy, self._bits)


def secret_draws(key: bytes, step: int, purpose: Purpose) -> Draws:
    """Randomness for mechanisms from the stream (key, purpose, step)."""
    stream = Stream(key, step, purpose=purpose)

    def words(count: int) -> Words:
        out = np.empty(count, np.int64)
        stream.fill(out)
        return out.view(np.uint64)

    return Draws(words)


NO_NOISE = Noise()
