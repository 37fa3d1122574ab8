"""What one task of a party leaves for another: first in, first out, and recorded."""

from __future__ import annotations

import asyncio
from typing import Generic, TypeVar

from p2n2sim.net.endpoint import Endpoint

T = TypeVar("T")


class Handover(Generic[T]):
    """A queue between two tasks of one party, like `asyncio.Queue`, of which the journal knows.

    Tasks that wait for each other by other means look, in a recorded run, as if they waited for time to pass.

    Args:
        plug: of the party.
        *items: what is there from the beginning.
    """

    def __init__(self, plug: Endpoint, *items: T) -> None:
        self._number = plug.journal.new_handover()
        self._free = len(items)
        self._queue: asyncio.Queue[T] = asyncio.Queue()
        for item in items:
            self._queue.put_nowait(item)

    def give(self, plug: Endpoint, item: T) -> None:
        """Leaves something.

        Args:
            plug: of the task that gives.
            item: what.
        """
        plug.note("give", self._number)
        self._queue.put_nowait(item)

    async def take(self, plug: Endpoint) -> T:
        """The oldest thing that is there, or the next one.

        Args:
            plug: of the task that takes.
        """
        if self._free:
            self._free -= 1  # nobody gave it: nothing to wait for on any network
            return self._queue.get_nowait()
        if self._queue.empty():
            plug.note("wait", self._number)
        item = await self._queue.get()
        plug.note("take", self._number)
        return item
