"""Functions that run on other threads while the virtual clock stands still."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Sized
from concurrent.futures import Future as ThreadFuture
from typing import Any


class Jobs:
    """The jobs under way, oldest first, and the waiting for them.

    Attributes:
        pending: the real work and the loop's future for its result, in the order of submission.
    """

    def __init__(self) -> None:
        self.pending: deque[tuple[ThreadFuture[Any], asyncio.Future[Any]]] = deque()
        # Taken while there is no news. A plain lock, because a signal handler may interrupt tell() or
        # finish_oldest() and call tell() itself.
        self._no_news = threading.Lock()
        self._no_news.acquire()

    def add(self, work: ThreadFuture[Any], future: asyncio.Future[Any]) -> None:
        """Take a job into account whose result the future is to get."""
        self.pending.append((work, future))
        future.add_done_callback(lambda future: work.cancel() if future.cancelled() else None)
        work.add_done_callback(lambda _: self.tell())

    def tell(self) -> None:
        """Wake the loop if it waits; for any thread and for signal handlers."""
        with contextlib.suppress(RuntimeError):  # not taken: there is news already
            self._no_news.release()

    def finish_oldest(self, ready: Sized) -> None:
        """Wait until the oldest job is done and hand over its result, or until something gets ready."""
        work, future = self.pending[0]
        while not work.done():
            if ready:
                return
            self._no_news.acquire()
        self.pending.popleft()
        if not future.done():
            _settle(future, work)


def _settle(future: asyncio.Future[Any], work: ThreadFuture[Any]) -> None:
    if work.cancelled():
        future.cancel()
    elif (error := work.exception()) is None:
        future.set_result(work.result())
    elif isinstance(error, StopIteration):  # which a future cannot carry
        future.set_exception(RuntimeError("the function raised StopIteration"))
    else:
        future.set_exception(error)
