"""Tasks that are numbered in the order of their creation."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Coroutine, Generator
from typing import Any


class SimTask(asyncio.Task[Any]):
    """A task that hashes to its creation number.

    ``TaskGroup`` keeps its tasks in a set and cancels them in the set's order; hashed by address, that
    order would change from run to run.
    """

    __slots__ = ("number",)

    def __init__(
        self,
        number: int,
        coro: Generator[Any, None, Any] | Coroutine[Any, Any, Any],
        name: object,
        **options: Any,
    ) -> None:
        self.number = number  # first: the base constructor puts the task into a set
        super().__init__(coro, name=f"Task-{number}" if name is None else str(name), **options)

    def __hash__(self) -> int:
        return self.number


def creation_order(task: asyncio.Task[Any]) -> tuple[float, str]:
    """A key to sort tasks by; those of a user's own factory have no number and come last, by name."""
    return (task.number, "") if isinstance(task, SimTask) else (math.inf, task.get_name())
