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
    if not installed(suite):
        pytest.skip(f"this Python has no test.test_asyncio.{suite}")
    done = subprocess.run(
        [sys.executable, str(SCRIPT), suite, mode], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    tests, loops = map(int, done.stdout.split())
    assert tests >= 10
    assert loops >= tests  # no test ran on a stock loop
