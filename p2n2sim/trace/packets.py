"""The TCP segments that the messages of a run would be: synthetic, with virtual times.

One connection for each pair of parties that talk. A message is cut into segments of at most `MSS` bytes, each
stamped when its last bit leaves its sender; the receiver acknowledges a message when it is there. The
handshake takes no time: it stands at the instant of the pair's first segment. The bytes are those of the
ledger's ``wire_bytes``; what segments and acknowledgements would add on a real link is not in the times.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from p2n2sim.trace.story import Flight

MSS = 1460
"""Bytes of payload in a segment: an Ethernet frame's 1500 without the headers of IPv4 and TCP."""

FIN, SYN, PSH, ACK = 1, 2, 8, 16
_SERVER_PORT, _FIRST_CLIENT_PORT = 61_000, 49_152
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
        sequence: number of the first byte, or of the SYN.
        acknowledged: number of the byte that is expected next; 0 in the first segment.
        flags: `SYN`, `PSH`, `ACK`.
        length: bytes of payload.
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

    def __len__(self) -> int:
        return len(self.time_ns)


def segments(flights: list[Flight], parties: list[str]) -> Segments:
    """The segments of all messages.

    Args:
        flights: the messages that arrived.
        parties: their names; a party's number is its position.
    """
    number = {party: position for position, party in enumerate(parties)}
    pairs: dict[tuple[int, int], list[Flight]] = {}
    for flight in flights:
        ends = number[flight.entry.sender], number[flight.entry.receiver]
        pairs.setdefault((min(ends), max(ends)), []).append(flight)
    parts = [_connection(number, position, own) for position, own in enumerate(pairs.values())]
    if not parts:
        parts = [np.empty((len(_COLUMNS), 0), np.int64)]
    table = np.concatenate(parts, axis=1)
    table = table[:, np.lexsort((table[_ORDER], table[_TIME]))]
    columns = {name: table[row] for row, name in enumerate(_COLUMNS) if name != "order"}
    wrapped = {name: columns.pop(name).astype(np.uint32) for name in ("sequence", "acknowledged")}
    return Segments(**columns, **wrapped)


_COLUMNS = (
    "time_ns",
    "order",
    "source",
    "target",
    "source_port",
    "target_port",
    "sequence",
    "acknowledged",
    "flags",
    "length",
)
_TIME, _ORDER = 0, 1


def _connection(number: dict[str, int], position: int, flights: list[Flight]) -> NDArray[np.int64]:
    """One pair's segments, a column of `_COLUMNS` each; numbers of bytes are not wrapped yet."""
    client = number[flights[0].entry.sender]
    server = number[flights[0].entry.receiver]
    port = _FIRST_CLIENT_PORT + position % (_SERVER_PORT - _FIRST_CLIENT_PORT)
    first = {end: zlib.crc32(f"{position} {end}".encode()) for end in (client, server)}
    sent = {end: first[end] + 1 for end in (client, server)}  # the SYN counts as a byte
    left = {client: 0, server: 0}  # when the latest one left; nothing overtakes on a connection
    rows: list[NDArray[np.int64]] = []
    for flight in flights:
        source, target = number[flight.entry.sender], number[flight.entry.receiver]
        rows.append(_message(flight, source, target, sent[source], left[source]))
        left[source] = int(rows[-1][0, -2])
        sent[source] += int(flight.entry.wire_bytes)
    table = np.concatenate(rows, axis=1)  # time, order, source, target, sequence, acknowledged, flags, length
    table = table[:, np.lexsort((table[1], table[0]))]
    for end, other in ((client, server), (server, client)):
        _number(table, end, first[end] + 1, first[other] + 1)
    ports = np.where(table[2] == client, port, _SERVER_PORT), np.where(table[2] == client, _SERVER_PORT, port)
    whole = np.stack([*table[:4], *ports, *table[4:]])
    began = int(table[0, 0])
    a, b = first[client], first[server]
    hands = [
        (began, -3, client, server, port, _SERVER_PORT, a, 0, SYN, 0),
        (began, -2, server, client, _SERVER_PORT, port, b, a + 1, SYN | ACK, 0),
        (began, -1, client, server, port, _SERVER_PORT, a + 1, b + 1, ACK, 0),
    ]
    return np.concatenate([np.array(hands, np.int64).T, whole], axis=1)


def _message(flight: Flight, source: int, target: int, sequence: int, earliest: int) -> NDArray[np.int64]:
    """A message's segments and its acknowledgement, which says how far it reaches."""
    entry, size = flight.entry, int(flight.entry.wire_bytes)
    count = -(-size // MSS)
    ends = np.minimum(np.arange(1, count + 1) * MSS, size)  # (count,), bytes
    times = entry.start_s + (flight.left_s - entry.start_s) * (ends / size)
    out = np.zeros((8, count + 1), np.int64)
    out[0, :count] = np.maximum(np.round(times * _NS), earliest)
    out[0, count] = round(entry.arrived_s * _NS)
    out[1] = 2 * flight.row + _DATA
    out[1, count] = 2 * flight.row + _RECEIPT
    out[2], out[3] = source, target
    out[2:4, count] = target, source
    out[4, :count] = sequence + ends - np.diff(ends, prepend=0)
    out[5, count] = sequence + size
    out[6] = ACK
    out[6, count - 1] |= PSH
    out[7, :count] = np.diff(ends, prepend=0)
    return out


def _number(table: NDArray[np.int64], end: int, own: int, other: int) -> None:
    """Completes the numbers in one party's segments.

    Every segment acknowledges as far as its sender has acknowledged before; an acknowledgement stands where
    its sender goes on.

    Args:
        table: of a connection, in order.
        end: the party.
        own: number of its first byte.
        other: of the other's first byte.
    """
    mine = table[2] == end
    table[5, mine] = np.maximum(np.maximum.accumulate(table[5, mine]), other)
    reached = np.maximum(
        np.maximum.accumulate(np.where(table[7, mine] > 0, table[4, mine] + table[7, mine], 0)), own
    )
    table[4, mine] = np.where(table[7, mine] > 0, table[4, mine], reached)
