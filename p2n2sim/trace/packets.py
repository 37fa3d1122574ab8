"""The TCP segments that the messages of a run would be: synthetic, with virtual times.

One connection for each pair of parties that talk in a session. A message is cut into segments of at most
`MSS` bytes, each stamped when its last bit leaves its sender; the receiver acknowledges a message when it is
there. What the segments carry is what the parties hand to the transport: the encodings of their messages, in
frames over links that can fail. Headers, records and frames that a transport adds are in the times alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from p2n2sim.net.topology import Topology
from p2n2sim.trace.connection import Connection, Rows, closing, opening
from p2n2sim.trace.flights import Flight
from p2n2sim.trace.story import Session, Story
from p2n2sim.trace.tcp import ACK, COLUMNS, PSH

MSS = 1460
"""Bytes of payload in a segment: an Ethernet frame's 1500 without the headers of IPv4 and TCP."""

_DATA, _RECEIPT = 0, 1
_NS = 1e9


@dataclass(frozen=True, slots=True)
class Segments:
    """Segments in the order of their times; every attribute has one number for each.

    Attributes:
        time_ns: since the beginning of the run.
        source: number of the party that sends it.
        target: of the one that receives it.
        source_port: of the connection at the sender.
        target_port: at the receiver.
        sequence: number of the first byte, or of the SYN or FIN.
        acknowledged: number of the byte that is expected next; 0 in the first segment.
        flags: `FIN`, `SYN`, `RST`, `PSH`, `ACK`.
        length: bytes of payload.
        row: of the ledger, for the message that it carries; -1 without payload.
        offset: where its payload begins in the message.
    """

    time_ns: NDArray[np.int64]
    source: NDArray[np.int64]
    target: NDArray[np.int64]
    source_port: NDArray[np.int64]
    target_port: NDArray[np.int64]
    sequence: NDArray[np.uint32]
    acknowledged: NDArray[np.uint32]
    flags: NDArray[np.int64]
    length: NDArray[np.int64]
    row: NDArray[np.int64]
    offset: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.time_ns)


def segments(story: Story, links: Topology, parties: list[str]) -> Segments:
    """The segments of all messages that left their sender, those that never arrive included.

    Args:
        story: of a run.
        links: of the run.
        parties: their names; a party's number is its position.
    """
    pairs: dict[tuple[int, frozenset[str]], list[Flight]] = {}
    for flight in story.carried:
        ends = frozenset((flight.entry.sender, flight.entry.receiver))
        pairs.setdefault((flight.session, ends), []).append(flight)
    parts = [
        _segments(Connection(own, links, story.sessions[session], position), parties)
        for position, ((session, _), own) in enumerate(pairs.items())
    ]
    if not parts:
        parts = [np.empty((len(COLUMNS), 0), np.int64)]
    table = np.concatenate(parts, axis=1)
    table = table[:, np.lexsort((table[COLUMNS.index("order")], table[COLUMNS.index("time_ns")]))]
    columns = {name: table[place] for place, name in enumerate(COLUMNS) if name != "order"}
    wrapped = {name: columns.pop(name).astype(np.uint32) for name in ("sequence", "acknowledged")}
    return Segments(**columns, **wrapped)


def _segments(connection: Connection, parties: list[str]) -> Rows:
    """A connection from its first to its last segment; numbers of bytes are not wrapped yet."""
    number = {end: parties.index(end) for end in connection.ends}
    sent = {end: connection.first[end] + 1 for end in connection.ends}  # the SYN counts as a byte
    left = dict.fromkeys(connection.ends, 0)  # when the latest one left; nothing overtakes on a connection
    rows: list[Rows] = []
    for flight in connection.flights:
        entry = flight.entry
        ends = number[entry.sender], number[entry.receiver]
        told = _told(flight, connection.session)
        rows.append(_message(flight, *ends, sent[entry.sender], left[entry.sender], told=told))
        left[entry.sender] = int(rows[-1][0, rows[-1][_LENGTH] > 0].max())
        sent[entry.sender] += flight.size
    table = np.concatenate(rows, axis=1)
    table = table[:, np.lexsort((table[1], table[0]))]
    keep = np.ones(table.shape[1], bool)
    for end, other in (connection.ends, connection.ends[::-1]):
        expected = connection.first[other] + 1
        keep &= _numbered(table, number[end], connection.first[end] + 1, expected)
    table = table[:, keep]
    first, last = int(table[0, 0]), int(table[0, -1])
    whole = [opening(connection, number, first), table, closing(connection, number, sent, last)]
    out = np.concatenate(whole, axis=1)
    client = out[2] == number[connection.ends[0]]
    out[4] = np.where(client, connection.ports[0], connection.ports[1])
    out[5] = np.where(client, connection.ports[1], connection.ports[0])
    return out


_SEQUENCE, _ACKNOWLEDGED, _FLAGS, _LENGTH, _ROW, _OFFSET = (
    COLUMNS.index(name) for name in ("sequence", "acknowledged", "flags", "length", "row", "offset")
)


def _told(flight: Flight, session: Session) -> bool:
    """Whether the receiver gets a message and can say so."""
    crashed = dict(session.crashes).get(flight.entry.receiver)
    return flight.arrived and (crashed is None or flight.entry.arrived_s < crashed)


def _message(flight: Flight, source: int, target: int, sequence: int, earliest: int, *, told: bool) -> Rows:
    """A message's segments and, if it is told, its acknowledgement, which says how far it reaches."""
    entry, size = flight.entry, flight.size
    count = -(-size // MSS)
    ends = np.minimum(np.arange(1, count + 1) * MSS, size)  # (count,), bytes
    lengths = np.diff(ends, prepend=0)
    times = entry.start_s + (flight.left_s - entry.start_s) * (ends / size)
    out = np.zeros((len(COLUMNS), count + told), np.int64)
    out[0, :count] = np.maximum(np.round(times * _NS), earliest)
    out[1, :count] = 2 * flight.row + _DATA
    out[2, :count], out[3, :count] = source, target
    out[_SEQUENCE, :count] = sequence + ends - lengths
    out[_FLAGS] = ACK
    out[_FLAGS, count - 1] |= PSH
    out[_LENGTH, :count] = lengths
    out[_ROW, :count], out[_OFFSET, :count] = flight.row, ends - lengths
    if told:
        out[0, count] = max(round(entry.arrived_s * _NS), int(out[0, count - 1]))
        out[1, count] = 2 * flight.row + _RECEIPT
        out[2, count], out[3, count] = target, source
        out[_ACKNOWLEDGED, count] = sequence + size
        out[_ROW, count] = -1
    return out


def _numbered(table: Rows, end: int, own: int, other: int) -> NDArray[np.bool_]:
    """Completes the numbers in one party's segments, and tells which are needed.

    Every segment acknowledges as far as its sender has acknowledged before; an acknowledgement stands where
    its sender goes on. One that says nothing new, as others have arrived before, is not needed.

    Args:
        table: of a connection, in order.
        end: the party.
        own: number of its first byte.
        other: of the other's first byte.
    """
    mine = table[2] == end
    data = table[_LENGTH, mine] > 0
    told = np.maximum(np.maximum.accumulate(table[_ACKNOWLEDGED, mine]), other)
    table[_ACKNOWLEDGED, mine] = told
    reach = np.where(data, table[_SEQUENCE, mine] + table[_LENGTH, mine], 0)
    table[_SEQUENCE, mine] = np.where(
        data, table[_SEQUENCE, mine], np.maximum(np.maximum.accumulate(reach), own)
    )
    needed = np.ones(table.shape[1], bool)
    needed[mine] = data | (np.diff(told, prepend=other) > 0)
    return needed
