"""A failing list made smaller: delta debugging.

Source: Zeller and Hildebrandt, *Simplifying and Isolating Failure-Inducing Input*, IEEE Transactions on
Software Engineering 28 (2), 2002, the algorithm ddmin.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


def shrink(items: Sequence[T], fails: Callable[[Sequence[T]], bool]) -> list[T]:
    """The fewest items that ddmin finds to fail still, in their order.

    The result fails, and does not any more when any single item is left out. No selection is tried twice.

    Args:
        items: fail as they are.
        fails: whether a selection of them fails; must always say the same of the same selection.

    Raises:
        ValueError: the whole list does not fail.
    """
    known: dict[tuple[int, ...], bool] = {}

    def bad(chosen: list[int]) -> bool:
        key = tuple(chosen)
        if key not in known:
            known[key] = fails([items[i] for i in chosen])
        return known[key]

    left, parts = list(range(len(items))), 2
    if not bad(left):
        raise ValueError("the whole list does not fail, so there is nothing to shrink")
    if bad([]):
        return []
    while len(left) > 1:
        chunks = [left[len(left) * i // parts : len(left) * (i + 1) // parts] for i in range(parts)]
        rests = [[i for i in left if i not in chunk] for chunk in chunks]
        if (smaller := next(filter(bad, chunks), None)) is not None:
            left, parts = smaller, 2
        elif (smaller := next(filter(bad, rests), None)) is not None:
            left, parts = smaller, max(parts - 1, 2)
        elif parts < len(left):
            parts = min(2 * parts, len(left))
        else:
            break
    return [items[i] for i in left]
