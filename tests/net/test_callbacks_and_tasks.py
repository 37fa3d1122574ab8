"""Callbacks, tasks, failures and interruptions on SimLoop."""

from __future__ import annotations

import asyncio
import contextvars
import os
import subprocess
import sys
import textwrap
from typing import Any

import pytest
import simpy

from p2n2sim.net.simloop import SimLoop, run


def current_loop() -> SimLoop:
    """The loop of this test."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SimLoop)
    return loop


async def test_an_exception_in_a_callback_goes_to_the_exception_handler() -> None:
    """The handler gets the exception, and the callbacks after it still run."""
    loop = current_loop()
    contexts: list[dict[str, Any]] = []
    ran: list[str] = []
    loop.set_exception_handler(lambda _, context: contexts.append(context))
    loop.call_soon(int, "no number")
    loop.call_soon(ran.append, "next")
    loop.call_later(1, int, "no number either")
    await asyncio.sleep(2)
    assert ran == ["next"]
    assert [type(context["exception"]) for context in contexts] == [ValueError, ValueError]
    assert "Exception in callback" in contexts[0]["message"]


def test_an_exception_in_a_post_ends_the_run_and_loses_no_other_post() -> None:
    """The posts of the same instant that were still to come run when the loop runs on."""
    ran: list[str] = []
    loop = SimLoop()
    for name in "abcd":
        loop.post(1.0, lambda name: int("no number") if name == "b" else ran.append(name), name)
    with pytest.raises(ValueError, match="no number"):
        loop.run_until_complete(asyncio.sleep(1))
    loop.post(1.0, ran.append, "later")
    loop.run_until_complete(asyncio.sleep(0.5))
    loop.close()
    assert ran == ["a", "c", "d", "later"]


async def test_callbacks_run_in_their_context_also_in_debug_mode() -> None:
    """call_soon and call_later copy the context, or take the one they are given."""
    variable = contextvars.ContextVar("variable", default="outside")
    seen: list[str] = []
    loop = current_loop()
    for debug in (False, True):
        loop.set_debug(debug)
        given = contextvars.copy_context()
        given.run(variable.set, "given")
        variable.set("copied")
        loop.call_soon(lambda: seen.append(variable.get()))
        loop.call_soon(lambda: seen.append(variable.get()), context=given)
        loop.call_later(1, lambda: seen.append(variable.get()))
        loop.call_later(1, lambda: seen.append(variable.get()), context=given)
        variable.set("changed later")
        await asyncio.sleep(2)
    assert seen == ["copied", "given"] * 4


async def test_debug_mode_checks_callbacks() -> None:
    """A coroutine function or something that cannot be called is refused, as by the stock loop."""
    loop = current_loop()
    loop.set_debug(True)
    with pytest.raises(TypeError):
        loop.call_later(1, asyncio.sleep)
    with pytest.raises(TypeError):
        loop.call_soon(None)  # type: ignore[arg-type]


def test_a_closed_loop_refuses_work() -> None:
    """As the stock loop does."""
    loop = SimLoop()
    loop.close()
    for call in (lambda: loop.call_soon(int), lambda: loop.call_later(1, int)):
        with pytest.raises(RuntimeError, match="closed"):
            call()


def test_a_closed_loop_leaves_nothing_of_its_own_on_the_environment() -> None:
    """A second run on the same environment goes on at its time, without the first one's leftovers."""
    env = simpy.Environment()
    ran: list[str] = []

    async def first() -> None:
        current_loop().post(5.0, ran.append, "post of the first run")
        current_loop().call_at(6.0, ran.append, "timer of the first run")
        env.timeout(7).callbacks.append(lambda _: ran.append("event"))
        await asyncio.sleep(1)

    async def second() -> float:
        await asyncio.sleep(10)
        return current_loop().time()

    run(first(), env=env)
    assert run(second(), env=env) == 11
    assert ran == ["event"]


async def test_tasks_are_named_in_the_order_of_their_creation() -> None:
    """Default names start anew in every loop, so that reports do not depend on earlier runs."""

    async def main() -> list[str]:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(asyncio.sleep(1)) for _ in range(2)]
            tasks.append(group.create_task(asyncio.sleep(1), name="own"))
        return [task.get_name() for task in tasks]

    names = await asyncio.to_thread(lambda: [run(main()), run(main())])
    assert names == [["Task-2", "Task-3", "own"]] * 2


async def test_a_task_factory_is_honoured() -> None:
    """A user's own factory goes first; without one the loop's own tasks are made."""
    loop = current_loop()
    made: list[str] = []

    def factory(loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> asyncio.Task[Any]:
        made.append(coro.__name__)
        return asyncio.Task(coro, loop=loop, **options)

    assert loop.get_task_factory() is None
    loop.set_task_factory(factory)
    await asyncio.create_task(asyncio.sleep(1))
    loop.set_task_factory(None)
    await asyncio.create_task(asyncio.sleep(1))
    assert made == ["sleep"]


def run_script(script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs Python code in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, **environment},
    )


ABORT = """
    import asyncio
    from p2n2sim.net.simloop import run

    async def worker(name, trace):
        try:
            await asyncio.sleep(100)
        finally:
            trace.append(name)

    async def main():
        trace, ballast = [], []
        for round in range(20):
            try:
                async with asyncio.TaskGroup() as group:
                    for number in range(7 + round):
                        ballast.append(object())
                        group.create_task(worker(f"{round}.{number}", trace))
                    await asyncio.sleep(1)
                    raise ZeroDivisionError
            except* ZeroDivisionError:
                pass
        print(*trace)

    run(main())
"""


def test_a_task_group_aborts_in_the_same_order_under_every_hash_seed() -> None:
    """Neither string hashes nor object addresses decide who is cancelled first."""
    traces = [run_script(ABORT, PYTHONHASHSEED=seed) for seed in ("0", "1", "4711")]
    traces.append(run_script("ballast = [object() for _ in range(99999)]" + textwrap.dedent(ABORT)))
    assert traces[0].returncode == 0, traces[0].stderr
    assert len(traces[0].stdout.split()) == sum(range(7, 27))
    assert {trace.stdout for trace in traces} == {traces[0].stdout}


def test_ctrl_c_cancels_the_main_task_and_surfaces() -> None:
    """Through asyncio.Runner, as on the stock loop: the task is cancelled, then KeyboardInterrupt."""
    done = run_script(
        """
        import asyncio, signal
        from p2n2sim.net.simloop import run

        async def main():
            asyncio.get_running_loop().call_later(5, signal.raise_signal, signal.SIGINT)
            try:
                while True:
                    await asyncio.sleep(1)
            except asyncio.CancelledError:
                print("cancelled at", asyncio.get_running_loop().time())
                raise

        try:
            run(main())
        except KeyboardInterrupt:
            print("interrupted")
        """
    )
    assert done.stdout.splitlines() == ["cancelled at 5.0", "interrupted"], done.stderr


def test_keyboard_interrupt_from_a_task_or_a_callback_surfaces() -> None:
    """It is not reported to the exception handler but raised out of the run."""

    async def interrupt() -> None:
        await asyncio.sleep(1)
        raise KeyboardInterrupt

    def interrupt_now() -> None:
        raise KeyboardInterrupt

    async def main() -> None:
        current_loop().call_later(1, interrupt_now)
        await asyncio.sleep(2)

    with pytest.raises(KeyboardInterrupt):
        run(interrupt())
    with pytest.raises(KeyboardInterrupt):
        run(main())
