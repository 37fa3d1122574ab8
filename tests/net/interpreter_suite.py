"""Runs one of the interpreter's own test suites for asyncio on SimLoop.

    python interpreter_suite.py test_queues [lean]

Those suites switch debug mode on, which takes the checking paths; with ``lean`` it stays off. The last line
of standard output tells how many tests ran and on how many loops; the exit status is 1 if one failed.
"""

from __future__ import annotations

import asyncio
import sys
import unittest
import warnings

from p2n2sim.net.simloop import SimLoop


class LeanLoop(SimLoop):
    """Stays out of debug mode."""

    def set_debug(self, enabled: bool) -> None:
        """Ignores the wish."""
        super().set_debug(False)


def run_suite(name: str, loop_class: type[SimLoop]) -> int:
    """Runs a suite with a policy that makes loops of a class; returns the exit status."""
    loops = []

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # policies, from Python 3.14 on

        class Policy(asyncio.DefaultEventLoopPolicy):
            def new_event_loop(self) -> asyncio.AbstractEventLoop:
                loops.append(loop_class())
                return loops[-1]

        suite = unittest.defaultTestLoader.loadTestsFromName(f"test.test_asyncio.{name}")
        asyncio.set_event_loop_policy(Policy())
        result = unittest.TextTestRunner().run(suite)
    sys.stdout.write(f"{result.testsRun} {len(loops)}\n")
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(run_suite(sys.argv[1], LeanLoop if "lean" in sys.argv[2:] else SimLoop))
