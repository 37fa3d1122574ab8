"""Other legal orders of one instant: what a seed may change, and what it must not."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2n2sim.errors import DeadlockError, ReceiveTimeout
from p2n2sim.net import endpoint
from p2n2sim.net.link import LinkSpec
from p2n2sim.net.network import Network
from p2n2sim.net.schedule import Dice
from p2n2sim.net.simloop import SimLoop, run
from p2n2sim.net.topology import Topology
from p2n2sim.wire import Message

SEEDS = range(60)


@dataclass(frozen=True, slots=True)
class Ping(Message):
    """A message."""


@dataclass(frozen=True, slots=True)
class Pong(Message):
    """A message of another type."""


def current_loop() -> SimLoop:
    """The loop that runs."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SimLoop)
    return loop


def orders(program: Callable[[list[Any]], Coroutine[Any, Any, None]]) -> Counter[tuple[Any, ...]]:
    """What a program traces under many seeds, and how often."""
    seen: Counter[tuple[Any, ...]] = Counter()
    for seed in SEEDS:
        trace: list[Any] = []
        run(program(trace), schedule=seed)
        seen[tuple(trace)] += 1
    return seen


def test_a_link_keeps_its_order_and_links_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages of one link arrive as they were sent, also those of two types; links overtake each other."""
    trace: list[tuple[str, int]] = []
    deliver = endpoint.Mailbox.deliver

    def traced(self: endpoint.Mailbox, arrival: tuple[Message, int]) -> None:
        trace.append((self.lane[0], arrival[0].step))
        deliver(self, arrival)

    monkeypatch.setattr(endpoint.Mailbox, "deliver", traced)

    async def program(out: list[Any]) -> None:
        network = Network(current_loop(), Topology(LinkSpec(latency=1)))
        receiver, *senders = (network.join(name) for name in "DABC")
        trace.clear()
        for sender in senders:
            for step in range(4):
                sender.send("D", (Ping if step % 2 else Pong)(step))
        for sender in senders:
            await receiver.recv(sender.name, Ping)
        out.extend(trace)

    seen = orders(program)
    assert len(seen) > len(SEEDS) / 2
    for order in seen:
        for name in "ABC":
            steps = [step for sender, step in order if sender == name]
            assert steps == sorted(steps)


async def sleepers(trace: list[Any]) -> None:
    """Three tasks sleep until the same instant."""

    async def sleeper(name: str) -> None:
        await asyncio.sleep(1)
        trace.append(name)

    async with asyncio.TaskGroup() as group:
        for name in "abc":
            group.create_task(sleeper(name))


def test_every_order_of_three_tasks_is_found() -> None:
    """Tasks that wake at one instant run in each of the six orders under some seed."""
    assert len(orders(sleepers)) == 6


def test_a_seed_draws_the_same_order_each_time() -> None:
    """The order is a function of the seed."""
    assert orders(sleepers) == orders(sleepers)


def test_without_a_seed_first_come_first_served() -> None:
    """The default order is untouched."""
    trace: list[Any] = []
    run(sleepers(trace))
    assert trace == ["a", "b", "c"]


def test_a_woken_task_may_run_before_or_after_the_next_message() -> None:
    """A receiver finds none, one or both of the other messages of its instant."""

    async def program(trace: list[Any]) -> None:
        loop = current_loop()
        first: asyncio.Future[None] = loop.create_future()
        others: list[int] = []
        loop.post(1.0, first.set_result, None)
        loop.post(1.0, others.append, 1)
        loop.post(1.0, lambda _: others.append(2), None)
        await first
        trace.append(len(others))

    assert set(orders(program)) == {(0,), (1,), (2,)}


def test_timers_of_one_task_keep_their_order() -> None:
    """A timeout set before a sleep of the same length fires first under every seed."""

    async def program(trace: list[Any]) -> None:
        async def worker() -> None:
            try:
                async with asyncio.timeout(5):
                    await asyncio.sleep(5)
            except TimeoutError:
                trace.append("timeout")

        async with asyncio.TaskGroup() as group:
            for _ in range(3):
                group.create_task(worker())

    assert list(orders(program)) == [("timeout",) * 3]


def test_timers_of_one_task_fire_together() -> None:
    """Two nested timeouts of one instant have both expired when the task is told."""

    async def program(trace: list[Any]) -> None:
        async def worker() -> None:
            loop = current_loop()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout_at(1) as outer, asyncio.timeout_at(1) as inner:
                    await loop.create_future()
            trace.append((outer.expired(), inner.expired()))

        async with asyncio.TaskGroup() as group:
            for _ in range(3):
                group.create_task(worker())

    assert list(orders(program)) == [((True, True),) * 3]


def test_cancelling_by_a_callback_is_no_step_of_a_task() -> None:
    """task.cancel given to call_soon keeps its place behind the task's first step."""

    async def program(trace: list[Any]) -> None:
        async def worker() -> None:
            trace.append("began")
            await asyncio.sleep(1)

        tasks = [current_loop().create_task(worker()) for _ in range(3)]
        for task in tasks:
            current_loop().call_soon(task.cancel)
        await asyncio.sleep(2)

    assert list(orders(program)) == [("began",) * 3]


def test_callbacks_keep_their_order() -> None:
    """call_soon is first in, first out, with or without tasks between."""

    async def program(trace: list[Any]) -> None:
        loop = current_loop()
        for number in range(5):
            loop.call_soon(trace.append, number)
            if number == 2:
                loop.create_task(asyncio.sleep(0))
        await asyncio.sleep(1)

    assert list(orders(program)) == [(0, 1, 2, 3, 4)]


def test_a_message_at_the_instant_of_a_timeout_still_wins() -> None:
    """Whichever order is drawn."""

    async def program(trace: list[Any]) -> None:
        network = Network(current_loop(), Topology(LinkSpec(latency=2)))
        a, b = network.join("A"), network.join("B")
        a.send("B", Ping(0))
        await b.recv("A", Ping, timeout=2)
        with pytest.raises(ReceiveTimeout):
            await b.recv("A", Ping, timeout=1)
        trace.append(current_loop().time())

    assert list(orders(program)) == [(3.0,)]


def test_simpy_events_keep_their_order_among_each_other() -> None:
    """They mix with messages of the instant only."""

    async def program(trace: list[Any]) -> None:
        loop = current_loop()
        for number in range(3):
            event = loop.env.timeout(1)
            event.callbacks.append(lambda _, number=number: trace.append(number))
            loop.post(1.0, lambda _: trace.append("message"), None)
        await asyncio.sleep(2)

    seen = orders(program)
    assert len(seen) > 3
    assert {tuple(entry for entry in order if entry != "message") for order in seen} == {(0, 1, 2)}


def test_results_of_threads_come_in_the_order_of_submission() -> None:
    """A schedule does not change it, and the clock still waits for them."""

    async def program(trace: list[Any]) -> None:
        loop = current_loop()
        for number in range(4):
            loop.run_in_executor(None, int, number).add_done_callback(lambda f: trace.append(f.result()))
        await asyncio.sleep(1)

    assert list(orders(program)) == [(0, 1, 2, 3)]


def test_a_deadlock_is_found_under_a_seed_too() -> None:
    """Two parties that wait for each other are told."""

    async def main() -> None:
        network = Network(current_loop())
        a, b = network.join("A"), network.join("B")
        await network.run({"A": a.recv("B", Ping), "B": b.recv("A", Ping)})

    with pytest.raises(DeadlockError) as error:
        run(main(), schedule=3)
    assert error.value.cycle == ("A", "B", "A")


KINDS = st.sampled_from(["post", "simpy", "timer", "cancelled"])


@given(st.integers(), st.lists(st.tuples(KINDS, st.integers(0, 3)), max_size=30))
def test_everything_happens_once_at_its_time_and_timers_last(seed: int, plan: list[tuple[str, int]]) -> None:
    """Under every seed: no event is lost or early, and at each instant the timers come after the rest."""
    trace: list[tuple[float, bool, int]] = []
    expected: list[tuple[float, bool, int]] = []

    async def main() -> None:
        loop = current_loop()
        for number, (kind, when) in enumerate(plan):
            entry = (float(when), kind == "timer", number)
            if kind == "cancelled":
                loop.call_at(when, trace.append, entry).cancel()
                continue
            expected.append(entry)
            if kind == "post":
                loop.post(when, lambda entry: trace.append((loop.time(), *entry[1:])), entry)
            elif kind == "simpy":
                loop.env.timeout(when).callbacks.append(
                    lambda _, entry=entry: trace.append((loop.time(), *entry[1:]))
                )
            else:
                loop.call_at(when, lambda entry: trace.append((loop.time(), *entry[1:])), entry)
        await asyncio.sleep(4)

    run(main(), schedule=seed)
    assert sorted(trace) == sorted(expected)
    assert [entry[:2] for entry in trace] == sorted(entry[:2] for entry in trace)


def test_a_failing_post_leaves_the_others_due() -> None:
    """What a post raises ends the run; the rest of the instant is done by the next one."""
    for seed in SEEDS:
        loop = SimLoop(schedule=seed)
        done: list[str] = []
        loop.post(1.0, done.append, "a")
        loop.post(1.0, lambda _: 1 // 0, None)
        with pytest.raises(ZeroDivisionError):
            loop.run_until_complete(asyncio.sleep(2))
        loop.run_until_complete(asyncio.sleep(2))
        assert done == ["a"]
        loop.close()


@given(st.integers(), st.integers(1, 50))
def test_dice_stay_below_their_bound(seed: int, bound: int) -> None:
    """Every choice is in [0, bound), and two dice of one seed agree."""
    one, other = Dice(seed), Dice(seed)
    rolls = [one.below(bound) for _ in range(20)]
    assert rolls == [other.below(bound) for _ in range(20)]
    assert all(0 <= roll < bound for roll in rolls)
