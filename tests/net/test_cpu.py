"""Local work: real on threads, charged in virtual time."""

from __future__ import annotations

import asyncio
import contextvars
import dataclasses
import math
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2n2sim.errors import InputError
from p2n2sim.net.cpu import Cost, Cpu, Machine
from p2n2sim.net.simloop import SimLoop, run

MACHINE = Machine(
    ring_madds_per_s=2e9,
    flops_per_s=4e9,
    random_bytes_per_s=1e9,
    moved_bytes_per_s=5e9,
    message_overhead_s=1e-5,
)


@pytest.fixture
def pool() -> Iterator[Executor]:
    """Four threads."""
    with ThreadPoolExecutor(4) as pool:
        yield pool


def cpu(pool: Executor | None = None, **options: Any) -> Cpu:
    """A processor on the running loop."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SimLoop)
    return Cpu(loop, MACHINE, pool=pool, **options)


def now() -> float:
    """Virtual time."""
    return asyncio.get_running_loop().time()


def test_a_machine_charges_each_kind_of_operation_at_its_rate() -> None:
    """Operation counts over rates, summed; messages at a fixed overhead each."""
    cost = Cost(
        ring_madds=2 * 10**9, flops=10**9, random_bytes=3 * 10**9, moved_bytes=10**9, messages=100_000
    )
    assert MACHINE.seconds(cost) == 1 + 0.25 + 3 + 0.2 + 1
    assert MACHINE.seconds(Cost()) == 0
    assert Machine.instant().seconds(cost) == 0


def test_operations_are_charged_by_name() -> None:
    """Each at its own time; one that the machine does not know is told by name, unless all are free."""
    machine = dataclasses.replace(MACHINE, operations_s={"encrypt": 0.5, "add": 0.125})
    cost = Cost(flops=0, operations={"encrypt": 3, "add": 4})
    assert machine.seconds(cost) == 2.0
    assert Machine.instant().seconds(cost) == 0.0
    with pytest.raises(InputError, match=r"machine: encrypt: it has no such operation"):
        MACHINE.seconds(cost)


COUNTED = [name for name in Cost.__slots__ if name != "operations"]
COSTS = st.builds(
    Cost,
    operations=st.dictionaries(st.sampled_from("abc"), st.integers(1, 2**50)),
    **{name: st.integers(0, 2**50) for name in COUNTED},
)


@given(COSTS, COSTS, st.integers(0, 2**20))
def test_costs_add_up_and_multiply_by_field(a: Cost, b: Cost, times: int) -> None:
    """Sums are commutative, and a multiple is a repeated sum, exactly."""
    for name in COUNTED:
        assert getattr(a + b, name) == getattr(a, name) + getattr(b, name)
        assert getattr(a * times, name) == getattr(a, name) * times
    for name in "abc":
        assert (a + b).operations.get(name, 0) == a.operations.get(name, 0) + b.operations.get(name, 0)
    assert a * times == times * a
    assert a + a + b == b + a * 2


@pytest.mark.parametrize("rate", [0.0, -1.0, math.nan])
@pytest.mark.parametrize(
    "field",
    ["ring_madds_per_s", "flops_per_s", "random_bytes_per_s", "moved_bytes_per_s", "message_overhead_s"],
)
def test_a_machine_refuses_impossible_rates(field: str, rate: float) -> None:
    """The error names the field; only the overhead may be zero."""
    fields = {name: getattr(MACHINE, name) for name in Machine.__slots__}
    if field == "message_overhead_s" and rate == 0:
        assert Machine(**{**fields, field: rate}).message_overhead_s == 0
        return
    with pytest.raises(InputError, match=field):
        Machine(**{**fields, field: rate})


@pytest.mark.parametrize("threads", [False, True])
async def test_a_result_comes_when_its_cost_has_passed(threads: bool, pool: Executor) -> None:
    """By a cost, or by seconds; the label and times stand in the timeline."""
    processor = cpu(pool if threads else None)
    await asyncio.sleep(1)
    assert await processor.compute(lambda: "a", Cost(flops=8 * 10**9), label="forward") == "a"
    assert now() == 3.0
    assert await processor.compute(lambda: "b", 0.5) == "b"
    assert processor.intervals == [(1.0, 3.0, "forward"), (3.0, 3.5, "")]


@pytest.mark.parametrize("threads", [False, True])
async def test_one_processor_serves_first_come_first_served(threads: bool, pool: Executor) -> None:
    """Jobs of one party never overlap, neither really nor in virtual time, and keep their order."""
    processor = cpu(pool if threads else None)
    at_work = threading.Lock()
    order: list[int] = []
    ends: list[tuple[int, float]] = []

    def work(number: int) -> int:
        assert at_work.acquire(blocking=False), "two jobs of one party at the same time"
        threading.Event().wait(0.002 * (10 - number))  # later jobs would be done sooner
        order.append(number)
        at_work.release()
        return number

    async def ask(number: int, cost: float) -> None:
        ends.append((await processor.compute(lambda: work(number), cost), now()))

    async with asyncio.TaskGroup() as group:
        for number in range(10):
            group.create_task(ask(number, 0.0 if number % 2 else 1.0))  # short ones queue up, too
    assert order == list(range(10))
    assert ends == [(number, 1.0 + number // 2) for number in range(10)]


async def test_processors_work_at_the_same_time(pool: Executor) -> None:
    """The real work of two parties overlaps, and each is charged on its own."""
    meeting = threading.Barrier(2, timeout=30)
    first, second = cpu(pool), cpu(pool)
    async with asyncio.TaskGroup() as group:
        group.create_task(first.compute(meeting.wait, 2.0))
        group.create_task(second.compute(meeting.wait, 3.0))
    assert now() == 3.0


async def test_the_clock_waits_for_the_real_work_only_at_its_virtual_end(pool: Executor) -> None:
    """Other things happen in between, though the work is not done; its end it cannot pass."""
    trace: list[str] = []
    go_on = threading.Event()

    def work() -> None:
        assert go_on.wait(30)
        trace.append("work")

    loop = asyncio.get_running_loop()
    loop.call_at(9.0, trace.append, "before")
    loop.call_at(9.5, go_on.set)
    loop.call_at(10.5, trace.append, "after")
    await cpu(pool).compute(work, 10.0)
    trace.append("caller")
    await asyncio.sleep(1)
    assert trace == ["before", "work", "caller", "after"]


async def test_the_clock_blocks_until_the_real_work_is_done(pool: Executor) -> None:
    """Work that really takes longer than everything else still ends at its virtual time."""
    slow = threading.Event()
    timer = threading.Timer(0.05, slow.set)
    timer.start()
    assert await cpu(pool).compute(lambda: slow.wait(30), 1e-3)
    assert now() == 1e-3
    timer.join()


@pytest.mark.parametrize("threads", [False, True])
async def test_an_exception_comes_at_the_virtual_end(threads: bool, pool: Executor) -> None:
    """The caller gets it when the result would have come; the processor goes on with the next job."""
    processor = cpu(pool if threads else None)

    def fail() -> None:
        raise LookupError("lost")

    with pytest.raises(LookupError, match="lost"):
        await processor.compute(fail, 2.0)
    assert now() == 2.0
    assert await processor.compute(lambda: 7, 1.0) == 7


@pytest.mark.parametrize("threads", [False, True])
async def test_a_cancelled_caller_changes_nothing_for_the_others(threads: bool, pool: Executor) -> None:
    """The processor stays busy for the whole job, and later jobs come after it, really and virtually."""
    processor = cpu(pool if threads else None)
    order: list[str] = []
    task = asyncio.create_task(processor.compute(lambda: order.append("cancelled"), 5.0))
    await asyncio.sleep(1)
    later = asyncio.create_task(processor.compute(lambda: order.append("later"), 1.0))
    await asyncio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert now() == 2.0
    await later
    assert now() == 6.0
    assert order == ["cancelled", "later"]
    assert processor.intervals == [(0.0, 5.0, ""), (5.0, 6.0, "")]


async def test_a_failure_after_the_caller_was_cancelled_is_reported() -> None:
    """Nobody is left to raise it to: the loop's exception handler gets it, at the virtual end."""
    reports: list[tuple[float, BaseException]] = []
    asyncio.get_running_loop().set_exception_handler(
        lambda loop, context: reports.append((loop.time(), context["exception"]))
    )
    task = asyncio.create_task(cpu().compute(lambda: int("no number"), 5.0))
    await asyncio.sleep(1)
    task.cancel()
    await asyncio.sleep(9)
    assert [(time, type(error)) for time, error in reports] == [(5.0, ValueError)]


async def test_short_jobs_stay_on_the_calling_thread(pool: Executor) -> None:
    """Below the threshold a change of threads would take longer than the work."""
    processor = cpu(pool, inline_below_s=1e-3)
    here = threading.get_ident()
    assert await processor.compute(threading.get_ident, 0.9e-3) == here
    assert await processor.compute(threading.get_ident, 1e-3) != here
    assert await cpu(None).compute(threading.get_ident, 1.0) == here


@pytest.mark.parametrize("cost", [-1.0, math.inf, math.nan])
async def test_an_impossible_cost_is_refused(cost: float) -> None:
    """Before anything is done."""
    done: list[str] = []
    with pytest.raises(ValueError, match="finite and not negative"):
        await cpu().compute(lambda: done.append("work"), cost)
    assert done == []


@pytest.mark.parametrize("threads", [False, True])
async def test_work_sees_the_context_of_its_caller_and_leaves_it_alone(threads: bool, pool: Executor) -> None:
    """Context variables (numpy's error state is one) are the same on a thread and inline."""
    variable = contextvars.ContextVar("variable", default="outside")
    variable.set("caller")

    def work() -> str:
        seen = variable.get()
        variable.set("work")
        return seen

    assert await cpu(pool if threads else None).compute(work, 1.0) == "caller"
    assert variable.get() == "caller"


async def test_a_pool_that_was_shut_down_is_an_error() -> None:
    """At the call if it happened before, at the virtual end if the work never began."""
    pool = ThreadPoolExecutor(1)
    release = threading.Event()
    processor, other = cpu(pool), cpu(pool)
    blocker = asyncio.create_task(other.compute(lambda: release.wait(30), 1.0))
    await asyncio.sleep(0)
    waiting = asyncio.create_task(processor.compute(int, 1.0))
    await asyncio.sleep(0)
    pool.shutdown(wait=False, cancel_futures=True)
    release.set()
    assert await blocker
    with pytest.raises(RuntimeError, match="shut down before the work began"):
        await waiting
    with pytest.raises(RuntimeError, match="shutdown"):
        await processor.compute(int, 1.0)


PLAN = st.lists(st.tuples(st.integers(0, 2), st.sampled_from([0.0, 1e-5, 0.25, 1.0])), max_size=12)


@given(PLAN)
def test_threads_change_no_virtual_result(plan: list[tuple[int, float]]) -> None:
    """Any jobs on three processors end at the same times, in the same order, with or without threads."""

    def trace(pool: Executor | None, **options: float) -> list[tuple[float, int]]:
        ends: list[tuple[float, int]] = []

        async def job(processor: Cpu, number: int, cost: float) -> None:
            ends.append((now(), await processor.compute(lambda: number, cost)))
            ends.append((now(), number))

        async def main() -> None:
            processors = [cpu(pool, **options) for _ in range(3)]
            async with asyncio.TaskGroup() as group:
                for number, (party, cost) in enumerate(plan):
                    group.create_task(job(processors[party], number, cost))

        run(main())
        return ends

    with ThreadPoolExecutor(2) as pool:
        expected = trace(None)
        assert trace(pool) == expected
        assert trace(pool, inline_below_s=0.0) == expected


async def test_a_keyboard_interrupt_in_the_work_surfaces_at_once() -> None:
    """Inline work on the main thread is interrupted like any other code."""

    def interrupt() -> None:
        raise KeyboardInterrupt

    work: Callable[[], None] = interrupt
    with pytest.raises(KeyboardInterrupt):
        await cpu().compute(work, 1.0)
    assert now() == 0.0
