"""msgspec's validation messages, turned into ones that name the place, what was found and what would do."""

from __future__ import annotations

import difflib
import re
import types
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec

from p2n2sim.errors import ScenarioError
from p2n2sim.scenario.network import Link, Shared
from p2n2sim.scenario.section import Section
from p2n2sim.scenario.sections import Scenario, convert
from p2n2sim.scenario.units import Duration

_MESSAGE = re.compile(r"(?P<what>.*?)(?: - at `(?:key in )?\$\.?(?P<place>.*)`)?", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`")
_MISSING = re.compile(r"Object missing required field `(.*)`")
_FREE = {"links": Link, "shared": Shared}  # tables whose keys are free -> what they hold
_PLAIN = {
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "array": "a list",
    "object": "a table",
}


def explain(message: str, tree: Any) -> ScenarioError:
    """The error for a message of msgspec; its place is the dotted key.

    Args:
        message: what msgspec said.
        tree: the values that it was said of.
    """
    match = _MESSAGE.fullmatch(message)
    assert match is not None  # the pattern matches every text
    what, place = match["what"], _named_place(match["place"] or "", tree)
    unknown, missing = _UNKNOWN.fullmatch(what), _MISSING.fullmatch(what)
    if unknown or missing:
        place = f"{place}.{(unknown or missing)[1]}".lstrip(".")  # type: ignore[index]
    if unknown:
        return ScenarioError(place, "there is no such key", _known_keys(place))
    if missing:
        return ScenarioError(place, "this key is missing", f'add {missing[1]} = "..."')
    if what.startswith("found "):  # a Quantity, which says it all
        found, remedy = what.split("; ", 1)
        return ScenarioError(place, found, remedy)
    return ScenarioError(place, f"found {shown(_value_at(tree, place))}", _remedy(what, place))


def is_key(place: str) -> bool:
    """Whether a scenario may have this dotted key."""
    names = place.split(".")
    return all(names) and bool(_types_at(names))


def choices(key: str) -> tuple[Any, ...]:
    """The values that a dotted key can have, where they are few and fixed; else nothing."""
    kinds = _types_at(key.split("."))
    if bool in kinds:
        return (False, True)
    return tuple(value for kind in kinds if get_origin(kind) is Literal for value in get_args(kind))


def shown(value: object) -> str:
    """A value as it is written in a file, not too much of it."""
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _known_keys(place: str) -> str:
    *tables, key = place.split(".")
    kind = next(
        (kind for kind in _types_at(tables) if isinstance(kind, type) and issubclass(kind, Section)), Scenario
    )
    known = kind.__struct_fields__
    near = difflib.get_close_matches(key, known, 1, cutoff=0.5)
    if not tables:  # a key of a section, without the section
        near = [f"{name}.{key}" for name in known if is_key(f"{name}.{key}") and name != "sweep"] or near
    return (f"did you mean {near[0]!r}? " if near else "") + f"known keys: {', '.join(known)}"


def _remedy(what: str, place: str) -> str:
    """For example: Expected `int` >= 1 -> a whole number >= 1 would do."""
    names = [
        repr(name)
        for kind in _types_at(place.split("."))
        if get_origin(kind) is Literal
        for name in get_args(kind)
    ]
    if names:
        return f"one of {', '.join(names)} would do"
    if place == "name":
        return "letters, digits, '.', '_' and '-' would do, the first one a letter or a digit"
    if place == "fault":
        return "write each fault as a [[fault]] table"
    expected = re.sub(r", got .*", "", what, flags=re.DOTALL).removeprefix("Expected ")
    return re.sub("`(.*?)`", lambda kinds: _in_words(kinds[1]), expected) + " would do"


def _in_words(kinds: str) -> str:
    """For example: int | array | null -> a whole number or a list."""
    return " or ".join(_PLAIN.get(kind, kind) for kind in kinds.split(" | ") if kind != "null")


def _types_at(names: Sequence[str]) -> list[Any]:
    """The types that may stand at a place, seen through unions, annotations and containers."""
    kinds = _alternatives(Scenario)
    for name in filter(None, names):
        inner: list[Any] = []
        for kind in kinds:
            if isinstance(kind, type) and issubclass(kind, Section):
                hint = get_type_hints(kind, include_extras=True).get(name)
                inner += _alternatives(hint) if hint is not None else []
            elif get_origin(kind) is dict or (get_origin(kind) is tuple and name.isdigit()):
                inner += [part for argument in get_args(kind) for part in _alternatives(argument)]
        kinds = inner
    return kinds


def _alternatives(kind: Any) -> list[Any]:
    if get_origin(kind) is Annotated:
        return _alternatives(get_args(kind)[0])
    if get_origin(kind) in (Union, types.UnionType):
        return [part for argument in get_args(kind) for part in _alternatives(argument)]
    return [kind]


def _named_place(place: str, tree: Any) -> str:
    """msgspec's place, `links[...].bandwith` or `hidden[1]`, with dots and the keys that it left out."""
    place = re.sub(r"\[\.\.\.\]", ".*", place)
    names = [name for name in re.sub(r"\[(\d+)\]", r".\1", place).split(".") if name]
    out: list[str] = []
    for name in names:
        if name == "*":  # a table whose keys are free: network.links, or operations of a machine
            table, kind = _value_at(tree, ".".join(out)), _FREE.get(out[-1], Duration)
            assert isinstance(table, Mapping)
            name = next(key for key, value in table.items() if not _is(value, kind))
        out.append(name)
    return ".".join(out)


def _is(value: object, kind: type) -> bool:
    try:
        convert(value, kind)
    except msgspec.ValidationError:
        return False
    return True


def _value_at(tree: Any, place: str) -> object:
    for name in filter(None, place.split(".")):
        if isinstance(tree, Mapping) and name in tree:
            tree = tree[name]
        elif isinstance(tree, Sequence) and name.isdigit() and int(name) < len(tree):
            tree = tree[int(name)]
    return tree
