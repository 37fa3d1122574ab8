"""TOML text -> a checked Scenario and back, with errors that name the place."""

from __future__ import annotations

import difflib
import itertools
import math
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import tomli_w

from p2n2sim.data.split import holder_names
from p2n2sim.data.tabular import SUFFIXES
from p2n2sim.errors import InputError, ScenarioError
from p2n2sim.scenario.defences import check_defences
from p2n2sim.scenario.explain import explain, is_key, shown
from p2n2sim.scenario.faults import check_faults, without_restarts
from p2n2sim.scenario.input_noise import check_inputs
from p2n2sim.scenario.links import check_network
from p2n2sim.scenario.model import check_model
from p2n2sim.scenario.perturbation import check_privacy
from p2n2sim.scenario.protocol import check_protocol, check_record
from p2n2sim.scenario.sections import Scenario, convert
from p2n2sim.scenario.trace import inline_traces
from p2n2sim.scenario.training import check_training
from p2n2sim.scenario.units import Quantity

Tree = dict[str, Any]
_INFINITE = (("privacy.epsilon", math.inf),)  # what may be without limit


def load(path: Path | str, overrides: Sequence[str] = ()) -> Scenario:
    """Reads a scenario file.

    Args:
        path: the TOML file.
        overrides: ``key=value`` each, with dotted keys and TOML values, for example
            ``network.bandwidth="10 Mbit/s"``; a value that is no TOML is taken as text.

    A relative path in `data.source` or a `trace` is seen from the file; in an override, from the working
    directory.

    Raises:
        ScenarioError: the file cannot be read, or says something that no scenario says.
    """
    path = Path(path)
    tree = _read(path)
    _resolve_sources(tree, path.parent)
    _read_traces(tree, path.parent, str(path), {})
    for override in overrides:
        key, value = _parse_override(override)
        set_key(tree, key, value, f"--set {override}")
    _read_traces(tree, Path(), str(path), _changed(overrides))
    return parse(tree, str(path), _changed(overrides))


def located(error: InputError, path: Path | str, overrides: Sequence[str] = ()) -> InputError:
    """The same error; if it is about a key, the file or the override that says it stands before the key.

    Args:
        error: of running a scenario that was loaded from a file.
        path: that file.
        overrides: that it was loaded with.
    """
    key = error.where.split(": ")[0]
    if not is_key(key):
        return error
    return error.within(_origin(key, str(path), _changed(overrides)))


def parse(tree: Tree, where: str, changed: Mapping[str, str] | None = None) -> Scenario:
    """Checks a tree of plain values.

    Args:
        tree: what the file holds.
        where: the file, for messages.
        changed: keys that an override set -> the override, for messages.

    Raises:
        ScenarioError: at the first thing that is wrong.
    """
    try:
        return _checked(tree)
    except ScenarioError as error:
        raise error.within(_origin(error.where, where, changed or {})) from None


def _checked(tree: Tree) -> Scenario:
    """As `parse`; the place in an error is the dotted key alone."""
    if isinstance(sweep := tree.get("sweep"), dict):
        tree = tree | {"sweep": dict(_flat(sweep))}
        for key, values in tree["sweep"].items():
            if not isinstance(values, (list, tuple)):
                raise ScenarioError(f"sweep.{key}", f"found {shown(values)}", "a list of values would do")
    owner = data.get("label_owner") if isinstance(data := tree.get("data"), dict) else None
    if isinstance(owner, (list, tuple)):
        raise ScenarioError(
            "data.label_owner",
            f"found {shown(owner)}, but several label owners would each need a head of their own",
            "name the one holder whose label is learned",
        )
    try:
        scenario = convert(tree, Scenario)
    except msgspec.ValidationError as error:
        raise explain(str(error), tree) from None
    _check_finite(to_tree(scenario))
    _check(scenario)
    for _ in points(scenario):
        pass
    return scenario


def points(scenario: Scenario) -> Iterator[tuple[dict[str, Any], Scenario]]:
    """The grid of the sweep: the swept keys' values, and the scenario at that point without a sweep.

    Raises:
        ScenarioError: a swept key or value does not exist.
    """
    if not scenario.sweep:
        return
    for values in itertools.product(*scenario.sweep.values()):
        point = dict(zip(scenario.sweep, values, strict=True))
        tree = to_tree(scenario)
        tree.pop("sweep")
        for key, value in point.items():
            set_key(tree, key, value, "sweep")
        yield point, parse(tree, "sweep")


def to_tree(scenario: Scenario) -> Tree:
    """The scenario as plain values, complete, without what is not set."""
    tree: Tree = _without_none(msgspec.to_builtins(scenario, enc_hook=_encode))
    if not scenario.sweep:
        tree.pop("sweep")
    return tree


def to_toml(scenario: Scenario) -> str:
    """A file that `load` reads as the same scenario."""
    return tomli_w.dumps(to_tree(scenario))


def set_key(tree: Tree, key: str, value: object, where: str) -> None:
    """Sets a dotted key in a tree.

    Raises:
        ScenarioError: the key is empty in a part, or leads through something that is no table.
    """
    *tables, last = key.split(".")
    for name in tables:
        tree = tree.setdefault(name, {})
        if not isinstance(tree, dict):
            raise ScenarioError(where, f"{name!r} is a value, not a table", "use a key such as train.epochs")
    if not last or not all(tables):
        raise ScenarioError(where, f"the key {key!r} has an empty part", "use a key such as train.epochs")
    tree[last] = value


def read_value(text: str) -> object:
    """A value as the command line has it: TOML, or else the text itself."""
    try:
        read = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text.strip()
    return read["value"] if len(read) == 1 else text.strip()


def _read(path: Path) -> Tree:
    try:
        return tomllib.loads(path.read_text("utf-8-sig"))
    except FileNotFoundError:
        near = difflib.get_close_matches(path.stem, [p.stem for p in path.parent.glob("*.toml")], 1)
        hint = f"did you mean {path.parent / near[0]}.toml?" if near else "name an existing TOML file"
        raise ScenarioError(str(path), "there is no such file", hint) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ScenarioError(str(path), f"it cannot be read ({error})", "name a TOML file in UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise ScenarioError(str(path), f"it is not TOML: {error}", "mend the file at that place") from None
    except (ValueError, RecursionError) as error:  # numbers of thousands of digits, brackets in brackets
        raise ScenarioError(str(path), f"it cannot be read ({error})", "write a simpler file") from None


def _resolve_sources(tree: Tree, directory: Path) -> None:
    """Makes the relative paths of data files absolute, as seen from the scenario's directory."""

    def resolved(source: object) -> object:
        if isinstance(source, str) and Path(source).suffix.lower() in SUFFIXES:
            return str((directory / source).absolute())
        return source

    data, sweep = tree.get("data"), tree.get("sweep")
    if isinstance(data, dict) and "source" in data:
        data["source"] = resolved(data["source"])
    for key, values in _flat(sweep) if isinstance(sweep, dict) else ():
        if key == "data.source" and isinstance(values, list):
            values[:] = map(resolved, values)


def _read_traces(tree: Tree, directory: Path, where: str, changed: Mapping[str, str]) -> None:
    try:
        inline_traces(tree, directory)
    except ScenarioError as error:
        raise error.within(_origin(error.where, where, changed)) from None


def _parse_override(text: str) -> tuple[str, object]:
    key, equals, value = text.partition("=")
    if not equals:
        raise ScenarioError(f"--set {text}", "there is no '='", "write key=value, for example train.epochs=2")
    return key.replace('"', "").strip(), read_value(value)  # network.links."A->B".latency, as the file has it


def _changed(overrides: Iterable[str]) -> dict[str, str]:
    return {_parse_override(override)[0]: f"--set {override}" for override in overrides}


def _origin(place: str, where: str, changed: Mapping[str, str]) -> str:
    """The override that set a place or a table around it, the last one first; otherwise the file."""
    dotted = place.replace(": ", ".")  # sweep: train.epochs
    for key, override in reversed(list(changed.items())):
        if f"{dotted}.".startswith(f"{key}."):
            return override
    return where


def _flat(table: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys and their values: TOML reads a bare `train.epochs` as a table in a table."""
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def _check_finite(tree: object, place: str = "") -> None:
    if isinstance(tree, dict):
        for key, value in tree.items():
            _check_finite(value, f"{place}.{key}".lstrip("."))
    elif isinstance(tree, float) and not math.isfinite(tree) and (place, tree) not in _INFINITE:
        raise ScenarioError(place, f"found {tree}", "a finite number would do")


def _check(scenario: Scenario) -> None:
    """What the types cannot say. The place is the dotted key."""
    holders = holder_names(scenario.data.holders)
    if scenario.data.label_owner not in holders:
        raise ScenarioError(
            "data.label_owner",
            f"{scenario.data.label_owner!r} is no data holder",
            f"name {_some(holders)}",
        )
    check_model(scenario.model)
    check_network(scenario)
    check_protocol(scenario)
    check_training(scenario)
    check_defences(scenario)
    check_privacy(scenario)
    check_inputs(scenario, holders)
    check_record(scenario, holders)
    check_faults(scenario.fault, holders, authenticated=scenario.network.authenticate)
    if scenario.protocol.shadow and (scenario.train.checkpoint_every or not without_restarts(scenario.fault)):
        raise ScenarioError(
            "protocol.shadow", "a shadow cannot be stored and go on", "no checkpoints and restarts would do"
        )
    for key, values in scenario.sweep.items():
        if not values:
            raise ScenarioError(f"sweep.{key}", "there are no values", "list at least one")
        if key.split(".")[0] == "sweep":
            raise ScenarioError(f"sweep.{key}", "a sweep cannot be swept", "name a key of another section")


def _some(names: Sequence[str]) -> str:
    return f"one of {', '.join(names[:4])}{', ...' if len(names) > 4 else ''}"


def _encode(value: object) -> object:
    assert isinstance(value, Quantity)  # the only type in the sections that msgspec does not know
    return value.text


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [_without_none(item) for item in value]
    return value
