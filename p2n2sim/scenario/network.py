"""What a scenario file may say of the links."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from p2n2sim.scenario.section import Count, Section
from p2n2sim.scenario.units import Bandwidth, Duration, Size

Loss = Annotated[float, Meta(ge=0, lt=1)]
Trace = str | tuple[tuple[float, float], ...]
Transport = Literal["ideal", "tcp", "grpc"]
Host = Literal["auto", "none", "streams", "buffered", "unary", "stream"]


class Link(Section, frozen=True):
    """A link that differs from the others; what it leaves out is as in the network section.

    Attributes:
        bandwidth: of every link in each direction.
        latency: one-way delay of every link.
        transport: what a link does to a message: ``ideal``, ``tcp`` or ``grpc``.
        burst: what a shaper lets through at once after a rest.
        headers: bytes that a link counts for a TCP segment beside its payload.
        handshake: whether the first message waits until the connection is made.
        tls: whether TLS 1.3 protects the connection.
        host: what handling a message costs beside the network.
        flow_window: gRPC's flow-control window.
        jitter: largest additional delay, drawn for each message.
        loss: share of segments that is lost.
        queue: what waits at the bottleneck before it drops.
        trace: how the bandwidth changes: a file, or (second, bit/s) pairs.
    """

    bandwidth: Bandwidth | None = None
    latency: Duration | None = None
    transport: Transport | None = None
    burst: Size | None = None
    headers: Annotated[int, Meta(ge=0, le=1_000)] | None = None
    handshake: bool | None = None
    tls: bool | None = None
    host: Host | None = None
    flow_window: Size | None = None
    jitter: Duration | None = None
    loss: Loss | None = None
    queue: Size | None = None
    trace: Trace | None = None


class Shared(Section, frozen=True):
    """A bottleneck that several links share.

    Attributes:
        bandwidth: of all of them together.
        links: which: ``A->server``, or with ``*`` for everybody, ``server->*``.
        burst: what it lets through at once after a rest.
        trace: how its bandwidth changes.
    """

    bandwidth: Bandwidth
    links: Annotated[tuple[str, ...], Meta(min_length=1)]
    burst: Size | None = None
    trace: Trace | None = None


class Network(Link, frozen=True):
    """The links, and how messages are delivered over them.

    Attributes:
        preset: where all that is not given comes from: ``lan``, ``wan``, ``ideal``, ``star``,
            ``shared-uplink``, ``slow-party``, ``three-regions``.
        uplink: of every party, shared by all that it sends.
        downlink: of every party, shared by all that it receives.
        sharing: how ideal links share a bottleneck: ``max-min`` fair, or first come first served (``fcfs``).
        links: ``"A-B"`` (both directions) or ``"A->B"`` (one) -> what differs there.
        retry: acknowledge messages, and send again what was lost.
        retry_timeout: how long an acknowledgement may be missing at first; then twice as long, and so on.
        attempts: how often a message is sent at most.
        authenticate: a code of 16 bytes with every message, by which a receiver sees that it was changed.
        deadline: for how long a message that is not sent again, or a party that stays away, may be missed.
        shared: name -> a bottleneck that links share.
    """

    transport: Transport = "ideal"
    preset: Literal["lan", "wan", "ideal", "star", "shared-uplink", "slow-party", "three-regions"] = "lan"
    uplink: Bandwidth | None = None
    downlink: Bandwidth | None = None
    sharing: Literal["max-min", "fcfs"] = "max-min"
    links: dict[str, Link] = msgspec.field(default_factory=dict)
    retry: bool = False
    retry_timeout: Duration = Duration.parse("1 s")
    attempts: Count = 6
    authenticate: bool = False
    deadline: Duration = Duration.parse("60 s")
    shared: dict[str, Shared] = msgspec.field(default_factory=dict)
