"""Programs of asyncio's primitives leave the same trace on the stock loop and in virtual time.

Each program notes what happens in which order. Its steps lie whole units of time apart, hundredths of a
second on the stock loop and seconds on SimLoop, so that the trace depends on no measured time. What asyncio
defines (who wakes first, what a cancellation leaves behind) is compared, not written down twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from p2n2sim.net.simloop import SimLoop
from tests.net import programs_of_primitives, programs_of_tasks

Note = Callable[[str], None]
Program = Callable[[Note, float], Coroutine[Any, Any, None]]

PROGRAMS: tuple[Program, ...] = programs_of_primitives.PROGRAMS + programs_of_tasks.PROGRAMS


def trace_of(
    run: Program, factory: Callable[[], asyncio.AbstractEventLoop], unit: float, debug: bool
) -> list[str]:
    """What a program notes on a loop."""
    trace: list[str] = []
    with asyncio.Runner(loop_factory=factory, debug=debug) as runner:
        runner.run(run(trace.append, unit))
    return trace


@pytest.mark.parametrize("run", PROGRAMS, ids=lambda run: run.__name__)
def test_a_program_leaves_the_same_trace_as_on_the_stock_loop(run: Program) -> None:
    """In virtual time as in real time, in debug mode and outside it.

    A busy machine may wake the stock loop late; longer units of real time then tell what was meant.
    """
    found = trace_of(run, SimLoop, 1.0, debug=False)
    assert found == trace_of(run, SimLoop, 1.0, debug=True)
    for unit in (0.01, 0.1, 0.5):
        expected = trace_of(run, asyncio.SelectorEventLoop, unit, debug=False)
        assert expected
        if found == expected:
            return
    assert found == expected


def stop_in_the_middle(loop: asyncio.AbstractEventLoop, note: Note) -> None:
    """stop() lets the callbacks finish that were ready, and leaves what they added for the next run."""
    loop.call_soon(lambda: (note("a"), loop.call_soon(note, "added")))
    loop.call_soon(loop.stop)
    loop.call_soon(note, "b")
    loop.run_forever()
    note("stopped")
    loop.call_soon(loop.stop)
    loop.run_forever()
    note("stopped again")


def stop_before(loop: asyncio.AbstractEventLoop, note: Note) -> None:
    """stop() before the run lets one batch of callbacks run."""
    loop.call_soon(lambda: (note("a"), loop.call_soon(note, "added")))
    loop.stop()
    loop.run_forever()
    note("stopped")
    loop.run_until_complete(asyncio.sleep(0))


def stop_too_early(loop: asyncio.AbstractEventLoop, note: Note) -> None:
    """run_until_complete complains when the loop is stopped before."""
    future = loop.create_future()
    loop.call_soon(loop.stop)
    try:
        loop.run_until_complete(future)
    except RuntimeError as error:
        note(str(error))


def close_while_running(loop: asyncio.AbstractEventLoop, note: Note) -> None:
    """A running loop cannot be closed."""

    async def main() -> None:
        try:
            loop.close()
        except RuntimeError as error:
            note(str(error))

    loop.run_until_complete(main())


@pytest.mark.parametrize("drive", [stop_in_the_middle, stop_before, stop_too_early, close_while_running])
def test_a_loop_is_driven_like_the_stock_loop(
    drive: Callable[[asyncio.AbstractEventLoop, Note], None],
) -> None:
    """run_forever, run_until_complete, stop and close mean the same."""
    traces: list[list[str]] = []
    for factory in (asyncio.SelectorEventLoop, SimLoop):
        loop = factory()
        traces.append([])
        drive(loop, traces[-1].append)
        loop.close()
    assert traces[0]
    assert traces[1] == traces[0]
