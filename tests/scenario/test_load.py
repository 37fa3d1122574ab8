"""Scenario files: what they say, and how they are refused."""

from __future__ import annotations

import copy
import itertools
import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from p2n2sim.errors import DataError, InputError, ScenarioError
from p2n2sim.scenario.load import load, located, parse, points, to_toml, to_tree
from p2n2sim.scenario.sections import Scenario
from tests import tiny

SHIPPED = sorted((Path(__file__).parents[2] / "scenarios").glob("*.toml"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_scenarios_load_and_read_back_the_same(path: Path) -> None:
    """Every file in scenarios/ is a scenario, is named like its file, and survives a round trip."""
    scenario = load(path)
    assert scenario.name == path.stem
    assert scenario.title
    assert parse(tomllib.loads(to_toml(scenario)), "again") == scenario


def test_shipped_scenarios_are_the_promised_ones() -> None:
    """The five scenarios are there, with the promised sweeps."""
    scenarios = {path.stem: load(path) for path in SHIPPED}
    assert {"fraud", "distress", "fraud-bandwidth", "fraud-datasize", "four-holders"} <= scenarios.keys()
    bandwidths = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000]
    assert scenarios["fraud-bandwidth"].sweep == {
        "network.bandwidth": tuple(f"{rate} Mbit/s" for rate in bandwidths)
    }
    fractions = scenarios["fraud-datasize"].sweep["data.fraction"]
    assert (min(fractions), max(fractions)) == (0.2, 1.0)
    assert scenarios["four-holders"].data.holders == 4


def tree(**sections: Any) -> dict[str, Any]:
    """A minimal scenario with some sections."""
    return {"name": "x", **sections}


quantities = {
    "bandwidth": st.sampled_from(["1 Mbit/s", "2.5 kB/s"]),
    "latency": st.sampled_from(["0 s", "3 ms"]),
}
link = st.fixed_dictionaries({}, optional=quantities)
rates = st.fixed_dictionaries(
    {}, optional={"flops_per_s": st.floats(1.0, 1e12), "message_overhead": quantities["latency"]}
)
trees = st.fixed_dictionaries(
    {"name": st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]*", fullmatch=True)},
    optional={
        "title": st.text(st.characters(codec="utf-8"), max_size=20),
        "data": st.fixed_dictionaries(
            {"holders": st.just(3)},
            optional={
                "source": st.text(st.characters(codec="utf-8"), max_size=20),
                "drop": st.lists(st.text(st.characters(codec="utf-8"), max_size=5), max_size=3),
                "split": st.sampled_from(["even", [1, 2, 3], [["a"], ["b", "c"], ["d"]]]),
                "clip": st.floats(0.1, 1e3),
                "label_owner": st.sampled_from("ABC"),
                "fraction": st.floats(0.01, 1.0),
            },
        ),
        "model": st.fixed_dictionaries(
            {"hidden": st.lists(st.integers(1, 500), min_size=2, max_size=2)},
            optional={"activations": st.sampled_from(["relu", ["tanh", "identity"]])},
        ),
        "train": st.fixed_dictionaries(
            {}, optional={"seed": st.integers(0, 2**63 - 1), "learning_rate": st.floats(1e-9, 10.0)}
        ),
        "network": st.fixed_dictionaries(
            {},
            optional={
                **quantities,
                "links": st.dictionaries(st.sampled_from(["A-B", "A->server", "dealer-B"]), link),
            },
        ),
        "compute": st.fixed_dictionaries({}, optional={"default": rates, "holder": rates}),
        "sweep": st.fixed_dictionaries(
            {}, optional={"train.epochs": st.just([1, 2]), "network.bandwidth": st.just(["1 B/s", "2 B/s"])}
        ),
    },
)


@given(trees)
def test_a_written_scenario_reads_back_equal(values: dict[str, Any]) -> None:
    """to_toml and reading are inverse, for every value that a scenario may have."""
    scenario = parse(values, "f")
    assert parse(tomllib.loads(to_toml(scenario)), "again") == scenario


def test_the_written_file_is_complete() -> None:
    """A resolved file states every default that is set, so that a later default changes nothing."""
    written = tomllib.loads(to_toml(parse(tree(), "f")))
    assert written["train"] == to_tree(Scenario(name="x"))["train"]
    assert written["train"]["batch_size"] == 5000
    assert "clip" not in written["data"]


def test_numbers_may_be_written_as_text() -> None:
    """Units as people write them: "5000" is 5000."""
    assert parse(tree(train={"batch_size": "5000"}), "f").train.batch_size == 5000


WRONG: list[tuple[dict[str, Any], str]] = [
    (
        {"train": {"epoks": 3}},
        "train.epoks: there is no such key; did you mean 'epochs'? known keys: epochs,",
    ),
    ({"trian": {"epochs": 5}}, "trian: there is no such key; did you mean 'train'? known keys: name, title"),
    (
        {"epochs": 3},
        "epochs: there is no such key; did you mean 'train.epochs'? known keys: name, title, data",
    ),
    (
        {"network": {"links": {"A-B": {"bandwith": "1 B/s"}}}},
        "network.links.A-B.bandwith: there is no such key; did you mean 'bandwidth'? known keys: bandwidth,",
    ),
    (
        {"network": {"links": {"A-B": {"latency": "1 s"}, "A->B": {"latency": "1 parsec"}}}},
        "network.links.A->B.latency: found the unit 'parsec' in '1 parsec'; known units are s, ms, us, ns",
    ),
    (
        {"network": {"bandwidth": "-5 Mbit/s"}},
        "network.bandwidth: found '-5 Mbit/s'; it must be finite and more than 0, for example '100 Mbit/s'",
    ),
    ({"train": {"epochs": 0}}, "train.epochs: found 0; a whole number >= 1 would do"),
    ({"train": {"epochs": 1.5}}, "train.epochs: found 1.5; a whole number would do"),
    ({"train": 5}, "train: found 5; a table would do"),
    ({"data": {"standardise": "maybe"}}, "data.standardise: found 'maybe'; true or false would do"),
    ({"data": {"clip": []}}, "data.clip: found []; a number would do"),
    ({"fault": {"kind": "cut"}}, "fault: found {'kind': 'cut'}; write each fault as a [[fault]] table"),
    ({"data": {"split": 3}}, "data.split: found 3; text or a list would do"),
    ({"data": {"drop": ["a", 5]}}, "data.drop.1: found 5; text would do"),
    ({"data": {"label_owner": "C"}}, "data.label_owner: 'C' is no data holder; name one of A, B"),
    ({"data": {"holders": 10**9}}, "data.holders: found 1000000000; a whole number <= 1000 would do"),
    ({"model": {"hidden": []}}, "model.hidden: found []; a list of length >= 1 would do"),
    (
        {"model": {"activations": "sigmoit"}},
        "model.activations: found 'sigmoit'; one of 'sigmoid', 'relu', 'tanh', 'square', 'identity' would do",
    ),
    (
        {"model": {"activations": ["relu"]}},
        "model.activations: 1 activations for 2 hidden layers; give one for all, or one for each",
    ),
    ({"train": {"learning_rate": float("inf")}}, "train.learning_rate: found inf; a finite number would do"),
    ({"train": {"learning_rate": "inf"}}, "train.learning_rate: found inf; a finite number would do"),
    (
        {"compute": {"default": {"flops_per_s": 0}}},
        "compute.default.flops_per_s: found 0; a number > 0.0 would do",
    ),
    (
        {"network": {"links": {"A-Z": {}}}},
        'network.links.A-Z: this names no pair of parties; write "A-B" for both directions or "A->B" for '
        "one; the parties are A, B, server, dealer",
    ),
    ({"network": {"links": {"A-A": {}}}}, "network.links.A-A: this names no pair of parties"),
    (
        {"network": {"links": {"A-B": {}, "B-A": {}}}},
        "network.links.B-A: 'A-B' is the same pair; keep one of the two",
    ),
    (
        {"name": "a b"},
        "name: found 'a b'; letters, digits, '.', '_' and '-' would do, the first one a letter",
    ),
    ({"name": "../up"}, "name: found '../up'; letters"),
    ({"sweep": {"train.epochs": []}}, "sweep.train.epochs: there are no values; list at least one"),
    ({"sweep": {"train.epochs": 5}}, "sweep.train.epochs: found 5; a list of values would do"),
    ({"sweep": {"train.epoks": [5]}}, "sweep: train.epoks: there is no such key; did you mean 'epochs'?"),
    ({"sweep": {"train.epochs": [1, 0]}}, "sweep: train.epochs: found 0; a whole number >= 1 would do"),
    ({"sweep": {"name.x": [1]}}, "sweep: 'name' is a value, not a table; use a key such as train.epochs"),
    ({"sweep": {"sweep.x": [[1]]}}, "sweep.sweep.x: a sweep cannot be swept; name a key of another section"),
]


@pytest.mark.parametrize(("changes", "message"), WRONG, ids=[message[:40] for _, message in WRONG])
def test_refusals_name_place_found_and_remedy(changes: dict[str, Any], message: str) -> None:
    """Every wrong value is refused in one line: file, place, what was found, what would do."""
    with pytest.raises(ScenarioError) as caught:
        parse(tree() | changes, "f.toml")
    assert str(caught.value).startswith(f"f.toml: {message}")
    assert "\n" not in str(caught.value)


def test_a_scenario_needs_a_name() -> None:
    """The one key without a default is missed by name."""
    with pytest.raises(ScenarioError, match=r'^f: name: this key is missing; add name = "..."$'):
        parse({}, "f")


def outcome(reading: Callable[[], Scenario]) -> Scenario | ScenarioError:
    """What comes of reading a scenario."""
    try:
        return reading()
    except ScenarioError as error:
        return error


full = tree(
    data={"drop": ["a"], "split": [1, ["a"]], "clip": 1.0},
    model={"hidden": [4, 3], "activations": ["relu", "tanh"]},
    train={"epochs": 1},
    network={"bandwidth": "1 Mbit/s", "links": {"A-B": {"latency": "1 s"}, "A->server": {}}},
    compute={"holder": {"message_overhead": "1 s"}},
    sweep={"train.epochs": [1, 2]},
)
names = st.sampled_from(["name", "data", "links", "A-B", "A->B", "epochs", "sweep", "a.b", "[0]", "$", "..."])
junk = st.recursive(
    st.one_of(
        st.integers(), st.floats(), st.booleans(), st.text(max_size=8), st.sampled_from(["-1 s", "nan"])
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(names, inner, max_size=3)),
    max_leaves=4,
)


@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_nothing_but_a_scenario_error_comes_of_a_wrong_file(data: st.DataObject) -> None:
    """Whatever stands at whatever place, parse returns a scenario or raises one ScenarioError."""
    values: Any = copy.deepcopy(full)
    spot = values
    while True:
        key = data.draw(st.one_of(st.sampled_from(sorted(spot)), names) if spot else names)
        if isinstance(spot.get(key), dict) and data.draw(st.integers(0, 3)):
            spot = spot[key]
            continue
        spot[key] = data.draw(junk)
        break
    result = outcome(lambda: parse(values, "f.toml"))
    if isinstance(result, ScenarioError):
        assert result.where.startswith("f.toml: ")
        assert result.found
        assert result.remedy


# -- files


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    return tiny.move_into(tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'name = "x"\n[train]\nepo', "it is not TOML: "),
        (
            b'name = "x',
            "it is not TOML: Unterminated string (at end of document); mend the file at that place",
        ),
        (b'name = "x"\nname = "y"', "it is not TOML: "),
        (b"\xff\xfe\x00", "it cannot be read ('utf-8' codec can't decode byte 0xff in position 0"),
        (b"name = " + b"[" * 5000, "it cannot be read (maximum recursion depth"),
        (b"name = " + b"9" * 5000, "it cannot be read (Exceeds the limit"),
        (b"", "name: this key is missing"),
    ],
)
def test_broken_files_are_refused(here: Path, content: bytes, message: str) -> None:
    """A file cut short, in no UTF-8 or beyond what TOML is for gives one message with its name."""
    (here / "f.toml").write_bytes(content)
    with pytest.raises(ScenarioError) as caught:
        load("f.toml")
    assert str(caught.value).startswith(f"f.toml: {message}")


def test_a_byte_order_mark_does_no_harm(here: Path) -> None:
    """Files written by editors that put a mark in front are read."""
    (here / "f.toml").write_bytes(b'\xef\xbb\xbfname = "x"')
    assert load("f.toml").name == "x"


def test_every_truncation_of_a_scenario_is_read_or_refused(here: Path) -> None:
    """Cut anywhere, a file is either still a scenario or refused by a ScenarioError."""
    whole = to_toml(parse(full | {"data": {"split": [1, 2]}}, "f")).encode()
    for length in range(0, len(whole), 7):
        (here / "f.toml").write_bytes(whole[:length])
        result = outcome(lambda: load("f.toml"))
        if isinstance(result, ScenarioError):
            assert result.where.startswith("f.toml")


def test_an_absent_file_and_a_directory(here: Path) -> None:
    """A misspelt file name gets the near one as a hint; a directory is no file."""
    (here / "fraud.toml").write_text('name = "x"')
    (here / "d").mkdir()
    with pytest.raises(
        ScenarioError, match=r"^fruad\.toml: there is no such file; did you mean fraud\.toml\?$"
    ):
        load("fruad.toml")
    with pytest.raises(ScenarioError, match=r"^q\.toml: there is no such file; name an existing TOML file$"):
        load("q.toml")
    with pytest.raises(ScenarioError, match=r"^d: it cannot be read \(.*directory"):
        load("d")


def test_data_paths_are_seen_from_the_file_and_overrides_from_here(here: Path) -> None:
    """A relative source is beside the scenario, in a sweep too; in --set it is as typed."""
    (here / "sub").mkdir()
    path = tiny.write_scenario(here / "sub", '[sweep]\n"data.source" = ["own.csv", "creditcard"]\n')
    scenario = load("sub/tiny.toml")
    assert scenario.data.source == str(path.with_name("own.csv"))
    assert scenario.sweep["data.source"] == (str(path.with_name("own.csv")), "creditcard")
    assert load(path, ["data.source=own.csv"]).data.source == "own.csv"


# -- overrides


@pytest.mark.parametrize(
    ("override", "key", "value"),
    [
        ("train.epochs=5", "train.epochs", 5),
        ("train.epochs = 5", "train.epochs", 5),
        ('network.bandwidth="10 Mbit/s"', "network.bandwidth", "10 Mbit/s"),
        ("network.bandwidth=10 Mbit/s", "network.bandwidth", "10 Mbit/s"),
        ("data.label=y", "data.label", "y"),
        ("title=a=b", "title", "a=b"),
        ("title=", "title", ""),
        ("model.hidden=[7, 5]", "model.hidden", [7, 5]),
        ("compute.holder.message_overhead=3 us", "compute.holder.message_overhead", "3 us"),
        ("network.links.A->B.latency=1 s", "network.links.A->B.latency", "1 s"),
        ('network.links."A->B".latency="1 s"', "network.links.A->B.latency", "1 s"),
        ('network.links={"A-B" = {latency = "1 s"}}', "network.links.A-B.latency", "1 s"),
        ("title=1\nname = 2", "title", "1\nname = 2"),
    ],
)
def test_overrides(here: Path, override: str, key: str, value: object) -> None:
    """--set takes any dotted key and any TOML value, and bare text where no TOML stands."""
    tiny.write_scenario(here)
    found: Any = to_tree(load("tiny.toml", [override]))
    for name in key.split("."):
        found = found[name]
    assert (list(found) if isinstance(found, tuple) else found) == value


def test_the_last_override_wins(here: Path) -> None:
    """Overrides apply in their order."""
    tiny.write_scenario(here)
    assert load("tiny.toml", ["train.epochs=5", "train.epochs=7"]).train.epochs == 7


def test_an_override_changes_a_sweep(here: Path) -> None:
    """A quoted key in the [sweep] table can be set like any other."""
    path = tiny.write_scenario(here, '[sweep]\n"train.epochs" = [1, 2]\n')
    assert load(path, ["sweep.train.epochs=[3]"]).sweep == {"train.epochs": (3,)}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.epochs", "there is no '='; write key=value, for example train.epochs=2"),
        ("train.epochs=0", "train.epochs: found 0; a whole number >= 1 would do"),
        ("train.epoks=1", "train.epoks: there is no such key; did you mean 'epochs'?"),
        ("train={epochs = 0}", "train.epochs: found 0; a whole number >= 1 would do"),
        ("name.x=1", "'name' is a value, not a table; use a key such as train.epochs"),
        ("train..x=1", "the key 'train..x' has an empty part; use a key such as train.epochs"),
        ("=1", "the key '' has an empty part; use a key such as train.epochs"),
        ("data.label_owner=C", "data.label_owner: 'C' is no data holder; name one of A, B"),
        ("sweep.train.epochs=[0]", "sweep: train.epochs: found 0; a whole number >= 1 would do"),
    ],
)
def test_a_wrong_override_is_named_itself(here: Path, override: str, message: str) -> None:
    """The message names the --set, not the file, as the place of what is wrong."""
    tiny.write_scenario(here)
    with pytest.raises(ScenarioError) as caught:
        load("tiny.toml", [override])
    assert str(caught.value).startswith(f"--set {override}: {message}")


def test_errors_of_the_data_stage_are_located(here: Path) -> None:
    """A key gets its file or its override in front; a data file or an option stands for itself."""
    error = ScenarioError("train.batch_size", "f", "r")
    assert located(error, "s.toml").where == "s.toml: train.batch_size"
    assert located(error, "s.toml", ["train.batch_size=5"]).where == (
        "--set train.batch_size=5: train.batch_size"
    )
    assert located(error, "s.toml", ["train={}"]).where == "--set train={}: train.batch_size"
    assert located(error, "s.toml", ["train.epochs=5"]).where == "s.toml: train.batch_size"
    assert located(InputError("sweep: train.epochs = 3", "f", "r"), "s.toml").where.startswith(
        "s.toml: sweep"
    )
    for where in ("data.csv", "/x/data.csv: column 'a'", "--data", "P2N2SIM_DATA", "runs/x"):
        assert located(DataError(where, "f", "r"), "s.toml").where == where


# -- sweeps


def test_the_grid_is_the_product_in_the_order_of_the_file() -> None:
    """The last key varies fastest, and a point is the scenario without a sweep."""
    sweep = {"train.epochs": [1, 2], "network.bandwidth": ["1 B/s", "2 B/s"]}
    scenario = parse(tree(sweep=sweep), "f")
    grid = list(points(scenario))
    assert [tuple(values.values()) for values, _ in grid] == list(itertools.product(*sweep.values()))
    for values, point in grid:
        assert point.train.epochs == values["train.epochs"]
        assert point.network.bandwidth is not None
        assert point.network.bandwidth.text == values["network.bandwidth"]
        assert point.sweep == {}


def test_swept_keys_need_no_quotes() -> None:
    """TOML reads a bare train.epochs as a table in a table; both mean the same."""
    bare = tomllib.loads('name = "x"\n[sweep]\ntrain.epochs = [1, 2]\n')
    quoted = tomllib.loads('name = "x"\n[sweep]\n"train.epochs" = [1, 2]\n')
    assert parse(bare, "f") == parse(quoted, "f")


def test_a_scenario_without_a_sweep_has_no_points() -> None:
    """There is no grid where there is no [sweep] table."""
    assert list(points(parse(tree(), "f"))) == []


def test_every_key_is_documented() -> None:
    """docs/scenarios.md has a row for every key, with its default."""
    text = (Path(__file__).parents[2] / "docs" / "scenarios.md").read_text("utf-8")
    missing = []
    sections = ("data", "model", "train", "protocol", "defender", "defence", "network", "compute", "record")
    privacy = ("privacy", *(f"privacy.{name}" for name in to_tree(load_minimal())["privacy"]))
    for section in ("", *sections, *privacy):
        keys = to_tree(load_minimal())
        for name in filter(None, section.split(".")):
            keys = keys.get(name, {})
        for key, value in keys.items():
            if isinstance(value, dict) and (not section or key != "links"):
                continue  # a section, or documented with what it is part of
            name = f"{section}.{key}".lstrip(".")
            default = {"name": "required", "network.links": "`{}`"}.get(name, f"`{json.dumps(value)}`")
            if f"| `{name}` | {default.replace('.0`', '`')} |" not in text:
                missing.append((name, default))
    assert not missing
    for name in ("data.label", "data.clip", "data.fingerprint", "model.server", "network.bandwidth", "sweep"):
        assert f"| `{name}` |" in text


def load_minimal() -> Scenario:
    """A scenario that says nothing but its name."""
    return parse({"name": "minimal"}, "test")
