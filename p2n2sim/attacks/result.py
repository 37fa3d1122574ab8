"""What an attack comes to: scores of every attacker, floors and bounds, and the strongest as the headline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Score:
    """How one attacker did.

    Attributes:
        attack: its name.
        assumes: what it needs besides the view.
        metrics: name of a measure -> its value.
    """

    attack: str
    assumes: str
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class Finding:
    """All attackers on one target.

    Attributes:
        kind: ``recovery``, ``labels``, ``properties`` or ``membership``.
        adversary: who attacks.
        target: what is attacked, from what.
        measure: the metric that decides.
        lower_is_stronger: whether a small value of it is a strong attack.
        scores: of the attackers.
        floors: what a guess comes to that ignores the view.
        bounds: what theory says, where it says anything.
        notes: what a reader must know, a sentence each.
        details: further numbers, R^2 by feature for example.
    """

    kind: str
    adversary: str
    target: str
    measure: str
    lower_is_stronger: bool
    scores: tuple[Score, ...]
    floors: tuple[Score, ...]
    bounds: tuple[Score, ...] = ()
    notes: tuple[str, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def headline(self) -> Score:
        """The strongest attacker's score; the first of several equal ones. NaN is the weakest."""

        def weakness(score: Score) -> float:
            value = score.metrics[self.measure]
            return float("inf") if value != value else value if self.lower_is_stronger else -value

        return min(self.scores, key=weakness)
