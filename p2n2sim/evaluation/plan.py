"""Items -> runs to make: which points their scenario files have, and where each run is kept.

A run is kept under a name that ends in a hash of its scenario, its data and the program. So a run that is
there is the right one, whatever was changed in between, and full and quick evaluations share what they have
in common.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from p2n2sim.data.catalogue import load as load_table
from p2n2sim.errors import InputError
from p2n2sim.evaluation.item import Item, Source, Step
from p2n2sim.evaluation.program import program
from p2n2sim.evaluation.retimed import STEP, retimes
from p2n2sim.report.text import slug, written
from p2n2sim.retime import check_timeless_faults
from p2n2sim.scenario.load import load, parse, points, set_key, to_toml, to_tree
from p2n2sim.scenario.sections import Data, Scenario

_DIGITS = 10


@dataclass(frozen=True)
class PlannedRun:
    """A run that an item needs.

    Attributes:
        name: of its folder in the report.
        values: swept key -> value.
        scenario: what to run.
        folder: where it is kept.
        steps: what is calculated on it, each with the file in which the result is kept.
    """

    name: str
    values: dict[str, Any]
    scenario: Scenario
    folder: Path
    steps: tuple[tuple[Step, Path], ...]


@dataclass(frozen=True)
class PlannedItem:
    """An item with its runs.

    Attributes:
        item: the item.
        runs: name of a scenario file, without its ending -> its runs.
    """

    item: Item
    runs: dict[str, list[PlannedRun]]


def plan(
    items: Sequence[Item], scenarios: Path, work: Path, *, quick: bool, data_dir: Path | None
) -> list[PlannedItem]:
    """Reads the scenario files of the items.

    Args:
        items: what is to be evaluated.
        scenarios: the folder of the scenario files.
        work: the folder in which runs are kept.
        quick: fewer repeats and epochs.
        data_dir: where to look for data files first.

    Raises:
        InputError: a scenario file is missing or wrong, or its data cannot be used.
    """
    if data_dir is not None and not data_dir.is_dir():
        raise InputError("--data", f"{data_dir} is no directory", "name a directory that exists")
    if not scenarios.is_dir():
        raise InputError(
            str(scenarios), "there is no such folder", "name that of the scenario files: --scenarios"
        )

    @functools.cache
    def data_print(**keys: Any) -> str:
        return load_table(**keys, data_dir=data_dir).fingerprint

    def of(data: Data) -> str:
        return data_print(
            source=data.source,
            label=data.label,
            drop=data.drop,
            leak_target=data.leak_target,
            history=data.history,
        )

    planned = []
    for item in items:
        runs: dict[str, list[PlannedRun]] = {}
        for source in item.sources:
            path = scenarios / source.file
            skipped = quick and source.left_out_if_quick
            runs[source.key] = (
                []
                if skipped
                else [
                    _planned(group, source, of(group[0][1].data), work)
                    for group in _groups(path, source, quick)
                ]
            )
        planned.append(PlannedItem(item, runs))
    _check_names([run for item in planned for own in item.runs.values() for run in own])
    return planned


Group = list[tuple[dict[str, Any], Scenario]]
"""Points of which the first is run and, if there are more, replayed for all."""


def _groups(path: Path, source: Source, quick: bool) -> list[Group]:
    scenario = load(path)
    if source.changed:
        scenario = _changed(scenario, source.changed, str(path))
    if quick:
        scenario = _changed(scenario, source.quick, str(path))
    grid: Group = list(points(scenario)) or [({}, scenario)]
    if not source.retimed:
        return [[point] for point in grid]
    groups: dict[str, Group] = {}
    for values, point in grid:
        check_timeless_faults(point, str(path))
        groups.setdefault(repr(_not_of_links(values)), []).append((values, point))
    return list(groups.values())


def _changed(scenario: Scenario, changes: Mapping[str, Any], where: str) -> Scenario:
    """With other values of swept keys, a list each, and of other keys; one of None is swept no more."""
    swept = {key: value for key, value in scenario.sweep.items() if changes.get(key, value) is not None}
    swept |= {key: tuple(changes[key]) for key in swept if key in changes}
    tree = to_tree(msgspec.structs.replace(scenario, sweep=swept))
    for key, value in changes.items():
        if key not in scenario.sweep:
            set_key(tree, key, value, where)
    return parse(tree, where)


def _planned(group: Group, source: Source, data: str, work: Path) -> PlannedRun:
    values, scenario = group[0]
    own = values
    steps = list(source.steps)
    if source.retimed:
        own = _not_of_links(values)
        options = {"points": [[values, to_toml(point)] for values, point in group]}
        steps.append(Step(STEP, retimes, options))
    key = _hash(to_toml(scenario), data, program())
    name = "-".join([scenario.name, *(f"{k.split('.')[-1]}-{written(v)}" for k, v in own.items())])
    name = slug(name)
    kept = [
        (step, work / "found" / f"{name}-{step.name}-{_hash(key, _called(step), _plain(step))}.json")
        for step in steps
    ]
    return PlannedRun(name, dict(own), scenario, work / "runs" / f"{name}-{key}", tuple(kept))


def _not_of_links(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if not key.startswith("network.")}


def _called(step: Step) -> str:
    return f"{step.calculate.__module__}.{step.calculate.__qualname__}"


def _plain(step: Step) -> str:
    return json.dumps(step.options, sort_keys=True)


def _hash(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:_DIGITS]


def _check_names(runs: Sequence[PlannedRun]) -> None:
    seen: dict[str, Path] = {}
    for run in runs:
        if seen.setdefault(run.name, run.folder) != run.folder:
            raise InputError(
                run.name, "two scenario files have runs of this name", "give each a name of its own"
            )
