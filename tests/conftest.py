"""No test is timed; the command line, and other processes' work in this one, as fixtures.

`virtual_time` in pyproject.toml does the rest.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from p2n2sim import cli
from p2n2sim.run import one_float_thread
from tests.here import leave_out_pictures, work_here
from tests.tiny import Call

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Each process of the tests has a core: threads for small sums would wait for each other."""
    with one_float_thread():
        yield


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Runs a command line in this process: exit code, standard output, standard error."""

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["p2n2sim", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        out, err = capsys.readouterr()
        return int(end.value.code or 0), out, err

    return run


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """As `tests.here.work_here`."""
    work_here(monkeypatch)


@pytest.fixture
def without_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """As `tests.here.leave_out_pictures`."""
    leave_out_pictures(monkeypatch)
