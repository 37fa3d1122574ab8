"""Keeps every test in a directory of its own, from which no data file is found by accident."""

from __future__ import annotations

from pathlib import Path

import pytest

from p2n2sim.data import locate
from p2n2sim.data.find import VARIABLE


@pytest.fixture(scope="session")
def published() -> dict[str, Path]:
    """The published files that the usual lookup finds from where the tests were started."""
    found = {name: locate(name) for name in ("creditcard", "financial_distress")}
    return {name: path.resolve() for name, path in found.items() if path is not None}


@pytest.fixture(autouse=True)
def _nothing_around(published: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = tmp_path / "a" / "b"
    inside.mkdir(parents=True)
    monkeypatch.chdir(inside)
    monkeypatch.delenv(VARIABLE, raising=False)
