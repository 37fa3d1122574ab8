"""The items of the second paper's evaluation, in the order in which they appear."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from p2n2sim.dp.items.application import CREDIT, FRAUD, LOAN, RISK
from p2n2sim.dp.items.guarantees import GUARANTEES
from p2n2sim.dp.items.requirements import REQUIREMENTS
from p2n2sim.dp.items.tuning import TUNING
from p2n2sim.evaluation.item import Item

ITEMS: Final[Sequence[Item]] = (CREDIT, LOAN, RISK, FRAUD, TUNING, GUARANTEES, REQUIREMENTS)
