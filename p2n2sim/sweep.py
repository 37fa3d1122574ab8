"""Many runs: the grid of a scenario's sweep, on all cores, continued where it stopped."""

from __future__ import annotations

import contextlib
import re
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd

from p2n2sim import folder
from p2n2sim.errors import InputError, P2N2SimError, ScenarioError
from p2n2sim.processes import Call, call_all
from p2n2sim.report.text import written
from p2n2sim.retime import check_timeless_faults, retime
from p2n2sim.run import run
from p2n2sim.scenario.load import parse, points, to_toml
from p2n2sim.scenario.sections import Scenario

TABLE = "sweep.parquet"
_SCENARIO = "sweep.toml"


@dataclass(frozen=True)
class Point:
    """One point of the grid.

    Attributes:
        values: swept key -> value.
        scenario: the scenario there.
        folder: where its run goes.
    """

    values: dict[str, Any]
    scenario: Scenario
    folder: Path

    def __str__(self) -> str:
        return ", ".join(f"{key} = {written(value)}" for key, value in self.values.items())


class SweepError(P2N2SimError):
    """Some points failed; those that did not are kept."""


def sweep(
    scenario: Scenario,
    out: Path,
    *,
    data_dir: Path | None = None,
    jobs: int | None = None,
    retimed: bool = False,
    on_point: Callable[[Point, int, int], object] = lambda point, done, total: None,
) -> Path:
    """Runs every point of the grid that is not finished yet, a process to a core.

    Args:
        scenario: has a sweep.
        out: the sweep folder; ``points/`` holds a run folder for each point, ``sweep.parquet`` a row.
        data_dir: where to look for data files first.
        jobs: how many processes at a time, by default one a core.
        retimed: of points that differ in their links alone, run one and replay it for the others.
        on_point: told of every finished point, with how many are finished and how many there are.

    Returns:
        The path of ``sweep.parquet``, which appears when all points are finished.

    Raises:
        InputError: the scenario has no sweep, the folder belongs to another one, or a point cannot be
            re-timed.
        SweepError: points failed.
    """
    grid = _grid(scenario, out)
    if retimed:
        for point in grid:
            check_timeless_faults(point.scenario, f"sweep: {point}", "sweep without --retime")
    with folder.writing(out):
        folder.check_writable(out)
        _claim(scenario, out)
    missing = [point for point in grid if not folder.is_finished(point.folder)]
    done = len(grid) - len(missing)
    for position, point in enumerate((p for p in grid if p not in missing), 1):
        on_point(point, position, len(grid))
    failures: list[tuple[Point, P2N2SimError]] = []
    groups = _alike(missing) if retimed else [[point] for point in missing]

    def ended(number: int, error: P2N2SimError | None) -> None:
        nonlocal done
        for point in groups[number]:
            if folder.is_finished(point.folder):
                done += 1
                on_point(point, done, len(grid))
            elif error is not None:
                failures.append((point, error))

    calls: list[Call] = [
        (_run_points, ([(to_toml(p.scenario), p.folder) for p in group], data_dir)) for group in groups
    ]
    call_all(calls, jobs=jobs, on_end=ended)
    if failures:
        if not done:
            _disclaim(out)
        raise _failure(failures, len(grid))
    with folder.writing(out):
        return _write_table(grid, out)


def _failure(failures: list[tuple[Point, P2N2SimError]], total: int) -> P2N2SimError:
    """One error for all: the first, which says how many there were."""
    point, error = failures[0]
    where = f"sweep: {point}"
    kept = f"{len(failures)} of {total} points failed, the others are kept"
    if isinstance(error, InputError):
        return InputError(f"{where}: {error.where}", error.found, f"{error.remedy} ({kept})")
    return SweepError(f"{where}: {error} ({kept})")


def _grid(scenario: Scenario, out: Path) -> list[Point]:
    if not scenario.sweep:
        raise ScenarioError(
            "sweep", "there is no [sweep] table", 'add one, for example with "train.epochs" = [1, 2]'
        )
    return [
        Point(values, at, out / "points" / _folder_name(number, values))
        for number, (values, at) in enumerate(points(scenario))
    ]


def _folder_name(number: int, values: dict[str, Any]) -> str:
    text = "_".join(f"{key.split('.')[-1]}-{value}" for key, value in values.items())
    return f"{number:03d}_" + re.sub(r"[^A-Za-z0-9._-]+", "", text.replace(", ", "-").replace("/", "p"))[:80]


def _claim(scenario: Scenario, out: Path) -> None:
    """Makes the folder, or checks that it belongs to this very sweep."""
    text, path = to_toml(scenario), out / _SCENARIO
    if path.is_file():
        if path.read_bytes() != text.encode():
            raise InputError(str(out), "it holds another sweep", "name another folder with --out")
        return
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(str(out), "it is there and holds no sweep", "name another folder with --out")
    out.mkdir(parents=True, exist_ok=True)
    unfinished = out / f".{_SCENARIO}.unfinished"
    unfinished.write_bytes(text.encode())
    unfinished.rename(path)


def _disclaim(out: Path) -> None:
    """Takes back what `_claim` made: a sweep of which no point could be run leaves nothing."""
    (out / _SCENARIO).unlink(missing_ok=True)
    for empty in (out / "points", out):
        with contextlib.suppress(OSError):  # absent, or somebody put something there
            empty.rmdir()


def _alike(points: list[Point]) -> list[list[Point]]:
    """Points that differ in their links alone, together."""
    groups: dict[str, list[Point]] = {}
    for point in points:
        others = {key: value for key, value in point.values.items() if not key.startswith("network.")}
        groups.setdefault(repr(others), []).append(point)
    return list(groups.values())


def _run_points(group: list[tuple[str, Path]], data_dir: Path | None) -> None:
    """In another process: the first point on one thread, and the first one replayed for the others."""
    (first, path), *others = [(parse(tomllib.loads(toml), "sweep"), path) for toml, path in group]
    result = run(first, data_dir=data_dir, threads=1)
    folder.save(result, path, views=result.views)
    for scenario, beside in others:
        data = result.scenario.data  # with the fingerprint of what was found
        folder.save(retime(result, msgspec.structs.replace(scenario, data=data), str(path)), beside)


def _write_table(grid: list[Point], out: Path) -> Path:
    """A row for every point: its folder's name, the swept values, the scalars of its summary."""
    frame = pd.DataFrame(
        [
            {"point": point.folder.name, **point.values}
            | {k: v for k, v in folder.read_summary(point.folder).items() if k not in point.values}
            for point in grid
        ]
    )
    for key in grid[0].values:
        if frame[key].dtype == object:  # lists, or a mixture: no type for a column
            frame[key] = frame[key].map(written)
    unfinished = out / f".{TABLE}.unfinished"
    frame.to_parquet(unfinished, index=False)
    return unfinished.rename(out / TABLE)
