"""Who has crashed, whom the others miss, and when nobody waits any longer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from p2n2sim.errors import PartyLostError, Wait
from p2n2sim.net.simloop import SimLoop


class Absence:
    """The crashes of one network.

    Args:
        loop: keeps the time.
        deadline: virtual seconds for which a party that stays away may be missed.
        waits: who waits for what from whom at the moment.
        fail: ends the run with an error.

    Attributes:
        down: who has crashed -> when, in virtual seconds.
        back: who has crashed -> when it is there again; None for never.
    """

    def __init__(
        self,
        loop: SimLoop,
        deadline: float,
        waits: Callable[[], Iterable[Wait]],
        fail: Callable[[Exception], object],
    ) -> None:
        self.down: dict[str, float] = {}
        self.back: dict[str, float | None] = {}
        self._missed: dict[str, float | None] = {}  # those of them that had not done their part
        self._loop, self._deadline, self._waits, self._fail = loop, deadline, waits, fail

    @property
    def missed(self) -> bool:
        """Whether anybody crashed who had not done its part."""
        return bool(self._missed)

    def crash(self, party: str, back: float | None, tasks: Mapping[str, asyncio.Task[Any]]) -> None:
        """A party stops where it is.

        Args:
            party: who.
            back: virtual time in seconds at which it is there again; None for never.
            tasks: of everybody, by name; those whose names begin with the party's are cancelled.
        """
        if party in self.down:
            return
        self.down[party] = now = self._loop.time()
        self.back[party] = back
        mine = [task for name, task in tasks.items() if name.partition(" (")[0] == party]
        going = [task for task in mine if not task.done()]
        for task in going:
            task.cancel()
        if going:
            self._missed[party] = back
            until = now + self._deadline if back is None else back
            self._loop.post(until, self._end_without, until)

    def lost(self, waits: Sequence[Wait]) -> PartyLostError:
        """Says who is missed; who stays away goes before who comes back."""
        gone = [party for party, back in self._missed.items() if back is None]
        party = next(iter(gone or self._missed))
        backs = [back for back in self._missed.values() if back is not None]
        return PartyLostError(party, None, self.down[party], waits, None if gone else max(backs))

    def _end_without(self, now: float) -> None:
        """Nobody waits any longer for a crashed party; for two of them, till both are back."""
        backs = self._missed.values()
        if None in backs or all(back is not None and back <= now for back in backs):
            self._fail(self.lost(tuple(self._waits())))
