"""What every message did on its link, put together from a run folder's ledger and events.

Over links that can fail a row of the ledger is one transmission of a message: the first, a later one, or an
acknowledgement. Which is which stands in the events; see `p2n2sim.net.journal.Record`.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from p2n2sim.net.faults import Ack
from p2n2sim.net.journal import party_of, sessions
from p2n2sim.net.link import Gate
from p2n2sim.net.topology import Topology
from p2n2sim.net.unpack import unpacked
from p2n2sim.report.tables import Recorded
from p2n2sim.scenario.topology import topology

_ROUNDING = 1e-12  # relative, of a time minus a latency


@dataclass(frozen=True, slots=True)
class Flight:
    """A transmission from one party to another, times in virtual seconds.

    Attributes:
        row: its row in the ledger.
        entry: that row, with the fields of `p2n2sim.net.ledger.Entry`.
        session: in which session of the run, from 0.
        size: bytes that the parties hand to the transport: the encoding, in a frame over links that can fail.
        left_s: when its last bit left; infinite while that is not known.
        due_s: when it arrives unless a fault holds it up, or would have arrived; not before `left_s`.
        ahead: the row of the message that it queued behind on the link, -1 for none.
        number: of the message on its link, from 1; of an acknowledgement, of the message that it is about; 0
            where messages have no frames.
        attempt: which transmission of the message it is, from 1.
        earlier: row of the transmission before this one of the same message; of an acknowledgement, of what
            it acknowledges; -1 for none.
    """

    row: int
    entry: Any
    session: int
    size: int
    left_s: float
    due_s: float
    ahead: int
    number: int = 0
    attempt: int = 1
    earlier: int = -1

    @property
    def arrived(self) -> bool:
        """Whether it is known to arrive, be it after the end."""
        return bool(self.entry.arrived_s < math.inf)

    @property
    def lost(self) -> bool:
        """Whether a fault has it never arrive."""
        return math.isnan(self.entry.arrived_s)

    @property
    def carried(self) -> bool:
        """Whether its bits have left, as far as the run knows."""
        return self.left_s < math.inf

    @property
    def acknowledges(self) -> bool:
        """Whether the transport made it, to say that a message is there."""
        return self.number > 0 and self.entry.kind == Ack.__name__


def flights_of(run: Recorded) -> list[Flight]:
    """All transmissions, in the order of the ledger."""
    links = topology(run.scenario)
    out: list[Flight] = []
    for session, events in enumerate(sessions(run.events)):
        framed = bool((events["kind"] == "transmit").any())
        told = events[events["kind"] == ("transmit" if framed else "send")]
        rows = run.ledger.iloc[len(out) : len(out) + len(told)]
        out += _of_session(rows, links, session, list(told["number"]) if framed else None, len(out))
    return out


def _of_session(
    rows: pd.DataFrame, links: Topology, session: int, numbers: Sequence[int] | None, first: int
) -> Iterator[Flight]:
    sizes = unpacked(rows, links)["wire_bytes"]
    latest: dict[tuple[str, str], Flight] = {}
    tries: dict[tuple[str, str, int], list[Flight]] = defaultdict(list)
    entry: Any
    for place, (entry, size) in enumerate(zip(rows.itertuples(index=False), sizes, strict=True)):
        link = entry.sender, entry.receiver
        left = _left(entry, links)
        before = latest.get(link)
        ahead = -1
        if before is not None and entry.start_s > entry.sent_s:
            # else it waited for something else, a handshake for example
            ahead = before.row if before.left_s >= entry.start_s * (1 - _ROUNDING) else -1
        number, attempt, earlier = 0, 1, -1
        if numbers is not None:
            number = int(numbers[place])
            if entry.kind == Ack.__name__:
                there = tries[entry.receiver, entry.sender, number]
                earlier = max((f.row for f in there if f.entry.arrived_s == entry.sent_s), default=-1)
            else:
                own = tries[*link, number]
                attempt, earlier = len(own) + 1, own[-1].row if own else -1
        due = _due(entry, left, links, framed=number > 0)
        flight = Flight(first + place, entry, session, int(size), left, due, ahead, number, attempt, earlier)
        latest[link] = flight
        if number and not flight.acknowledges:
            tries[*link, number].append(flight)
        yield flight


def _left(entry: Any, links: Topology) -> float:
    """When the last bit of a transmission left: by the link's rate where that decides, else by its length."""
    link = entry.sender, entry.receiver
    spec, shared = links.spec(*link), links.through(*link)
    arrived = math.inf if math.isnan(entry.arrived_s) else entry.arrived_s
    if spec.transport == "ideal" and (links.sharing == "fcfs" or not shared):
        gates = [Gate(neck.bandwidth, neck.steps) for neck in shared.values()]
        gates.append(Gate(spec.bandwidth, spec.steps))
        left = max(gate.done(entry.start_s, entry.wire_bytes) for gate in gates)
    elif math.isnan(entry.arrived_s):
        left = entry.start_s + 8 * entry.wire_bytes / links.slowest(*link)
    else:
        left = entry.arrived_s - spec.latency
    return float(min(max(left, entry.start_s), arrived))


def _due(entry: Any, left: float, links: Topology, *, framed: bool) -> float:
    spec = links.spec(entry.sender, entry.receiver)
    if math.isnan(entry.arrived_s):
        return float(left + spec.latency)
    held = entry.arrived_s - (left + spec.latency)
    if not framed or held <= spec.jitter + _ROUNDING * entry.arrived_s:
        return float(entry.arrived_s)
    return float(left + spec.latency)


@dataclass(frozen=True, slots=True)
class Delivery:
    """How a message came to be there for its receiver to take.

    Attributes:
        row: of the transmission that brought it.
        by: of the transmission that made it available: the same, or of a message before it on the link that
            came later.
        time_s: when that was, in virtual seconds.
    """

    row: int
    by: int
    time_s: float


def deliveries_of(run: Recorded, flights: list[Flight]) -> dict[tuple[int, str, str, int], Delivery]:
    """By session, sender, receiver and number, over links that can fail: what was delivered."""
    accepted = run.events.loc[run.events["kind"] == "accept", "number"]
    streams: dict[tuple[int, str, str], list[Flight]] = defaultdict(list)
    for row in accepted:
        flight = flights[int(row)]
        streams[flight.session, flight.entry.sender, flight.entry.receiver].append(flight)
    out = {}
    for stream, own in streams.items():
        by: Flight | None = None
        for flight in sorted(own, key=lambda f: f.number):
            if by is None or flight.entry.arrived_s > by.entry.arrived_s:
                by = flight
            out[*stream, flight.number] = Delivery(flight.row, by.row, by.entry.arrived_s)
    return out


def sender_of(event: Any) -> tuple[str, str, str]:
    """Sender, receiver and kind of what an event sends."""
    return party_of(event.plug), event.peer, event.what
