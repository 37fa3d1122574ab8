"""The journal: which task did what, in order, from a trail without tasks and times."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2n2sim.errors import ReceiveTimeout
from p2n2sim.net import simloop
from p2n2sim.net.handover import Handover
from p2n2sim.net.link import LinkSpec
from p2n2sim.net.network import Network
from p2n2sim.net.replay import Replay, ReplayError, check_explained, check_timeless, replay
from p2n2sim.net.topology import Topology
from p2n2sim.wire import Message

WAN = Topology(LinkSpec(bandwidth=1e6, latency=0.01))


@dataclass(frozen=True, slots=True)
class Ping(Message):
    """Nothing but a header."""


@dataclass(frozen=True, slots=True)
class Pong(Message):
    """The answer."""


def network(topology: Topology = WAN) -> Network:
    """A network on the running loop with parties A and B."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, simloop.SimLoop)
    made = Network(loop, topology)
    made.join("A")
    made.join("B")
    return made


def told(net: Network) -> list[tuple[int, str, str, str]]:
    """Task, plug, kind and what of every record."""
    return [(r.task, r.plug, r.kind, r.what) for r in net.events().itertuples()]


async def test_two_tasks_of_a_party_are_told_apart() -> None:
    """A wait ends a task's step: what each of two tasks sends after its own message is its own."""
    net = network()
    a, b = net.parties["A"], net.parties["B"]

    async def first() -> None:
        await a.recv("B", Ping)
        await a.compute(lambda: None, 1.0, label="first")
        a.send("B", Ping(1))

    async def second() -> None:
        await a.recv("B", Pong)
        await a.compute(lambda: None, 1.0, label="second")
        a.send("B", Pong(2))

    async def other() -> None:
        b.send("A", Pong(0))
        b.send("A", Ping(0))
        await b.recv("A", Pong)
        await b.recv("A", Ping)

    await net.run({"first": first(), "second": second(), "other": other()})
    by_task = {task: list(rows["what"]) for task, rows in net.events().groupby("task")}
    assert by_task == {0: ["Ping", "first", "Ping"], 1: ["Pong", "second", "Pong"], 2: ["Pong", "Ping"] * 2}
    # The later computation began when the processor was free.
    assert a.cpu.intervals[0][1] == a.cpu.intervals[1][0]


async def test_a_second_plug_is_named() -> None:
    """What is taken and computed through a second plug stands under that plug's name."""
    net = network()
    beside, b = net.aside("A"), net.parties["B"]

    async def main() -> None:
        await beside.recv("B", Ping)
        beside.send("B", Pong(0))

    b.send("A", Ping(0))
    await net.run({"A": main(), "B": b.recv("A", Pong)})
    assert told(net) == [
        (0, "B", "send", "Ping"),
        (1, "A (offline)", "receive", "Ping"),
        (1, "A (offline)", "send", "Pong"),
        (2, "B", "receive", "Pong"),
    ]


async def test_a_timeout_is_recorded_and_refused() -> None:
    """Who waits with a timeout may do otherwise on other links, whether the message came in time or not."""
    for timeout, kinds in ((1.0, ["deadline", "receive"]), (0.001, ["deadline", "left", "send"])):
        net = network()
        a, b = net.parties["A"], net.parties["B"]

        async def impatient(timeout: float = timeout, net: Network = net) -> None:
            try:
                await net.parties["A"].recv("B", Ping, timeout=timeout)
            except ReceiveTimeout:
                net.parties["A"].send("B", Pong(0))

        b.send("A", Ping(0))
        await net.run({"A": impatient()})
        events = net.events()
        assert list(events.loc[events["plug"] == "A", "kind"]) == kinds
        with pytest.raises(
            ReplayError, match=r"^A waits for Ping from B with a timeout: what it does next may"
        ):
            check_timeless(events)
        assert a.depth <= 1


def test_somebody_who_sleeps_is_found_out() -> None:
    """A sleep leaves no record, so a replay on the recorded links does not give the times again."""

    async def main() -> tuple[pd.DataFrame, pd.DataFrame]:
        net = network()

        async def sleeper() -> None:
            await asyncio.sleep(0.5)
            net.parties["A"].send("B", Ping(0))

        await net.run({"A": sleeper(), "B": net.parties["B"].recv("A", Ping)})
        return net.events(), net.ledger.frame()

    events, ledger = simloop.run(main())
    with pytest.raises(ReplayError, match=r"^Ping from A to B at t = 0\.5 s waited for something that is no"):
        check_explained(ledger, replay(events, ledger, ["A", "B"], WAN))


async def _swap(net: Network, ahead: int, work: list[float]) -> Network:
    """Two parties; each has a task beside that must not run too far ahead, and all share the links."""

    def party(me: str, other: str) -> dict[str, object]:
        plug, beside = net.parties[me], net.aside(me)
        allowed: Handover[None] = Handover(plug, *[None] * ahead)
        made: Handover[int] = Handover(plug)

        async def aside() -> None:
            for step, seconds in enumerate(work):
                await allowed.take(beside)
                beside.send(other, Pong(step))
                await beside.recv(other, Pong)
                await beside.compute(lambda: None, seconds, label="beside")
                made.give(beside, step)

        async def main() -> None:
            for step, seconds in enumerate(work):
                allowed.give(plug, None)
                plug.send(other, Ping(step))
                await plug.compute(lambda: None, seconds / 2, label="main")
                await plug.recv(other, Ping)
                assert await made.take(plug) == step

        return {me: main(), f"{me} beside": aside()}

    await net.run(party("A", "B") | party("B", "A"))  # type: ignore[arg-type]
    return net


@given(
    ahead=st.integers(0, 2),
    work=st.lists(st.sampled_from([0.0, 1e-3, 0.0100005, 0.3]), min_size=1, max_size=4),
    bandwidth=st.sampled_from([1e3, 1e5, 1e9]),
    latency=st.sampled_from([0.0, 1e-4, 0.01, 1.0]),
)
def test_replays_of_tasks_that_wait_for_each_other(
    ahead: int, work: list[float], bandwidth: float, latency: float
) -> None:
    """Handovers, shared links and shared instants: a replay has the times and rounds of a run, to the bit."""
    links = Topology(LinkSpec(bandwidth=bandwidth, latency=latency))

    async def on(topology: Topology) -> Network:
        return await _swap(network(topology), ahead, work)

    recorded, full = simloop.run(on(WAN)), simloop.run(on(links))
    replayed: Replay = replay(recorded.events(), recorded.ledger.frame(), ["A", "B"], links)
    assert replayed.ledger.rows == full.ledger.rows
    assert replayed.intervals == full.intervals()
    pd.testing.assert_frame_equal(replayed.events, full.events())
