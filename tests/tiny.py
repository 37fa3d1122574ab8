"""A user's directory for tests: a small CSV file of one's own, and a scenario that runs it in no time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

Call = Callable[..., tuple[int, str, str]]
"""Runs a command line: exit code, standard output, standard error."""

SCENARIO = """\
name = "tiny"

[data]
source = "own.csv"
label = "y"

[model]
hidden = [4, 3]

[train]
epochs = 2
batch_size = 20
learning_rate = 0.01
"""
FEATURES = ("a", "b", "c", "d", "e", "f")


def move_into(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Makes a directory without any data set around it the working directory."""
    inside = directory / "a" / "b"
    inside.mkdir(parents=True)
    monkeypatch.chdir(inside)
    monkeypatch.delenv("P2N2SIM_DATA", raising=False)
    return inside


def write_csv(path: Path, rows: int = 120) -> Path:
    """Rows of six features and a label that depends on their sum."""
    random = np.random.default_rng(1)
    X = random.normal(size=(rows, len(FEATURES)))
    lines = [",".join(f"{value:.4f}" for value in row) + f",{int(row.sum() > 0)}" for row in X]
    path.write_text("\n".join([",".join((*FEATURES, "y")), *lines]) + "\n")
    return path


def write_scenario(directory: Path, extra: str = "", text: str = SCENARIO) -> Path:
    """The CSV file and the scenario beside it."""
    write_csv(directory / "own.csv")
    path = directory / "tiny.toml"
    path.write_text(text + extra)
    return path
