"""Flows through shared bottlenecks."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2n2sim.net.flow import Flow
from p2n2sim.net.flows import Fluid
from p2n2sim.net.sharing import Port, fair_rates, relax
from p2n2sim.net.tcp import FRAME, Window


class Clock:
    """Drives a fluid and notes when messages pass."""

    def __init__(self) -> None:
        self.fluid = Fluid()
        self.now = 0.0
        self.passed: dict[str, tuple[float, float]] = {}

    def offer(self, name: str, flow: Flow, size: float, early: float = 0.0) -> None:
        """Hands over a message now."""

        def passed(began: float, ended: float) -> None:
            self.passed[name] = (began, ended)

        self.fluid.offer(self.now, flow, size, passed, early)

    def run(self, until: float = math.inf) -> None:
        """Lets the time pass until nothing is left to happen, or to a time."""
        while (due := self.fluid.run(self.now)) < min(until, math.inf):
            self.now = due
        if until < math.inf:
            self.now = until
            self.fluid.run(until)


def through(*ports: Port) -> Flow:
    """A flow without a window."""
    return Flow(ports)


def activate(flows: list[Flow]) -> set[Port]:
    """Puts flows on their ports without moving anything."""
    for flow in flows:
        for port, share in flow.uses:
            port.flows[flow] = share
    return {port for flow in flows for port in flow.forward}


def test_two_flows_share_and_the_rest_gets_what_is_left() -> None:
    """Two flows at a bottleneck get half of it; one of them alone at a second gets what that leaves."""
    narrow, wide = Port(100.0), Port(1000.0)
    flows = [through(narrow), through(narrow, wide), through(wide)]
    rates = fair_rates(sorted(activate(flows), key=lambda port: port.rate))
    assert [rates[flow] for flow in flows] == pytest.approx([50, 50, 950])


@given(st.data())
def test_max_min_fair(data: st.DataObject) -> None:
    """No port is overfull, and every flow has a port that is full and where nobody has more than it."""
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    ports = [Port(float(rate)) for rate in rng.integers(1, 1000, data.draw(st.integers(1, 6)))]
    chosen = [
        rng.choice(len(ports), rng.integers(1, len(ports) + 1), False) for _ in range(rng.integers(1, 12))
    ]
    flows = [through(*(ports[number] for number in numbers)) for numbers in chosen]
    activate(flows)
    rates = fair_rates(ports)
    used = {port: sum(rates[flow] for flow in port.flows) for port in ports}
    assert all(used[port] <= port.rate * (1 + 1e-6) for port in ports)
    for flow in flows:
        assert any(
            used[port] >= port.rate * (1 - 1e-6)
            and rates[flow] >= max(rates[other] for other in port.flows) * (1 - 1e-6)
            for port in flow.forward
        )


@given(st.data())
def test_relaxing_finds_what_filling_finds(data: st.DataObject) -> None:
    """Flows come and go, with and without acknowledgements: after each change all rates are the fair ones."""
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    ports = [Port(float(rate)) for rate in rng.integers(1, 8, data.draw(st.integers(1, 7)))]
    moving: list[Flow] = []
    for _ in range(data.draw(st.integers(1, 25))):
        if moving and rng.random() < 0.4:
            flow = moving.pop(rng.integers(len(moving)))
            for port, _ in flow.uses:
                del port.flows[flow]
        else:
            chosen = rng.permutation(len(ports))[: rng.integers(1, 5)]
            ways = [ports[number] for number in chosen]
            flow = Flow(ways[:2], [(port, 0.02) for port in ways[2:]])
            moving.append(flow)
            activate([flow])
        relax(port for port, _ in flow.uses)
        fair = fair_rates(ports)
        for flow in moving:
            assert min(port.level for port, _ in flow.uses) == pytest.approx(fair[flow], rel=1e-6)


def test_the_next_event_counts_what_has_moved() -> None:
    """A change elsewhere that leaves a flow's rate leaves its time, too."""
    clock, narrow, wide = Clock(), Port(100.0), Port(1000.0)
    clock.offer("slow", through(narrow, wide), 300)
    clock.run(1.0)
    clock.offer("other", through(wide), 90)
    clock.run()
    assert clock.passed["slow"][1] == pytest.approx(3)
    assert clock.passed["other"][1] == pytest.approx(1.1)


def test_a_flow_that_ends_leaves_its_share() -> None:
    """100 and 300 bytes at 100 bytes a second: the short one passes at 2 s, the long one at 4 s."""
    clock, port = Clock(), Port(100.0)
    clock.offer("short", through(port), 100)
    clock.offer("long", through(port), 300)
    clock.run()
    assert clock.passed["short"] == pytest.approx((0, 2))
    assert clock.passed["long"] == pytest.approx((0, 4))


def test_a_flow_that_begins_takes_its_share() -> None:
    """A second flow that begins at 1 s takes half of what is left."""
    clock, port = Clock(), Port(100.0)
    clock.offer("first", through(port), 200)
    clock.run(1.0)
    clock.offer("second", through(port), 100)
    clock.run()
    assert clock.passed["first"][1] == pytest.approx(3)
    assert clock.passed["second"] == pytest.approx((1, 3))


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 1000)), min_size=1, max_size=12))
def test_work_is_conserved(sizes: list[tuple[int, int]]) -> None:
    """However flows share a busy bottleneck, the last byte passes at total size over rate."""
    clock, port = Clock(), Port(100.0)
    flows = [through(port) for _ in range(6)]
    for number, (flow, size) in enumerate(sizes):
        clock.offer(str(number), flows[flow], size)
    clock.run()
    total = sum(size for _, size in sizes)
    assert max(ended for _, ended in clock.passed.values()) == pytest.approx(total / 100, rel=1e-4)
    assert len(clock.passed) == len(sizes)


def test_a_burst_passes_at_once_and_comes_back_with_time() -> None:
    """A bucket of 50 bytes spares half a second, and is full again after half a second of rest."""
    clock, port = Clock(), Port(100.0, burst=50.0)
    flow = through(port)
    clock.offer("first", flow, 150)
    clock.run(10.0)
    clock.offer("second", flow, 150)
    clock.run()
    assert clock.passed["first"][1] == pytest.approx(1)
    assert clock.passed["second"][1] == pytest.approx(11)


def test_the_rate_changes_under_way() -> None:
    """100 bytes a second for a second, then 50: 200 bytes pass at 3 s."""
    clock = Clock()
    clock.offer("message", through(Port(100.0, steps=[(1.0, 50.0)])), 200)
    clock.run()
    assert clock.passed["message"][1] == pytest.approx(3)


def test_flights_take_a_round_trip_each() -> None:
    """70 segments on a fast path leave as 10, 20 and 40: the last of them after two round trips."""
    clock = Clock()
    flow = Flow([Port(1e12)], round_trip=1.0, window=Window())
    clock.offer("message", flow, 70 * FRAME)
    clock.run()
    assert clock.passed["message"][1] == pytest.approx(2, abs=1e-4)
    clock.offer("next", flow, 71 * FRAME)
    clock.run()
    began, ended = clock.passed["next"]
    assert ended - began == pytest.approx(1, abs=1e-4)  # 61 at first: the receive window has not opened yet


def test_a_message_may_be_handed_over_in_parts() -> None:
    """What is supplied later leaves later, and the message has passed when the last of it has."""
    clock, flow = Clock(), through(Port(100.0))
    clock.fluid.offer(0.0, flow, 300, lambda began, ended: clock.passed.update(m=(began, ended)), later=200)
    clock.run(5.0)
    assert flow.position == pytest.approx(100)
    clock.fluid.supply(5.0, flow, 200)
    clock.run()
    assert clock.passed["m"] == pytest.approx((0, 7))


def test_the_senders_room_follows_the_window() -> None:
    """Three windows of ten segments at first; later what the bottleneck held when slow start ended."""
    clock, rate = Clock(), 10_000.0 * FRAME
    flow = Flow([Port(rate)], window=Window())
    assert flow.room == 30 * FRAME
    clock.offer("message", flow, 5 * FRAME)
    assert flow.room == 25 * FRAME
    clock.offer("more", flow, 1000 * FRAME)
    clock.run()
    assert flow.room == pytest.approx(3 * rate * 4e-3)
    assert through(Port(rate)).room == math.inf


@pytest.mark.parametrize(("talks", "segments"), [(False, 20), (True, 40)])
def test_rest_begins_when_something_was_last_sent(talks: bool, segments: int) -> None:
    """Not when it was acknowledged: only where a sender answers with frames of its own."""
    clock, window = Clock(), Window(talks=talks)
    flow = Flow([Port(1e12)], round_trip=1.0, window=window)
    clock.offer("message", flow, 70 * FRAME)  # the last of three flights leaves at 2 s
    clock.run(2 + 2 * 1.2 + 0.5)
    assert window.size == 80 * FRAME
    clock.offer("next", flow, FRAME)
    assert window.size == segments * FRAME


def test_once_the_pipe_is_full_the_bottleneck_sets_the_pace() -> None:
    """A flight that lasts a round trip is no limit: 1000 segments at one a millisecond take a second."""
    clock = Clock()
    flow = Flow([Port(1000.0 * FRAME)], round_trip=0.005, window=Window())
    clock.offer("message", flow, 1000 * FRAME)
    clock.run()
    assert clock.passed["message"][1] == pytest.approx(1, rel=1e-6)


def test_acknowledgements_take_their_share_of_the_way_back() -> None:
    """Bulk both ways: each direction is slower by what acknowledges the other."""
    clock, there, back = Clock(), Port(1000.0 * FRAME), Port(1000.0 * FRAME)
    share = 66 / 3028
    for name, ports in (("there", (there, back)), ("back", (back, there))):
        flow = Flow([ports[0]], [(ports[1], share)], round_trip=0.001, window=Window())
        clock.offer(name, flow, 1000 * FRAME)
    clock.run()
    assert clock.passed["there"][1] == clock.passed["back"][1] == pytest.approx(1 + share, rel=1e-3)


def test_a_small_queue_drops() -> None:
    """What does not fit underway or into the queue is lost, and the window shrinks below what would fit."""

    def seconds(queue: float) -> float:
        clock = Clock()
        flow = Flow([Port(1000.0 * FRAME)], round_trip=0.1, window=Window(), queue=queue)
        clock.offer("message", flow, 20_000 * FRAME)
        clock.run()
        return clock.passed["message"][1]

    assert seconds(100 * FRAME) == pytest.approx(seconds(math.inf))  # 0.7 of it still fill what is underway
    assert seconds(10 * FRAME) > 1.05 * seconds(math.inf)


def test_losses_slow_down() -> None:
    """The more often a segment is lost, the longer a message takes."""

    def seconds(every: float) -> float:
        clock = Clock()
        losses = (lambda: every * FRAME) if every else None
        flow = Flow([Port(1000.0 * FRAME)], round_trip=0.1, window=Window(), losses=losses)
        clock.offer("message", flow, 2000 * FRAME)
        clock.run()
        return clock.passed["message"][1]

    assert seconds(0) < seconds(1000) < seconds(100) < seconds(20)
