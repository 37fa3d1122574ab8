"""Coins whose probability is a real number, thrown without rounding it.

U < p is decided from the first bits of a uniform U and a floating-point value of p with a known error. Only
where these leave it open, about once in 10^5 throws, further bits of U are drawn and p is computed to as many
digits as it takes. So the outcome has the probability p itself and not that of its rounded value, and
what is built on such coins alone has no floating-point leak (Mironov 2012 shows what such leaks can cost).
"""

from __future__ import annotations

from collections.abc import Callable

import mpmath
import numpy as np
from numpy.typing import NDArray

from p2n2sim.privacy.draws import Draws, Reals

ExactLog = Callable[[int], mpmath.mpf]
"""log p of the coin with this index, to the precision that mpmath is set to when it is called."""

_FIRST_DIGITS = 50


def flip(draws: Draws, log_p: Reals, exact: ExactLog, *, error: float = 1e-10) -> NDArray[np.bool_]:
    """Whether each of some independent coins shows heads.

    Args:
        draws: randomness; one word a coin, and more where that leaves it open.
        log_p: (coins,) natural logarithm of each probability, at most 0, in floating point.
        exact: the same to any number of digits.
        error: bound on the absolute error of `log_p`.

    Returns:
        (coins,) bool.
    """
    words = draws.words(len(log_p))
    u = words.astype(np.float64) * 2.0**-64  # within 2^-53 of the truth
    slack = 2.0**-52
    p = np.exp(log_p)
    margin = p * (2 * error) + slack
    heads = u < p - margin
    for index in np.flatnonzero(np.abs(u - p) <= margin):
        heads[index] = _decide(draws, int(words[index]), int(index), exact)
    return heads


def _decide(draws: Draws, bits: int, index: int, exact: ExactLog) -> bool:
    """U < p for the U that begins with these 64 bits, by as many more as it takes."""
    length, digits = 64, _FIRST_DIGITS
    while True:
        bits, length = (bits << 64) | int(draws.words(1)[0]), length + 64
        with mpmath.workdps(digits):
            scaled = mpmath.exp(exact(index)) * mpmath.mpf(2) ** length
            doubt = scaled * mpmath.mpf(10) ** (10 - digits) + 1
            if bits + 1 < scaled - doubt:
                return True
            if bits > scaled + doubt:
                return False
        digits += 20
