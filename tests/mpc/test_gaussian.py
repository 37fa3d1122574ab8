"""Normal numbers from the streams: their distribution, and that they are a function of the stream."""

from __future__ import annotations

import numpy as np
from scipy import stats

from p2n2sim.mpc.gaussian import normal
from p2n2sim.mpc.prg import Purpose, derive_key

KEY = derive_key(1, "test")


def test_they_are_normal() -> None:
    """A hundred thousand numbers pass Kolmogorov and Smirnov's test against the normal distribution."""
    numbers = normal(KEY, 0, (100, 1000))
    assert stats.kstest(numbers.reshape(-1), "norm").pvalue > 0.01
    assert np.abs(np.corrcoef(numbers.reshape(2, -1))[0, 1]) < 0.02  # the halves of Box and Muller's pairs


def test_they_are_the_streams() -> None:
    """The same stream gives the same numbers in any shape; another key, step or purpose gives others."""
    numbers = normal(KEY, 7, (3, 4))
    assert np.array_equal(numbers.reshape(-1), normal(KEY, 7, (12,)))
    others = (
        normal(KEY, 8, (3, 4)),
        normal(KEY, 7, (3, 4), purpose=Purpose.NOISE),
        normal(derive_key(2, "test"), 7, (3, 4)),
    )
    assert not any(np.isclose(numbers, other).any() for other in others)
    assert normal(KEY, 0, (5,)).shape == (5,)
    assert normal(KEY, 0, (0, 4)).shape == (0, 4)
