"""An asyncio event loop in virtual time: its clock is a SimPy environment.

One heap, SimPy's own, holds SimPy's events, asyncio's timers and posted callbacks, as
``(time, priority, number, ...)``. The clock moves only when no callback is ready and no thread works
for the loop. At one instant the order is fixed:

1. posted callbacks (messages, finished computations), then SimPy's events, each in the order in which
   they were scheduled; all of them before any task that they wake runs;
2. the ready callbacks; 1 and 2 alternate until nothing is left of either;
3. results of :meth:`SimLoop.run_in_executor`, in the order of submission, each followed by 1 and 2;
4. timers, all of that instant, in the order in which they were set.

So a message that is due at the instant of a timeout wins over the timeout, and equal times are first
come, first served. (A timeout of zero seconds polls, in asyncio: it never becomes a timer.)

That is one legal order of many. A schedule's seed draws another: see `p2n2sim.net.schedule`.
"""

from __future__ import annotations

import asyncio
import contextvars
import math
from collections.abc import Callable, Coroutine, Generator, Iterable
from concurrent.futures import Executor, ThreadPoolExecutor
from heapq import heapify, heappop, heappush
from typing import Any, TypeVar, TypeVarTuple, cast

import simpy

from p2n2sim.errors import DeadlockError, Wait
from p2n2sim.net._private import LeanHandle, LeanTimer, LoopInternals, heap_of, numbers_of
from p2n2sim.net.garbage import rare_collections
from p2n2sim.net.jobs import Jobs
from p2n2sim.net.schedule import POST as _POST
from p2n2sim.net.schedule import TIMER as _TIMER
from p2n2sim.net.schedule import Schedule
from p2n2sim.net.simtask import SimTask, creation_order
from p2n2sim.net.standstill import describe_tasks

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_Batch = list[tuple[Callable[[Any], object], Any]]  # posted callbacks and their arguments

_NEVER = math.inf
_FEW_TIMERS = 64  # so few cancelled timers are not worth a compaction of the heap


class SimLoop(LoopInternals):
    """An asyncio event loop whose time is ``env.now``, in seconds.

    Stock asyncio works on it unchanged, apart from sockets, pipes, subprocesses and signal handlers,
    which need the real world. SimPy processes run on the same clock beside the tasks; step the
    environment through the loop only, never through ``env.run`` or ``env.step``.

    A coroutine that spins on ``sleep(0)`` keeps the clock, the timers of that instant and the results of
    threads from ever going on. A thread that the loop did not start cannot hold the clock: give its work to
    ``asyncio.to_thread``.

    Args:
        env: the environment to use as the clock; a new one at time 0 by default.
        schedule: seed of another legal order of what happens at one instant; by default the order above.

    Attributes:
        env: the clock.
        schedule: the seed; whatever else is drawn at random in a run (jitter, faults) derives from it, too.
    """

    # Of the class unless there is a seed: CPython finds the attributes of an instance more slowly when there
    # are as many as 30.
    schedule: int | None = None
    _shuffled: Schedule | None = None

    def __init__(self, env: simpy.Environment | None = None, *, schedule: int | None = None) -> None:
        super().__init__()
        self.env = simpy.Environment(0.0) if env is None else env
        self._heap = heap_of(self.env)
        self._numbers = numbers_of(self.env)
        self._tasks_made = 0
        self._posted_for: float | None = None  # the time of the latest post
        self._batch: _Batch | None = None  # further posts for that time
        self._jobs = Jobs()
        self._wait_reporters: list[Callable[[], Iterable[Wait]]] = []
        self._deadlock_watchers: list[asyncio.Future[None]] = []
        if schedule is not None:  # methods of its own, so that the loop without a seed pays nothing
            self.schedule = schedule
            self._shuffled = shuffled = Schedule(self, schedule)
            self.post = shuffled.post  # type: ignore[method-assign]
            self._push_timer = shuffled.push_timer  # type: ignore[method-assign]
            self._run_once = shuffled.run_once  # type: ignore[method-assign]

    def close(self) -> None:
        """Close the loop and take what it scheduled off the environment's heap."""
        super().close()
        self._heap[:] = [entry for entry in self._heap if entry[1] not in (_POST, _TIMER)]
        heapify(self._heap)
        self._jobs.pending.clear()
        if self._shuffled is not None:
            self._shuffled.clear()

    # -- scheduling ----------------------------------------------------------------------------

    def time(self) -> float:
        """Virtual time in seconds."""
        return self.env._now

    def post(self, when: float, callback: Callable[[T], object], arg: T) -> None:
        """Run ``callback(arg)`` at a virtual time, before any timer that is due at the same instant.

        Leaner than :meth:`call_at`: there is nothing to cancel, and the callback runs in the context of
        the loop. What it raises ends the run, like the failure of a SimPy event.

        Args:
            when: virtual time in seconds; a time in the past means now, infinity means never.
            callback: what to run.
            arg: its argument.

        Raises:
            ValueError: the time is not a number.
        """
        if when == self._posted_for:
            batch = self._open_batch(when) if self._batch is None else self._batch
            batch.append((callback, arg))
        elif self.env._now <= when < _NEVER:
            heappush(self._heap, (when, _POST, next(self._numbers), callback, arg))
            self._posted_for = when
            self._batch = None
        elif (due := self._due(when)) is not None:
            heappush(self._heap, (due, _POST, next(self._numbers), callback, arg))
            self._posted_for = self._batch = None

    def _open_batch(self, when: float) -> _Batch:
        """From the second post in a row for one time on, they share one entry of the heap."""
        batch: _Batch = []
        self._batch = batch
        due = max(when, self.env._now)
        heappush(self._heap, (due, _POST, next(self._numbers), self._run_batch, batch))
        return batch

    def _run_batch(self, batch: _Batch) -> None:
        if batch is self._batch:
            self._posted_for = self._batch = None
        rest = iter(batch)
        try:
            for callback, arg in rest:
                callback(arg)
        except BaseException:  # what is left of the batch is still due now
            heappush(self._heap, (self.env._now, _POST, -1, self._run_batch, list(rest)))
            raise

    def call_at(
        self,
        when: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        """Run a callback at a virtual time: in the past means now, infinity means never.

        Raises:
            ValueError: the time is not a number.
        """
        if self._debug or self._closed:
            timer = self._checked_timer(when, callback, args, context)
        else:
            timer = LeanTimer(when, callback, args, self, context)
        if (due := self._due(when)) is not None:
            self._push_timer(due, timer)
            timer._scheduled = True
        return timer

    def _push_timer(self, due: float, timer: LeanTimer) -> None:
        heappush(self._heap, (due, _TIMER, next(self._numbers), timer))

    def call_soon(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        """Run a callback at this instant, after those that are ready already."""
        if self._debug or self._closed:
            return super().call_soon(callback, *args, context=context)
        handle = LeanHandle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def create_task(
        self,
        coro: Generator[Any, None, T] | Coroutine[Any, Any, T],
        *,
        name: object = None,
        context: contextvars.Context | None = None,
        **options: Any,
    ) -> asyncio.Task[T]:
        """Start a task; tasks are numbered, named and hashed in the order of their creation."""
        if self._task_factory is not None:
            return super().create_task(coro, name=name, context=context, **options)
        self._check_closed()
        self._tasks_made += 1
        return SimTask(self._tasks_made, coro, name, loop=self, context=context, **options)

    def as_future(self, event: simpy.Event) -> asyncio.Future[Any]:
        """A future for the value, or the failure, of a SimPy event or process.

        A failure that the future takes over counts as defused in SimPy.

        Raises:
            ValueError: the event belongs to another environment.
        """
        if event.env is not self.env:
            raise ValueError(f"{event!r} belongs to another environment than this loop's")
        future: asyncio.Future[Any] = self.create_future()

        def settle(event: simpy.Event) -> None:
            if future.done():
                return
            if event.ok:
                future.set_result(event.value)
            else:
                event.defused = True
                future.set_exception(cast(BaseException, event.value))

        if event.processed:
            settle(event)
        else:
            event.callbacks.append(settle)
        return future

    # -- work on threads -----------------------------------------------------------------------

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """Run a function on another thread, in no virtual time.

        The clock stands still until the function is done, and results arrive in the order in which the
        functions were submitted, however long each really takes. So the function must not wait for
        anything that needs the clock to move or a later function's result to arrive.
        """
        self._check_closed()
        if self._debug:
            self._check_callback(func, "run_in_executor")
        if executor is None:
            self._check_default_executor()
            if self._default_executor is None:
                self._default_executor = ThreadPoolExecutor(thread_name_prefix="p2n2sim")
            executor = self._default_executor
        work = executor.submit(func, *args)
        future: asyncio.Future[T] = self.create_future()
        self._jobs.add(work, future)
        return future

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """Wait until the pool of ``asyncio.to_thread`` has finished.

        Args:
            timeout: has no effect: the clock stands still while threads work.
        """
        self._executor_shutdown_called = True
        if self._default_executor is not None:
            with ThreadPoolExecutor(1) as waiter:
                await self.run_in_executor(waiter, self._default_executor.shutdown)

    def _write_to_self(self) -> None:
        self._jobs.tell()

    # -- standing still ------------------------------------------------------------------------

    def add_wait_reporter(self, reporter: Callable[[], Iterable[Wait]]) -> None:
        """Ask ``reporter`` who waits for which message when a :class:`DeadlockError` is built."""
        self._wait_reporters.append(reporter)

    def deadlock(self) -> asyncio.Future[None]:
        """A future that fails with :class:`DeadlockError` when nothing is left to do.

        Of several pending ones the latest gets it; cancel yours when you no longer watch. Without any,
        the error is raised out of ``run_until_complete``.
        """
        self._deadlock_watchers = [watcher for watcher in self._deadlock_watchers if not watcher.done()]
        self._deadlock_watchers.append(self.create_future())
        return self._deadlock_watchers[-1]

    def _stand_still(self) -> None:
        """Nothing is ready, nothing is scheduled and no thread works: tell the latest watcher, or raise."""
        waits = [wait for reporter in self._wait_reporters for wait in reporter()]
        tasks = sorted(asyncio.all_tasks(self), key=creation_order)
        watchers = self._deadlock_watchers
        others = describe_tasks(tasks, without_receivers=bool(waits), watchers=watchers)
        error = DeadlockError(self.time(), waits, others)
        while watchers:
            watcher = watchers.pop()
            if not watcher.done():
                watcher.set_exception(error)
                return
        raise error

    # -- the loop ------------------------------------------------------------------------------

    def _run_once(self) -> None:
        """Run until told to stop; then the batch of callbacks that was ready is finished first."""
        env, heap, ready, jobs = self.env, self._heap, self._ready, self._jobs.pending
        popleft, step = ready.popleft, env.step
        while True:
            for _ in range(len(ready)):
                handle = popleft()
                if handle._cancelled:
                    continue
                try:
                    handle._context.run(handle._callback, *handle._args)
                except (SystemExit, KeyboardInterrupt):
                    raise
                except BaseException as error:
                    self._report_failure(handle, error)
            if self._stopping:
                return
            if not heap:
                if not ready:
                    self._idle()
                continue
            entry = heap[0]
            when, priority = entry[0], entry[1]
            if priority == _TIMER or when > env._now:
                if ready:
                    continue
                if jobs or when == _NEVER:  # never: a SimPy timeout
                    self._idle()
                    continue
                if priority == _TIMER:
                    self._fire_timers(when)
                    continue
                env._now = when
            while True:
                if priority == _POST:
                    heappop(heap)
                    entry[3](entry[4])
                else:
                    step()
                if not heap:
                    break
                entry = heap[0]
                priority = entry[1]
                if entry[0] != when or priority == _TIMER:
                    break

    def _run_handle(self, handle: LeanHandle) -> None:
        """Run one ready callback, as `_run_once` does without a call."""
        if handle._cancelled:
            return
        try:
            handle._context.run(handle._callback, *handle._args)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:
            self._report_failure(handle, error)

    def _idle(self) -> None:
        if self._jobs.pending:
            self._jobs.finish_oldest(self._ready)
        else:
            self._stand_still()

    def _fire_timers(self, when: float) -> None:
        """Move the timers of one instant to the ready callbacks; cancelled ones do not move the clock."""
        heap, ready = self._heap, self._ready
        while heap and heap[0][0] == when and heap[0][1] == _TIMER:
            timer = heappop(heap)[3]
            timer._scheduled = False
            if timer._cancelled:
                self._timer_cancelled_count -= 1
            else:
                self.env._now = when
                ready.append(timer)

    def _timer_handle_cancelled(self, handle: LeanTimer) -> None:
        """Called by a timer that is about to be cancelled: sweep the heap when half of it is cancelled."""
        if not handle._scheduled:
            return
        heap = self._heap
        if self._timer_cancelled_count > _FEW_TIMERS and 2 * self._timer_cancelled_count > len(heap):
            heap[:] = [entry for entry in heap if entry[1] != _TIMER or not entry[3]._cancelled]
            heapify(heap)
            self._timer_cancelled_count = 0
        self._timer_cancelled_count += 1

    def _due(self, when: float) -> float | None:
        """The time at which something asked for at ``when`` happens; None means never."""
        now = self.env._now
        if now <= when < _NEVER:
            return when
        if when < now:
            return now
        if when == _NEVER:
            return None
        raise ValueError(f"a time in seconds must be a number, not {when!r}")

    def _checked_timer(
        self,
        when: float,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        context: contextvars.Context | None,
    ) -> LeanTimer:
        self._check_closed()
        self._check_thread()
        self._check_callback(callback, "call_at")
        return cast(LeanTimer, asyncio.TimerHandle(when, callback, args, self, context))  # of the same shape

    def _report_failure(self, handle: LeanHandle, error: BaseException) -> None:
        story = {"message": f"Exception in callback {handle!r}", "exception": error, "handle": handle}
        if handle._source_traceback:
            story["source_traceback"] = handle._source_traceback
        self.call_exception_handler(story)


def run(
    main: Coroutine[Any, Any, T],
    *,
    env: simpy.Environment | None = None,
    debug: bool | None = None,
    schedule: int | None = None,
) -> T:
    """Run a coroutine in virtual time, as ``asyncio.run`` does in real time.

    Args:
        main: the coroutine.
        env: the SimPy environment to use as the clock; a new one at time 0 by default.
        debug: asyncio's debug mode.
        schedule: seed of another legal order of what happens at one instant.

    Raises:
        DeadlockError: every task waits and nothing is left to do.
    """
    with (
        rare_collections(),
        asyncio.Runner(debug=debug, loop_factory=lambda: SimLoop(env, schedule=schedule)) as runner,
    ):
        return runner.run(main)
