"""The items, in the order in which they appear. A new one: a file in `items`, scenarios, and a line here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from p2n2sim.evaluation.item import Item
from p2n2sim.paper.items.attack_weight import ATTACK_WEIGHT
from p2n2sim.paper.items.attack_width import ATTACK_WIDTH
from p2n2sim.paper.items.audit import AUDIT
from p2n2sim.paper.items.figure5 import FIGURE5
from p2n2sim.paper.items.figure6 import FIGURE6
from p2n2sim.paper.items.figure7 import FIGURE7
from p2n2sim.paper.items.figure8 import FIGURE8
from p2n2sim.paper.items.frontier import FRONTIER
from p2n2sim.paper.items.losses import FIGURE3, FIGURE4
from p2n2sim.paper.items.table1 import TABLE1
from p2n2sim.paper.items.table2 import TABLE2

ITEMS: Final[Sequence[Item]] = (
    TABLE1,
    FIGURE3,
    FIGURE4,
    TABLE2,
    AUDIT,
    FIGURE5,
    FIGURE6,
    FIGURE7,
    FIGURE8,
    ATTACK_WEIGHT,
    ATTACK_WIDTH,
    FRONTIER,
)
