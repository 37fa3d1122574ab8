"""A quantile by the exponential mechanism over the intervals between the values.

Smith 2011, "Privacy-preserving statistical estimation with optimal convergence rates" (STOC): a point is
released, the less likely the further its rank is from the one sought. All points between two neighbouring
values are equally likely, so an interval is chosen with a probability proportional to its length times
exp(-epsilon |rank - q n| / 2 Delta). That is (epsilon, 0)-differentially private (McSherry & Talwar 2007).

Here the points are the cells of a grid between public bounds: there are finitely many, values are rounded to
the edges of cells, and a cell is chosen by coins of exact probability, so that rounding leaks nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import mpmath
import numpy as np
from numpy.typing import ArrayLike

from p2n2sim.privacy.coins import flip
from p2n2sim.privacy.draws import Draws, Integers, Reals
from p2n2sim.privacy.sensitivity import Relation

_NEAR = 300.0  # log weights so close to the largest one are compared in floating point


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantile:
    """Which quantile, where it is looked for, and what that costs.

    Attributes:
        level: q in [0, 1], for example 0.5 for the median.
        lower: public bound; what is below counts as this.
        upper: public bound, above the lower one.
        epsilon: above 0.
        relation: what neighbours are.
        bits: the grid has 2^bits cells, at most 2^40.

    Raises:
        ValueError: a number is out of range.
    """

    level: float
    lower: float
    upper: float
    epsilon: float
    relation: Relation = "add-or-remove"
    bits: int = 20

    def __post_init__(self) -> None:
        if not 0 <= self.level <= 1:
            raise ValueError(f"a level is in [0, 1], not {self.level:g}")
        if not (self.lower < self.upper and math.isfinite(self.upper - self.lower)):
            raise ValueError(f"bounds are finite and ascending, not {self.lower:g} and {self.upper:g}")
        if not 0 < self.epsilon < math.inf:
            raise ValueError(f"epsilon is a number above 0, not {self.epsilon:g}")
        if not 1 <= self.bits <= 40:
            raise ValueError(f"a grid has from 1 to 40 bits, not {self.bits}")

    @property
    def sensitivity(self) -> Fraction:
        """Delta, how far rank - q n can move: q or 1 - q if a row comes or goes, 1 if it is replaced."""
        level = Fraction(self.level)
        return Fraction(1) if self.relation == "replace" else max(level, 1 - level)

    def draw(self, draws: Draws, values: ArrayLike) -> float:
        """The middle of a cell: (epsilon, 0)-differentially private.

        Args:
            draws: randomness.
            values: (rows,) numbers; there may be none.

        Raises:
            ValueError: a value is not a number.
        """
        found = _Intervals(self, values)
        chosen = found.choose(draws)
        cell = int(found.starts[chosen] + draws.below(int(found.lengths[chosen]), 1)[0])
        return self.lower + (self.upper - self.lower) * (cell + 0.5) * 2.0**-self.bits

    def probabilities(self, values: ArrayLike) -> Reals:
        """Of each cell, (2^bits,), in floating point.

        Raises:
            ValueError: a value is not a number.
        """
        found = _Intervals(self, values)
        each = np.zeros(1 << self.bits)
        weights = np.exp(found.logs - found.logs[0])
        weights /= weights.sum()
        for start, length, weight in zip(found.starts, found.lengths, weights, strict=True):
            each[start : start + length] = weight / length
        return each

    def edges(self, values: ArrayLike) -> Integers:
        """(rows + 2,) numbers of edges of cells, ascending: the lower bound, the values, the upper bound."""
        real = np.asarray(values, dtype=np.float64)
        if np.isnan(real).any():
            raise ValueError("values are numbers")
        share = (np.clip(real, self.lower, self.upper) - self.lower) / (self.upper - self.lower)
        inner = np.sort(np.rint(share * 2.0**self.bits).astype(np.int64))
        return np.concatenate([[0], inner, [1 << self.bits]]).astype(np.int64)


class _Intervals:
    """The intervals between neighbouring values that hold a cell, the likeliest first.

    Attributes:
        starts: first cell of each.
        lengths: number of cells.
        logs: of the weights, length exp(-rate |rank - q n|).
    """

    def __init__(self, quantile: Quantile, values: ArrayLike) -> None:
        edges = quantile.edges(values)
        lengths = np.diff(edges)
        ranks = np.flatnonzero(lengths)  # of values at or below each cell
        self._rate = Fraction(quantile.epsilon) / (2 * quantile.sensitivity)
        self._sought = Fraction(quantile.level) * (len(edges) - 2)
        logs = np.log(lengths[ranks]) - float(self._rate) * np.abs(ranks - float(self._sought))
        order = np.argsort(-logs, kind="stable")
        self._ranks, self.logs = ranks[order], logs[order]
        self.starts, self.lengths = edges[self._ranks], lengths[self._ranks]
        self._error = 1e-9 + 2.0**-50 * float(self._rate) * len(edges)  # with room for sums of 10^6 weights

    def choose(self, draws: Draws) -> int:
        """Each in turn is taken with its share of what is left, by a coin of exactly that probability."""
        first, last = 0, len(self.logs) - 1
        while first < last:
            weights = np.exp(self.logs[first:] - self.logs[first])
            left = np.cumsum(weights[::-1])[::-1]
            near = min(last - first, int(np.count_nonzero(self.logs[first:] >= self.logs[first] - _NEAR)))
            log_p = np.log(weights[:near] / left[:near])
            heads = flip(draws, log_p, self._share_after(first), error=self._error)
            if heads.any():
                return first + int(np.argmax(heads))
            first += near
        return last

    def _share_after(self, first: int) -> Callable[[int], mpmath.mpf]:
        return lambda index: self._exact_log(first + index)

    def _exact_log(self, chosen: int) -> mpmath.mpf:
        """log of the share of one interval in itself and all later ones."""
        own = self._power(chosen)
        later = range(chosen, len(self.logs))
        shares = (int(self.lengths[i]) * mpmath.exp(_real(self._power(i) - own)) for i in later)
        return mpmath.log(int(self.lengths[chosen])) - mpmath.log(mpmath.fsum(shares))

    def _power(self, index: int) -> Fraction:
        return -self._rate * abs(int(self._ranks[index]) - self._sought)


def _real(ratio: Fraction) -> mpmath.mpf:
    return mpmath.mpf(ratio.numerator) / ratio.denominator
