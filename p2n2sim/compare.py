"""A comparison: the values of one key side by side, each on the links of two presets, in one folder."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from p2n2sim import folder
from p2n2sim.errors import InputError, ScenarioError
from p2n2sim.report.build import build_within
from p2n2sim.report.read import COMPARISON, COMPARISON_PRESETS, ComparisonNote
from p2n2sim.report.text import written
from p2n2sim.scenario.explain import choices, is_key
from p2n2sim.scenario.load import parse, read_value, set_key, to_tree
from p2n2sim.scenario.network import Network
from p2n2sim.scenario.protocol import all_layers
from p2n2sim.scenario.sections import Scenario
from p2n2sim.sweep import Point, sweep

_SECTIONS = ("data", "model", "train", "protocol", "compute")


@dataclass(frozen=True)
class Plan:
    """What is to be compared.

    Attributes:
        scenario: its sweep is the grid of the key's values and the presets of the links.
        note: what the report must know beside the runs.
    """

    scenario: Scenario
    note: ComparisonNote


def plan(scenario: Scenario, key: str, values: str | None = None) -> Plan:
    """Chooses the values.

    Args:
        scenario: its links and its sweep, if it has any, are left aside.
        key: what varies, a dotted key.
        values: TOML values with commas between, or text; by default all that the key can have and the
            scenario allows, where they are few and fixed: names, true and false, numbers of layers.

    Raises:
        InputError: there is no such key, it has no fixed values and none are given, or a value is refused.
    """
    base = msgspec.structs.replace(scenario, network=Network(), sweep={})
    _check_key(base, key)
    chosen, left_out = _all_of(base, key) if values is None else (_given(base, key, values), {})
    grid = {key: tuple(chosen), "network.preset": COMPARISON_PRESETS}
    defaults = Network()
    aside = [
        f"network.{name}"
        for name in Network.__struct_fields__
        if getattr(scenario.network, name) != getattr(defaults, name)
    ]
    return Plan(
        msgspec.structs.replace(base, sweep=grid), ComparisonNote(key=key, left_out=left_out, aside=aside)
    )


def compare(
    plan: Plan,
    out: Path,
    *,
    data_dir: Path | None = None,
    jobs: int | None = None,
    on_point: Callable[[Point, int, int], object] = lambda point, done, total: None,
) -> Path:
    """Runs what is missing of a comparison and renders its report in the same folder.

    Args:
        plan: what to compare.
        out: a folder like that of a sweep, with the report's files beside.
        data_dir: where to look for data files first.
        jobs: how many processes at a time, by default one a core.
        on_point: told of every finished run, with how many are finished and how many there are.

    Returns:
        The path of the page.

    Raises:
        InputError: the folder belongs to something else.
        SweepError: runs failed.
    """
    sweep(plan.scenario, out, data_dir=data_dir, jobs=jobs, on_point=on_point)
    with folder.writing(out):
        unfinished = out / f".{COMPARISON}.unfinished"
        unfinished.write_bytes(msgspec.json.format(msgspec.json.encode(plan.note)) + b"\n")
        unfinished.rename(out / COMPARISON)
        return build_within(out)


def folder_name(scenario: Scenario, key: str) -> str:
    """Where a comparison goes unless the user says otherwise."""
    return f"{scenario.name}-compare-{key}"


def _check_key(base: Scenario, key: str) -> None:
    where = f"--vary {key}"
    if not is_key(key):
        tree = to_tree(base)
        set_key(tree, key, 0, where)
        parse(tree, where)  # tells which keys there are
    section = key.split(".")[0]
    if section == "network":
        presets = " and ".join(COMPARISON_PRESETS)
        found = f"every value is shown on the links of the presets {presets}"
        raise InputError(where, found, "vary a key of another section, or sweep this one")
    if section not in _SECTIONS or section == key:
        raise InputError(where, "this cannot be compared", "name a key such as protocol.first_layer")


def _all_of(base: Scenario, key: str) -> tuple[list[Any], dict[str, str]]:
    """The values that the scenario allows, its own among them, and why it does not allow the others."""
    values: Sequence[Any] = choices(key)
    if key == "protocol.secret_layers":
        values = range(all_layers(base) + 1)
    if not values:
        raise InputError(
            f"--vary {key}", "there is no fixed list of its values", "name some, for example --values 2,4,8"
        )
    allowed, left_out = [], {}
    for value in values:
        try:
            _check_value(base, key, value)
        except ScenarioError as error:
            left_out[written(value)] = str(error).removeprefix(f"--vary {key}: ")
        else:
            allowed.append(value)
    return allowed, left_out


def _given(base: Scenario, key: str, text: str) -> list[Any]:
    values = _split(text)
    if not values:
        raise InputError("--values", "there are none", "name some, for example --values 2,4,8")
    for value in values:
        if values.count(value) > 1:
            raise InputError("--values", f"{written(value)} is there twice", "name each value once")
        _check_value(base, key, value)
    return values


def _split(text: str) -> list[Any]:
    """``2,4,8``, ``"10 Mbit/s","1 Gbit/s"`` and ``[8,8],[16]`` are TOML; bare words stand for themselves."""
    try:
        read = tomllib.loads(f"values = [{text}]")
    except (ValueError, RecursionError):
        return [read_value(part.strip()) for part in text.split(",") if part.strip()]
    return list(read["values"])


def _check_value(base: Scenario, key: str, value: object) -> None:
    """Raises ScenarioError if the scenario does not allow it."""
    tree = to_tree(base)
    set_key(tree, key, value, f"--vary {key}")
    parse(tree, f"--vary {key}")
