"""How far a statistic can move when one row changes.

Neighbours differ in one row: `add-or-remove` (one has it, the other not) or `replace` (it has another value).
Where only the number of rows is secret under the first and not under the second, the sensitivities differ.
Source of all of them: the definitions (Dwork & Roth 2014, sections 2 and 3).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Relation = Literal["add-or-remove", "replace"]


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """Largest distance between the statistics of two neighbours.

    Attributes:
        l1: in the L1 norm.
        l2: in the L2 norm.
    """

    l1: float
    l2: float


def count(relation: Relation = "add-or-remove") -> Sensitivity:
    """Of the number of rows that have a property; the number of all rows does not move under `replace`."""
    return Sensitivity(1.0, 1.0)


def histogram(relation: Relation = "add-or-remove") -> Sensitivity:
    """Of the counts of disjoint classes: one count moves, or one goes down and another one up."""
    return Sensitivity(1.0, 1.0) if relation == "add-or-remove" else Sensitivity(2.0, math.sqrt(2))


def bounded_sum(
    lower: float, upper: float, *, columns: int = 1, relation: Relation = "add-or-remove"
) -> Sensitivity:
    """Of the sums of some columns, each clipped to [lower, upper].

    Raises:
        ValueError: the bounds are the wrong way round.
    """
    if lower > upper:
        raise ValueError(f"the lower bound {lower:g} is above the upper one {upper:g}")
    one = upper - lower if relation == "replace" else max(abs(lower), abs(upper))
    return Sensitivity(columns * one, math.sqrt(columns) * one)


def bounded_mean(lower: float, upper: float, *, rows: int, columns: int = 1) -> Sensitivity:
    """Of the means of some columns, each clipped to [lower, upper], of a known number of rows (`replace`).

    Where the number of rows is secret, too, release a sum and a count and divide.

    Raises:
        ValueError: there is no row, or the bounds are the wrong way round.
    """
    if rows < 1:
        raise ValueError("a mean needs a row")
    whole = bounded_sum(lower, upper, columns=columns, relation="replace")
    return Sensitivity(whole.l1 / rows, whole.l2 / rows)


def clipped_vector_sum(norm: float, *, relation: Relation = "add-or-remove") -> float:
    """L2 sensitivity of a sum of vectors that were clipped to an L2 norm, as of gradients in DP-SGD.

    Raises:
        ValueError: the norm is not above 0.
    """
    if not norm > 0:
        raise ValueError(f"a norm is above 0, not {norm:g}")
    return norm if relation == "add-or-remove" else 2 * norm
