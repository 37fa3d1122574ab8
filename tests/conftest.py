"""Every asynchronous test runs in virtual time, no test is timed; the command line as a fixture."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import settings

from p2n2sim import cli
from p2n2sim.net.simloop import SimLoop
from tests.tiny import Call

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


def pytest_asyncio_loop_factories() -> dict[str, type[SimLoop]]:
    """The one loop on which pytest-asyncio runs the tests."""
    return {"virtual": SimLoop}


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
