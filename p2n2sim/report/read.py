"""Run and sweep folders, read back."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pandas as pd

from p2n2sim.errors import InputError
from p2n2sim.net import journal
from p2n2sim.report.text import slug
from p2n2sim.scenario.kept import load_kept
from p2n2sim.scenario.load import load
from p2n2sim.scenario.sections import Scenario

T = TypeVar("T")
COMPARISON = "comparison.json"
COMPARISON_PRESETS = ("lan", "wan")
"""Of the links on which every value is run."""


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
class StoredEvents(StoredRun):
    """A finished run with everything that its tasks did."""

    events: pd.DataFrame


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


class ComparisonNote(msgspec.Struct, frozen=True, kw_only=True):
    """What a comparison's report must know beside its runs.

    Attributes:
        key: what varies.
        left_out: value -> why the scenario does not allow it.
        aside: keys of the scenario's own links, which the presets replace.
    """

    key: str
    left_out: dict[str, str]
    aside: list[str]


@dataclass(frozen=True)
class Told:
    """What a run says of itself, without its tables."""

    scenario: Scenario
    summary: dict[str, Any]


@dataclass(frozen=True)
class StoredComparison:
    """A finished comparison, read from its folder.

    Attributes:
        scenario: its sweep is the grid of the key's values and the presets of the links.
        note: what varies, and what was left out.
        runs: for every value a run on each preset.
    """

    scenario: Scenario
    note: ComparisonNote
    runs: list[tuple[object, dict[str, Told]]]

    @property
    def name(self) -> str:
        """A name for files."""
        return slug(f"{self.scenario.name} by {self.note.key}")

    @property
    def first(self) -> Told:
        """The first value's run on the first preset."""
        return self.runs[0][1][COMPARISON_PRESETS[0]]

    @property
    def modelled(self) -> tuple[str, ...]:
        """What was a model in any of the runs, a sentence each."""
        runs = (run for _, by_preset in self.runs for run in by_preset.values())
        return tuple(dict.fromkeys(sentence for run in runs for sentence in run.summary["modelled"]))


Stored = StoredRun | StoredSweep | StoredComparison


def read(folder: Path) -> Stored:
    """Reads a folder.

    Raises:
        InputError: it holds no finished run, sweep or comparison, or a file of it is damaged.
    """
    if (folder / "summary.json").is_file():
        return _read_run(folder)
    if (folder / COMPARISON).is_file():
        return _read_comparison(folder)
    if (folder / "sweep.parquet").is_file():
        return _read_sweep(folder)
    if (folder / "sweep.toml").is_file():
        raise InputError(
            str(folder), "the sweep is not finished", "continue it with the command that began it"
        )
    found = "it holds no finished run or sweep" if folder.is_dir() else "there is no such folder"
    raise InputError(str(folder), found, "a run folder has summary.json, a sweep folder sweep.parquet")


def read_events(folder: Path) -> StoredEvents:
    """Reads a run folder with everything that the tasks did.

    Raises:
        InputError: it holds no finished run, one of a version that did not record this, or a damaged file.
    """
    stored = read(folder)
    if not isinstance(stored, StoredRun):
        raise InputError(str(folder), "it holds several runs", f"name one of them, in {folder / 'points'}")
    path = folder / "events.parquet"
    events = journal.check(_whole(path, pd.read_parquet), str(path))
    return StoredEvents(**vars(stored), events=events)


def _read_run(folder: Path) -> StoredRun:
    def frame(name: str) -> pd.DataFrame:
        return _whole(folder / f"{name}.parquet", pd.read_parquet)

    told = read_told(folder)
    return StoredRun(
        scenario=told.scenario,
        summary=told.summary,
        ledger=frame("ledger"),
        metrics=frame("metrics"),
        batches=frame("batches"),
        compute=frame("compute"),
    )


def read_told(folder: Path) -> Told:
    """Reads what a run says of itself, without its tables.

    Raises:
        InputError: it holds no finished run, or a file of it is damaged.
    """
    return Told(_whole(folder / "scenario.toml", load_kept), _summary(folder))


def _read_comparison(folder: Path) -> StoredComparison:
    note = _whole(
        folder / COMPARISON, lambda path: msgspec.json.decode(path.read_bytes(), type=ComparisonNote)
    )
    scenario = _whole(folder / "sweep.toml", load)
    table: pd.DataFrame = _whole(folder / "sweep.parquet", pd.read_parquet)
    runs = iter([read_told(folder / "points" / str(name)) for name in table["point"]])
    values = scenario.sweep[note.key]  # the key's values are the slower ones, the presets the faster
    return StoredComparison(
        scenario, note, [(value, dict(zip(COMPARISON_PRESETS, runs, strict=False))) for value in values]
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
    except (OSError, ValueError, msgspec.MsgspecError) as error:  # pyarrow's and json's are ValueErrors
        found = str(error).splitlines()[0]
        raise InputError(str(path), f"the file is damaged ({found})", "run the scenario again") from None
