"""What a link does to a message: delay it by its size over the rate, and by the distance."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from p2n2sim.errors import InputError

Transport = Literal["ideal", "tcp", "grpc"]
Host = Literal["auto", "none", "streams", "buffered", "unary", "stream"]
Transmit = Callable[[float, int], tuple[float, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkSpec:
    """One direction between two parties.

    Attributes:
        bandwidth: rate in bits a second; infinite for a link that takes no time to write to.
        latency: one-way delay in seconds.
        transport: ``ideal`` (size over rate, then the delay), or what `tcp` or `grpc` make of it.
        burst: bytes that a shaper lets through at once after a rest.
        headers: bytes that the link counts for a TCP segment beside its payload.
        handshake: whether the first message waits for the connection; else it is there already.
        tls: whether TLS 1.3 protects the connection.
        host: what handling a message costs beside the network: asyncio ``streams``, a ``buffered`` protocol,
            gRPC's ``unary`` calls or ``stream``, or ``none``; ``auto`` is ``streams`` or ``unary``.
        flow_window: gRPC's flow-control window in bytes.
        jitter: largest additional delay in seconds, drawn for each message; messages keep their order.
        loss: share of segments that is lost.
        queue: bytes that wait at the bottleneck before it drops.
        steps: (time in seconds, bits a second from then on), in order: how the bandwidth changes.

    Raises:
        InputError: a number is out of range, or the transport does not go with what is asked of it.
    """

    bandwidth: float = math.inf
    latency: float = 0.0
    transport: Transport = "ideal"
    burst: int = 0
    headers: int = 66
    handshake: bool = False
    tls: bool = False
    host: Host = "auto"
    flow_window: int = 4 * 2**20
    jitter: float = 0.0
    loss: float = 0.0
    queue: float = math.inf
    steps: tuple[tuple[float, float], ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.loss < 1:
            raise InputError("link: loss", f"found {self.loss!r}", "use a share from 0 to below 1")
        if self.steps and not self.bandwidth < math.inf:
            raise InputError(
                "link: bandwidth", "it changes, but is not limited at first", "give one to begin with"
            )
        if self.transport == "ideal" and (self.loss or self.queue < math.inf or self.tls or self.handshake):
            raise InputError(
                "link: transport",
                "an ideal link has no loss, queue limit, handshake or TLS",
                "use the transport tcp or grpc",
            )
        if self.host in ("unary", "stream") and self.transport != "grpc":
            raise InputError(
                "link: host", f"{self.host} is gRPC's", "use the transport grpc, or another host"
            )
        if self.host in ("streams", "buffered") and self.transport != "tcp":
            raise InputError(
                "link: host", f"{self.host} is for tcp", "use the transport tcp, or another host"
            )


class Link:
    """One direction of an ideal link: first come first served at a rate, then a constant delay.

    Args:
        spec: rate and delay.
    """

    __slots__ = ("_free_at", "_latency", "_seconds_per_byte")

    def __init__(self, spec: LinkSpec) -> None:
        self._seconds_per_byte = 8.0 / spec.bandwidth
        self._latency = spec.latency
        self._free_at = 0.0

    def transmit(self, now: float, size: int) -> tuple[float, float]:
        """Queues `size` bytes at time `now`; returns when their first bit leaves and the last arrives."""
        start = self._free_at
        if start < now:
            start = now
        self._free_at = free_at = start + size * self._seconds_per_byte
        return start, free_at + self._latency


class Gate:
    """A bottleneck that serves messages whole, first come first served, whichever link they come by.

    Args:
        bandwidth: in bits a second.
        steps: how it changes, as in `LinkSpec`.
    """

    __slots__ = ("_rates", "_times", "free_at")

    def __init__(self, bandwidth: float, steps: Sequence[tuple[float, float]] = ()) -> None:
        self._times = [0.0, *(when for when, _ in steps)]
        self._rates = [bandwidth / 8, *(rate / 8 for _, rate in steps)]
        self.free_at = 0.0

    def done(self, start: float, size: float) -> float:
        """When `size` bytes are through that begin at `start`."""
        number = max(0, bisect_right(self._times, start) - 1)
        while number + 1 < len(self._times):
            room = self._rates[number] * (self._times[number + 1] - start)
            if size <= room:
                break
            size -= room
            number += 1
            start = self._times[number]
        return start + size / self._rates[number]


class GatedLink:
    """One direction of an ideal link through several bottlenecks, or with jitter.

    A message occupies all of them from the moment at which the last one is free.

    Args:
        spec: the delay.
        gates: the bottlenecks.
        jitter: draws an additional delay in seconds; None for none.
    """

    __slots__ = ("_arrived", "_gates", "_jitter", "_latency")

    def __init__(
        self, spec: LinkSpec, gates: Sequence[Gate], jitter: Callable[[], float] | None = None
    ) -> None:
        self._gates = tuple(gates)
        self._latency = spec.latency
        self._jitter = jitter
        self._arrived = 0.0

    def transmit(self, now: float, size: int) -> tuple[float, float]:
        """Queues `size` bytes at time `now`; returns when their first bit leaves and the last arrives."""
        start = end = max([now, *(gate.free_at for gate in self._gates)])
        for gate in self._gates:
            gate.free_at = gate.done(start, size)
            end = max(end, gate.free_at)
        arrival = end + self._latency
        if self._jitter is not None:  # a later message does not overtake
            arrival = self._arrived = max(self._arrived, arrival + self._jitter())
        return start, arrival
