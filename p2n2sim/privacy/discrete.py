"""Integer noise: discrete Laplace, discrete Gaussian, Skellam. Sampled without floating-point leaks.

All of it is rejection: a proposal made of integers and of coins of a known probability, and one more coin
(`p2n2sim.privacy.coins`) that accepts it.

Sources: Ghosh, Roughgarden & Sundararajan 2009 (discrete Laplace, there: geometric); Canonne, Kamath &
Steinke 2020, algorithms 1 to 3 (discrete Gaussian); Agarwal, Kairouz & Liu 2021 (Skellam).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

import mpmath
import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from p2n2sim.privacy.coins import flip
from p2n2sim.privacy.draws import Draws, Integers, Reals

Proposal = Callable[[int], Integers]

MAX_SKELLAM = 1 << 60
"""The largest variance of Skellam noise that is drawn."""


def discrete_laplace(draws: Draws, scale: Fraction | int, size: int) -> Integers:
    """Integers with P(x) proportional to exp(-|x| / scale).

    Args:
        draws: randomness.
        scale: sensitivity over epsilon; above 0. Fractions are exact, floats are what they are in binary.
        size: how many.

    Returns:
        (size,) int64.

    Raises:
        ValueError: the scale is not positive.
    """
    ratio = Fraction(scale)
    if ratio <= 0:
        raise ValueError(f"a scale is above 0, not {scale}")
    t, s = ratio.numerator, ratio.denominator

    def propose(count: int) -> tuple[Integers, NDArray[np.bool_]]:
        """Canonne et al. 2020, algorithm 2: -0 is thrown away, so that 0 does not count twice."""
        x = _geometric(draws, t, count) // s
        negative = draws.below(2, count).astype(bool)
        return np.where(negative, -x, x), ~(negative & (x == 0))

    return _collect(propose, size)


def _geometric(draws: Draws, t: int, size: int) -> Integers:
    """Integers >= 0 with P(x) proportional to exp(-x / t): x = u + t v."""

    def propose(count: int) -> tuple[Integers, NDArray[np.bool_]]:
        u = draws.below(t, count)
        return u, flip(draws, -u / t, lambda i: -mpmath.mpf(int(u[i])) / t)

    low = _collect(propose, size)  # P(u) proportional to exp(-u / t) on 0 .. t - 1
    high = np.zeros(size, np.int64)  # P(v) proportional to exp(-v)
    alive = np.arange(size)
    while len(alive):
        alive = alive[flip(draws, np.full(len(alive), -1.0), lambda i: mpmath.mpf(-1))]
        high[alive] += 1
    return low + t * high


def discrete_gaussian(draws: Draws, sigma2: Fraction | float, size: int) -> Integers:
    """Integers with P(x) proportional to exp(-x^2 / (2 sigma2)).

    Args:
        draws: randomness.
        sigma2: the square of sigma, nearly the variance unless it is below 1; above 0.
        size: how many.

    Returns:
        (size,) int64.

    Raises:
        ValueError: sigma2 is not positive.
    """
    exact = Fraction(sigma2)
    if exact <= 0:
        raise ValueError(f"sigma^2 is above 0, not {sigma2}")
    t = math.isqrt(math.floor(exact)) + 1  # Canonne et al. 2020, algorithm 3
    value, shift = float(exact), float(exact / t)

    def propose(count: int) -> tuple[Integers, NDArray[np.bool_]]:
        x = discrete_laplace(draws, t, count)
        away = np.abs(x) - shift
        return x, flip(
            draws,
            -np.square(away) / (2 * value),
            lambda i: -_square(abs(int(x[i])) - exact / t) / _real(2 * exact),
            error=1e-9,
        )

    return _collect(propose, size)


def skellam(draws: Draws, mu: Fraction | float, size: int) -> Integers:
    """Differences of two Poisson variables of mean mu / 2 each: variance mu, closed under addition.

    Args:
        draws: randomness.
        mu: the variance; above 0, at most 2^60.
        size: how many.

    Returns:
        (size,) int64.

    Raises:
        ValueError: mu is out of range.
    """
    both = poisson(draws, Fraction(mu) / 2, 2 * size)
    return both[:size] - both[size:]


def poisson(draws: Draws, mean: Fraction | float, size: int) -> Integers:
    """Poisson variables, by rejection from a discrete Laplace distribution around the mode.

    Args:
        draws: randomness.
        mean: above 0, at most 2^60.
        size: how many.

    Returns:
        (size,) int64.

    Raises:
        ValueError: the mean is out of range.
    """
    exact = Fraction(mean)
    if not 0 < exact <= 1 << 60:
        raise ValueError(f"a mean of 2^60 at most and above 0 is needed, not {mean}")
    mode, spread = math.floor(exact), math.isqrt(math.floor(exact)) + 1
    value = float(exact)
    top = _highest(value, mode, spread)

    def log_ratio(x: Integers) -> Reals:
        """log of target over proposal, relative to the mode."""
        return _log_poisson(x, mode, value) + np.abs(x - mode) / spread

    def exact_log(x: int) -> mpmath.mpf:
        ratio = (x - mode) * mpmath.log(_real(exact)) - mpmath.loggamma(x + 1) + mpmath.loggamma(mode + 1)
        return ratio + mpmath.mpf(abs(x - mode)) / spread - mpmath.mpf(top)

    def propose(count: int) -> tuple[Integers, NDArray[np.bool_]]:
        x = mode + discrete_laplace(draws, spread, count)
        inside = np.flatnonzero(x >= 0)
        kept = np.zeros(count, bool)
        kept[inside] = flip(
            draws,
            np.minimum(log_ratio(x[inside]) - top, 0.0),
            lambda i: exact_log(int(x[inside[i]])),
            error=1e-9 + 1e-14 * math.sqrt(value),
        )
        return x, kept

    return _collect(propose, size)


def _log_poisson(x: Integers, mode: int, mean: float) -> Reals:
    """log P(x) / P(mode), by the saddle-point form (Loader 2000), which does not cancel where x is large."""
    at_mode = np.array([mode], dtype=np.int64)
    logs: Reals = _saddle_point(x, mean) - _saddle_point(at_mode, mean)
    return logs


def _saddle_point(x: Integers, mean: float) -> Reals:
    """log P(x) up to a constant: -(x log(x / mean) + mean - x) - log(x) / 2 - what Stirling leaves out."""
    real = np.maximum(x, 1).astype(np.float64)
    off = (real - mean) / mean
    deviance = real * np.log1p(off) - (real - mean)
    left = 1 / (12 * real) - 1 / (360 * real**3) + 1 / (1260 * real**5)
    large = -deviance - np.log(real) / 2 - left
    small = x * math.log(mean) - gammaln(x + 1.0) - mean + math.log(2 * math.pi) / 2
    return np.where(x < 20, small, large)


def _highest(mean: float, mode: int, spread: int) -> float:
    """A bound on log target over proposal, which is concave on both sides of the mode.

    Its slope from x to x + 1 is log(mean / (x + 1)) + 1 / spread above the mode, so it ends to grow at
    x = mean e^(1 / spread); below, likewise, at x = mean e^(-1 / spread). A little is added for rounding.
    """
    turning = [math.floor(mean * math.exp(sign / spread)) + step for sign in (-1, 1) for step in (-1, 0, 1)]
    near = np.array([max(0, x) for x in turning] + [mode], dtype=np.int64)
    return float(np.max(_log_poisson(near, mode, mean) + np.abs(near - mode) / spread)) + 1e-3


def _collect(propose: Callable[[int], tuple[Integers, NDArray[np.bool_]]], size: int) -> Integers:
    """Proposals until so many are accepted."""
    found = np.empty(0, np.int64)
    while len(found) < size:
        x, kept = propose(size - len(found))
        found = np.concatenate([found, x[kept]])
    return found


def _real(ratio: Fraction) -> mpmath.mpf:
    return mpmath.mpf(ratio.numerator) / ratio.denominator


def _square(ratio: Fraction) -> mpmath.mpf:
    return _real(ratio * ratio)
