"""What every task did and when, put together from a run folder's tables."""

from __future__ import annotations

import dataclasses
import math
from collections import defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from p2n2sim.net.journal import party_of, sessions
from p2n2sim.report.tables import Recorded
from p2n2sim.trace.flights import Delivery, Flight, deliveries_of, flights_of, sender_of


@dataclass(frozen=True, slots=True)
class Happening:
    """One thing that a task did, times in virtual seconds.

    Attributes:
        number: in the order of the run.
        session: in which session of the run, from 0.
        task: which task.
        plug: the party, or its second plug.
        kind: as in `p2n2sim.net.journal.Record`.
        what: kind of message, label of the work, or name of the mark.
        before: number of what the task did before, -1 for nothing.
        reached_s: when the task came to it.
        began_s: when work began; the same as `reached_s` for everything else.
        ended_s: when the task went on, or was stopped.
        row: the ledger's row of what is sent or received, -1 for others, and for what a crashed party sends.
        by: of a message received, the row whose arrival let it be taken; -1 for others.
        due_to: number of the ``give`` that a ``take`` takes; of the work on the same processor that a
            computation queued behind; -1 for none.
        cut: whether it was work that a crash, or the end of the session, cut short.
    """

    number: int
    session: int
    task: int
    plug: str
    kind: str
    what: str
    before: int
    reached_s: float
    began_s: float
    ended_s: float
    row: int
    by: int
    due_to: int
    cut: bool


@dataclass(frozen=True, slots=True)
class Session:
    """What lies between two checkpoints, a crash and the next attempt, or the beginning and the end.

    Attributes:
        began_s: when its parties began.
        until_s: when the next one began; the end of the run.
        crashes: party and time of each, in order.
    """

    began_s: float
    until_s: float
    crashes: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class Story:
    """A whole run.

    Attributes:
        happenings: in order.
        flights: all transmissions, in the order of the ledger.
        sent_by: for each row of the ledger, the number of the happening that sent it; -1 for what the
            transport sends by itself, again or as an acknowledgement.
        sessions: in order.
        virtual_s: the clock at the end.
    """

    happenings: list[Happening]
    flights: list[Flight]
    sent_by: list[int]
    sessions: list[Session]
    virtual_s: float

    @property
    def carried(self) -> list[Flight]:
        """What has left its sender, as far as the run knows; some of it never arrives."""
        return [flight for flight in self.flights if flight.carried]


def tell(run: Recorded) -> Story:
    """Puts the tables of a finished run together."""
    end = float(run.summary["time"]["virtual_s"])
    parts = sessions(run.events)
    told = _sessions(parts, end)
    teller = _Teller(run, flights_of(run))
    for session, events in zip(told, parts, strict=True):
        teller.begin(session)
        for event in events.itertuples(index=False):
            teller.hear(event)
    return Story(teller.told, teller.flights, teller.sent_by, told, end)


def _sessions(parts: list[pd.DataFrame], end: float) -> list[Session]:
    began = []
    for events in parts:
        times = events.loc[events["kind"] == "session", "seconds"]
        began.append(float(times.iloc[0]) if len(times) else 0.0)
    out = []
    for start, until, events in zip(began, [*began[1:], end], parts, strict=True):
        crashes = events[events["kind"] == "crash"]
        out.append(Session(start, until, tuple(zip(crashes["plug"], crashes["seconds"], strict=True))))
    return out


class _Teller:
    """Gives every event its times: those of the tables, else the time at which its task came to it."""

    def __init__(self, run: Recorded, flights: list[Flight]) -> None:
        self.told: list[Happening] = []
        self.flights = flights
        self.sent_by = [-1] * len(flights)
        self._deliveries: Mapping[tuple[int, str, str, int], Delivery] = deliveries_of(run, flights)
        self._next = 0  # row of the ledger
        self._number = -1  # of the session
        self._session = Session(0.0, 0.0, ())
        self._framed = bool((run.events["kind"] == "transmit").any())
        self._unsent: Happening | None = None  # its row comes next, over links that can fail
        self._coming: dict[tuple[str, str, str], deque[int]] = defaultdict(deque)
        self._work = {
            plug: list(zip(own["start_s"], own["end_s"], strict=True))
            for plug, own in run.compute.groupby("party", sort=False)
        }
        self._worked: dict[tuple[str, int], int] = {}  # plug and number there -> number of the happening
        self._given: dict[int, deque[int]] = defaultdict(deque)
        self._latest: dict[int, Happening] = {}
        self._limits: dict[str, float] = {}

    def begin(self, session: Session) -> None:
        """A new session: nothing is on its way, and who crashed is there again."""
        self._number += 1
        self._session = session
        self._coming.clear()
        self._limits = dict(session.crashes)

    def hear(self, event: Any) -> None:
        """The next event."""
        if event.kind == "transmit":
            self._transmitted(event)
        elif event.task >= 0:
            self._unsent = None
            self._enter(event)

    def _transmitted(self, event: Any) -> None:
        row, self._next = self._next, self._next + 1
        flight, sent = self.flights[row], self._unsent
        if sent is not None and flight.attempt == 1 and not flight.acknowledges:
            self._send(row, sent.number, sender_of(event))
            self._replace(sent, row)
        self._unsent = None

    def _send(self, row: int, number: int, link: tuple[str, str, str]) -> None:
        self.sent_by[row] = number
        self._coming[link].append(row)

    def _replace(self, it: Happening, row: int) -> None:
        """A message turns out to have gone out."""
        at = float(self.flights[row].entry.sent_s)
        sent = dataclasses.replace(it, began_s=at, ended_s=at, row=row)
        self.told[it.number] = self._latest[it.task] = sent

    def _enter(self, event: Any) -> None:
        before = self._latest.get(event.task)
        now = self._session.began_s if before is None else before.ended_s
        number = len(self.told)
        row = by = due_to = -1
        began = ended = now
        cut = False
        if event.kind == "send" and not self._framed:
            row, self._next = self._next, self._next + 1
            self._send(row, number, sender_of(event))
            began = ended = float(self.flights[row].entry.sent_s)
        elif event.kind == "receive":
            row, by, there = self._taken(event)
            ended = max(now, there)
        elif event.kind == "compute":
            began, ended, cut = self._worked_at(event)
            self._worked[event.plug, event.number] = number
            if began > now:
                due_to = self._worked.get((event.plug, event.number - 1), -1)
        elif event.kind == "give":
            self._given[event.number].append(number)
        elif event.kind == "take":
            due_to = self._given[event.number].popleft()
            ended = max(now, self.told[due_to].ended_s)
        elif event.kind == "left" and not math.isnan(event.seconds):
            ended = now + event.seconds
        happening = Happening(
            number,
            self._number,
            event.task,
            event.plug,
            event.kind,
            event.what,
            -1 if before is None else before.number,
            now,
            began,
            ended,
            row,
            by,
            due_to,
            cut,
        )
        self.told.append(happening)
        self._latest[event.task] = happening
        if event.kind == "send" and self._framed:
            self._unsent = happening

    def _taken(self, event: Any) -> tuple[int, int, float]:
        """Of a message taken: the row that brought it, the row that made it available, and when."""
        link = event.peer, party_of(event.plug)
        first = self.flights[self._coming[*link, event.what].popleft()]
        if not self._framed:
            return first.row, first.row, float(first.entry.arrived_s)
        it = self._deliveries[self._number, *link, first.number]
        return it.row, it.by, it.time_s

    def _worked_at(self, event: Any) -> tuple[float, float, bool]:
        """When work began and ended, and whether the party's crash or the end of the session cut it short."""
        limit = self._limits.get(party_of(event.plug), self._session.until_s)
        began, ended = self._work[event.plug][event.number]
        return min(began, limit), min(ended, limit), ended > limit
