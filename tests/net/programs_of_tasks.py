"""Small programs of asyncio's tasks, timeouts and callbacks; see test_asyncio_conformance."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable

Note = Callable[[str], None]


async def sleep(note: Note, unit: float) -> None:
    """Sleeps end in the order of their ends; sleep(0) lets the others go first once."""

    async def sleeper(name: str, units: float) -> None:
        note(f"{name} begins")
        note(f"{name} got {await asyncio.sleep(units * unit, name)}")

    async with asyncio.TaskGroup() as group:
        for name, units in (("three", 3), ("zero", 0), ("one", 1), ("two", 2), ("past", -1)):
            group.create_task(sleeper(name, units))


async def timeout(note: Note, unit: float) -> None:
    """Expired, rescheduled, nested and unneeded timeouts."""
    try:
        async with asyncio.timeout(unit) as scope:
            await asyncio.sleep(5 * unit)
    except TimeoutError:
        note(f"expired {scope.expired()}")
    async with asyncio.timeout(unit) as scope:
        scope.reschedule(asyncio.get_running_loop().time() + 4 * unit)
        await asyncio.sleep(2 * unit)
        note("rescheduled")
    try:
        async with asyncio.timeout(4 * unit):
            try:
                async with asyncio.timeout(unit):
                    await asyncio.sleep(9 * unit)
            except TimeoutError:
                note("inner")
                await asyncio.sleep(9 * unit)
    except TimeoutError:
        note("outer")
    for delay in (0, -1):
        try:
            async with asyncio.timeout(delay):
                note("entered")
                await asyncio.sleep(0)
                note("polled once")
                await asyncio.sleep(0)
        except TimeoutError:
            note(f"timeout({delay})")
    async with asyncio.timeout(None):
        await asyncio.sleep(unit)
        note("none")


async def wait_for(note: Note, unit: float) -> None:
    """In time, too late, with an exception, and with an awaitable that resists its cancellation."""

    async def work(units: float, *, stubborn: bool = False) -> str:
        try:
            await asyncio.sleep(units * unit)
        except asyncio.CancelledError:
            note("cancelled")
            if not stubborn:
                raise
            await asyncio.sleep(unit)
        return "done"

    async def fail() -> None:
        raise LookupError("lost")

    note(await asyncio.wait_for(work(1), 4 * unit))
    try:
        await asyncio.wait_for(work(4), unit)
    except TimeoutError:
        note("timeout")
    try:
        note(await asyncio.wait_for(work(4, stubborn=True), unit))
    except TimeoutError:
        note("timeout after resistance")
    try:
        await asyncio.wait_for(fail(), unit)
    except LookupError as error:
        note(str(error))
    try:
        await asyncio.wait_for(work(1), 0)
    except TimeoutError:
        note("zero")


async def task_group(note: Note, unit: float) -> None:
    """Success, the failure of one of several, and tasks that fail while they are cancelled."""

    async def work(name: str, units: float, error: Exception | None = None) -> str:
        try:
            await asyncio.sleep(units * unit)
            if error:
                raise error
        except asyncio.CancelledError:
            note(f"{name} cancelled")
            raise
        note(f"{name} done")
        return name

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(work(name, units)) for name, units in (("a", 2), ("b", 1))]
    note("".join(task.result() for task in tasks))

    async def cleanup_fails() -> None:
        try:
            await asyncio.sleep(9 * unit)
        finally:
            raise KeyError("cleanup")

    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(cleanup_fails())
            group.create_task(work("long", 9))
            group.create_task(work("failing", 1, ValueError("first")))
            await asyncio.sleep(5 * unit)
            note("never")
    except* (ValueError, KeyError) as errors:
        note(repr([type(error).__name__ for error in errors.exceptions]))


async def shield(note: Note, unit: float) -> None:
    """The outer task is cancelled, the shielded one goes on."""

    async def precious() -> str:
        await asyncio.sleep(2 * unit)
        note("precious done")
        return "result"

    inner = asyncio.create_task(precious())

    async def outer() -> None:
        try:
            await asyncio.shield(inner)
        except asyncio.CancelledError:
            note("outer cancelled")
            raise

    task = asyncio.create_task(outer())
    await asyncio.sleep(unit)
    task.cancel()
    note(repr(await asyncio.gather(task, return_exceptions=True)))
    note(await inner)


async def cancellation(note: Note, unit: float) -> None:
    """Before the start, while waiting, swallowed, twice, with a message, and uncancelled."""

    async def work(name: str, *, swallow: bool = False) -> str:
        note(f"{name} begins")
        try:
            await asyncio.sleep(5 * unit)
        except asyncio.CancelledError as error:
            note(f"{name} cancelled {error.args}")
            if not swallow:
                raise
            note(f"left {asyncio.current_task().uncancel()}")  # type: ignore[union-attr]
            await asyncio.sleep(unit)
        return name

    early = asyncio.create_task(work("early"))
    early.cancel()
    waiting = asyncio.create_task(work("waiting"))
    swallowing = asyncio.create_task(work("swallowing", swallow=True))
    await asyncio.sleep(unit)
    note(repr([waiting.cancel("why"), waiting.cancel("again"), swallowing.cancel()]))
    results = await asyncio.gather(early, waiting, swallowing, return_exceptions=True)
    note(repr([result if isinstance(result, str) else type(result).__name__ for result in results]))
    note(repr([task.cancelled() for task in (early, waiting, swallowing)] + [waiting.cancel()]))


async def gather(note: Note, unit: float) -> None:
    """Results in the order of the arguments, whatever the order of completion."""

    async def work(name: str, units: float) -> str:
        await asyncio.sleep(units * unit)
        note(name)
        if name == "bad":
            raise LookupError(name)
        return name

    note(repr(await asyncio.gather(work("a", 3), work("b", 1), work("c", 2))))
    results = await asyncio.gather(work("d", 2), work("bad", 1), return_exceptions=True)
    note(repr([str(result) for result in results]))
    try:
        await asyncio.gather(work("e", 2), work("bad", 1))
    except LookupError:
        note("raised")
    await asyncio.sleep(3 * unit)
    for done in asyncio.as_completed([work("f", 2), work("g", 1)]):
        note(f"completed {await done}")
    first, rest = await asyncio.wait(
        [asyncio.ensure_future(work(name, units)) for name, units in (("h", 1), ("i", 3))],
        return_when=asyncio.FIRST_COMPLETED,
    )
    note(f"{[task.result() for task in first]} {len(rest)}")
    await asyncio.gather(*rest)


async def context(note: Note, unit: float) -> None:
    """Tasks and timers take copies of the context in which they were made."""
    variable = contextvars.ContextVar("variable", default="unset")

    async def work(name: str) -> None:
        note(f"{name} sees {variable.get()}")
        variable.set(name)
        await asyncio.sleep(unit)
        note(f"{name} keeps {variable.get()}")

    variable.set("main")
    asyncio.get_running_loop().call_later(2 * unit, lambda: note(f"timer sees {variable.get()}"))
    async with asyncio.TaskGroup() as group:
        group.create_task(work("a"))
        group.create_task(work("b"))
        variable.set("main, later")
    await asyncio.sleep(3 * unit)
    note(variable.get())


async def callbacks(note: Note, unit: float) -> None:
    """Ready callbacks are first in, first out; cancelled ones are skipped; futures tell theirs in order."""
    loop = asyncio.get_running_loop()
    for name in "abc":
        loop.call_soon(note, name)
    loop.call_soon(note, "cancelled").cancel()
    loop.call_soon(lambda: loop.call_soon(note, "nested"))
    loop.call_soon(note, "before nested")
    handles = {}
    handles["second"] = loop.call_later(2 * unit, note, "cancelled by the first")
    loop.call_later(unit, lambda: handles["second"].cancel())
    future = loop.create_future()
    for name in "xyz":
        future.add_done_callback(lambda future, name=name: note(f"{name} {future.result()}"))
    future.set_result(1)
    note("set")
    await asyncio.sleep(3 * unit)
    note(f"{handles['second'].cancelled()}")


async def threads(note: Note, unit: float) -> None:
    """to_thread returns, raises and runs beside other tasks."""

    def fail() -> None:
        raise LookupError("lost")

    note(str(await asyncio.to_thread(sum, [1, 2])))
    try:
        await asyncio.to_thread(fail)
    except LookupError as error:
        note(str(error))


async def generators(note: Note, unit: float) -> None:
    """Asynchronous generators and context managers, left half-way."""

    async def count() -> object:  # an asynchronous generator
        try:
            for number in range(9):
                await asyncio.sleep(unit)
                yield number
        finally:
            await asyncio.sleep(0)
            note("closed")

    numbers = count()
    async for number in numbers:  # type: ignore[attr-defined]
        note(str(number))
        if number == 1:
            break
    await numbers.aclose()  # type: ignore[attr-defined]


PROGRAMS = (
    sleep,
    timeout,
    wait_for,
    task_group,
    shield,
    cancellation,
    gather,
    context,
    callbacks,
    threads,
    generators,
)
