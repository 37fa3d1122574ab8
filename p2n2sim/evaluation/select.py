"""Items by their names on the command line."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from p2n2sim.errors import InputError
from p2n2sim.evaluation.item import Item


def select(names: str | None, items: Sequence[Item]) -> list[Item]:
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
