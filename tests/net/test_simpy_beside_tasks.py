"""SimPy processes and asyncio tasks on one clock."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import Any

import pytest
import simpy

from p2n2sim.net.simloop import SimLoop, run


def current_loop() -> SimLoop:
    """The loop of this test."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SimLoop)
    return loop


def test_a_simpy_process_and_a_task_share_the_clock() -> None:
    """Each sees the other's effects at the right time, and a task may await a process."""
    trace: list[tuple[float, str]] = []

    async def main() -> str:
        loop = current_loop()
        env = loop.env

        def process() -> Generator[simpy.Event, Any, str]:
            for _ in range(2):
                yield env.timeout(2)
                trace.append((env.now, "process"))
            return "done"

        running = env.process(process())
        for _ in range(2):
            await asyncio.sleep(1.5)
            trace.append((loop.time(), "task"))
        assert await loop.as_future(running) == "done"
        assert await loop.as_future(running) == "done"  # processed by now
        return f"{loop.time()}"

    assert run(main()) == "4.0"
    assert trace == [(1.5, "task"), (2, "process"), (3.0, "task"), (4, "process")]


async def test_a_simpy_store_feeds_a_task() -> None:
    """The event of a SimPy resource is awaited as a future."""
    loop = current_loop()
    store = simpy.Store(loop.env)

    def producer() -> Generator[simpy.Event, Any, None]:
        yield loop.env.timeout(7)
        yield store.put("item")

    loop.env.process(producer())
    assert await loop.as_future(store.get()) == "item"
    assert loop.time() == 7


async def test_the_failure_of_an_awaited_process_reaches_the_task() -> None:
    """It is raised where it is awaited, and does not end the simulation."""
    loop = current_loop()

    def process() -> Generator[simpy.Event, Any, None]:
        yield loop.env.timeout(1)
        raise LookupError("lost")

    with pytest.raises(LookupError, match="lost"):
        await loop.as_future(loop.env.process(process()))
    await asyncio.sleep(1)


@pytest.mark.parametrize("awaited", [False, True])
def test_a_simpy_failure_that_nobody_takes_ends_the_run(awaited: bool) -> None:
    """As in SimPy; also when the task that awaited it was cancelled before."""

    async def main() -> None:
        loop = current_loop()

        def process() -> Generator[simpy.Event, Any, None]:
            yield loop.env.timeout(1)
            raise LookupError("lost")

        running = loop.env.process(process())
        if awaited:
            loop.as_future(running).cancel()
        await asyncio.sleep(5)

    with pytest.raises(LookupError, match="lost"):
        run(main())


async def test_an_event_of_another_environment_is_rejected() -> None:
    """It would never happen on this clock."""
    with pytest.raises(ValueError, match="another environment"):
        current_loop().as_future(simpy.Environment().event())
