"""How a bandwidth changes over time, from a file."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from p2n2sim.errors import ScenarioError

COLUMNS = ["time_s", "bit_per_s"]
Steps = tuple[tuple[float, float], ...]


def read_trace(path: Path, place: str) -> Steps:
    """Reads a CSV file with the columns time_s and bit_per_s: from which second on, which rate.

    Args:
        path: the file.
        place: the key that names it, for messages.

    Raises:
        ScenarioError: it cannot be read, or is no such table.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.reader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ScenarioError(place, f"{path} cannot be read ({error})", "name a CSV file") from None
    if not rows or [name.strip() for name in rows[0]] != COLUMNS:
        raise ScenarioError(place, f"{path} does not begin with the line {','.join(COLUMNS)}", "put it there")
    steps = []
    for number, row in enumerate(rows[1:], 2):
        try:
            when, rate = map(float, row)
        except ValueError:
            found = f"line {number} of {path} is {','.join(row)!r}"
            raise ScenarioError(place, found, "write a time in seconds and a rate in bit/s") from None
        steps.append((when, rate))
    check_steps(tuple(steps), place)
    return tuple(steps)


def check_steps(steps: Steps, place: str) -> None:
    """Refuses times that do not rise and rates that are no rates.

    Raises:
        ScenarioError: naming the first.
    """
    before = -math.inf
    for when, rate in steps:
        if not max(0.0, before) <= when < math.inf or when == before:
            raise ScenarioError(
                place, f"the time {when:g} s comes after {before:g} s", "let the times rise from 0"
            )
        if not 0 < rate < math.inf:
            raise ScenarioError(
                place, f"the rate at {when:g} s is {rate:g} bit/s", "use finite rates above 0"
            )
        before = when


def inline_traces(tree: dict[str, Any], directory: Path) -> None:
    """Puts the contents of the files that a scenario's traces name in the place of their names.

    So a scenario in a run folder says all that the run depended on.

    Args:
        tree: the scenario's plain values; changed in place.
        directory: from where relative paths are seen.

    Raises:
        ScenarioError: a file is not there or is no trace.
    """
    for place, table in _tables(tree.get("network")):
        if isinstance(name := table.get("trace"), str):
            table["trace"] = [list(step) for step in read_trace(directory / name, f"{place}.trace")]


def _tables(network: object) -> Iterator[tuple[str, dict[str, Any]]]:
    if not isinstance(network, dict):
        return
    yield "network", network
    for kind in ("links", "shared"):
        if isinstance(group := network.get(kind), dict):
            for key, table in group.items():
                if isinstance(table, dict):
                    yield f"network.{kind}.{key}", table
