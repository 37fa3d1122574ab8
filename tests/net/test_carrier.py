"""Links over TCP and gRPC, shared bottlenecks, jitter and changing rates, on a network of parties."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2n2sim.errors import InputError
from p2n2sim.net.endpoint import Endpoint
from p2n2sim.net.link import LinkSpec
from p2n2sim.net.network import Network
from p2n2sim.net.simloop import SimLoop, run
from p2n2sim.net.tcp import wire_bytes
from p2n2sim.net.topology import Bottleneck, Topology, access
from p2n2sim.net.unpack import unpacked
from p2n2sim.wire import Message, clear
from p2n2sim.wire import sizes as size_of


@dataclass(frozen=True, slots=True)
class Block(Message):
    """A message with a payload."""

    data: np.ndarray = clear("block", np.uint8)


def block(size: int) -> Block:
    """A message whose whole encoding has `size` bytes."""
    return Block(0, np.zeros(size - size_of(Block(0, np.zeros(8, np.uint8)))[1] + 8, np.uint8))


def network(topology: Topology, names: str = "AB") -> tuple[Network, list[Endpoint]]:
    """A network on the running loop with some parties."""
    net = Network(cast(SimLoop, asyncio.get_running_loop()), topology)
    return net, [net.join(name) for name in names]


def tcp(**options: Any) -> LinkSpec:
    """100 Mbit/s and 10 ms, and no cost of the hosts."""
    return LinkSpec(**{"bandwidth": 100e6, "latency": 10e-3, "transport": "tcp", "host": "none", **options})


# Published times in seconds: connection, rate, one-way delay, bytes, headers, burst, measured. The first five
# are single messages over Linux TCP, the others asyncio streams behind a token bucket.
GOLDEN = [
    ("cold", 10e6, 5e-3, 10_000, 52, 0, 0.01341),
    ("cold", 10e6, 25e-3, 10_000_000, 52, 0, 8.38490),
    ("cold", 1e9, 50e-3, 1_000_000, 52, 0, 0.65476),
    ("cold", 1e9, 5e-3, 1_000_000, 52, 0, 0.06892),
    ("warm2", 10e6, 50e-3, 100_000, 52, 0, 0.13311),
    ("cold", 10e6, 25e-3, 100_016, 66, 3100, 0.16891),
    ("warm1", 10e6, 25e-3, 100_016, 66, 3100, 0.10512),
    ("warm1", 100e6, 25e-3, 100_016, 66, 12_500, 0.07676),
    ("warm2", 100e6, 25e-3, 100_016, 66, 12_500, 0.03248),
    ("idle", 100e6, 25e-3, 100_016, 66, 12_500, 0.12947),
    ("warm2", 1e9, 25e-3, 10_000_016, 66, 125_000, 0.19476),
]


@pytest.mark.parametrize(
    ("connection", "rate", "latency", "size", "headers", "burst", "measured"),
    GOLDEN,
    ids=lambda value: str(value),
)
async def test_golden(
    connection: str, rate: float, latency: float, size: int, headers: int, burst: int, measured: float
) -> None:
    """A message takes as long as measured on a cold, a warm or an idle connection, within 3 %."""
    host = "buffered" if headers == 52 else "streams"
    spec = tcp(bandwidth=rate, latency=latency, headers=headers, burst=burst, host=host)
    _, (a, b) = network(Topology(spec))
    loop = asyncio.get_running_loop()
    for name in ("cold", "warm1", "warm2", "idle"):
        if name == "idle":
            await asyncio.sleep(1.2)
        began = loop.time()
        a.send("B", block(size))
        await b.recv("A", Block)
        took = loop.time() - began
        b.send("A", block(64))
        await a.recv("B", Block)
        if name == connection:
            break
    assert took == pytest.approx(measured, rel=0.03)


@pytest.mark.parametrize(
    ("options", "wire"),
    [
        ({}, wire_bytes(5000)),
        ({"tls": True}, wire_bytes(5022)),
        ({"headers": 52}, 5000 + 4 * 52),
        ({"transport": "grpc"}, wire_bytes(5298)),
        ({"transport": "grpc", "host": "stream"}, wire_bytes(5061)),
    ],
)
async def test_ledger_counts_what_occupies_the_link(options: dict[str, Any], wire: int) -> None:
    """The wire bytes of a row are those of the transport, to the byte; its payload is the arrays'."""
    net, (a, b) = network(Topology(tcp(**options)))
    message = block(5000)
    a.send("B", message)
    assert net.ledger.rows[0][5:7] == (message.data.nbytes, wire)
    assert net.ledger.rows[0][9] == math.inf
    await b.recv("A", Block)
    row = net.ledger.frame().iloc[0]
    assert 0 == row.sent_s == row.start_s < row.arrived_s == asyncio.get_running_loop().time()


async def test_later_calls_of_grpc_are_smaller() -> None:
    """The first unary call of a direction carries the headers, the next ones refer to them."""
    net, (a, _) = network(Topology(tcp(transport="grpc")))
    for _ in range(2):
        a.send("B", block(1000))
    assert list(net.ledger.frame()["wire_bytes"]) == [wire_bytes(1298), wire_bytes(1091)]


@given(
    st.lists(st.integers(32, 2_000_000), min_size=1, max_size=4),
    st.sampled_from([("ideal", "none"), ("tcp", "none"), ("grpc", "unary"), ("grpc", "stream")]),
    st.booleans(),
    st.sampled_from([52, 66]),
)
def test_the_message_is_found_again(sizes: list[int], how: Any, tls: bool, headers: int) -> None:
    """From the wire bytes of any link follow those of the messages."""
    transport, host = how
    spec = LinkSpec(transport=transport, host=host, tls=tls and transport != "ideal", headers=headers)

    async def main() -> list[int]:
        net, (a, _) = network(Topology(spec))
        for size in sizes:
            a.send("B", Block(0, np.zeros(size, np.uint8)))
        return unpacked(net.ledger.frame(), Topology(spec))["wire_bytes"].to_list()

    assert run(main()) == [size_of(Block(0, np.zeros(size, np.uint8)))[1] for size in sizes]


@pytest.mark.parametrize(
    ("options", "trips"),
    [
        ({}, 0),
        ({"handshake": True}, 1),
        ({"handshake": True, "tls": True}, 2),
        ({"handshake": True, "transport": "grpc"}, 2),
        ({"handshake": True, "transport": "grpc", "tls": True}, 3),
    ],
)
async def test_handshake(options: dict[str, Any], trips: int) -> None:
    """The first message of a connection waits for its round trips, later ones and answers do not."""
    net, (a, b) = network(Topology(tcp(latency=1.0, **options)))
    a.send("B", block(100))
    await b.recv("A", Block)
    b.send("A", block(100))
    await a.recv("B", Block)
    frame = net.ledger.frame()
    took = frame["arrived_s"] - frame["sent_s"]
    assert took.to_list() == pytest.approx([1 + 2 * trips, 1], abs=2e-3)


@pytest.mark.parametrize(("transport", "slack"), [("ideal", 1e-9), ("tcp", 3e-3)])
async def test_a_downlink_is_shared(transport: str, slack: float) -> None:
    """Two senders to one receiver finish together, when its downlink has let both through."""
    spec = LinkSpec(latency=1e-3, transport=cast(Any, transport), host="none")
    net, (a, b, c) = network(Topology(spec, shared=access("C", 10e6)), "ABC")
    for sender in (a, b):
        sender.send("C", block(100_000))
    for sender in "AB":
        await c.recv(sender, Block)
    rows = net.ledger.frame()
    both = rows["wire_bytes"].sum() * 8 / 10e6 + 1e-3
    assert rows["arrived_s"].to_list() == pytest.approx([both, both], abs=slack)


async def test_first_come_first_served() -> None:
    """Message by message, the first sender's is through when the second's begins."""
    topology = Topology(LinkSpec(latency=1e-3), shared=access("C", 10e6), sharing="fcfs")
    net, (a, b, c) = network(topology, "ABC")
    for sender in (a, b):
        sender.send("C", block(100_000))
    for sender in "AB":
        await c.recv(sender, Block)
    assert net.ledger.frame()["arrived_s"].to_list() == pytest.approx([0.081, 0.161])
    assert net.ledger.frame()["start_s"].to_list() == pytest.approx([0.0, 0.08])


@pytest.mark.parametrize(("host", "copied"), [("streams", 1.1e-3), ("buffered", 0.0)])
async def test_a_cold_sender_waits_for_its_host_to_copy(host: Any, copied: float) -> None:
    """Until 1 MB is copied, no more leaves than the kernel took in; later the kernel takes it all in."""
    spec = LinkSpec(bandwidth=1e9, transport="tcp", host=host)
    net, (a, b) = network(Topology(spec))
    loop, took = asyncio.get_running_loop(), []
    for _ in range(3):
        began = loop.time()
        for size in (1_000_000, 100):
            a.send("B", block(size))
            await b.recv("A", Block)
        took.append(loop.time() - began)
    kernel = 30 * 1514 * 8 / 1e9  # what leaves in the meantime
    assert took[0] - took[2] == pytest.approx(max(0.0, copied - kernel), abs=2e-5)
    assert [row[4] for row in net.ledger.rows] == ["Block"] * 6


async def test_messages_sent_while_the_host_copies_keep_their_order() -> None:
    """Two large messages and a small one at once: one after the other, and every byte of them."""
    net, (a, b) = network(Topology(LinkSpec(bandwidth=1e9, transport="tcp", host="streams")))
    sizes = (1_000_000, 2_000_000, 100)
    for size in sizes:
        a.send("B", block(size))
    received = [await b.recv("A", Block) for _ in sizes]
    assert [size_of(message)[1] for message in received] == list(sizes)
    arrived = net.ledger.frame()["arrived_s"].to_list()
    assert arrived == sorted(arrived)
    assert arrived[-1] > sum(wire_bytes(size) for size in sizes) * 8 / 1e9


async def test_a_named_bottleneck() -> None:
    """Links that have nothing in common but a bottleneck share that; others do not see it."""
    middle = Bottleneck(bandwidth=8e6, carries=(("A", "B"), ("C", "D")))
    net, (a, _, c, d) = network(Topology(LinkSpec(bandwidth=80e6), shared={"middle": middle}), "ABCD")
    a.send("B", block(100_000))
    c.send("D", block(100_000))
    d.send("A", block(100_000))
    await d.recv("C", Block)
    assert net.ledger.frame()["arrived_s"].to_list() == pytest.approx([0.2, 0.2, 0.01])


@pytest.mark.parametrize("transport", ["ideal", "tcp"])
def test_jitter_is_drawn_from_the_seed(transport: str) -> None:
    """The same seed draws the same delays, another one others; messages keep their order."""

    def arrivals(seed: int) -> list[float]:
        async def main() -> list[float]:
            spec = LinkSpec(latency=1e-3, jitter=5e-3, transport=cast(Any, transport), host="none")
            net, (a, b) = network(Topology(spec, seed=seed))
            for _ in range(20):
                a.send("B", block(100))
                await asyncio.sleep(1e-3)
            for _ in range(20):
                await b.recv("A", Block)
            return net.ledger.frame()["arrived_s"].to_list()

        return run(main())

    first = arrivals(1)
    assert first == arrivals(1) != arrivals(2)
    assert first == sorted(first)
    late = [arrival - number * 1e-3 for number, arrival in enumerate(first)]
    assert min(late) >= 1e-3
    assert max(late) - min(late) > 1e-3


@pytest.mark.parametrize("options", [{}, {"transport": "tcp", "host": "none"}])
async def test_a_rate_that_changes(options: dict[str, Any]) -> None:
    """80 kbit/s for a second, 8 kbit/s from then on: 10500 bytes take 1.5 s, by TCP with its headers."""
    net, (a, b) = network(Topology(LinkSpec(bandwidth=80e3, steps=((1.0, 8e3),), **options)))
    a.send("B", block(10_500))
    await b.recv("A", Block)
    wire = net.ledger.rows[0][6]
    assert asyncio.get_running_loop().time() == pytest.approx(1 + (wire - 10_000) / 1000, rel=1e-3)


def test_loss_is_drawn_from_the_seed() -> None:
    """Losses slow a message down, equally for equal seeds."""

    def seconds(**options: Any) -> float:
        async def main() -> float:
            _, (a, b) = network(Topology(tcp(**options), seed=3))
            a.send("B", block(3_000_000))
            await b.recv("A", Block)
            return asyncio.get_running_loop().time()

        return run(main())

    assert seconds() < seconds(loss=0.002) < seconds(loss=0.02)
    assert seconds(loss=0.02) == seconds(loss=0.02)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": 1.0}, "loss: found 1.0; use a share"),
        ({"transport": "ideal", "loss": 0.1}, "transport: an ideal link has no loss"),
        ({"host": "unary"}, "host: unary is gRPC's; use the transport grpc"),
        ({"transport": "grpc", "host": "streams"}, "host: streams is for tcp; use the transport tcp"),
    ],
)
def test_what_does_not_go_together(options: dict[str, Any], message: str) -> None:
    """Options of another transport are refused, with a remedy."""
    with pytest.raises(InputError, match=message):
        tcp(**options)
