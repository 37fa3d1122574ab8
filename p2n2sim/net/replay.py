"""A recorded run, once more, on other links: every task does again what it did, in the same order.

Nothing is computed. The replay goes through the same loop, processors, links and mailboxes as a run does, so
what falls on the same instant falls in the same order. It is exact where the order of a task's own steps does
not depend on time.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, cast

import numpy as np
import pandas as pd
import simpy

from p2n2sim.errors import DeadlockError, P2N2SimError
from p2n2sim.net import simloop
from p2n2sim.net.endpoint import Endpoint
from p2n2sim.net.handover import Handover
from p2n2sim.net.journal import BESIDE, joined, party_of, sessions
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


Paces = Mapping[str, Callable[[float], float]]
"""By party: by which factor work that begins at a time takes longer."""


def replay(
    events: pd.DataFrame,
    ledger: pd.DataFrame,
    parties: list[str],
    topology: Topology | Sequence[Topology],
    paces: Paces = MappingProxyType({}),
) -> Replay:
    """Replays a recorded run, session by session.

    Args:
        events: as `Network.events` made them, or `journal.joined`.
        ledger: the messages.
        parties: in the order in which they joined.
        topology: the links of the replay; several for those of each session.
        paces: whose processors are slower, and when.

    Raises:
        ReplayError: what a task did may have depended on the time, or the tables do not fit each other.
    """
    check_timeless(events)
    out, journals, depths = Replay(), list[pd.DataFrame](), dict[str, int]()
    rows = handovers = 0

    async def main(part: pd.DataFrame, links: Topology, sent: pd.DataFrame) -> None:
        loop = cast(SimLoop, asyncio.get_running_loop())
        stage = _Stage(loop, Network(loop, links, ledger=out.ledger), sent, out.marks)
        stage.join(parties, set(part["plug"]))
        for plug, end in stage.network.plugs.items():
            end.depth, end.cpu.pace = depths.get(plug, 0), paces.get(end.name)
        tasks = stage.tasks(part[part["task"] >= 0], handovers)
        if (part["kind"] == "session").any():
            stage.network.journal.session(loop.time())
        await stage.network.run(tasks)
        out.virtual_s = loop.time()
        stage.complete()
        journals.append(stage.network.events())
        for plug, end in stage.network.plugs.items():
            depths[plug] = end.depth
            out.intervals.setdefault(plug, []).extend(end.cpu.intervals)

    parts = sessions(events)
    each = [topology] * len(parts) if isinstance(topology, Topology) else topology
    try:
        for part, links in zip(parts, each, strict=True):
            sent = ledger.iloc[rows : rows + int((part["kind"] == "send").sum())]
            simloop.run(main(part, links, sent), env=simpy.Environment(out.virtual_s))
            rows += len(sent)
            handovers = max(handovers, _last_handover(part) + 1)
    except DeadlockError as error:
        raise ReplayError("the recorded events do not fit each other: the replay stands still") from error
    out.events = joined(journals)
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
        self._handovers: dict[int, Handover[None]] = {}
        self._sent: list[int] = []

    def join(self, parties: list[str], plugs: set[str]) -> None:
        """Joins the parties, and gives those a second plug that had one."""
        for party in parties:
            self._plugs[party] = self.network.join(party)
        for party in parties:
            if party + BESIDE in plugs:
                self._plugs[party + BESIDE] = self.network.aside(party)

    def tasks(self, events: pd.DataFrame, handovers: int) -> dict[str, Coroutine[Any, Any, None]]:
        """What each task does; they begin in the order in which they began.

        Args:
            events: of this session's tasks.
            handovers: number of the first handover of the session.
        """
        scripts: dict[int, list[Callable[[], Awaitable[object] | None]]] = {}
        plug = next(iter(self._plugs.values()))
        numbers = range(handovers, _last_handover(events) + 1)
        self._handovers = {number: Handover(plug) for number in numbers}
        event: Any
        for event in events.itertuples(index=False):
            scripts.setdefault(int(event.task), []).append(self._step(event))
        return {f"task {number}": _perform(steps) for number, steps in sorted(scripts.items())}

    def complete(self) -> None:
        """Puts the payloads into the ledger, which the stand-ins for the messages do not have."""
        rows = self.network.ledger.rows
        mine = len(rows) - len(self._sent)  # before them are those of earlier sessions
        rows[mine:] = [
            (*row[:5], int(self._rows[number].payload_bytes), *row[6:])
            for row, number in zip(rows[mine:], self._sent, strict=True)
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


def _last_handover(events: pd.DataFrame) -> int:
    handed = events.loc[events["kind"].isin(("give", "take")), "number"]
    return int(handed.max()) if len(handed) else -1


def _nothing() -> None:
    pass


async def _perform(steps: list[Callable[[], Awaitable[object] | None]]) -> None:
    for step in steps:
        waits = step()
        if waits is not None:
            await waits


def parties_of(events: pd.DataFrame, ledger: pd.DataFrame, compute: pd.DataFrame) -> list[str]:
    """Everybody who took part: those who computed in the order of the table, then the others."""
    plugs = [*compute["party"].unique(), *events.loc[events["kind"] != "session", "plug"].unique()]
    names = [
        *(party_of(str(plug)) for plug in plugs),
        *ledger["sender"].unique(),
        *ledger["receiver"].unique(),
    ]
    return list(dict.fromkeys(names))
