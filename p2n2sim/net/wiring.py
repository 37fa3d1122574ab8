"""From a topology to what carries the messages."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from p2n2sim.net.carrier import Carrier, Connection, Traffic
from p2n2sim.net.flow import Flow
from p2n2sim.net.link import Gate, GatedLink, Link, LinkSpec, Transmit
from p2n2sim.net.sharing import Port
from p2n2sim.net.simloop import SimLoop
from p2n2sim.net.tcp import FIRST_WINDOW, FRAME, Window, acknowledgement_share
from p2n2sim.net.topology import Bottleneck, Topology


class Line(NamedTuple):
    """One direction between two parties; one of the two is there.

    Attributes:
        transmit: (now, wire bytes) -> (start, arrival); infinite where the carrier tells later.
        carrier: where they depend on what else is sent.
    """

    transmit: Transmit
    carrier: Carrier | None


class Wiring:
    """Makes the lines of a network; its bottlenecks are made once, when a line first needs them.

    Args:
        loop: the loop that keeps the time.
        topology: the links.
    """

    def __init__(self, loop: SimLoop, topology: Topology) -> None:
        self._topology = topology
        self._traffic = Traffic(loop)
        self._ports: dict[str, Port] = {}
        self._gates: dict[str, Gate] = {}

    def join(self, first: str, second: str) -> tuple[Line, Line]:
        """Both directions between two parties: from the first to the second, and back."""
        connection = Connection()
        there, back = self._line(first, second, connection), self._line(second, first, connection)
        if there.carrier and back.carrier:
            there.carrier.back, back.carrier.back = back.carrier, there.carrier
        return there, back

    def _line(self, sender: str, receiver: str, connection: Connection) -> Line:
        spec, shared = self._topology.spec(sender, receiver), self._topology.through(sender, receiver)
        if spec.transport == "ideal" and not shared and not spec.jitter and not spec.steps:
            return Line(Link(spec).transmit, None)
        jitter = None
        if spec.jitter:
            jitter = partial(self._draws(sender, receiver, "jitter").uniform, 0.0, spec.jitter)
        if spec.transport == "ideal" and (self._topology.sharing == "fcfs" or not shared):
            gates = [self._gate(name, neck) for name, neck in shared.items()]
            if spec.bandwidth < math.inf or spec.steps:
                gates.append(Gate(spec.bandwidth, spec.steps))
            return Line(GatedLink(spec, gates, jitter).transmit, None)
        return Line(_told_later, self._carrier(sender, receiver, spec, connection, jitter))

    def _carrier(
        self,
        sender: str,
        receiver: str,
        spec: LinkSpec,
        connection: Connection,
        jitter: Callable[[], float] | None,
    ) -> Carrier:
        forward = self._way(sender, receiver)
        opposite = self._topology.spec(receiver, sender)
        round_trip = spec.latency + opposite.latency
        if spec.transport == "ideal":
            return Carrier(spec, Flow(forward), round_trip, connection, self._traffic, jitter)
        share = acknowledgement_share(self._topology.slowest(sender, receiver))
        # gRPC's own frames, sent as the connection opens, take a segment of the first window
        grpc = spec.transport == "grpc"
        window = Window(FIRST_WINDOW - FRAME if grpc else FIRST_WINDOW, talks=grpc)
        flow = Flow(
            forward,
            [(port, share) for port in self._way(receiver, sender)],
            round_trip=round_trip,
            window=window,
            losses=self._losses(sender, receiver, spec.loss) if spec.loss else None,
            queue=spec.queue,
        )
        return Carrier(spec, flow, round_trip, connection, self._traffic, jitter)

    def _way(self, sender: str, receiver: str) -> list[Port]:
        """The bottlenecks from one party to another, that of their own link included."""
        spec = self._topology.spec(sender, receiver)
        ports = [self._port(name, neck) for name, neck in self._topology.through(sender, receiver).items()]
        if spec.bandwidth < math.inf or spec.steps:
            own = Bottleneck(bandwidth=spec.bandwidth, carries=(), burst=spec.burst, steps=spec.steps)
            ports.append(self._port(f"{sender}->{receiver}", own))
        return ports

    def _port(self, name: str, neck: Bottleneck) -> Port:
        if name not in self._ports:
            steps = [(when, rate / 8) for when, rate in neck.steps]
            self._ports[name] = Port(neck.bandwidth / 8, neck.burst, steps)
        return self._ports[name]

    def _gate(self, name: str, neck: Bottleneck) -> Gate:
        if name not in self._gates:
            self._gates[name] = Gate(neck.bandwidth, neck.steps)
        return self._gates[name]

    def _losses(self, sender: str, receiver: str, loss: float) -> Callable[[], float]:
        draws = self._draws(sender, receiver, "loss")
        return lambda: float(draws.geometric(loss)) * FRAME

    def _draws(self, sender: str, receiver: str, purpose: str) -> np.random.Generator:
        """A generator of a line's own: what one line draws moves no other."""
        key = hashlib.sha256(f"{self._topology.seed}\0{sender}\0{receiver}\0{purpose}".encode()).digest()
        return np.random.default_rng(np.frombuffer(key, np.uint32))


def _told_later(now: float, size: int) -> tuple[float, float]:
    return math.inf, math.inf
