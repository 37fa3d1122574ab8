"""A privacy budget: what may be spent, on which stages, and what is left."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from p2n2sim.errors import BudgetError
from p2n2sim.privacy.accounting import Method, Steps, epsilon
from p2n2sim.privacy.sensitivity import Relation


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A part of a budget.

    Attributes:
        epsilon: what the stage may spend.
        delta: the same of delta.
    """

    epsilon: float
    delta: float


@dataclass(kw_only=True)
class Budget:
    """An epsilon and a delta, split over stages that each compose their own steps as tightly as can be.

    Between stages epsilons and deltas add up (basic composition), so that a stage can spend what it has
    without knowing of the others.

    Attributes:
        epsilon: of everything, above 0; infinite for no limit.
        delta: of everything, in [0, 1).
        shares: stage -> part of epsilon; together at most 1.
        delta_shares: stage -> part of delta; unless given, as `shares`. Pure mechanisms need none.
        method: which accountant, as of `p2n2sim.privacy.accounting.epsilon`.
        relation: which data sets are neighbours.

    Raises:
        ValueError: a number is out of range.
    """

    epsilon: float
    delta: float
    shares: Mapping[str, float] = field(default_factory=lambda: {"training": 1.0})
    delta_shares: Mapping[str, float] | None = None
    method: Method = "pld"
    relation: Relation = "add-or-remove"
    _spent: dict[str, list[tuple[str, Steps]]] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        if not self.epsilon > 0:
            raise ValueError(f"epsilon is above 0, not {self.epsilon:g}")
        if not 0 <= self.delta < 1:
            raise ValueError(f"delta is in [0, 1), not {self.delta:g}")
        for shares in (self.shares, self.delta_shares or {}):
            if any(share < 0 for share in shares.values()) or sum(shares.values()) > 1 + 1e-12:
                raise ValueError("the shares of the stages are 0 or more, and together at most 1")

    def stage(self, name: str) -> Stage:
        """What a stage may spend.

        Raises:
            KeyError: there is no such stage.
        """
        deltas = self.shares if self.delta_shares is None else self.delta_shares
        return Stage(epsilon=self.shares[name] * self.epsilon, delta=deltas.get(name, 0.0) * self.delta)

    def cost(self, name: str, steps: Sequence[Steps] = ()) -> float:
        """Epsilon of what a stage has spent and of some further steps, at the delta of the stage."""
        all_steps = [step for _, step in self._spent.get(name, [])] + list(steps)
        return epsilon(all_steps, delta=self.stage(name).delta, method=self.method, relation=self.relation)

    def spend(self, name: str, what: str, steps: Steps) -> None:
        """Takes steps from a stage's share.

        Args:
            name: the stage.
            what: what is done, for people.
            steps: the steps.

        Raises:
            BudgetError: the stage has not enough left; nothing is spent then.
        """
        allowed, cost = self.stage(name), self.cost(name, [steps])
        if cost > allowed.epsilon * (1 + 1e-9):
            raise BudgetError(name, what, needed=cost, allowed=allowed.epsilon, spent=self.cost(name))
        self._spent.setdefault(name, []).append((what, steps))

    def left(self, name: str) -> float:
        """Epsilon that a stage has not spent."""
        return max(0.0, self.stage(name).epsilon - self.cost(name))

    @property
    def spent(self) -> float:
        """Epsilon of all stages together."""
        return math.fsum(self.cost(name) for name in self.shares)

    def statement(self) -> dict[str, dict[str, object]]:
        """Of each stage: epsilon and delta that it may spend, epsilon spent and left, and on what."""
        return {
            name: {
                "epsilon": self.stage(name).epsilon,
                "delta": self.stage(name).delta,
                "spent": self.cost(name),
                "left": self.left(name),
                "on": [what for what, _ in self._spent.get(name, [])],
            }
            for name in self.shares
        }
