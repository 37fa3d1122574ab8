"""One party's processor: real work on a thread, charged with virtual seconds from operation counts."""

from __future__ import annotations

import asyncio
import contextvars
import math
import threading
from collections import Counter, deque
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

from p2n2sim.errors import InputError
from p2n2sim.net.simloop import SimLoop

T = TypeVar("T")

# Handing work to a thread and taking the result back takes some tens of microseconds of real time: work
# that is charged with less than this is done sooner than handed over.
INLINE_BELOW_S = 100e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """How many operations some local work takes; costs add up, and an integer multiplies them.

    Attributes:
        ring_madds: multiply-adds in the ring Z_2^64.
        flops: floating-point operations.
        random_bytes: bytes drawn from a pseudo-random generator.
        moved_bytes: bytes read or written by element-wise work.
        messages: messages handled.
        operations: anything else by name, an encryption for example -> how many.
    """

    ring_madds: int = 0
    flops: int = 0
    random_bytes: int = 0
    moved_bytes: int = 0
    messages: int = 0
    operations: Mapping[str, int] = field(default_factory=dict)

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            ring_madds=self.ring_madds + other.ring_madds,
            flops=self.flops + other.flops,
            random_bytes=self.random_bytes + other.random_bytes,
            moved_bytes=self.moved_bytes + other.moved_bytes,
            messages=self.messages + other.messages,
            operations=dict(Counter(self.operations) + Counter(other.operations)),
        )

    def __mul__(self, times: int) -> Cost:
        return Cost(
            ring_madds=self.ring_madds * times,
            flops=self.flops * times,
            random_bytes=self.random_bytes * times,
            moved_bytes=self.moved_bytes * times,
            messages=self.messages * times,
            operations={name: count * times for name, count in self.operations.items()},
        )

    __rmul__ = __mul__


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """How fast one party's machine is. An infinite rate makes that kind of work free.

    Attributes:
        ring_madds_per_s: multiply-adds in Z_2^64 per second.
        flops_per_s: floating-point operations per second.
        random_bytes_per_s: pseudo-random bytes per second.
        moved_bytes_per_s: bytes of element-wise work per second.
        message_overhead_s: seconds for each message handled.
        operations_s: seconds for each operation that is counted by its name; None makes all of them free.

    Raises:
        InputError: a rate is not above 0, or the overhead or an operation's time is negative or not finite.
    """

    ring_madds_per_s: float
    flops_per_s: float
    random_bytes_per_s: float
    moved_bytes_per_s: float
    message_overhead_s: float
    operations_s: Mapping[str, float] | None = field(default_factory=dict)

    @classmethod
    def instant(cls) -> Machine:
        """A machine on which nothing takes any time."""
        return cls(
            ring_madds_per_s=math.inf,
            flops_per_s=math.inf,
            random_bytes_per_s=math.inf,
            moved_bytes_per_s=math.inf,
            message_overhead_s=0.0,
            operations_s=None,
        )

    def __post_init__(self) -> None:
        durations = {"message_overhead_s": self.message_overhead_s, **(self.operations_s or {})}
        for name, value in durations.items():
            if not 0 <= value < math.inf:
                raise InputError(f"machine: {name}", f"found {value!r}", "use 0 or more seconds")
        for item in fields(self):
            value = getattr(self, item.name)
            if item.name.endswith("_per_s") and not value > 0:
                raise InputError(f"machine: {item.name}", f"found {value!r}", "use a rate above 0")

    def seconds(self, cost: Cost) -> float:
        """Virtual seconds that this machine takes for the work.

        Raises:
            InputError: an operation that the machine does not know.
        """
        named = self._named_seconds(cost.operations) if cost.operations else 0.0
        return named + (
            cost.ring_madds / self.ring_madds_per_s
            + cost.flops / self.flops_per_s
            + cost.random_bytes / self.random_bytes_per_s
            + cost.moved_bytes / self.moved_bytes_per_s
            + cost.messages * self.message_overhead_s
        )

    def _named_seconds(self, operations: Mapping[str, int]) -> float:
        if self.operations_s is None:
            return 0.0
        for name in operations:
            if name not in self.operations_s:
                known = ", ".join(self.operations_s) or "none"
                raise InputError(f"machine: {name}", "it has no such operation", f"known operations: {known}")
        return sum(count * self.operations_s[name] for name, count in operations.items())


class Cpu:
    """One party's processor: one job at a time in virtual time, first come, first served.

    The real work of a job starts at once and may overlap that of other parties' jobs; jobs of one
    processor never overlap and keep their order, since they may write to the same arrays. What a job
    costs is computed, never measured, so the virtual times and results do not depend on the pool.

    Args:
        loop: the loop that keeps the time.
        machine: how fast the processor is.
        pool: threads for the real work, shared by any number of processors; None does the work on the
            calling thread.
        inline_below_s: work charged with less than this many virtual seconds is done on the calling
            thread, because a change of threads would take longer.

    Attributes:
        intervals: ``(start, end, label)`` of every job, in virtual seconds, in order.
        pace: by which factor a job that starts at a time takes longer; None for none.
    """

    def __init__(
        self,
        loop: SimLoop,
        machine: Machine,
        *,
        pool: Executor | None = None,
        inline_below_s: float = INLINE_BELOW_S,
    ) -> None:
        self.machine = machine
        self.intervals: list[tuple[float, float, str]] = []
        self.pace: Callable[[float], float] | None = None
        self._loop = loop
        self._strand = None if pool is None else _Strand(pool)
        self._inline_below_s = inline_below_s
        self._busy_until = -math.inf

    async def compute(self, fn: Callable[[], T], cost: Cost | float, *, label: str = "") -> T:
        """Do real work and return its result when the processor would be done with it.

        The work starts at once, at the latest known state of its inputs. In virtual time it starts
        when the processor is free, and takes what it costs. Cancelling the caller does not stop it.

        Args:
            fn: the work; it runs in a copy of the caller's context, possibly on another thread, so it
                must not touch the loop.
            cost: operation counts, or virtual seconds.
            label: what the timeline calls it.

        Raises:
            ValueError: the cost is negative or not finite.
            Exception: whatever ``fn`` raises, at the time at which its result would have come.
        """
        seconds = self.machine.seconds(cost) if isinstance(cost, Cost) else cost
        if not 0 <= seconds < math.inf:
            raise ValueError(f"a cost in seconds must be finite and not negative, not {seconds!r}")
        work = self._start(fn, seconds)
        start = max(self._loop.time(), self._busy_until)
        if self.pace is not None:
            seconds *= self.pace(start)
        self._busy_until = end = start + seconds
        self.intervals.append((start, end, label))
        done: asyncio.Future[None] = self._loop.create_future()
        self._loop.post(end, self._finish, (work, done))
        await done
        return work.result()

    def _start(self, fn: Callable[[], T], seconds: float) -> Future[T]:
        context = contextvars.copy_context()
        work: Future[T] = Future()
        strand = self._strand
        # Behind unfinished work of this processor even a short job has to queue up.
        if strand is None or (seconds < self._inline_below_s and strand.idle):
            _do(work, context, fn)
        else:
            strand.submit(work, context, fn)
        return work

    def _finish(self, job: tuple[Future[Any], asyncio.Future[None]]) -> None:
        """The virtual end of a job: here, and only here, the clock waits for the real work."""
        work, done = job
        error = work.exception()
        if not done.done():
            done.set_result(None)
        elif error is not None:
            self._loop.call_exception_handler(
                {"message": "A computation whose caller was cancelled has failed", "exception": error}
            )


def _do(work: Future[T], context: contextvars.Context, fn: Callable[[], T]) -> None:
    try:
        work.set_result(context.run(fn))
    except (SystemExit, KeyboardInterrupt) as error:
        work.set_exception(error)
        if threading.current_thread() is threading.main_thread():
            raise
    except BaseException as error:
        work.set_exception(error)


class _Strand:
    """Runs jobs on a pool one after the other, in the order of submission, on one thread at a time."""

    def __init__(self, pool: Executor) -> None:
        self._pool = pool
        self._lock = threading.Lock()
        self._jobs: deque[tuple[Future[Any], contextvars.Context, Callable[[], Any]]] = deque()
        self._running = False

    @property
    def idle(self) -> bool:
        """Whether every job submitted so far is really finished."""
        return not self._running

    def submit(self, work: Future[T], context: contextvars.Context, fn: Callable[[], T]) -> None:
        with self._lock:
            self._jobs.append((work, context, fn))
            if self._running:
                return
            self._running = True
        try:
            runner = self._pool.submit(self._drain)
        except BaseException:
            self._give_up()
            raise
        runner.add_done_callback(lambda runner: self._give_up() if runner.cancelled() else None)

    def _drain(self) -> None:
        while True:
            with self._lock:
                if not self._jobs:
                    self._running = False
                    return
                job = self._jobs.popleft()
            _do(*job)

    def _give_up(self) -> None:
        """The pool was shut down before the jobs were started."""
        with self._lock:
            self._running = False
            jobs, self._jobs = self._jobs, deque()
        for work, _, _ in jobs:
            work.set_exception(RuntimeError("the pool was shut down before the work began"))
