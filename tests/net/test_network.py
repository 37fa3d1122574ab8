"""Endpoints, links and the ledger."""

from __future__ import annotations

import asyncio
import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest

from p2n2sim.errors import DeadlockError, NetworkError, ReceiveTimeout, WireError
from p2n2sim.net.cpu import Machine
from p2n2sim.net.endpoint import Endpoint
from p2n2sim.net.link import LinkSpec
from p2n2sim.net.network import Network
from p2n2sim.net.simloop import SimLoop, run
from p2n2sim.net.topology import Topology
from p2n2sim.wire import (
    RING,
    Message,
    Phase,
    clear,
    encrypted,
    modelled,
    opens,
    public,
    sizes,
    uniform,
)


@dataclass(frozen=True, slots=True)
class Ping(Message):
    """An empty message."""


@dataclass(frozen=True, slots=True)
class Block(Message):
    """A message with a payload."""

    phase: ClassVar[Phase] = "offline"
    data: np.ndarray = uniform("block", np.uint8)


@dataclass(frozen=True, slots=True)
class Part(Message):
    """A share of a value, and something beside it."""

    share: np.ndarray = opens("sum")
    note: np.ndarray = clear("note")


@dataclass(frozen=True, slots=True)
class Sealed(Message):
    """What says nothing to who receives it, in every way."""

    key: np.ndarray = public("public key")
    cipher: np.ndarray = encrypted("sum")
    stands: np.ndarray = modelled("triples")
    share: np.ndarray = uniform("share", *RING)


def network(*names: str, **options: Any) -> tuple[Network, list[Endpoint]]:
    """A network on the running loop with some parties."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SimLoop)
    net = Network(loop, **options)
    return net, [net.join(name) for name in names]


def slow(**links: LinkSpec) -> Topology:
    """8000 bits a second, that is 1 ms a byte, and half a second of delay."""
    del links
    return Topology(LinkSpec(bandwidth=8000, latency=0.5))


async def test_size_over_rate_plus_delay() -> None:
    """A message of s wire bytes arrives after s / rate + latency."""
    net, (a, b) = network("A", "B", topology=slow())
    message = Block(0, np.zeros(1000, np.uint8))
    _, wire = sizes(message)
    a.send("B", message)
    await b.recv("A", Block)
    assert asyncio.get_running_loop().time() == pytest.approx(wire * 1e-3 + 0.5, abs=1e-12)
    assert net.ledger.rows[0][6] == wire


async def test_first_come_first_served() -> None:
    """A link begins with a message when it has written the one before; both directions are independent."""
    net, (a, b) = network("A", "B", topology=slow())
    for sender, receiver in ((a, "B"), (a, "B"), (b, "A")):
        sender.send(receiver, Block(0, np.zeros(1000, np.uint8)))
    first, second, back = net.ledger.frame().itertuples()
    assert first.start_s == back.start_s == 0
    assert second.start_s == pytest.approx(first.wire_bytes * 1e-3)
    assert second.arrived_s == pytest.approx(2 * first.wire_bytes * 1e-3 + 0.5)
    assert second.sent_s == 0


async def test_order_of_a_link() -> None:
    """Messages of one type from one sender are received in the order in which they were sent."""
    _, (a, b) = network("A", "B", topology=slow())
    for step in range(20):
        a.send("B", Ping(step))
    assert [(await b.recv("A", Ping)).step for _ in range(20)] == list(range(20))


async def test_receive_by_type_and_sender() -> None:
    """recv picks by sender and type and leaves the others waiting."""
    _, (a, b, c) = network("A", "B", "C")
    a.send("C", Ping(1))
    b.send("C", Ping(2))
    a.send("C", Block(3, np.zeros(2, np.uint8)))
    assert (await c.recv("A", Block)).step == 3
    assert (await c.recv("B", Ping)).step == 2
    assert (await c.recv("A", Ping)).step == 1


async def test_pair_of_its_own() -> None:
    """A direction with a link of its own uses it; the others use the default."""
    topology = Topology(LinkSpec(latency=1), {("A", "B"): LinkSpec(latency=3)})
    net, (a, b, c) = network("A", "B", "C", topology=topology)
    for sender, receiver in ((a, "B"), (b, "A"), (a, "C"), (c, "A")):
        sender.send(receiver, Ping(0))
    assert list(net.ledger.frame()["arrived_s"]) == [3, 1, 1, 1]


async def test_timeout() -> None:
    """A receive that takes too long raises ReceiveTimeout, naming who, what and from whom."""
    _, (a, b) = network("A", "B", topology=slow())
    with pytest.raises(ReceiveTimeout, match=r"B waited 2 s for Ping from A, until t = 2 s"):
        await b.recv("A", Ping, timeout=2)
    a.send("B", Ping(0))
    assert (await b.recv("A", Ping, timeout=2)).step == 0


async def test_message_at_the_instant_of_the_timeout() -> None:
    """A message that arrives at the very instant of the timeout is received."""
    _, (a, b) = network("A", "B", topology=Topology(LinkSpec(latency=2)))
    a.send("B", Ping(5))
    assert (await b.recv("A", Ping, timeout=2)).step == 5


async def test_cancelled_receive_loses_nothing() -> None:
    """A message that arrives for a task which is cancelled at that instant stays for the next one."""
    _, (a, b) = network("A", "B", topology=Topology(LinkSpec(latency=1)))
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(b.recv("A", Ping))
        await asyncio.sleep(0)
        b.mailbox("A", Ping).deliver((Ping(9), 1))
        waiting.cancel()
    del a
    assert (await b.recv("A", Ping)).step == 9


async def test_unknown_parties() -> None:
    """Sending to or receiving from a stranger or oneself is refused, naming who is known."""
    net, (a, _) = network("A", "B")
    with pytest.raises(NetworkError, match="A has no link to 'C'; it is joined to B"):
        a.send("C", Ping(0))
    with pytest.raises(NetworkError, match="A has no link from 'A'"):
        await a.recv("A", Ping)
    with pytest.raises(NetworkError, match="already a party 'A'"):
        net.join("A")


async def test_two_receivers() -> None:
    """Two tasks of a party cannot wait for the same."""
    _, (_, b) = network("A", "B")
    with pytest.raises(NetworkError, match="two tasks of B wait for Ping from A"):
        async with asyncio.timeout(1):
            await asyncio.gather(b.recv("A", Ping), b.recv("A", Ping), return_exceptions=False)


async def test_rounds() -> None:
    """Rounds are the longest chain of dependent messages, not a count of sends."""
    net, (a, b, c) = network("A", "B", "C", topology=Topology(LinkSpec(latency=1)))
    for receiver in ("B", "C"):
        a.send(receiver, Ping(0))  # round 1, twice
    for party in (b, c):
        await party.recv("A", Ping)
        party.send("A", Ping(1))  # round 2, side by side
    for sender in ("B", "C"):
        await a.recv(sender, Ping)
    a.send("B", Ping(2))  # round 3
    c.send("B", Ping(3))  # still round 2: C has received nothing new
    assert net.ledger.rounds == 3
    assert list(net.ledger.frame()["round"]) == [1, 1, 2, 2, 3, 2]


async def test_clock_counts_rounds() -> None:
    """With one second of latency and nothing else, the clock shows the rounds."""
    net, (a, b) = network("A", "B", topology=Topology(LinkSpec(latency=1)))

    async def party(me: Endpoint, other: str) -> None:
        for step in range(7):
            me.send(other, Ping(step))
            await me.recv(other, Ping)

    await net.run({"A": party(a, "B"), "B": party(b, "A")})
    assert asyncio.get_running_loop().time() == 7 == net.ledger.rounds


async def test_deadlock_names_the_cycle() -> None:
    """Parties that wait for each other in a circle fail with who waits for what, and the circle."""
    net, parties = network("A", "B", "C", "D")
    a, b, c, d = parties

    async def wait(me: Endpoint, other: str) -> None:
        await asyncio.sleep(2)
        await me.recv(other, Ping)

    coroutines = {"A": wait(a, "B"), "B": wait(b, "C"), "C": wait(c, "A"), "D": wait(d, "A")}
    with pytest.raises(DeadlockError) as caught:
        await net.run(coroutines)
    assert caught.value.time == 2
    assert [(w.party, w.sender, w.kind) for w in caught.value.waits] == [
        ("A", "B", "Ping"),
        ("B", "C", "Ping"),
        ("C", "A", "Ping"),
        ("D", "A", "Ping"),
    ]
    assert caught.value.cycle == ("A", "B", "C", "A")
    assert "A waits for Ping from B since t = 2 s" in str(caught.value)
    assert "cycle: A -> B -> C -> A" in str(caught.value)


async def test_silent_party() -> None:
    """A party that ends without sending leaves a deadlock without a cycle."""
    net, (a, b) = network("A", "B")

    async def silent() -> None:
        pass

    with pytest.raises(DeadlockError) as caught:
        await net.run({"A": a.recv("B", Ping), "B": silent()})
    assert [(w.party, w.sender) for w in caught.value.waits] == [("A", "B")]
    assert caught.value.cycle == ()
    assert b.depth == 0


async def test_first_failure_ends_all() -> None:
    """A party's exception surfaces as itself, and the others are cancelled."""
    net, (a, b) = network("A", "B")

    async def fail() -> None:
        await asyncio.sleep(1)
        raise ZeroDivisionError("on purpose")

    with pytest.raises(ZeroDivisionError, match="on purpose"):
        await net.run({"A": fail(), "B": b.recv("A", Ping)})
    assert list(net.waits()) == []
    assert a.name == "A"


async def test_results_by_name() -> None:
    """run returns what the coroutines returned."""
    net, (a, b) = network("A", "B")

    async def send() -> str:
        a.send("B", Ping(4))
        return "sent"

    results = await net.run({"A": send(), "B": b.recv("A", Ping)})
    assert results == {"A": "sent", "B": Ping(4)}


async def test_views() -> None:
    """Shares count as uniform; once every sender's share is there, the value counts as seen."""
    net, (a, b, c) = network("A", "B", "C")
    note = np.zeros(2, np.float32)
    a.send("C", Part(0, np.zeros(5, np.int64), note))
    assert net.ledger.views(["C"])["C"] == ({"note": 2, "sum": 5}, {"share of sum": 5}, {}, {})
    b.send("C", Part(0, np.zeros(5, np.int64), note))
    b.send("A", Block(0, np.zeros(3, np.uint8)))
    assert net.ledger.views(["A", "B", "C"]) == {
        "A": ({}, {"block": 3}, {}, {}),
        "B": ({}, {}, {}, {}),
        "C": ({"note": 4, "sum": 5}, {"share of sum": 10}, {}, {}),
    }
    assert c.name == "C"


async def test_views_of_what_says_nothing() -> None:
    """Ciphertexts and modelled bytes are counted apart, public values nowhere; rings are of either width."""
    net, (a, b) = network("A", "B", encode_all=True)
    octets = [np.zeros(size, np.uint8) for size in (3, 4, 5)]
    for dtype in (np.int64, np.int32):
        a.send("B", Sealed(0, *octets, np.arange(2, dtype=dtype)))
        received = await b.recv("A", Sealed)
        assert received.share.dtype == dtype
        assert received.share.tolist() == [0, 1]
    assert net.ledger.views(["B"])["B"] == ({}, {"share": 4}, {"sum": 8}, {"triples": 10})
    with pytest.raises(WireError, match="share takes a int64 or int32 array, not float64"):
        Sealed(0, *octets, np.zeros(2))


async def test_a_second_plug_has_its_own_processor_and_chain() -> None:
    """What a party does beside its main task takes no time of it, and its messages are another chain."""
    machine = dataclasses.replace(Machine.instant(), flops_per_s=1.0)
    net, (a, b) = network("A", "B", topology=Topology(LinkSpec(latency=1.0)), machine=machine)
    aside = net.aside("A")
    loop = asyncio.get_running_loop()
    async with asyncio.TaskGroup() as group:
        main = group.create_task(a.compute(lambda: loop.time(), 3.0))
        beside = group.create_task(aside.compute(lambda: loop.time(), 3.0))
    assert loop.time() == 3.0
    assert (main.result(), beside.result()) == (0.0, 0.0)
    b.send("A", Ping(0))
    await aside.recv("B", Ping)
    aside.send("B", Block(0, np.zeros(1, np.uint8)))
    a.send("B", Ping(0))
    assert [row[-1] for row in net.ledger.rows] == [1, 2, 1]
    assert net.asides == {"A": aside}
    assert aside.name == "A"


async def test_encode_all() -> None:
    """With encoding switched on, receivers get equal messages in other memory, and the ledger is the same."""
    ledgers = []
    for encode_all in (False, True):
        net, (a, b) = network("A", "B", encode_all=encode_all)
        data = np.arange(9, dtype=np.uint8)
        a.send("B", Block(0, data))
        received = (await b.recv("A", Block)).data
        assert np.array_equal(received, data)
        assert np.shares_memory(received, data) is not encode_all
        ledgers.append(net.ledger.sha256())
    assert ledgers[0] == ledgers[1]


async def test_tap() -> None:
    """The tap is shown every message with its sender and receiver."""
    shown: list[tuple[str, str, Message]] = []
    _, (a, _) = network("A", "B", tap=lambda *what: shown.append(what))
    a.send("B", Ping(1))
    assert shown == [("A", "B", Ping(1))]


def test_ledger_hash_sees_every_column() -> None:
    """The hash of two ledgers differs when any of their columns does, and an empty one has a hash, too."""

    def ledger(latency: float, steps: tuple[int, ...]) -> str:
        async def main() -> str:
            net, (a, _) = network("A", "B", topology=Topology(LinkSpec(latency=latency)))
            for step in steps:
                a.send("B", Ping(step))
            return net.ledger.sha256()

        return run(main())

    assert len({ledger(1, (1,)), ledger(2, (1,)), ledger(1, (2,)), ledger(1, (1, 1)), ledger(1, ())}) == 5
    assert ledger(1, (1,)) == ledger(1, (1,))
