"""Ctrl-C while modules are imported."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator

INTERRUPTED = 130
"""What a shell says of a command that ended by Ctrl-C."""


@contextlib.contextmanager
def ending_at_once() -> Iterator[None]:
    """Within it Ctrl-C ends the process on the spot, which has nothing to tidy up yet.

    A KeyboardInterrupt would be lost in the import system's own callbacks, and libraries that initialise
    themselves in C++ abort when one reaches them. Where Ctrl-C is ignored it stays so.
    """
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.default_int_handler or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGINT, lambda number, frame: os._exit(INTERRUPTED))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
