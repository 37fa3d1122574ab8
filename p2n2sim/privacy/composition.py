"""Skellam noise on h1 and Gaussian noise on gradients, together: Renyi divergences add up (Mironov 2017)."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from dp_accounting.rdp.rdp_privacy_accountant import compute_epsilon

from p2n2sim.privacy.accounting import GaussianSteps
from p2n2sim.privacy.skellam import ORDERS, skellam_rdp


@dataclass(frozen=True, slots=True, kw_only=True)
class Releases:
    """Integer vectors with Skellam noise.

    Attributes:
        variance: of the noise on each number.
        l2: how far a vector moves between neighbours, in the L2 norm.
        numbers: how many a vector has.
        count: how many vectors move by that much.
    """

    variance: float
    l2: float
    numbers: int
    count: int

    def divergence(self, order: int) -> float:
        """Bound on the Renyi divergence of an order; L1 norms are at most sqrt(numbers) times L2 norms."""
        if not self.count:
            return 0.0
        if not self.variance:
            return math.inf
        l1 = min(math.sqrt(self.numbers) * self.l2, self.l2**2)  # of whole numbers |x| <= x^2
        return self.count * skellam_rdp(order, mu=self.variance, l2=self.l2, l1=l1)


@functools.lru_cache(maxsize=1024)
def _epsilon(steps: tuple[Releases | GaussianSteps, ...], delta: float) -> float:
    total = [sum(_divergence(step, order) for step in steps) for order in ORDERS]
    if math.inf in total:
        return math.inf
    found, _ = compute_epsilon(list(ORDERS), total, delta)
    return float(found)


def composed(steps: Sequence[Releases | GaussianSteps], *, delta: float) -> float:
    """Epsilon of all of them together, without amplification by sampling.

    Whole orders only, because the bound for Skellam noise is stated for those: where epsilon is large, a
    little more than need be.

    Args:
        steps: in any order; a Gaussian step has a sensitivity of 1.
        delta: in [0, 1); with 0 only no steps at all are finite.
    """
    if all(step.count == 0 for step in steps):
        return 0.0
    return math.inf if delta == 0 else _epsilon(tuple(steps), delta)


def _divergence(step: Releases | GaussianSteps, order: int) -> float:
    if isinstance(step, Releases):
        return step.divergence(order)
    assert step.sampler == "all"  # whose batches are known
    return step.count * order / (2 * step.noise_multiplier**2)
