"""Processes that share work: started afresh, silent on Ctrl-C, gone when the one that started them is."""

from __future__ import annotations

import concurrent.futures
import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator


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


def _end_with_parent() -> None:
    """In another process: a killed parent leaves nobody behind."""
    parent = multiprocessing.parent_process()
    assert parent is not None  # only ever called in a child

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
