"""How the TCP connections of a capture begin and end: RFC 9293, sections 3.5 and 3.6."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from p2n2sim.net.topology import Topology
from p2n2sim.trace.flights import Flight
from p2n2sim.trace.story import Session
from p2n2sim.trace.tcp import ACK, COLUMNS, FIN, RST, SYN

Rows = NDArray[np.int64]
"""Segments, a column each, with the rows of `tcp.COLUMNS`."""

_SERVER_PORT, _FIRST_CLIENT_PORT = 61_000, 49_152
_FIRST, _LAST = -4, 2**62  # among segments of one time: the handshake before, the farewell after all others
_NS = 1e9


class Connection:
    """Everything that two parties send each other in a session.

    Args:
        flights: in the order of the ledger, at least one.
        links: between them.
        session: the session.
        position: tells connections apart.

    Attributes:
        flights: the same.
        session: the same.
        ends: client and server; who sends first is the client.
        first: of each, the number of its SYN.
        ports: of each.
        latencies: to the server and back, in seconds.
        ready_s: when it can first be used.
        opens_s: when the client asks for it.
    """

    def __init__(self, flights: list[Flight], links: Topology, session: Session, position: int) -> None:
        first = flights[0].entry
        client, server = self.ends = (first.sender, first.receiver)
        self.flights, self.session = flights, session
        self.first = {end: zlib.crc32(f"{position} {n}".encode()) for n, end in enumerate(self.ends)}
        room = _SERVER_PORT - _FIRST_CLIENT_PORT
        self.ports = _FIRST_CLIENT_PORT + position % room, _SERVER_PORT + position // room
        spec = links.spec(client, server)
        self.latencies = spec.latency, links.spec(server, client).latency
        trips = 1
        self.ready_s = float(min(flight.entry.start_s for flight in flights))
        if spec.handshake:
            trips = (2 if spec.transport == "grpc" else 1) + spec.tls  # as of `net.carrier`
            self.ready_s = min(self.ready_s, first.sent_s + trips * sum(self.latencies))
        self.opens_s = max(session.began_s, self.ready_s - trips * sum(self.latencies))


def opening(it: Connection, number: Mapping[str, int], latest_ns: int) -> Rows:
    """The handshake: a round trip before the connection is used, as far as the session has that time.

    Args:
        it: the connection.
        number: of its ends.
        latest_ns: when the first of the other segments is sent.
    """
    client, server = it.ends
    there, back = it.latencies
    a, b = it.first[client], it.first[server]
    times = [min(round(time * _NS), latest_ns) for time in _after(it.opens_s, there, back)]
    return _rows(
        (times[0], _FIRST, number[client], number[server], a, 0, SYN),
        (times[1], _FIRST + 1, number[server], number[client], b, a + 1, SYN | ACK),
        (times[2], _FIRST + 2, number[client], number[server], a + 1, b + 1, ACK),
    )


def closing(it: Connection, number: Mapping[str, int], sent: Mapping[str, int], earliest_ns: int) -> Rows:
    """Both ends say goodbye when the session is over; a party that crashed resets the connection.

    Args:
        it: the connection.
        number: of its ends.
        sent: the number of the byte that each would send next.
        earliest_ns: when the last of the other segments is sent.
    """
    for party, when in it.session.crashes:
        if party in it.ends:
            other = it.ends[it.ends[0] == party]
            time = max(round(when * _NS), earliest_ns)
            return _rows((time, _LAST, number[party], number[other], sent[party], sent[other], RST | ACK))
    client, server = it.ends
    a, b = sent[client], sent[server]
    first = max(round(it.session.until_s * _NS), earliest_ns)
    _, second, third = (first + round(time * _NS) for time in _after(0.0, *it.latencies))
    return _rows(
        (first, _LAST, number[client], number[server], a, b, FIN | ACK),
        (second, _LAST + 1, number[server], number[client], b, a + 1, FIN | ACK),
        (third, _LAST + 2, number[client], number[server], a + 1, b + 1, ACK),
    )


def _after(time: float, there: float, back: float) -> tuple[float, float, float]:
    return time, time + there, time + (there + back)


def _rows(*rows: tuple[int, int, int, int, int, int, int]) -> Rows:
    """Segments without payload: time, order, source, target, sequence, acknowledged, flags."""
    out = np.zeros((len(COLUMNS), len(rows)), np.int64)
    for place, (time, order, source, target, sequence, acknowledged, flags) in enumerate(rows):
        out[:, place] = (time, order, source, target, 0, 0, sequence, acknowledged, flags, 0, -1, 0)
    return out
