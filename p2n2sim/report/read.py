"""Run and sweep folders, read back."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from p2n2sim.errors import InputError
from p2n2sim.report.text import slug
from p2n2sim.scenario.load import load
from p2n2sim.scenario.sections import Scenario

T = TypeVar("T")


@dataclass(frozen=True)
class StoredRun:
    """A finished run, read from its folder; the attributes are those of `p2n2sim.run.Run`."""

    scenario: Scenario
    summary: dict[str, Any]
    ledger: pd.DataFrame
    metrics: pd.DataFrame
    batches: pd.DataFrame
    compute: pd.DataFrame

    @property
    def name(self) -> str:
        """A name for files."""
        return slug(self.scenario.name)


@dataclass(frozen=True)
class StoredSweep:
    """A finished sweep, read from its folder.

    Attributes:
        scenario: the swept scenario.
        table: a row for every point.
        first: the run of the first point.
        modelled: what was a model at any of the points, a sentence each.
    """

    scenario: Scenario
    table: pd.DataFrame
    first: StoredRun
    modelled: tuple[str, ...]

    @property
    def name(self) -> str:
        """A name for files."""
        return slug(self.scenario.name)

    @property
    def keys(self) -> list[str]:
        """The swept keys."""
        return list(self.scenario.sweep)


def read(folder: Path) -> StoredRun | StoredSweep:
    """Reads a folder.

    Raises:
        InputError: it holds neither a finished run nor a finished sweep, or a file of it is damaged.
    """
    if (folder / "summary.json").is_file():
        return _read_run(folder)
    if (folder / "sweep.parquet").is_file():
        return _read_sweep(folder)
    if (folder / "sweep.toml").is_file():
        raise InputError(str(folder), "the sweep is not finished", "continue it with p2n2sim sweep")
    found = "it holds no finished run or sweep" if folder.is_dir() else "there is no such folder"
    raise InputError(str(folder), found, "a run folder has summary.json, a sweep folder sweep.parquet")


def _read_run(folder: Path) -> StoredRun:
    def frame(name: str) -> pd.DataFrame:
        return _whole(folder / f"{name}.parquet", pd.read_parquet)

    return StoredRun(
        scenario=_whole(folder / "scenario.toml", load),
        summary=_summary(folder),
        ledger=frame("ledger"),
        metrics=frame("metrics"),
        batches=frame("batches"),
        compute=frame("compute"),
    )


def _read_sweep(folder: Path) -> StoredSweep:
    table: pd.DataFrame = _whole(folder / "sweep.parquet", pd.read_parquet)
    scenario = _whole(folder / "sweep.toml", load)
    points = [folder / "points" / str(point) for point in table["point"]]
    sentences = (sentence for point in points for sentence in _summary(point)["modelled"])
    return StoredSweep(scenario, table, _read_run(points[0]), tuple(dict.fromkeys(sentences)))


def _summary(folder: Path) -> dict[str, Any]:
    summary: dict[str, Any] = _whole(
        folder / "summary.json", lambda path: json.loads(path.read_text("utf-8"))
    )
    return summary


def _whole(path: Path, read_file: Callable[[Path], T]) -> T:
    """What a file holds.

    Raises:
        InputError: it is missing or damaged.
    """
    try:
        return read_file(path)
    except FileNotFoundError:
        raise InputError(str(path), "the file is missing", "run the scenario again") from None
    except (OSError, ValueError) as error:  # pyarrow's and json's errors are ValueErrors
        found = str(error).splitlines()[0]
        raise InputError(str(path), f"the file is damaged ({found})", "run the scenario again") from None
