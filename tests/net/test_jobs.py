"""Work on threads takes no virtual time and arrives in a fixed order."""

from __future__ import annotations

import asyncio
import contextvars
import os
import signal
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from p2n2sim.net.simloop import SimLoop, run


async def test_results_arrive_in_the_order_of_submission() -> None:
    """The first function really ends last, and yet its result comes first, at the same instant."""
    loop = asyncio.get_running_loop()
    second_is_done = threading.Event()
    trace: list[tuple[str, float]] = []

    def first() -> str:
        assert second_is_done.wait(30)
        return "first"

    def second() -> str:
        second_is_done.set()
        return "second"

    async def collect(work: asyncio.Future[str]) -> None:
        trace.append((await work, loop.time()))

    await asyncio.sleep(3)
    with ThreadPoolExecutor(2) as pool:
        futures = [loop.run_in_executor(pool, first), loop.run_in_executor(pool, second)]
        async with asyncio.TaskGroup() as group:
            for future in reversed(futures):
                group.create_task(collect(future))
    assert trace == [("first", 3.0), ("second", 3.0)]


async def test_the_clock_stands_still_while_a_thread_works() -> None:
    """Messages and SimPy events of the instant come first, its timers and everything later after."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SimLoop)
    trace: list[str] = []
    go_on = threading.Event()

    def work() -> None:
        assert go_on.wait(30)

    loop.call_later(0, trace.append, "timer of this instant")
    loop.call_later(1e-12, trace.append, "later timer")
    loop.env.timeout(0).callbacks.append(lambda _: trace.append("event"))
    loop.post(loop.time(), trace.append, "post")
    loop.post(loop.time(), lambda _: go_on.set(), None)
    await asyncio.to_thread(work)
    trace.append("result")
    assert loop.time() == 0.0
    await asyncio.sleep(1)
    assert trace == ["post", "event", "result", "timer of this instant", "later timer"]


async def test_an_exception_on_a_thread_reaches_the_caller() -> None:
    """Also StopIteration, which a future cannot hold, as a RuntimeError."""

    def fail(error: BaseException) -> None:
        raise error

    with pytest.raises(LookupError, match="lost"):
        await asyncio.to_thread(fail, LookupError("lost"))
    with pytest.raises(RuntimeError, match="StopIteration"):
        await asyncio.to_thread(fail, StopIteration())


async def test_the_context_goes_along_to_the_thread() -> None:
    """asyncio.to_thread copies context variables, as on the stock loop."""
    variable = contextvars.ContextVar("variable", default="outside")
    variable.set("inside")
    assert await asyncio.to_thread(variable.get) == "inside"


async def test_a_thread_may_call_back_into_the_loop() -> None:
    """call_soon_threadsafe and run_coroutine_threadsafe wake the loop while it waits for the thread."""
    loop = asyncio.get_running_loop()
    trace: list[str] = []

    async def coroutine() -> str:
        await asyncio.sleep(0)
        return "coroutine"

    def work() -> None:
        threading.Event().wait(0.05)  # by now the loop waits
        loop.call_soon_threadsafe(trace.append, "callback")
        trace.append(asyncio.run_coroutine_threadsafe(coroutine(), loop).result(30))

    await asyncio.to_thread(work)
    assert trace == ["callback", "coroutine"]


async def test_a_cancelled_caller_does_not_stop_the_work_nor_let_the_clock_go_on() -> None:
    """The clock waits for the thread, since its effects belong to the instant at which it started."""
    loop = asyncio.get_running_loop()
    go_on = threading.Event()
    effects: list[str] = []

    def work() -> None:
        assert go_on.wait(30)
        effects.append("done")

    task = asyncio.create_task(asyncio.to_thread(work))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert effects == []
    loop.call_soon(go_on.set)
    await asyncio.sleep(1)
    assert effects == ["done"]


async def test_work_that_has_not_begun_is_cancelled_with_its_caller() -> None:
    """A queued function of a cancelled caller never runs."""
    loop = asyncio.get_running_loop()
    go_on = threading.Event()
    ran: list[str] = []
    with ThreadPoolExecutor(1) as pool:
        first = loop.run_in_executor(pool, go_on.wait, 30)
        loop.run_in_executor(pool, ran.append, "second").cancel()
        await asyncio.sleep(0)
        go_on.set()
        assert await first
    assert ran == []


def test_the_default_pool_is_shut_down_with_the_run() -> None:
    """Work that nobody awaits is finished before the run returns; then no thread of the pool is left."""
    finished: list[threading.Thread] = []
    go_on = threading.Event()

    def work() -> None:
        assert go_on.wait(30)
        finished.append(threading.current_thread())

    async def main() -> None:
        asyncio.get_running_loop().run_in_executor(None, work)
        asyncio.get_running_loop().call_soon(go_on.set)

    run(main())
    assert len(finished) == 1
    assert not finished[0].is_alive()


async def test_no_work_is_taken_after_the_default_pool_was_shut_down() -> None:
    """As on the stock loop."""
    loop = asyncio.get_running_loop()
    await loop.shutdown_default_executor()
    with pytest.raises(RuntimeError, match="shutdown"):
        loop.run_in_executor(None, int)


def test_calls_from_other_threads_are_taken_before_the_loop_runs() -> None:
    """What another thread left there is run first."""
    loop = SimLoop()
    trace: list[str] = []
    thread = threading.Thread(target=loop.call_soon_threadsafe, args=(trace.append, "from outside"))
    thread.start()
    thread.join()
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    assert trace == ["from outside"]


def test_debug_mode_refuses_call_soon_on_the_wrong_thread() -> None:
    """As the stock loop does."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with pytest.raises(RuntimeError, match="Non-thread-safe"):
            await asyncio.to_thread(loop.call_soon, int)

    run(main(), debug=True)


@pytest.mark.skipif(sys.platform == "win32", reason="os.kill does not deliver SIGINT there")
def test_ctrl_c_reaches_a_loop_that_waits_for_a_thread() -> None:
    """The main task is cancelled at once, though the thread is still at work."""
    script = f"""
        import asyncio, os, threading
        from p2n2sim.net.simloop import run

        stop = threading.Event()

        def work():
            os.kill(os.getpid(), {int(signal.SIGINT)})
            assert stop.wait(30)

        async def main():
            try:
                await asyncio.to_thread(work)
            except asyncio.CancelledError:
                print("cancelled")
                stop.set()
                raise

        try:
            run(main())
        except KeyboardInterrupt:
            print("interrupted")
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=dict(os.environ),
    )
    assert done.stdout.splitlines() == ["cancelled", "interrupted"], done.stderr
