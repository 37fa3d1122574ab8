"""Small programs of asyncio's queues and locks; see test_asyncio_conformance."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

Note = Callable[[str], None]


async def queue(note: Note, unit: float) -> None:
    """Bounded, priority and last-in-first-out queues; join; waiters served in order; cancelled getters."""
    bounded: asyncio.Queue[int] = asyncio.Queue(2)

    async def produce() -> None:
        for number in range(5):
            await bounded.put(number)
            note(f"put {number}")

    async def consume(name: str) -> None:
        while True:
            item = await bounded.get()
            note(f"{name} got {item}")
            await asyncio.sleep(0)
            bounded.task_done()

    consumers = [asyncio.create_task(consume(name)) for name in "xyz"]
    await asyncio.sleep(unit)
    consumers[1].cancel()
    await produce()
    await bounded.join()
    note("joined")
    for task in consumers:
        task.cancel()
    note(repr(await asyncio.gather(*consumers, return_exceptions=True)))
    for kind in (asyncio.PriorityQueue, asyncio.LifoQueue):
        other: asyncio.Queue[int] = kind()
        for number in (2, 3, 1):
            other.put_nowait(number)
        note(f"{kind.__name__} {[await other.get() for _ in range(3)]}")
    try:
        await asyncio.wait_for(bounded.get(), unit)
    except TimeoutError:
        note("empty")


async def lock(note: Note, unit: float) -> None:
    """A lock is handed on in the order of asking; a cancelled waiter is passed over."""
    mutex = asyncio.Lock()

    async def holder(name: str, units: float) -> None:
        try:
            async with mutex:
                note(f"{name} holds")
                await asyncio.sleep(units * unit)
        except asyncio.CancelledError:
            note(f"{name} cancelled")

    tasks = [asyncio.create_task(holder(name, 2)) for name in "abcd"]
    await asyncio.sleep(unit)
    tasks[1].cancel()
    note(f"locked {mutex.locked()}")
    await asyncio.gather(*tasks)
    note(f"locked {mutex.locked()}")


async def semaphore(note: Note, unit: float) -> None:
    """Two at a time, in order; a bounded one refuses to be released too often."""
    gate = asyncio.BoundedSemaphore(2)

    async def guest(name: str) -> None:
        async with gate:
            note(f"{name} in")
            await asyncio.sleep(unit)
        note(f"{name} out")

    await asyncio.gather(*(guest(name) for name in "abcde"))
    try:
        gate.release()
    except ValueError:
        note("once too often")


async def event(note: Note, unit: float) -> None:
    """All waiters wake in order; clear and wait again."""
    flag = asyncio.Event()

    async def waiter(name: str) -> None:
        await flag.wait()
        note(name)

    async with asyncio.TaskGroup() as group:
        for name in "abc":
            group.create_task(waiter(name))
        await asyncio.sleep(unit)
        note("set")
        flag.set()
        await flag.wait()
        note("set already")
    flag.clear()
    try:
        await asyncio.wait_for(flag.wait(), unit)
    except TimeoutError:
        note("cleared")


async def condition(note: Note, unit: float) -> None:
    """notify wakes the first waiters, notify_all the rest; wait_for re-checks."""
    bell = asyncio.Condition()
    state = 0

    async def waiter(name: str, least: int) -> None:
        async with bell:
            await bell.wait_for(lambda: state >= least)
            note(f"{name} at {state}")

    async with asyncio.TaskGroup() as group:
        for name, least in (("a", 1), ("b", 2), ("c", 1)):
            group.create_task(waiter(name, least))
        for step in range(1, 4):
            await asyncio.sleep(unit)
            async with bell:
                state = step
                bell.notify(1) if step < 3 else bell.notify_all()
                note(f"state {state}")


async def barrier(note: Note, unit: float) -> None:
    """Parties leave a barrier together, in order."""
    meeting = asyncio.Barrier(3)

    async def party(name: str, units: float) -> None:
        await asyncio.sleep(units * unit)
        note(f"{name} {await meeting.wait()}")

    await asyncio.gather(party("a", 2), party("b", 1), party("c", 3))


PROGRAMS = (queue, lock, semaphore, event, condition, barrier)
