"""Every private name of asyncio and SimPy that virtual time leans on, in one place.

The public interfaces of the two libraries do not reach far enough to put both on one heap. What is
used beyond them is declared here, with its type, and listed in ``LEANT_ON`` with the reason; a test
calls :func:`missing` on every supported Python and names what a new release took away.

Read for this: ``asyncio/base_events.py`` and ``asyncio/events.py`` of CPython 3.11 to 3.13, and
``simpy/core.py`` of SimPy 4.1.
"""

from __future__ import annotations

import asyncio
import asyncio.tasks
import contextvars
import itertools
import traceback
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any, NamedTuple

import simpy


class LeanHandle(asyncio.Handle):
    """A ready callback: ``asyncio.Handle`` without the question whether the loop is in debug mode."""

    __slots__ = ()

    _callback: Callable[..., object]
    _context: contextvars.Context
    _source_traceback: traceback.StackSummary | None

    def __init__(
        self,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        loop: asyncio.AbstractEventLoop,
        context: contextvars.Context | None = None,
    ) -> None:
        self._context = contextvars.copy_context() if context is None else context
        self._loop = loop
        self._callback = callback
        self._args = args
        self._cancelled = False
        self._repr = None
        self._source_traceback = None


class LeanTimer(asyncio.TimerHandle):
    """A timer: ``asyncio.TimerHandle`` without the question whether the loop is in debug mode."""

    __slots__ = ()

    _scheduled: bool

    def __init__(
        self,
        when: float,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        loop: asyncio.AbstractEventLoop,
        context: contextvars.Context | None = None,
    ) -> None:
        self._context = contextvars.copy_context() if context is None else context
        self._loop = loop
        self._callback = callback
        self._args = args
        self._cancelled = False
        self._repr = None
        self._source_traceback = None
        self._when = when
        self._scheduled = False


class LoopInternals(asyncio.BaseEventLoop):
    """``asyncio.BaseEventLoop`` with the types of the private names that a subclass here uses."""

    _ready: deque[LeanHandle]
    _debug: bool
    _closed: bool
    _stopping: bool
    _task_factory: object
    _default_executor: Executor | None
    _executor_shutdown_called: bool
    _timer_cancelled_count: int

    if TYPE_CHECKING:

        def _check_closed(self) -> None: ...
        def _check_thread(self) -> None: ...
        def _check_callback(self, callback: object, method: str) -> None: ...
        def _check_default_executor(self) -> None: ...


def heap_of(env: simpy.Environment) -> list[Any]:
    """SimPy's heap of ``(time, priority, number, event)``; entries of other kinds may be pushed on it."""
    return env._queue


def numbers_of(env: simpy.Environment) -> itertools.count[int]:
    """The counter that numbers the heap's entries, so that equal times and priorities are served in order."""
    return env._eid


def awaited_by(task: asyncio.Task[Any]) -> asyncio.Future[Any] | None:
    """The future on which a suspended task is parked."""
    waiter: asyncio.Future[Any] | None = getattr(task, "_fut_waiter", None)
    return waiter


def is_gathering(future: object) -> bool:
    """Whether the future stands for several others (``asyncio.gather``)."""
    return isinstance(future, asyncio.tasks._GatheringFuture)  # type: ignore[attr-defined]


def is_step(handle: LeanHandle) -> bool:
    """Whether a ready callback is a step of a task: its first one, or the one after what it waited for.

    asyncio makes callbacks of its own kinds for them, which have no name or this one; ``task.cancel`` and its
    kin have theirs.
    """
    callback = handle._callback
    owner = getattr(callback, "__self__", None)
    return isinstance(owner, asyncio.Task) and getattr(callback, "__name__", None) in (None, "task_wakeup")


class Name(NamedTuple):
    """One private name: whose it is, how it is called, and what it is used for."""

    owner: str
    name: str
    purpose: str


LEANT_ON = (
    Name("asyncio.BaseEventLoop", "_ready", "the callbacks to run at this instant, drained in place"),
    Name("asyncio.BaseEventLoop", "_debug", "debug mode takes the stock, checking path"),
    Name("asyncio.BaseEventLoop", "_closed", "a closed loop takes no callbacks"),
    Name("asyncio.BaseEventLoop", "_stopping", "stop() ends the run after the current batch"),
    Name("asyncio.BaseEventLoop", "_run_once", "what run_forever calls until _stopping; replaced"),
    Name("asyncio.BaseEventLoop", "_task_factory", "a user's factory goes before the loop's own tasks"),
    Name("asyncio.BaseEventLoop", "_default_executor", "the pool of asyncio.to_thread"),
    Name("asyncio.BaseEventLoop", "_executor_shutdown_called", "no work after the pool was shut down"),
    Name("asyncio.BaseEventLoop", "_timer_cancelled_count", "cancelled timers still on the heap"),
    Name("asyncio.BaseEventLoop", "_timer_handle_cancelled", "TimerHandle.cancel tells the loop; replaced"),
    Name("asyncio.BaseEventLoop", "_check_closed", "raises on a closed loop"),
    Name("asyncio.BaseEventLoop", "_check_thread", "debug mode: raises on the wrong thread"),
    Name("asyncio.BaseEventLoop", "_check_callback", "debug mode: raises on coroutines and non-callables"),
    Name("asyncio.BaseEventLoop", "_check_default_executor", "raises after the pool was shut down"),
    Name("asyncio.BaseEventLoop", "_write_to_self", "call_soon_threadsafe wakes the loop; replaced"),
    Name("asyncio.Handle", "_callback", "what to run"),
    Name("asyncio.Handle", "_args", "with which arguments"),
    Name("asyncio.Handle", "_context", "in which context"),
    Name("asyncio.Handle", "_cancelled", "whether to skip it"),
    Name("asyncio.Handle", "_loop", "its loop"),
    Name("asyncio.Handle", "_repr", "what a cancelled handle shows in debug mode"),
    Name("asyncio.Handle", "_source_traceback", "where it was made, in debug mode"),
    Name("asyncio.TimerHandle", "_when", "the time asked for"),
    Name("asyncio.TimerHandle", "_scheduled", "whether it is on the heap"),
    Name("asyncio.Task", "_fut_waiter", "what a waiting task is parked on, for the deadlock report"),
    Name("asyncio.tasks", "_GatheringFuture", "the future of gather, for the deadlock report"),
    Name("simpy.Environment", "_queue", "the one heap"),
    Name("simpy.Environment", "_eid", "numbers the entries: equal times are first come first served"),
    Name("simpy.Environment", "_now", "the clock"),
)


def missing(names: tuple[Name, ...] = LEANT_ON) -> list[str]:
    """A sentence for each name that the installed asyncio or SimPy no longer has."""
    loop = asyncio.BaseEventLoop()
    owners: dict[str, object] = {
        "asyncio.BaseEventLoop": loop,
        "asyncio.Handle": asyncio.Handle,
        "asyncio.TimerHandle": asyncio.TimerHandle,
        "asyncio.Task": asyncio.Task,
        "asyncio.tasks": asyncio.tasks,
        "simpy.Environment": simpy.Environment(),
    }
    try:
        return [
            f"{owner} has no {name} any more ({purpose}): p2n2sim.net must be adapted to this release"
            for owner, name, purpose in names
            if not hasattr(owners[owner], name)
        ]
    finally:
        loop.close()
