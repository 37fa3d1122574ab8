"""The order of things on the virtual clock."""

from __future__ import annotations

import asyncio
import math

import pytest
import simpy
from hypothesis import given
from hypothesis import strategies as st

from p2n2sim.net.simloop import SimLoop, run


def current_loop() -> SimLoop:
    """The loop of this test."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SimLoop)
    return loop


async def test_asynchronous_tests_run_in_virtual_time() -> None:
    """A day passes in no time, and exactly a day."""
    await asyncio.sleep(86400)
    assert current_loop().time() == 86400.0
    assert current_loop().env.now == 86400.0


KINDS = st.sampled_from(["post", "process", "timer"])


@given(st.lists(st.tuples(KINDS, st.integers(0, 3)), max_size=30))
def test_at_one_instant_posts_then_simpy_then_timers_each_first_come_first_served(
    plan: list[tuple[str, int]],
) -> None:
    """The order is (time, class, order of scheduling), whatever was scheduled in which order."""
    trace: list[tuple[int, int, int]] = []

    async def main() -> None:
        loop = current_loop()
        for number, (kind, when) in enumerate(plan):
            if kind == "post":
                loop.post(float(when), trace.append, (when, 0, number))
            elif kind == "process":
                entry = (when, 1, number)
                loop.env.timeout(when).callbacks.append(lambda _, entry=entry: trace.append(entry))
            else:
                loop.call_at(float(when), trace.append, (when, 2, number))
        await asyncio.sleep(10)

    run(main())
    assert trace == sorted(trace)
    assert len(trace) == len(plan)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(-2, 4)), max_size=25))
def test_posts_made_while_the_clock_runs_keep_their_order(plan: list[tuple[int, int]]) -> None:
    """Posts made at any time for any time run at the later of the two, in the order of posting."""
    trace: list[tuple[int, int]] = []
    expected: list[tuple[int, int]] = []

    async def main() -> None:
        loop = current_loop()
        number = 0
        for made in range(5):
            assert loop.time() == made
            for due in [due for at, due in plan if at == made]:
                loop.post(float(due), trace.append, (max(made, due), number))
                expected.append((max(made, due), number))
                number += 1
            await asyncio.sleep(1)

    run(main())
    assert trace == sorted(expected)


async def test_late_posts_queue_up_behind_those_for_now() -> None:
    """Posts for a time in the past and for now are served in the order of posting."""
    await asyncio.sleep(2)
    loop = current_loop()
    trace: list[str] = []
    for when, name in ((2.0, "a"), (2.0, "b"), (1.0, "c"), (2.0, "d"), (1.0, "e"), (1.0, "f")):
        loop.post(when, trace.append, name)
    await asyncio.sleep(1)
    assert "".join(trace) == "abcdef"


async def test_a_late_post_does_not_turn_the_clock_back() -> None:
    """Not even one for the same time as the post before, which has run by now."""
    loop = current_loop()
    times: list[float] = []
    for _ in range(2):
        loop.post(1.0, lambda _: times.append(loop.time()), None)
        await asyncio.sleep(3)
    assert times == [1.0, 3.0]


@pytest.mark.parametrize("timer_first", [True, False])
@pytest.mark.parametrize("waiting", ["timeout", "wait_for"])
async def test_a_message_at_the_instant_of_a_timeout_wins(waiting: str, timer_first: bool) -> None:
    """It wins in whichever order the two were set, and even when it is handed on through other tasks."""
    loop = current_loop()
    source: asyncio.Future[str] = loop.create_future()
    first: asyncio.Queue[str] = asyncio.Queue()
    second: asyncio.Queue[str] = asyncio.Queue()

    async def relay() -> None:
        await first.put(await source)

    async def relay_again() -> None:
        await asyncio.sleep(0)
        await second.put(await first.get())

    async def receive() -> str:
        if waiting == "wait_for":
            return await asyncio.wait_for(second.get(), 5)
        async with asyncio.timeout(5):
            return await second.get()

    if not timer_first:
        loop.post(5.0, source.set_result, "message")
    async with asyncio.TaskGroup() as group:
        receiver = group.create_task(receive())
        group.create_task(relay())
        group.create_task(relay_again())
        await asyncio.sleep(1)
        if timer_first:
            loop.post(5.0, source.set_result, "message")
    assert receiver.result() == "message"
    assert loop.time() == 5.0


async def test_a_message_after_the_timeout_loses() -> None:
    """The next representable time after the timeout is too late."""
    loop = current_loop()
    message: asyncio.Future[str] = loop.create_future()
    loop.post(math.nextafter(5.0, 6.0), lambda value: message.done() or message.set_result(value), "late")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(5):
            await message
    assert loop.time() == 5.0


async def test_all_posts_of_an_instant_run_before_a_receiver_wakes() -> None:
    """A task that waits for the first message of an instant finds all of them."""
    loop = current_loop()
    queue: asyncio.Queue[int] = asyncio.Queue()
    for number in range(3):
        loop.post(1.0, queue.put_nowait, number)
    assert await queue.get() == 0
    assert queue.qsize() == 2


async def test_all_timers_of_an_instant_fire_before_their_callbacks_are_answered() -> None:
    """Three tasks that sleep until the same instant wake in the order in which they fell asleep."""
    trace: list[str] = []

    async def sleeper(name: str) -> None:
        await asyncio.sleep(1)
        trace.append(f"{name} woke")
        await asyncio.sleep(0)
        trace.append(f"{name} went on")

    async with asyncio.TaskGroup() as group:
        for name in "abc":
            group.create_task(sleeper(name))
    assert trace == ["a woke", "b woke", "c woke", "a went on", "b went on", "c went on"]


async def test_a_spinning_task_does_not_hold_up_messages() -> None:
    """Messages of the instant come through between two rounds of sleep(0)."""
    loop = current_loop()
    arrived: list[str] = []
    loop.post(loop.time(), arrived.append, "message")
    while not arrived:
        await asyncio.sleep(0)
    assert arrived == ["message"]


@pytest.mark.parametrize("late", [-5.0, -math.inf])
async def test_a_time_in_the_past_means_now(late: float) -> None:
    """Timers and posts asked for too late run at the current instant; the clock never goes back."""
    await asyncio.sleep(3)
    loop = current_loop()
    times: list[float] = []
    timer = loop.call_at(late, lambda: times.append(loop.time()))
    loop.post(late, lambda _: times.append(loop.time()), None)
    await asyncio.sleep(1)
    assert times == [3.0, 3.0]
    assert timer.when() == late


async def test_an_infinite_time_never_comes() -> None:
    """A timer or post at infinity is accepted, may be cancelled, and never runs."""
    loop = current_loop()
    ran: list[str] = []
    loop.call_at(math.inf, ran.append, "timer")
    loop.call_later(math.inf, ran.append, "cancelled").cancel()
    loop.post(math.inf, ran.append, "post")
    async with asyncio.timeout(math.inf):
        await asyncio.sleep(1e300)
    assert ran == []


async def test_a_time_that_is_no_number_is_rejected() -> None:
    """NaN would break the order of the heap."""
    loop = current_loop()
    with pytest.raises(ValueError, match="must be a number"):
        loop.call_at(math.nan, print)
    with pytest.raises(ValueError, match="must be a number"):
        loop.call_later(math.nan, print)
    with pytest.raises(ValueError, match="must be a number"):
        loop.post(math.nan, print, None)


def test_delays_below_the_resolution_of_a_large_time_end() -> None:
    """At 1e12 s a nanosecond is lost to rounding: it takes no time, and no forever either."""
    env = simpy.Environment(1e12)

    async def main() -> float:
        for _ in range(1000):
            await asyncio.sleep(1e-9)
        assert env.now == 1e12
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1e-3):
                await asyncio.sleep(1)
        return current_loop().time()

    assert run(main(), env=env) == 1e12 + 1e-3


async def test_neighbouring_times_are_told_apart() -> None:
    """There is no clock resolution: a timer fires at its own time, not at one nearly the same."""
    loop = current_loop()
    times: list[float] = []
    for when in (math.nextafter(1.0, 2.0), 1.0):
        loop.call_at(when, lambda: times.append(loop.time()))
    await asyncio.sleep(2)
    assert times == [1.0, math.nextafter(1.0, 2.0)]


async def test_cancelled_timers_do_not_pile_up() -> None:
    """100000 timers, each cancelled before it is due, leave the heap as short as before."""
    loop = current_loop()
    live = [loop.call_later(1e6, int) for _ in range(100)]
    longest = 0
    for _ in range(100_000):
        loop.call_later(1e5, int).cancel()
        longest = max(longest, len(loop.env._queue))
    assert longest <= 2 * len(live) + 130
    assert sum(not timer.cancelled() for *_, timer in loop.env._queue) == len(live)


async def test_sweeping_the_heap_keeps_what_is_due() -> None:
    """Timers, posts and SimPy events survive the removal of cancelled timers among them."""
    loop = current_loop()
    trace: list[int] = []
    for number in range(300):
        timer = loop.call_at(1.0 + number, trace.append, number)
        if number % 3:
            timer.cancel()
    loop.post(150.5, trace.append, 1000)
    loop.env.timeout(200.5).callbacks.append(lambda _: trace.append(2000))
    await asyncio.sleep(400)
    assert [entry for entry in trace if entry < 1000] == list(range(0, 300, 3))
    assert trace.index(1000) == 50
    assert trace.index(2000) == 68


async def test_cancelled_timers_do_not_move_the_clock() -> None:
    """Waiting for a message passes over a cancelled timer before it."""
    loop = current_loop()
    seen: list[float] = []
    loop.call_at(1.0, seen.append, 1.0).cancel()
    loop.env.timeout(2).callbacks.append(lambda _: seen.append(loop.time()))
    await asyncio.sleep(3)
    assert seen == [2.0]
