"""The items, in the order in which they appear. A new one is a file in `items`, scenario files, and a line "
"here."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Final

from p2n2sim.errors import InputError
from p2n2sim.evaluation.item import Item
from p2n2sim.paper.items.audit import AUDIT
from p2n2sim.paper.items.figure5 import FIGURE5
from p2n2sim.paper.items.figure6 import FIGURE6
from p2n2sim.paper.items.losses import FIGURE3, FIGURE4
from p2n2sim.paper.items.table1 import TABLE1
from p2n2sim.paper.items.table2 import TABLE2

ITEMS: Final[Sequence[Item]] = (TABLE1, FIGURE3, FIGURE4, TABLE2, AUDIT, FIGURE5, FIGURE6)


def select(names: str | None, items: Sequence[Item] = ITEMS) -> list[Item]:
    """The items with these names, in the order of the catalogue.

    Args:
        names: with commas between them; all unless given.
        items: to choose from.

    Raises:
        InputError: there is no such item.
    """
    if names is None:
        return list(items)
    known = [item.name for item in items]
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    for name in wanted:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise InputError(
                f"--items {names}", f"there is no {name!r}", f"{hint}there are {', '.join(known)}"
            )
    if not wanted:
        raise InputError(f"--items {names}", "there are none", f"there are {', '.join(known)}")
    return [item for item in items if item.name in wanted]
