"""What DP-SGD costs where the first layer's weights and their noise are under secret sharing.

Every holder adds its share of Skellam noise to its share of theta, in the ring; the server's weights and
the head have Gaussian noise. The three are released together in every batch, so their Renyi divergences add
up (Mironov 2017): those of the Gaussian parts are exact, that of the Skellam part is the bound of Agarwal,
Kairouz & Liu 2021, amplification by Poisson sampling that of Zhu & Wang 2019, theorem 5. All are upper
bounds, so that an epsilon is a little larger than that of the same noise drawn by one party.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from dp_accounting.rdp.rdp_privacy_accountant import compute_epsilon

from p2n2sim.privacy.draws import Reals
from p2n2sim.privacy.sensitivity import Relation
from p2n2sim.privacy.skellam import ORDERS, poisson_sampled, skellam_rdp

SLACK = 1 + 2.0**-12
"""By how much a row's gradient may be longer than its clipping norm: norms and factors are float32."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """How a step along theta's gradient looks in the ring.

    Attributes:
        unit: the clipping norm C, times the learning rate over the divisor, in units of theta's encoding.
        numbers: k n, of all holders' theta together.
        shared: at most so many C does a row move all holders' part together.
        rest: the same of the server's weights and the head together, at the same time.
    """

    unit: float
    numbers: int
    shared: float
    rest: float

    @property
    def rounding(self) -> float:
        """How far rounding may move theta, in units of what a row does. Rounded far, much noise is needed."""
        return math.sqrt(self.numbers) / (self.shared * self.unit)


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedSteps:
    """DP-SGD steps of the whole network, with Skellam noise on theta and Gaussian noise on the rest.

    Attributes:
        noise_multiplier: sigma over the clipping norm; 0 for no noise.
        count: how many such steps.
        poisson: whether every row was in a step by a coin of its own.
        rate: probability of each row, with `poisson`.
        grid: of theta.
        known: part of the variance of the Skellam noise that the adversary knows, in [0, 1].
    """

    noise_multiplier: float
    count: int
    poisson: bool
    rate: float = 1.0
    grid: Grid
    known: float = 0.0

    def divergences(self, relation: Relation) -> Reals:
        """Of all steps, for `ORDERS`; those above half of the largest are infinite where there is no bound.

        A replaced row moves everything twice as far. Among sampled rows it is one removed and one added, for
        which the divergences of twice the order are needed (Mironov 2017, proposition 11).
        """
        replaced = relation == "replace"
        if not self.poisson:
            return self.count * self._step(2 if replaced else 1)
        sampled = self.count * poisson_sampled(self.rate, self._step(1))
        return _twice(sampled) if replaced else sampled

    def _step(self, moves: int) -> Reals:
        """Of one step that moves by so many times what one row can, for `ORDERS`."""
        sigma, grid = self.noise_multiplier, self.grid
        mu = (sigma * grid.unit) ** 2 * (1 - self.known)
        if not mu:
            return np.full(len(ORDERS), math.inf)
        # Rounding to the grid moves every number by half a unit at most, in either of the two neighbours.
        l2 = moves * SLACK * grid.shared * grid.unit + math.sqrt(grid.numbers)
        l1 = math.sqrt(grid.numbers) * l2
        rest = (moves * SLACK * grid.rest / sigma) ** 2 / 2
        return np.array([order * rest + skellam_rdp(order, mu=mu, l2=l2, l1=l1) for order in ORDERS])


def _twice(divergences: Reals) -> Reals:
    """Of two neighbours of the same data set from each other: (a - 1/2) / (a - 1) D_2a + D_(2a - 1)."""
    out = np.full(len(divergences), math.inf)
    for place, order in enumerate(ORDERS):
        if 2 * order <= ORDERS[-1]:
            outer, inner = (divergences[2 * order - turn - ORDERS[0]] for turn in (0, 1))
            out[place] = (order - 0.5) / (order - 1) * outer + inner
    return out


def shared_epsilon(steps: Sequence[SharedSteps], *, delta: float, relation: Relation) -> float:
    """Epsilon of all of them together; infinite without noise, and at delta 0.

    Args:
        steps: in any order.
        delta: in [0, 1).
        relation: which data sets are neighbours.
    """
    if not delta or any(not step.noise_multiplier or step.known >= 1 for step in steps):
        return math.inf
    return _epsilon(tuple(steps), delta, relation)


@functools.lru_cache(maxsize=1024)
def _epsilon(steps: tuple[SharedSteps, ...], delta: float, relation: Relation) -> float:
    total = np.sum([step.divergences(relation) for step in steps], axis=0)
    bounded = np.isfinite(total)
    orders = [order for order, there in zip(ORDERS, bounded, strict=True) if there]
    found, _ = compute_epsilon(orders, list(total[bounded]), delta)
    return float(found)
