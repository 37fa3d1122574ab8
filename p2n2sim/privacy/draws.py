"""Randomness for mechanisms: uniform 64-bit words, and what is made of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

Words = NDArray[np.uint64]
Reals = NDArray[np.float64]
Integers = NDArray[np.int64]


class Draws:
    """Random numbers from a stream of uniform 64-bit words.

    A mechanism is as private as its words are secret and unpredictable: outside a simulation they come from
    the operating system or from a stream cipher under a secret key.

    Args:
        words: gives the next so many words.
    """

    def __init__(self, words: Callable[[int], Words]) -> None:
        self.words = words

    @classmethod
    def of_seed(cls, *entropy: int) -> Draws:
        """A reproducible stream for experiments: raw output of PCG64, which NumPy keeps stable (NEP 19)."""
        return cls(np.random.PCG64(np.random.SeedSequence(entropy)).random_raw)

    def uniform(self, size: int) -> Reals:
        """(size,) numbers in the open interval (0, 1), 52 bits each, none of them 0 or 1."""
        return ((self.words(size) >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52

    def normal(self, size: int) -> Reals:
        """(size,) standard normal numbers, by inversion."""
        normal: Reals = ndtri(self.uniform(size))
        return normal

    def below(self, bound: int, size: int) -> Integers:
        """(size,) exactly uniform integers in [0, bound), by rejection; 1 <= bound <= 2^62."""
        assert 1 <= bound <= 1 << 62
        usable = np.uint64((1 << 64) // bound * bound - 1)  # the last word that does not favour small numbers
        found = np.empty(0, np.uint64)
        while len(found) < size:
            fresh = self.words(size - len(found))
            found = np.concatenate([found, fresh[fresh <= usable]])
        return (found % np.uint64(bound)).astype(np.int64)

    def permutation(self, size: int) -> Integers:
        """An order of 0 .. size - 1, each equally probable but for ties among 64-bit words."""
        return np.argsort(self.words(size), kind="stable").astype(np.int64)
