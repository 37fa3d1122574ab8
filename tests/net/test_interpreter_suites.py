"""The interpreter's own tests of asyncio pass on SimLoop."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("interpreter_suite.py")
# None of their tests is left out: those that need real time to pass get virtual time instead.
SUITES = ("test_queues", "test_locks", "test_timeouts", "test_taskgroups", "test_waitfor")
# In the others some tests let tasks start, and finish, by sleep(0), which no schedule promises.
UNORDERED = ("test_timeouts", "test_taskgroups")


def installed(suite: str) -> bool:
    """Whether this interpreter came with its tests."""
    try:
        return importlib.util.find_spec(f"test.test_asyncio.{suite}") is not None
    except ModuleNotFoundError:
        return False


@pytest.mark.parametrize("mode", ["debug", "lean"])
@pytest.mark.parametrize("suite", SUITES)
def test_the_interpreters_suite_passes(suite: str, mode: str) -> None:
    """Every test of the suite passes in debug mode and outside it, on loops in virtual time."""
    check(suite, mode)


@pytest.mark.parametrize("seed", ["0", "1", "2"])
@pytest.mark.parametrize("suite", UNORDERED)
def test_a_suite_that_counts_on_no_order_passes_under_schedules(suite: str, seed: str) -> None:
    """Timeouts and task groups keep their promises in every legal order of equal times."""
    check(suite, seed)


def check(suite: str, mode: str) -> None:
    """Runs a suite in a process of its own."""
    if not installed(suite):
        pytest.skip(f"this Python has no test.test_asyncio.{suite}")
    done = subprocess.run(
        [sys.executable, str(SCRIPT), suite, mode], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    tests, loops = map(int, done.stdout.split())
    assert tests >= 10
    assert loops >= tests  # no test ran on a stock loop
