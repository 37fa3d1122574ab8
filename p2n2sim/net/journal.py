"""What happened in which order in every task: with the ledger, enough to tell why every time is what it is.

The ledger says when a message was sent and when it arrived, the processors when work was done. The journal
adds the order in which each task did its part: so what is sent is known to follow what was taken and computed
before it, and a time is either explained by these or by something that waits for time to pass.

A trail is kept of tokens that are there anyway: the channel of a message that is sent, the mailbox from which
one is taken, the mailbox's sign of waiting. No time and no task is entered. The tasks run one at a time, from
one wait to the next, and the message that ends a wait is entered where the wait ends: that gives the tasks.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from p2n2sim.errors import InputError


class Record(NamedTuple):
    """Something that a task did.

    Attributes:
        task: number of the task, in the order in which they first did something; -1 for what no task does.
        plug: the party, or its second plug.
        kind: ``send``, ``receive`` (took a message), ``compute``, ``give`` and ``take`` (a handover within
            the party), ``mark`` (nothing happens, somebody wanted to know when), ``deadline`` (waits for what
            comes next with a timeout), ``left`` (a wait that was given up). No task does: ``session`` (the
            parties begin, together), ``crash`` (a party stops), and over links that can fail ``transmit`` (a
            frame is put on its link, the ledger's next row) and ``accept`` (the receiver has it, for the
            first time).
        peer: to whom or from whom.
        what: kind of the message, label of the work, name of the mark.
        number: of the computation on its processor, of the handover, of the mark; of a message sent its own
            bytes, where a transport adds to them; of a frame transmitted its number on its link; of one
            accepted its row in the ledger; -1 for others.
        seconds: what a computation takes on its processor; for how long it is waited with a ``deadline``, and
            was with one that ``left`` for it; virtual time of a ``session`` and a ``crash``, which no other
            row explains; NaN for others.
    """

    task: int
    plug: str
    kind: str
    peer: str
    what: str
    number: int
    seconds: float


Meaning = tuple[str, str, str, str]
"""Of a token: ``send``, ``receive`` or ``wait``; the plug, the peer, the message's kind."""


class Journal:
    """The trail of a run.

    Attributes:
        trail: tokens in the order in which things happened: channels, mailboxes and their signs of waiting,
            which the network explains, and tuples that explain themselves.
    """

    def __init__(self) -> None:
        self.trail: list[Any] = []
        self._handovers = 0

    def session(self, now: float) -> None:
        """The parties begin, at a virtual time in seconds, with nothing on its way."""
        self.trail.append(("session", "", now))

    def crash(self, party: str, now: float) -> None:
        """A party stops, at a virtual time in seconds."""
        self.trail.append(("crash", party, now))

    def transmit(self, sender: str, receiver: str, what: str, number: int) -> None:
        """The frame of a message, the ledger's next row, is put on its link."""
        self.trail.append(("transmit", sender, receiver, what, number))

    def accept(self, receiver: str, sender: str, what: str, row: int) -> None:
        """What was transmitted with a row of the ledger is there, and was not there before."""
        self.trail.append(("accept", receiver, sender, what, row))

    def new_handover(self) -> int:
        """A number for a further handover between two tasks of a party."""
        self._handovers += 1
        return self._handovers - 1

    def frame(self, meanings: Mapping[int, Meaning]) -> pd.DataFrame:
        """A row for each `Record`, in the order in which they happened; a computation where it began.

        Args:
            meanings: of the network's own tokens, by their id.
        """
        reader = _Reader()
        for token in self.trail:
            meaning = meanings.get(id(token))
            if meaning is None:
                reader.read_own(token)
            else:
                reader.read(*meaning)
        return pd.DataFrame(reader.records(), columns=list(Record._fields))


class _Task:
    """A task as far as it has been read."""

    def __init__(self, number: int, party: str) -> None:
        self.number, self.party, self.plug = number, party, ""


class _Reader:
    """Tells from a trail which task did what: a step of a task begins where a wait ends, or a task does."""

    def __init__(self) -> None:
        self._tasks: list[_Task] = []
        self._rows: list[tuple[_Task, tuple[str, str, str, int, float]]] = []
        self._running: _Task | None = None
        self._waiting: dict[object, _Task] = {}

    def read(self, kind: str, plug: str, peer: str, what: str) -> None:
        """A token of the network."""
        if kind == "wait":
            self._wait(("message", plug, peer, what), plug)
            return
        if kind == "receive":
            self._wake(("message", plug, peer, what))
            self._task(plug).plug = plug
        self._enter(self._task(plug), kind, peer, what)

    def read_own(self, token: tuple[Any, ...]) -> None:
        """A token that explains itself: what it is, the plug, and further parts."""
        kind, plug, *about = token
        if kind == "start":
            number, seconds, label = about
            task = self._task(plug)
            task.plug = plug
            self._enter(task, "compute", "", label, number, seconds)
            self._wait(("work", plug, number), plug)
        elif kind == "done":
            self._wake(("work", plug, *about))
        elif kind == "wait":
            self._wait(("handover", *about), plug)
        elif kind == "sized":
            task, (sent, peer, what, _, seconds) = self._rows[-1]
            self._rows[-1] = task, (sent, peer, what, *about, seconds)
        elif kind in ("transmit", "accept"):
            self._enter(_Task(-1, plug), kind, *about)
        elif kind in ("session", "crash"):
            self._enter(_Task(-1, plug), kind, seconds=about[0])
        elif kind == "left":
            peer, what, seconds = about
            self._wake(("message", plug, peer, what))
            self._enter(self._task(plug), "left", peer, what, seconds=seconds)
        elif kind == "deadline":
            peer, what, seconds = about
            self._enter(self._task(plug), "deadline", peer, what, seconds=seconds)
        elif kind == "mark":
            what, number = about
            self._enter(self._task(plug), "mark", "", what, number)
        else:
            (number,) = about
            if kind == "take":
                self._wake(("handover", number))
            task = self._task(plug)
            task.plug = plug
            self._enter(task, kind, "", "", number)

    def records(self) -> list[Record]:
        """What has been read."""
        return [
            Record(task.number, task.plug or task.party, kind, peer, what, number, seconds)
            for task, (kind, peer, what, number, seconds) in self._rows
        ]

    def _enter(
        self,
        task: _Task,
        kind: str,
        peer: str = "",
        what: str = "",
        number: int = -1,
        seconds: float = math.nan,
    ) -> None:
        self._rows.append((task, (kind, peer, what, number, seconds)))

    def _task(self, plug: str) -> _Task:
        """Who runs; a task that was not heard of before, unless it is of the same party."""
        party = party_of(plug)
        if self._running is None or self._running.party != party:
            self._running = _Task(len(self._tasks), party)
            self._tasks.append(self._running)
        return self._running

    def _wait(self, for_what: object, plug: str) -> None:
        self._waiting[for_what] = self._task(plug)
        self._running = None

    def _wake(self, by_what: object) -> None:
        if by_what in self._waiting:
            self._running = self._waiting.pop(by_what)


BESIDE = " (offline)"
"""Ends the name of a party's second plug."""


def party_of(plug: str) -> str:
    """The party of a plug."""
    return plug.removesuffix(BESIDE)


def joined(journals: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The events of runs that follow each other, as one table; tasks, work and handovers numbered on.

    Args:
        journals: as `Journal.frame` makes them; none of them is changed.
    """
    if len(journals) == 1:
        return journals[0]
    out = [pd.DataFrame([], columns=list(Record._fields))]
    tasks = handovers = 0
    jobs: Counter[str] = Counter()
    for events in journals:
        kind, number = events["kind"], events["number"]
        handed = kind.isin(("give", "take"))
        work = kind == "compute"
        number = number.where(~handed, number + handovers)
        number = number.where(~work, number + events["plug"].map(jobs).astype(int))
        task = events["task"]
        out.append(events.assign(task=task.where(task < 0, task + tasks), number=number))
        tasks += int(events["task"].max()) + 1 if len(events) else 0
        handovers += int(events.loc[handed, "number"].max()) + 1 if handed.any() else 0
        jobs.update(events.loc[work, "plug"])
    return pd.concat(out[1:] or out, ignore_index=True)


def sessions(events: pd.DataFrame) -> list[pd.DataFrame]:
    """The events of each session; what is recorded without any is one.

    Args:
        events: of a whole run; what is returned are parts of it, with their index.
    """
    begins = [int(place) for place in np.flatnonzero(events["kind"] == "session")]
    edges = [0, *(place for place in begins if place), len(events)]
    return [events.iloc[first:last] for first, last in pairwise(edges)]


def check(events: pd.DataFrame, where: str) -> pd.DataFrame:
    """A table that was read from a file, if it has the columns of a journal.

    Raises:
        InputError: it has not.
    """
    if tuple(events.columns) != Record._fields:
        raise InputError(where, "the file is damaged (not a journal's columns)", "run the scenario again")
    return events
