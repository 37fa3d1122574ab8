"""When nothing is left to do, the run ends with a report of who waits where."""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from p2n2sim.errors import DeadlockError, Wait
from p2n2sim.net.simloop import SimLoop, run

HERE = Path(__file__).name


def current_loop() -> SimLoop:
    """The loop of this test."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SimLoop)
    return loop


def test_waiting_forever_is_an_error_that_names_the_tasks_in_order_of_creation() -> None:
    """Each waiting task is named with its own line and the asyncio call in which it waits."""

    async def consumer(queue: asyncio.Queue[int]) -> None:
        await queue.get()

    async def locker(lock: asyncio.Lock) -> None:
        async with lock:
            pass

    async def main() -> None:
        lock = asyncio.Lock()
        await lock.acquire()
        await asyncio.sleep(2)
        async with asyncio.TaskGroup() as group:
            group.create_task(consumer(asyncio.Queue()), name="consumer")
            group.create_task(locker(lock), name="locker")

    with pytest.raises(DeadlockError) as caught:
        run(main())
    error = caught.value
    lines = [consumer.__code__.co_firstlineno + 1, locker.__code__.co_firstlineno + 1]
    assert error.time == 2.0
    assert error.waits == ()
    assert [other.removesuffix(", in Lock.__aenter__") for other in error.others] == [
        f"task 'consumer' waits at {HERE}:{lines[0]} in consumer, in Queue.get",
        f"task 'locker' waits at {HERE}:{lines[1]} in locker, in Lock.acquire",
    ]


def test_a_task_that_awaits_a_bare_future_is_named_too() -> None:
    """Also through async generators and nested coroutines: the innermost own line counts."""

    async def source() -> AsyncIterator[int]:
        await asyncio.get_running_loop().create_future()
        yield 1

    async def inner() -> None:
        async for _ in source():
            pass

    async def main() -> None:
        await inner()

    with pytest.raises(DeadlockError, match=r"task 'Task-1' waits at .* in inner"):
        run(main())


def test_tasks_that_only_wait_for_other_tasks_are_left_out() -> None:
    """The parents in TaskGroup, gather or await have nothing to add to what their children tell."""

    async def stuck() -> None:
        await asyncio.Event().wait()

    async def parent() -> None:
        await asyncio.create_task(stuck(), name="child of await")

    async def gatherer() -> None:
        await asyncio.gather(asyncio.create_task(stuck(), name="child of gather"))

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(parent())
            group.create_task(gatherer())

    with pytest.raises(DeadlockError) as caught:
        run(main())
    assert [other.split("'")[1] for other in caught.value.others] == ["child of await", "child of gather"]


def test_waits_come_from_the_reporters() -> None:
    """They are asked in the order in which they were added, when the report is made."""

    async def main() -> None:
        loop = current_loop()
        loop.add_wait_reporter(lambda: [Wait("A", "B", "Share", loop.time())])
        loop.add_wait_reporter(lambda: [Wait("B", "A", "Share", 1.0)])
        await asyncio.sleep(3)
        await asyncio.Event().wait()

    with pytest.raises(DeadlockError) as caught:
        run(main())
    assert caught.value.waits == (Wait("A", "B", "Share", 3.0), Wait("B", "A", "Share", 1.0))
    assert caught.value.cycle == ("A", "B", "A")


async def test_the_latest_pending_watcher_gets_the_deadlock() -> None:
    """Watchers that are done are passed over; those that wait for it are not named as waiting."""
    loop = current_loop()
    outer, middle, inner = loop.deadlock(), loop.deadlock(), loop.deadlock()
    inner.cancel()
    with pytest.raises(DeadlockError) as caught:
        await middle
    assert caught.value.others == ()
    assert not outer.done()
    with pytest.raises(DeadlockError):
        await outer


async def test_a_deadlock_is_found_again_after_it_was_handled() -> None:
    """The loop runs on; each standstill is told to its own watcher."""
    loop = current_loop()
    for time in (1.0, 2.0):
        await asyncio.sleep(1)
        with pytest.raises(DeadlockError) as caught:
            await loop.deadlock()
        assert caught.value.time == time


def test_a_finished_run_is_no_deadlock() -> None:
    """Background tasks that wait when the main task returns are cancelled, not reported."""
    ended: list[str] = []

    async def background() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    async def main() -> asyncio.Task[None]:
        task = asyncio.create_task(background())
        await asyncio.sleep(1)
        return task

    assert run(main()).cancelled()
    assert ended == ["cancelled"]


async def test_what_never_comes_does_not_hide_a_deadlock() -> None:
    """Cancelled timers and times at infinity are nothing to wait for, and do not move the clock."""
    loop = current_loop()
    loop.call_later(5, int).cancel()
    loop.call_later(math.inf, int)
    loop.env.timeout(math.inf)
    loop.post(math.inf, int, "0")
    with pytest.raises(DeadlockError) as caught:
        await loop.deadlock()
    assert caught.value.time == 0.0


async def test_a_thread_at_work_is_no_deadlock() -> None:
    """The loop waits for it: its result may wake somebody."""
    loop = current_loop()
    watcher = loop.deadlock()
    go_on = threading.Event()
    timer = threading.Timer(0.05, go_on.set)
    timer.start()
    assert await asyncio.to_thread(go_on.wait, 30)
    timer.join()
    assert not watcher.done()
    watcher.cancel()


def test_run_forever_with_nothing_to_do_is_a_deadlock() -> None:
    """Nobody could ever call stop()."""
    loop = SimLoop()
    with pytest.raises(DeadlockError):
        loop.run_forever()
    loop.close()
