"""No test is timed; the command line as a fixture. `virtual_time` in pyproject.toml does the rest."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import settings

from p2n2sim import cli
from tests.tiny import Call

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


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
