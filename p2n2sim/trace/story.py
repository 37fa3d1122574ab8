"""What every task did and when, put together from a run folder's tables."""

from __future__ import annotations

import math
from collections import defaultdict, deque
from dataclasses import dataclass
from typing import Any

from p2n2sim.net.journal import party_of
from p2n2sim.report.tables import Recorded
from p2n2sim.scenario.topology import topology

_ROUNDING = 1e-12  # relative, of a time minus a latency


@dataclass(frozen=True, slots=True)
class Flight:
    """A message between two parties, times in virtual seconds.

    Attributes:
        row: its row in the ledger.
        entry: that row, with the fields of `p2n2sim.net.ledger.Entry`.
        left_s: when its last bit left; the rest until ``entry.arrived_s`` is the link's latency.
        ahead: the row of the message that it queued behind on the link, -1 for none.
    """

    row: int
    entry: Any
    left_s: float
    ahead: int


@dataclass(frozen=True, slots=True)
class Happening:
    """One thing that a task did, times in virtual seconds.

    Attributes:
        number: in the order of the run.
        task: which task.
        plug: the party, or its second plug.
        kind: as in `p2n2sim.net.journal.Record`.
        what: kind of message, label of the work, or name of the mark.
        before: number of what the task did before, -1 for nothing.
        reached_s: when the task came to it.
        began_s: when work began; the same as `reached_s` for everything else.
        ended_s: when the task went on.
        row: the ledger's row of what is sent or received, -1 for others.
        due_to: number of the ``give`` that a ``take`` takes; of the work on the same processor that a
            computation queued behind; -1 for none.
    """

    number: int
    task: int
    plug: str
    kind: str
    what: str
    before: int
    reached_s: float
    began_s: float
    ended_s: float
    row: int
    due_to: int


@dataclass(frozen=True, slots=True)
class Story:
    """A whole run.

    Attributes:
        happenings: in order.
        flights: the messages, in the order of the ledger.
        sent_by: for each row of the ledger, the number of the happening that sent it.
        virtual_s: the clock at the end.
    """

    happenings: list[Happening]
    flights: list[Flight]
    sent_by: list[int]
    virtual_s: float

    @property
    def arrived(self) -> list[Flight]:
        """The messages that arrived before the end."""
        return [flight for flight in self.flights if flight.entry.arrived_s < math.inf]


def tell(run: Recorded) -> Story:
    """Puts the tables of a finished run together."""
    flights = _flights(run)
    teller = _Teller(run, flights)
    for event in run.events.itertuples(index=False):
        teller.hear(event)
    return Story(teller.told, flights, teller.sent_by, float(run.summary["time"]["virtual_s"]))


def _flights(run: Recorded) -> list[Flight]:
    links = topology(run.scenario)
    latest: dict[tuple[str, str], int] = {}
    out: list[Flight] = []
    entry: Any
    for row, entry in enumerate(run.ledger.itertuples(index=False)):
        link = (entry.sender, entry.receiver)
        left = min(max(entry.arrived_s - links.spec(*link).latency, entry.start_s), entry.arrived_s)
        ahead = latest.get(link, -1) if entry.start_s > entry.sent_s else -1
        if ahead >= 0 and out[ahead].left_s < entry.start_s * (1 - _ROUNDING):
            ahead = -1  # it waited for something else, a handshake for example
        latest[link] = row
        out.append(Flight(row, entry, left, ahead))
    return out


class _Teller:
    """Gives every event its times: those of the tables, else the time at which its task came to it."""

    def __init__(self, run: Recorded, flights: list[Flight]) -> None:
        self.told: list[Happening] = []
        self.sent_by = [-1] * len(flights)
        self._flights = flights
        self._rows: dict[tuple[str, str, str], deque[int]] = defaultdict(deque)  # neither sent nor received
        self._coming: dict[tuple[str, str, str], deque[int]] = defaultdict(deque)
        for flight in flights:
            self._rows[flight.entry.sender, flight.entry.receiver, flight.entry.kind].append(flight.row)
        self._work = {
            plug: list(zip(own["start_s"], own["end_s"], strict=True))
            for plug, own in run.compute.groupby("party", sort=False)
        }
        self._worked: dict[tuple[str, int], int] = {}  # plug and number there -> number of the happening
        self._given: dict[int, deque[int]] = defaultdict(deque)
        self._latest: dict[int, Happening] = {}

    def hear(self, event: Any) -> None:
        """The next event."""
        before = self._latest.get(event.task)
        now = 0.0 if before is None else before.ended_s
        number, row, due_to = len(self.told), -1, -1
        began = ended = now
        if event.kind == "send":
            link = (party_of(event.plug), event.peer, event.what)
            row = self._rows[link].popleft()
            self._coming[link].append(row)
            self.sent_by[row] = number
            began = ended = self._flights[row].entry.sent_s
        elif event.kind == "receive":
            row = self._coming[event.peer, party_of(event.plug), event.what].popleft()
            ended = max(now, self._flights[row].entry.arrived_s)
        elif event.kind == "compute":
            began, ended = self._work[event.plug][event.number]
            self._worked[event.plug, event.number] = number
            if began > now:
                due_to = self._worked.get((event.plug, event.number - 1), -1)
        elif event.kind == "give":
            self._given[event.number].append(number)
        elif event.kind == "take":
            due_to = self._given[event.number].popleft()
            ended = max(now, self.told[due_to].ended_s)
        happening = Happening(
            number,
            event.task,
            event.plug,
            event.kind,
            event.what,
            -1 if before is None else before.number,
            now,
            began,
            ended,
            row,
            due_to,
        )
        self.told.append(happening)
        self._latest[event.task] = happening
