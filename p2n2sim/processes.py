"""Processes that share work: started afresh, silent on Ctrl-C, gone when the one that started them is."""

from __future__ import annotations

import concurrent.futures
import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from p2n2sim.errors import P2N2SimError

Call = tuple[Callable[..., object], tuple[Any, ...]]
"""A function of a module, so that another process finds it, and its arguments."""


class ProcessDiedError(P2N2SimError):
    """A process ended without a word."""


@contextlib.contextmanager
def processes(number: int) -> Iterator[concurrent.futures.ProcessPoolExecutor]:
    """A pool of processes, which are ended at once when an error or Ctrl-C leaves the context.

    Submit under `deaf_to_ctrl_c`, because submitting may start a process.
    """
    pool = concurrent.futures.ProcessPoolExecutor(
        number,
        mp_context=multiprocessing.get_context("spawn"),  # a fork would copy the threads' locks
        initializer=_end_with_parent,
    )
    try:
        yield pool
    except BaseException:
        for child in multiprocessing.active_children():
            child.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


@contextlib.contextmanager
def deaf_to_ctrl_c() -> Iterator[None]:
    """Processes started meanwhile never see Ctrl-C, which reaches all: the parent alone answers it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def call_all(
    calls: Sequence[Call], *, jobs: int | None, on_end: Callable[[int, P2N2SimError | None], object]
) -> None:
    """Makes calls in other processes, at most so many at a time.

    Args:
        calls: what to call.
        jobs: how many processes at a time, by default one a core.
        on_end: told of every call that has ended, by its position, and how it failed if it did.
    """
    with processes(min(jobs or os.cpu_count() or 1, max(1, len(calls)))) as pool:
        with deaf_to_ctrl_c():
            tasks = {
                pool.submit(function, *arguments): number
                for number, (function, arguments) in enumerate(calls)
            }
        for task in concurrent.futures.as_completed(tasks):
            failure: P2N2SimError | None = None
            try:
                task.result()
            except P2N2SimError as error:
                failure = error
            except BrokenProcessPool:  # the pool ends them all, and does not say whose fault it is
                failure = ProcessDiedError("a process died, perhaps for want of memory")
            on_end(tasks[task], failure)


def _end_with_parent() -> None:
    """In another process: a killed parent leaves nobody behind."""
    parent = multiprocessing.parent_process()
    assert parent is not None  # only ever called in a child

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
