"""Messages whose arrival is not known when they are sent: over TCP or gRPC, or through shared bottlenecks."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import NamedTuple

from p2n2sim.net import grpc
from p2n2sim.net.flow import Flow, Passed
from p2n2sim.net.flows import Fluid
from p2n2sim.net.link import LinkSpec
from p2n2sim.net.simloop import SimLoop
from p2n2sim.net.tcp import last_unit_bytes, record_bytes, wire_bytes

_FALLEN_ASLEEP_S = 3e-3  # a host at rest for so long takes its full time to wake up


class HostCost(NamedTuple):
    """Seconds that handling a message takes beside the network, both ends together (docs/network.md).

    Attributes:
        message: for each message.
        byte: for each of its bytes.
        waking: more for a host that had nothing to do, while the message is coming in.
        copying: for each byte of a message that the kernel does not take in at once: until they are all in
            the host's own buffer, the rest of it does not leave.
    """

    message: float
    byte: float
    waking: float
    copying: float = 0.0


HOSTS = {
    "none": HostCost(0.0, 0.0, 0.0),
    "streams": HostCost(0.11e-3, 0.7e-9, 0.16e-3, 1.1e-9),
    "buffered": HostCost(0.11e-3, 0.1e-9, 0.16e-3),
    "unary": HostCost(0.65e-3, 0.65e-9, 0.45e-3),
    "stream": HostCost(0.25e-3, 1.0e-9, 0.27e-3, 1.1e-9),
}
_AUTO = {"ideal": "none", "tcp": "streams", "grpc": "unary"}


class Packed(NamedTuple):
    """The sizes of a message in bytes.

    Attributes:
        size: its own.
        handed: what is handed to TCP.
        wire: what occupies the link.
    """

    size: int
    handed: int
    wire: int


class Traffic:
    """The flows of a network on its loop."""

    def __init__(self, loop: SimLoop) -> None:
        self.loop = loop
        self._fluid = Fluid()
        self._awaited = math.inf
        self._timer: asyncio.TimerHandle | None = None
        self._asked = False

    def offer(self, flow: Flow, size: float, passed: Passed, early: float, later: float = 0.0) -> None:
        """Hands a message to a flow at this instant; see `Fluid.offer`."""
        self._fluid.offer(self.loop.time(), flow, size, passed, early, later)
        self._soon()

    def supply(self, flow: Flow, size: float) -> None:
        """Hands more of a message to a flow at this instant; see `Fluid.supply`."""
        self._fluid.supply(self.loop.time(), flow, size)
        self._soon()

    def _soon(self) -> None:
        now = self.loop.time()
        if not self._asked:  # once for all that is sent at this instant
            self._asked = True
            self.loop.post(now, self._run, None)

    def _run(self, _: object = None) -> None:
        self._asked = False
        until = self._fluid.run(self.loop.time())
        if until != self._awaited:
            self._awaited = until
            if self._timer is not None:
                self._timer.cancel()
            self._timer = None if until == math.inf else self.loop.call_at(until, self._fire)

    def _fire(self) -> None:
        self._timer, self._awaited = None, math.inf
        self._run()


class Connection:
    """What the two directions of a connection have in common.

    Attributes:
        ready_at: when it is ready for messages; None before the first.
        busy_at: when a message last arrived at either end.
    """

    __slots__ = ("busy_at", "ready_at")

    def __init__(self) -> None:
        self.ready_at: float | None = None
        self.busy_at = 0.0


class Carrier:
    """One direction of a link.

    Args:
        spec: the link.
        flow: its bytes in motion.
        round_trip: seconds there and back.
        connection: shared with the other direction.
        traffic: moves the flow.
        jitter: draws an additional delay in seconds; None for none.

    Attributes:
        back: the other direction, for what a call answers; None until it is there.
    """

    def __init__(
        self,
        spec: LinkSpec,
        flow: Flow,
        round_trip: float,
        connection: Connection,
        traffic: Traffic,
        jitter: Callable[[], float] | None = None,
    ) -> None:
        self.back: Carrier | None = None
        self._spec = spec
        self._flow = flow
        self._round_trip = round_trip
        self._connection = connection
        self._traffic = traffic
        self._jitter = jitter
        self._host = HOSTS[_AUTO[spec.transport] if spec.host == "auto" else spec.host]
        self._bursts = any(port.burst for port in flow.forward)
        self._first = self._first_answer = True
        self._arrived = 0.0
        self._early = 0  # what waits for the connection or for the host
        self._copied_at = 0.0  # until then the host is busy with the rest of the last message

    def pack(self, size: int) -> Packed:
        """Wraps the next message, of `size` bytes."""
        spec, handed = self._spec, size
        if spec.transport == "ideal":
            return Packed(size, size, size)
        if spec.transport == "grpc":
            handed = grpc.request_bytes(size, first=self._first, stream=spec.host == "stream")
            self._first = False
        return self._on_tcp(size, handed)

    def send(self, packed: Packed, deliver: Callable[[float, float], object]) -> None:
        """Sends a message at this instant.

        Args:
            packed: what `pack` made of it.
            deliver: called with the times at which its first bit leaves and at which it has arrived, when
                they are known, at the latest as it arrives.
        """

        def passed(began: float, ended: float) -> None:
            deliver(began, self._arrival(began, ended, packed.size))

        ready = max(self._ready(), self._copied_at)
        if self._early or ready > self._traffic.loop.time():
            self._early += 1
            self._traffic.loop.post(ready, self._go, (packed, passed))
        else:
            self._offer(packed, passed)

    def _go(self, early: tuple[Packed, Passed] | float) -> None:
        """Sends a message that came too early, or the rest of one; they keep their order (one lane)."""
        self._early -= 1
        if isinstance(early, float):
            self._traffic.supply(self._flow, early)
        else:
            self._offer(*early)

    def answer(self, _: object = None) -> None:
        """Sends the empty response of a unary call that has come the other way; nobody waits for it."""
        packed = self._on_tcp(0, grpc.answer_bytes(0, first=self._first_answer))
        self._first_answer = False
        self._offer(packed, lambda began, ended: None)

    def _on_tcp(self, size: int, handed: int) -> Packed:
        handed = record_bytes(handed) if self._spec.tls else handed
        return Packed(size, handed, wire_bytes(handed, self._spec.headers))

    def _offer(self, packed: Packed, passed: Passed) -> None:
        early = 0.0
        if self._bursts and self._spec.transport != "ideal":
            early = last_unit_bytes(packed.handed, self._spec.headers)
        later = 0.0
        if self._host.copying and packed.wire > (room := self._flow.room):
            later = packed.wire - room
            self._early += 1
            self._copied_at = self._traffic.loop.time() + self._host.copying * packed.size
            self._traffic.loop.post(self._copied_at, self._go, later)
        self._traffic.offer(self._flow, packed.wire, passed, early, later)

    def _ready(self) -> float:
        connection = self._connection
        if connection.ready_at is None:
            trips = 0
            if self._spec.handshake:
                trips = (2 if self._spec.transport == "grpc" else 1) + self._spec.tls  # RFC 8446, section 2
            connection.ready_at = self._traffic.loop.time() + trips * self._round_trip
        return connection.ready_at

    def _arrival(self, began: float, ended: float, size: int) -> float:
        """When a message has arrived at the application."""
        latency, host, connection = self._spec.latency, self._host, self._connection
        rest = max(0.0, began + latency - connection.busy_at)
        awake = began + latency + host.waking * min(1.0, rest / _FALLEN_ASLEEP_S)
        arrival = max(ended + latency, awake) + host.message + host.byte * size
        if self._spec.transport == "grpc":
            arrival += grpc.extra_round_trips(size, self._spec.flow_window) * self._round_trip
        if self._jitter is not None:
            arrival += self._jitter()
        arrival = self._arrived = max(arrival, self._arrived)  # one stream: nothing overtakes
        connection.busy_at = max(connection.busy_at, arrival)
        if self._spec.transport == "grpc" and self._spec.host != "stream" and self.back is not None:
            self._traffic.loop.post(arrival, self.back.answer, None)
        return arrival
