"""Runs one of the interpreter's own test suites for asyncio on SimLoop.

    python interpreter_suite.py test_queues [lean | SEED]

Those suites switch debug mode on, which takes the checking paths; with ``lean`` it stays off, and with a
number, too, and the loops have that schedule. The last line of standard output tells how many tests ran and
on how many loops; the exit status is 1 if one failed.
"""

from __future__ import annotations

import asyncio
import functools
import sys
import unittest
import warnings
from collections.abc import Callable

from p2n2sim.net.simloop import SimLoop


class LeanLoop(SimLoop):
    """Stays out of debug mode."""

    def set_debug(self, enabled: bool) -> None:
        """Ignores the wish."""
        super().set_debug(False)


def run_suite(name: str, make_loop: Callable[[], SimLoop]) -> int:
    """Runs a suite with a policy that makes loops; returns the exit status."""
    loops = []

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # policies, from Python 3.14 on

        class Policy(asyncio.DefaultEventLoopPolicy):
            def new_event_loop(self) -> asyncio.AbstractEventLoop:
                loops.append(make_loop())
                return loops[-1]

        suite = unittest.defaultTestLoader.loadTestsFromName(f"test.test_asyncio.{name}")
        asyncio.set_event_loop_policy(Policy())
        result = unittest.TextTestRunner().run(suite)
    sys.stdout.write(f"{result.testsRun} {len(loops)}\n")
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    mode = sys.argv[2] if len(sys.argv) > 2 else "debug"
    seeded = functools.partial(LeanLoop, schedule=int(mode)) if mode.isdigit() else None
    sys.exit(run_suite(sys.argv[1], seeded or (LeanLoop if mode == "lean" else SimLoop)))
