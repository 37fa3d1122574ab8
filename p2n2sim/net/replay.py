"""A recorded run, once more, on other links: every task does again what it did, in the same order.

Nothing is computed. The replay goes through the same loop, processors, links and mailboxes as a run does, so
what falls on the same instant falls in the same order. It is exact where the order of a task's own steps does
not depend on time.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import pandas as pd

from p2n2sim.errors import DeadlockError, P2N2SimError
from p2n2sim.net import simloop
from p2n2sim.net.endpoint import Endpoint
from p2n2sim.net.handover import Handover
from p2n2sim.net.journal import BESIDE, party_of
from p2n2sim.net.ledger import Ledger
from p2n2sim.net.network import Network
from p2n2sim.net.route import Channel
from p2n2sim.net.simloop import SimLoop
from p2n2sim.net.topology import Topology
from p2n2sim.wire import Message

_TIMES = ("sent_s", "start_s", "arrived_s")


class ReplayError(P2N2SimError):
    """A recorded run that cannot be replayed."""


@dataclass
class Replay:
    """What a replay leaves behind.

    Attributes:
        ledger: every message.
        intervals: plug -> (start, end, label) of its work, in virtual seconds.
        marks: what, number and virtual time in seconds of each mark.
        events: as `Network.events` tells of it.
        virtual_s: the clock at the end.
    """

    ledger: Ledger = field(default_factory=Ledger)
    intervals: dict[str, list[tuple[float, float, str]]] = field(default_factory=dict)
    marks: list[tuple[str, int, float]] = field(default_factory=list)
    events: pd.DataFrame = field(default_factory=pd.DataFrame)
    virtual_s: float = 0.0


def replay(events: pd.DataFrame, ledger: pd.DataFrame, parties: list[str], topology: Topology) -> Replay:
    """Replays a recorded run.

    Args:
        events: as `Network.events` made them.
        ledger: the messages.
        parties: in the order in which they joined.
        topology: the links of the replay.

    Raises:
        ReplayError: what a task did may have depended on the time, or the tables do not fit each other.
    """
    check_timeless(events)
    out = Replay()

    async def main() -> None:
        loop = cast(SimLoop, asyncio.get_running_loop())
        stage = _Stage(loop, Network(loop, topology, ledger=out.ledger), ledger, out.marks)
        stage.join(parties, set(events["plug"]))
        tasks = stage.tasks(events)
        await stage.network.run(tasks)
        out.virtual_s = loop.time()
        out.intervals = stage.network.intervals()
        out.events = stage.network.events()
        stage.complete()

    try:
        simloop.run(main())
    except DeadlockError as error:
        raise ReplayError("the recorded events do not fit each other: the replay stands still") from error
    return out


def check_timeless(events: pd.DataFrame) -> None:
    """Checks that no task looked at the clock.

    Raises:
        ReplayError: one waited with a timeout.
    """
    for event in events[events["kind"].isin(("deadline", "left"))].itertuples():
        raise ReplayError(
            f"{event.plug} waits for {event.what} from {event.peer} with a timeout: "
            "what it does next may depend on the links"
        )


def check_explained(recorded: pd.DataFrame, replayed: Replay) -> None:
    """Checks that a replay on the recorded links gives every time in the ledger again.

    Raises:
        ReplayError: some time has another reason, a timer for example.
    """
    own = replayed.ledger.frame()
    for column in _TIMES:
        same = recorded[column].to_numpy() == own[column].to_numpy()
        if not same.all():
            row = recorded.iloc[int(np.argmin(same))]
            raise ReplayError(
                f"{row['kind']} from {row['sender']} to {row['receiver']} at t = {row['sent_s']:.9g} s "
                "waited for something that is no message, computation or handover"
            )


class _Stage:
    """A network on which recorded tasks run."""

    def __init__(
        self, loop: SimLoop, network: Network, ledger: pd.DataFrame, marks: list[tuple[str, int, float]]
    ) -> None:
        self.network = network
        self._loop = loop
        self._marks = marks
        self._rows: list[Any] = list(ledger.itertuples(index=False))
        self._next: dict[tuple[str, str, str], deque[int]] = defaultdict(
            deque
        )  # rows that are still to be sent
        for number, row in enumerate(self._rows):
            self._next[row.sender, row.receiver, row.kind].append(number)
        self._kinds: dict[str, type[Message]] = {}
        self._sizes: dict[tuple[str, str, str, str, int], type[Message]] = {}
        self._plugs: dict[str, Endpoint] = {}
        self._handovers: list[Handover[None]] = []
        self._sent: list[int] = []

    def join(self, parties: list[str], plugs: set[str]) -> None:
        """Joins the parties, and gives those a second plug that had one."""
        for party in parties:
            self._plugs[party] = self.network.join(party)
        for party in parties:
            if party + BESIDE in plugs:
                self._plugs[party + BESIDE] = self.network.aside(party)

    def tasks(self, events: pd.DataFrame) -> dict[str, Coroutine[Any, Any, None]]:
        """What each task does; they begin in the order in which they began."""
        scripts: dict[int, list[Callable[[], Awaitable[object] | None]]] = {}
        handed = events.loc[events["kind"].isin(("give", "take")), "number"]
        plug = next(iter(self._plugs.values()))
        self._handovers = [Handover(plug) for _ in range(int(handed.max()) + 1 if len(handed) else 0)]
        event: Any
        for event in events.itertuples(index=False):
            scripts.setdefault(int(event.task), []).append(self._step(event))
        return {f"task {number}": _perform(steps) for number, steps in sorted(scripts.items())}

    def complete(self) -> None:
        """Puts the payloads into the ledger, which the stand-ins for the messages do not have."""
        rows = self.network.ledger.rows
        rows[:] = [
            (*row[:5], int(self._rows[number].payload_bytes), *row[6:])
            for row, number in zip(rows, self._sent, strict=True)
        ]

    def _step(self, event: Any) -> Callable[[], Awaitable[object] | None]:
        plug, kind = self._plugs[event.plug], event.kind
        if kind == "send":
            return self._sending(plug, event.peer, event.what, event.number)
        if kind == "receive":
            stand_in = self._kind(event.what)
            return lambda: plug.recv(event.peer, stand_in)
        if kind == "compute":
            return lambda: plug.compute(_nothing, event.seconds, label=event.what)
        if kind == "mark":
            return lambda: self._mark(plug, event.what, event.number)
        handover = self._handovers[event.number]
        if kind == "give":
            return lambda: handover.give(plug, None)
        return lambda: handover.take(plug)

    def _sending(self, plug: Endpoint, receiver: str, kind: str, size: int) -> Callable[[], None]:
        waiting = self._next[plug.name, receiver, kind]
        if not waiting:
            raise ReplayError(f"the ledger lacks a message {kind} from {plug.name} to {receiver}")
        number = waiting.popleft()
        row = self._rows[number]
        message = self._stand_in(row, int(row.wire_bytes) if size < 0 else int(size))

        def send() -> None:
            self._sent.append(number)
            plug.send(receiver, message)

        return send

    def _stand_in(self, row: Any, size: int) -> Message:
        """Something to send in place of a message: of its size, without anything in it."""
        key = (row.sender, row.receiver, row.kind, row.phase, size)
        kind = self._sizes.get(key)
        if kind is None:
            kind = self._sizes[key] = _new_kind(row.kind)
            take = self._plugs[row.receiver].mailbox(row.sender, self._kind(row.kind)).deliver
            channel = Channel(take, row.phase, row.kind, size)
            self.network.add_channel(row.sender, row.receiver, kind, channel)
        return kind(int(row.step))

    def _kind(self, name: str) -> type[Message]:
        return self._kinds.setdefault(name, _new_kind(name))

    def _mark(self, plug: Endpoint, what: str, number: int) -> None:
        self._marks.append((what, number, self._loop.time()))
        plug.note("mark", what, number)


def _new_kind(name: str) -> type[Message]:
    return type(name, (Message,), {"__slots__": (), "__post_init__": lambda self: None})


def _nothing() -> None:
    pass


async def _perform(steps: list[Callable[[], Awaitable[object] | None]]) -> None:
    for step in steps:
        waits = step()
        if waits is not None:
            await waits


def parties_of(events: pd.DataFrame, ledger: pd.DataFrame, compute: pd.DataFrame) -> list[str]:
    """Everybody who took part: those who computed in the order of the table, then the others."""
    plugs = [*compute["party"].unique(), *events["plug"].unique()]
    names = [
        *(party_of(str(plug)) for plug in plugs),
        *ledger["sender"].unique(),
        *ledger["receiver"].unique(),
    ]
    return list(dict.fromkeys(names))
