"""What a sequence of private steps costs: epsilon at a delta, and the noise that meets a target.

`dp-accounting` does the sums: privacy-loss distributions (PLD: Koskela et al. 2020, Doroshenko et al. 2022),
or Renyi divergences (RDP: Mironov 2017). This file names the steps that happen here, and sees to it that a
step is only called amplified by sampling when its rows were sampled that way.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import dp_accounting
from dp_accounting import dp_event
from dp_accounting.pld import PLDAccountant
from dp_accounting.rdp import RdpAccountant

from p2n2sim.privacy.sensitivity import Relation
from p2n2sim.privacy.shared_noise import SharedSteps, shared_epsilon

Method = Literal["pld", "rdp"]
Sampler = Literal["poisson", "shuffled", "all"]
"""How the rows of a step were chosen: each by its own coin; a part of a random order; all of them."""

PLD_INTERVAL = 1e-4
"""Grid of the discretised privacy-loss distribution; its rounding is always to the safe side."""

COARSE_INTERVAL = 1e-3
"""Grid while something is searched for: ten times as fast, and to the safe side all the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GaussianSteps:
    """Sums of clipped vectors with Gaussian noise, as in DP-SGD.

    Attributes:
        noise_multiplier: sigma over the clipping norm; 0 for no noise.
        count: how many such steps.
        sampler: how the rows of each step were chosen.
        rate: probability of each row, with ``poisson``.
        uses: in how many of the steps one row can take part, with ``shuffled``: the number of epochs.
    """

    noise_multiplier: float
    count: int
    sampler: Sampler = "all"
    rate: float = 1.0
    uses: int | None = None

    def event(self, method: Method) -> dp_event.DpEvent:
        """As `dp-accounting` knows it."""
        if self.noise_multiplier == 0:
            return dp_event.NonPrivateDpEvent()
        step: dp_event.DpEvent = dp_event.GaussianDpEvent(self.noise_multiplier)
        if self.sampler == "poisson":
            step = dp_event.PoissonSampledDpEvent(self.rate, step)
        return dp_event.SelfComposedDpEvent(step, self.releases)

    @property
    def releases(self) -> int:
        """How many of the steps count for one row.

        In parts of a random order a row takes part once an epoch, and other rows' parts do not concern it.
        That the order is random buys nothing here: what Poisson sampling amplifies, shuffling need not
        (Chua et al. 2024).
        """
        if self.sampler != "shuffled":
            return self.count
        return self.count if self.uses is None else self.uses


@dataclass(frozen=True, slots=True, kw_only=True)
class LaplaceSteps:
    """Statistics with Laplace noise.

    Attributes:
        epsilon: of each.
        count: how many.
    """

    epsilon: float
    count: int = 1

    def event(self, method: Method) -> dp_event.DpEvent:
        """As `dp-accounting` knows it."""
        return dp_event.SelfComposedDpEvent(dp_event.LaplaceDpEvent(1 / self.epsilon), self.count)


@dataclass(frozen=True, slots=True, kw_only=True)
class PureSteps:
    """Any (epsilon, 0)-private steps: randomized response, exponential mechanism.

    The worst such step is randomized response between two answers (Kairouz, Oh & Viswanath 2015). Its privacy
    loss is epsilon or -epsilon, and so is that of discrete Laplace noise on a count, as which it is composed.

    Attributes:
        epsilon: of each.
        count: how many.
    """

    epsilon: float
    count: int = 1

    def event(self, method: Method) -> dp_event.DpEvent:
        """As `dp-accounting` knows it."""
        if method == "rdp":  # Bun & Steinke 2016, proposition 1.4
            step: dp_event.DpEvent = dp_event.ZCDpEvent(rho=self.epsilon**2 / 2)
        else:
            step = dp_event.DiscreteLaplaceDpEvent(self.epsilon, 1)
        return dp_event.SelfComposedDpEvent(step, self.count)


@dataclass(frozen=True, slots=True, kw_only=True)
class NoProtection:
    """Something that was given away as it is: epsilon is infinite."""

    def event(self, method: Method) -> dp_event.DpEvent:
        """As `dp-accounting` knows it."""
        return dp_event.NonPrivateDpEvent()


Known = GaussianSteps | LaplaceSteps | PureSteps | NoProtection
"""Steps that `dp-accounting` knows."""

Steps = Known | SharedSteps

_RELATIONS = {
    "add-or-remove": dp_accounting.NeighboringRelation.ADD_OR_REMOVE_ONE,
    "replace": dp_accounting.NeighboringRelation.REPLACE_ONE,
}


def accountant(
    method: Method = "pld", relation: Relation = "add-or-remove", *, interval: float = PLD_INTERVAL
) -> dp_accounting.PrivacyAccountant:
    """A fresh accountant of `dp-accounting`."""
    if method == "rdp":
        return RdpAccountant(neighboring_relation=_RELATIONS[relation])
    return PLDAccountant(_RELATIONS[relation], value_discretization_interval=interval)


def epsilon(
    steps: Sequence[Steps],
    *,
    delta: float,
    method: Method = "pld",
    relation: Relation = "add-or-remove",
    interval: float = PLD_INTERVAL,
) -> float:
    """The epsilon of all steps together; infinite where one of them protects nothing.

    Args:
        steps: in any order; they may differ.
        delta: in [0, 1).
        method: ``pld`` is tighter, ``rdp`` faster.
        relation: which data sets are neighbours. Under ``replace`` the sensitivity of a clipped sum is twice
            its clipping norm, which the accountant takes into account.
        interval: grid of ``pld``; a coarser one is faster and says a little more than is spent.

    Raises:
        ValueError: delta is out of range, or steps with noise in the ring are to be composed with others.
    """
    if not 0 <= delta < 1:
        raise ValueError(f"delta is in [0, 1), not {delta:g}")
    if not steps:
        return 0.0
    in_ring = [step for step in steps if isinstance(step, SharedSteps)]
    known = tuple(step for step in steps if not isinstance(step, SharedSteps))
    if in_ring and known:
        raise ValueError("steps with noise in the ring are composed with each other only")
    if in_ring:
        return shared_epsilon(in_ring, delta=delta, relation=relation)
    if any(isinstance(step.event(method), dp_event.NonPrivateDpEvent) for step in known):
        return math.inf
    return _epsilon(known, delta, method, relation, interval)


@functools.lru_cache(maxsize=4096)
def _epsilon(
    steps: tuple[Known, ...], delta: float, method: Method, relation: Relation, interval: float
) -> float:
    """A function of its arguments that takes a second; a run, its repeats and its attacks ask it again."""
    events = [step.event(method) for step in steps]
    if not delta and all(isinstance(step, LaplaceSteps | PureSteps) for step in steps):
        return sum(step.epsilon * step.count for step in steps if isinstance(step, LaplaceSteps | PureSteps))
    made = accountant(method, relation, interval=interval)
    for event in events:
        made.compose(event)
    return float(made.get_epsilon(delta))


def calibrate(
    make: Callable[[float], Sequence[Steps]],
    *,
    target: float,
    delta: float,
    method: Method = "pld",
    relation: Relation = "add-or-remove",
    tolerance: float = 1e-4,
) -> float:
    """The smallest noise multiplier, up to a tolerance, whose steps cost at most a target epsilon.

    Args:
        make: the steps for a noise multiplier.
        target: epsilon, above 0.
        delta: in (0, 1).
        method: as of `epsilon`.
        relation: as of `epsilon`.
        tolerance: relative, of the multiplier that is returned; always to the safe side.

    Raises:
        ValueError: a number out of range, or no noise would do.
    """
    if not target > 0:
        raise ValueError(f"a target epsilon is above 0, not {target:g}")

    interval = min(COARSE_INTERVAL, max(PLD_INTERVAL, 3e-4 * target))

    def cost(noise: float) -> float:
        return epsilon(make(noise), delta=delta, method=method, relation=relation, interval=interval)

    low, high = _bracket(cost, target)
    while high - low > tolerance * high:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if cost(middle) <= target else (middle, high)
    return high


def _bracket(cost: Callable[[float], float], target: float) -> tuple[float, float]:
    """Two noise multipliers a factor of 2 apart, of which the larger one meets the target."""
    high = 1.0
    if cost(high) <= target:
        while high > 1e-3 and cost(high / 2) <= target:
            high /= 2
        return high / 2, high
    while high < 1e7:
        high *= 2
        if cost(high) <= target:
            return high / 2, high
    raise ValueError(f"no noise brings epsilon down to {target:g}")


def largest_count(cost: Callable[[int], float], *, budget: float, most: int) -> int:
    """The largest number of steps in [0, most] that a budget covers.

    Args:
        cost: epsilon of so many steps, growing with their number.
        budget: epsilon.
        most: the number that was asked for.
    """
    low, high = 0, most + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if cost(middle) <= budget else (low, middle)
    return low
