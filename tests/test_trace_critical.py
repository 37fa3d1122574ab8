"""The critical path: cases by hand of which the answer is known, and sums that are exact."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import pytest

from p2n2sim.net.handover import Handover
from p2n2sim.net.link import LinkSpec
from p2n2sim.net.network import Network
from p2n2sim.net.topology import Topology
from p2n2sim.report.read import StoredEvents
from p2n2sim.trace.critical import PARTS, critical_path, divide
from p2n2sim.trace.packets import segments
from p2n2sim.trace.pcapng import pcapng
from p2n2sim.trace.perfetto import perfetto
from p2n2sim.trace.story import tell
from tests.capture_reader import check_conversations, read_capture
from tests.handmade import Tasks, Triple, Value, handmade, seconds, triple, value
from tests.trace_reader import check_trace


def parts(run: StoredEvents) -> dict[str, float]:
    """Seconds by part, without zeros; checks that the path has no gaps and the sums are exact."""
    path = critical_path(tell(run))
    assert path[0].start_s == 0
    assert path[-1].end_s == run.summary["time"]["virtual_s"]
    assert all(a.end_s == b.start_s for a, b in pairwise(path))
    assert all(segment.start_s <= segment.end_s for segment in path)
    divided = divide(path, run.batches)
    total = divided["total_ps"]
    assert total == round(run.summary["time"]["virtual_s"] * 1e12)
    assert total == sum(divided["parts_ps"].values())
    assert total == sum(sum(stage.values()) for stage in divided["stages_ps"].values())
    return {part: divided["parts_ps"][part] / 1e12 for part in PARTS if divided["parts_ps"][part]}


async def work(network: Network, party: str, length: float, label: str = "") -> None:
    """Some work."""
    await network.parties[party].compute(lambda: None, length, label=label)


def test_one_message() -> None:
    """Work, bits, distance, work: each takes what it takes."""

    def tasks(network: Network) -> Tasks:
        async def a() -> None:
            await work(network, "A", 2.0)
            network.parties["A"].send("B", value(1000))

        async def b() -> None:
            await network.parties["B"].recv("A", Value)
            await work(network, "B", 3.0)

        return {"A": a(), "B": b()}

    run = handmade(["A", "B"], tasks, bandwidth="1 kbit/s")
    expected = {"compute": 5.0, "serialisation": seconds(value(1000), 1e3), "latency": 1.0}
    assert parts(run) == pytest.approx(expected, rel=1e-12)


def test_it_leads_through_who_comes_last() -> None:
    """Of two parties that work at the same time the slower one is on the path, the other is not."""

    def tasks(network: Network) -> Tasks:
        async def one(me: str, other: str, length: float) -> None:
            await work(network, me, length, me)
            network.parties[me].send(other, value())
            await network.parties[me].recv(other, Value)

        return {"A": one("A", "B", 2.0), "B": one("B", "A", 5.0)}

    run = handmade(["A", "B"], tasks, bandwidth="1 Gbit/s")
    path = critical_path(tell(run))
    assert [(s.part, s.where) for s in path if s.end_s > s.start_s] == [
        ("compute", "B"),
        ("serialisation", "B->A"),
        ("latency", "B->A"),
    ]
    assert parts(run)["compute"] == 5.0


def test_a_queue_is_the_bits_in_front() -> None:
    """A message that waits for the link is explained by those before it, not by when it was sent."""

    def tasks(network: Network) -> Tasks:
        async def a() -> None:
            network.parties["A"].send("B", triple(500))
            await work(network, "A", 0.001)
            for _ in range(2):
                network.parties["A"].send("B", value(1000))

        async def b() -> None:
            for _ in range(2):
                await network.parties["B"].recv("A", Value)

        return {"A": a(), "B": b()}

    run = handmade(["A", "B"], tasks, bandwidth="1 kbit/s")
    expected = {
        "offline": seconds(triple(500), 1e3),  # the first one's bits; its distance is on nobody's way
        "serialisation": 2 * seconds(value(1000), 1e3),
        "latency": 1.0,
    }
    assert parts(run) == pytest.approx(expected, rel=1e-12)


def test_waiting_for_the_dealer() -> None:
    """The dealer's work and its messages are one part, whatever they are made of."""

    def tasks(network: Network) -> Tasks:
        async def dealer() -> None:
            await work(network, "dealer", 7.0)
            network.parties["dealer"].send("A", triple(100))

        async def a() -> None:
            await work(network, "A", 1.0)
            await network.parties["A"].recv("dealer", Triple)
            await work(network, "A", 1.0)

        return {"A": a(), "dealer": dealer()}

    run = handmade(["A", "dealer"], tasks)
    expected = {"offline": 8.0 + seconds(triple(100), 1e6), "compute": 1.0}
    assert parts(run) == pytest.approx(expected, rel=1e-12)


def test_a_busy_processor_is_the_work_in_front() -> None:
    """A task that waits for its party's processor is explained by the other task's work."""

    def tasks(network: Network) -> Tasks:
        return {"one": work(network, "A", 2.0, "one"), "two": work(network, "A", 3.0, "two")}

    run = handmade(["A"], tasks)
    path = critical_path(tell(run))
    assert [(s.what, s.start_s, s.end_s) for s in path] == [("one", 0.0, 2.0), ("two", 2.0, 5.0)]
    assert parts(run) == {"compute": 5.0}


def test_a_handover_is_the_other_tasks_work() -> None:
    """Who waits for another task of the party waits for what that one does; the second plug is offline."""

    def tasks(network: Network) -> Tasks:
        plug, beside = network.parties["A"], network.aside("A")
        made: Handover[None] = Handover(plug)

        async def aside() -> None:
            await beside.compute(lambda: None, 4.0)
            made.give(beside, None)

        async def main() -> None:
            await work(network, "A", 1.0)
            await made.take(plug)
            await work(network, "A", 2.0)

        return {"main": main(), "beside": aside()}

    assert parts(handmade(["A"], tasks)) == {"compute": 2.0, "offline": 4.0}


def test_what_was_not_recorded_is_told() -> None:
    """Sleep is nobody's work and no message."""

    def tasks(network: Network) -> Tasks:
        async def a() -> None:
            await work(network, "A", 1.0)
            await asyncio.sleep(2.0)
            network.parties["A"].send("B", value())

        async def b() -> None:
            await network.parties["B"].recv("A", Value)
            await asyncio.sleep(4.0)

        return {"A": a(), "B": b()}

    told = parts(handmade(["A", "B"], tasks, bandwidth="1 Gbit/s"))
    assert told["other"] == pytest.approx(6.0)
    assert told["compute"] == 1.0


def test_stages_are_cut_where_batches_begin() -> None:
    """A piece of work in which a batch begins counts for both stages."""

    def tasks(network: Network) -> Tasks:
        return {"A": work(network, "A", 10.0)}

    run = handmade(["A"], tasks, batches=[("train", 1.0), ("predict", 5.0), ("train", 8.0)])
    stages: dict[str, Any] = divide(critical_path(tell(run)), run.batches)["stages_ps"]
    compute = {stage: parts["compute"] / 1e12 for stage, parts in stages.items()}
    assert compute == {"setup": 1.0, "train": 6.0, "predict": 3.0}


@pytest.mark.parametrize("transport", ["tcp", "grpc"])
def test_over_a_transport(transport: str) -> None:
    """Handshake, host and windows count as serialisation; nothing is left unexplained; files are valid."""

    def tasks(network: Network) -> Tasks:
        async def party(me: str, others: str) -> None:
            for size in (10, 100_000, 30):
                await work(network, me, 0.01)
                for other in others:
                    network.parties[me].send(other, value(size))
                for other in others:
                    await network.parties[me].recv(other, Value)

        return {me: party(me, "ABC".replace(me, "")) for me in "ABC"}

    links = Topology(LinkSpec(bandwidth=1e8, latency=0.01, transport=transport))  # type: ignore[arg-type]
    run = handmade("ABC", tasks, bandwidth="100 Mbit/s", latency="10 ms", links=links)
    told = parts(run)
    assert "other" not in told
    assert told["compute"] == pytest.approx(0.03)
    check_trace(perfetto(run, tell(run)))
    capture = pcapng(segments(tell(run), links, list("ABC")), list("ABC"), comment="")
    packets, names = read_capture(b"".join(capture))
    by_link = run.ledger.groupby(["sender", "receiver"])["wire_bytes"].sum().to_dict()
    carried = check_conversations(packets)
    assert {(names[a], names[b]): count for (a, b), count in carried.items()} == by_link


def test_nothing_takes_no_time() -> None:
    """A run in which nothing happened has no path."""
    run = handmade(["A"], lambda network: {"A": work(network, "A", 0.0)})
    assert divide(critical_path(tell(run)), run.batches)["total_ps"] == 0
