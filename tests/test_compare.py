"""Comparisons: which values, what is told of the others, and a report that agrees with the runs."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from p2n2sim import cli
from p2n2sim.compare import compare, folder_name, plan
from p2n2sim.errors import InputError
from p2n2sim.report.bars import side_by_side
from p2n2sim.report.build import build
from p2n2sim.report.comparison import COLUMNS, caption, learned, notes, numbers, screens, texts
from p2n2sim.report.read import COMPARISON, StoredComparison, read
from p2n2sim.report.text import size, span
from p2n2sim.scenario.load import load
from p2n2sim.scenario.sections import Scenario
from tests import tiny
from tests.here import work_here

LINKS = (
    '[network]\nbandwidth = "10 Mbit/s"\nlinks."A-B" = { latency = "1 s" }\n[sweep]\ntrain.epochs = [1, 2]\n'
)
LAYERS = "protocol.secret_layers"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a scenario that has links and a sweep of its own."""
    inside = tiny.move_into(tmp_path, monkeypatch)
    tiny.write_scenario(inside, LINKS)
    return inside


def scenario(*overrides: str) -> Scenario:
    """The scenario of the working directory with some overrides."""
    return load("tiny.toml", overrides)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A comparison of 0 to 3 layers under secret sharing."""
    home = tmp_path_factory.mktemp("finished")
    path = tiny.write_scenario(home, LINKS)
    planned = plan(load(path, ["train.epochs=1"]), LAYERS)
    with pytest.MonkeyPatch.context() as patch:
        work_here(patch)
        compare(planned, home / "out")
    yield home / "out"
    shutil.rmtree(home)


@pytest.fixture
def stored(finished: Path) -> StoredComparison:
    """It, read back."""
    found = read(finished)
    assert isinstance(found, StoredComparison)
    return found


# -- which values


@pytest.mark.usefixtures("here")
def test_names_are_taken_from_the_key() -> None:
    """A key with few fixed values takes all of them, in the order of the reference."""
    planned = plan(scenario(), "protocol.first_layer")
    values = planned.scenario.sweep["protocol.first_layer"]
    assert (values[0], values[-1]) == ("algorithm1", "plaintext")
    assert len(values) == 7
    assert planned.note.left_out == {}
    assert plan(scenario(), "data.standardise").scenario.sweep["data.standardise"] == (False, True)
    assert plan(scenario(), "protocol.paillier_bits").scenario.sweep["protocol.paillier_bits"][0] == 1024


@pytest.mark.usefixtures("here")
def test_what_the_scenario_refuses_is_left_out_with_the_reason() -> None:
    """Plaintext cannot have a layer under sharing, nor masked sums two; the reason names key and value."""
    planned = plan(scenario("protocol.secret_layers=2"), "protocol.first_layer")
    assert planned.scenario.sweep["protocol.first_layer"] == (
        "algorithm1",
        "algorithm1-prg",
        "algorithm1-masked-once",
    )
    assert list(planned.note.left_out) == ["masked-sum", "ckks", "paillier", "plaintext"]
    assert planned.note.left_out["plaintext"].startswith(
        "protocol.first_layer: 'plaintext' shares nothing, but 2 layers are to be under secret sharing; "
    )


@pytest.mark.usefixtures("here")
def test_layers_go_from_none_to_all() -> None:
    """Three layers, the head included, make four values; the width of the network decides."""
    assert plan(scenario(), LAYERS).scenario.sweep[LAYERS] == (0, 1, 2, 3)
    assert plan(scenario("model.hidden=[4]"), LAYERS).scenario.sweep[LAYERS] == (0, 1, 2)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("key", "text", "values"),
    [
        ("data.holders", "2,4,8", (2, 4, 8)),
        ("protocol.first_layer", "algorithm1, plaintext", ("algorithm1", "plaintext")),
        ("protocol.first_layer", '"algorithm1","plaintext"', ("algorithm1", "plaintext")),
        ("model.hidden", "[8,8],[4]", ([8, 8], [4])),
        ("compute.default.message_overhead", "1 us,2 ms", ("1 us", "2 ms")),
        ("train.learning_rate", "1e-3", (0.001,)),
    ],
)
def test_given_values_are_toml_or_words(key: str, text: str, values: tuple[object, ...]) -> None:
    """Values are read as --set reads them, with commas between."""
    sweep = plan(scenario(), key, text).scenario.sweep
    assert list(map(str, sweep[key])) == list(map(str, values))
    assert sweep["network.preset"] == ("lan", "wan")


@pytest.mark.usefixtures("here")
def test_presets_replace_the_links() -> None:
    """Bandwidth and links of the scenario are left aside and named; its sweep is not the comparison's."""
    planned = plan(scenario(), "data.holders", "2,3")
    assert planned.note.aside == ["network.bandwidth", "network.links"]
    assert planned.scenario.network.bandwidth is None
    assert not planned.scenario.network.links
    assert list(planned.scenario.sweep) == ["data.holders", "network.preset"]


WRONG = [
    (
        "protocol.frist_layer",
        None,
        r"^--vary protocol.frist_layer: .*: there is no such key; did you mean 'first_",
    ),
    ("first_layer", None, r"did you mean 'protocol.first_layer'\?"),
    ("data.holders", None, r"^--vary data.holders: there is no fixed list of its values; name some, for "),
    ("data.holders", "", r"^--values: there are none; name some"),
    ("data.holders", "2,3,2", r"^--values: 2 is there twice; name each value once$"),
    ("data.holders", "2,one", r"data.holders: found 'one'; a whole number"),
    ("protocol.first_layer", "algoritm1", r"protocol.first_layer: found 'algoritm1'; one of 'algorithm1', "),
    ("protocol.secret_layers", "1,9", r"9 layers under secret sharing, but the network has 3; 0 to 3 would"),
    ("network.bandwidth", '"1 Mbit/s"', r"every value is shown on the links of the presets lan and wan; "),
    ("name", "a,b", r"^--vary name: this cannot be compared; name a key such as protocol.first_layer$"),
    ("protocol", "1", r"^--vary protocol: this cannot be compared"),
    ("", "1", r"has an empty part"),
]


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(("key", "values", "message"), WRONG)
def test_what_cannot_be_compared(key: str, values: str | None, message: str) -> None:
    """Unknown keys, missing, misspelt and repeated values are told with what would do."""
    with pytest.raises(InputError, match=message):
        plan(scenario(), key, values)


@pytest.mark.usefixtures("here")
def test_a_value_that_is_named_must_be_allowed() -> None:
    """What would be left out by itself is an error when the user asks for it."""
    two = scenario("protocol.secret_layers=2")
    assert plan(two, "protocol.triples").note.left_out.keys() == {"ot", "he"}
    with pytest.raises(InputError, match=r"'ot' is modelled for the first layer's product alone"):
        plan(two, "protocol.triples", "dealer,ot")


# -- the folder


def test_the_folder_holds_runs_and_report(finished: Path) -> None:
    """A run for each value and preset, the table of the sweep, and the report beside them; no remains."""
    assert {path.name for path in finished.iterdir()} == {
        "sweep.toml", "sweep.parquet", "points", COMPARISON, "index.html", "README.md", "figures"
    }  # fmt: skip
    assert len(list(finished.glob("points/*/summary.json"))) == 8
    assert {path.suffix for path in (finished / "figures").iterdir()} == {".svg", ".png", ".csv"}


def test_numbers_are_those_of_the_summaries(finished: Path, stored: StoredComparison) -> None:
    """Every number of the CSV is in the summary of its run; the processor's is the lower of both presets."""
    frame = numbers(stored)
    (written,) = (finished / "figures").glob("*.csv")
    csv = pd.read_csv(written)
    pd.testing.assert_frame_equal(csv, frame.astype({"value": int}), check_dtype=False)
    for value, row in enumerate(frame.to_dict("records")):
        runs = {}
        for preset in ("lan", "wan"):
            (path,) = finished.glob(f"points/*_secret_layers-{value}_preset-{preset}/summary.json")
            runs[preset] = json.loads(path.read_text())
            assert row[f"batch_s_{preset}"] == runs[preset]["traffic"]["one_batch"]["seconds"]
            time = runs[preset]["time"]
            assert row[f"train_s_{preset}"] == pytest.approx(time["virtual_s"] - time["predict_s"])
        summary = runs["lan"]
        batch = summary["traffic"]["one_batch"]
        assert row["auc"] == summary["metrics"]["auc"] == runs["wan"]["metrics"]["auc"]
        assert row["batch_online_bytes"] + row["batch_offline_bytes"] == batch["payload_bytes"]
        assert row["batch_rounds"] == batch["rounds"]
        assert row["run_online_bytes"] + row["run_offline_bytes"] == summary["traffic"]["payload_bytes"]
        times = [run["time"]["simulation_processor_s"] for run in runs.values()]
        assert row["simulation_processor_s"] == min(times)
        assert row["processor_ratio"] == pytest.approx(min(times) / row["plain_processor_s"])
    assert frame["plain_processor_s"].nunique() == 1
    assert frame["label"].tolist() == [
        "0 · plaintext",
        "1 · algorithm1",
        "2 · secret-layers-2",
        "3 · secureml",
    ]


def test_one_batch_by_phase_agrees_with_the_ledger(finished: Path) -> None:
    """Online and offline bytes of the batch are those of its messages in the ledger."""
    for path in finished.glob("points/*/summary.json"):
        batch = json.loads(path.read_text())["traffic"]["one_batch"]
        ledger = pd.read_parquet(path.parent / "ledger.parquet")
        for phase in ("online", "offline"):
            mine = ledger[(ledger["step"] == batch["step"]) & (ledger["phase"] == phase)]
            assert batch[f"{phase}_payload_bytes"] == mine["payload_bytes"].sum()


def test_who_learns_what(stored: StoredComparison) -> None:
    """By role: without a server or a dealer there is a dash, and the label's owner is not another holder."""
    rows = {row[0].split(" · ")[1]: row[-4:] for row in texts(stored)}
    assert rows["plaintext"] == ["X_i theta_i, dL/dh_L", "h_L, dL/dh1", "dL/dh1", "–"]
    assert rows["algorithm1"] == ["dL/dh_L, h1", "h_L, dL/dh1", "dL/dh1", "nothing"]
    assert rows["secureml"] == ["–", "logits", "nothing", "nothing"]
    counts = learned(stored.first)
    assert counts["server"] == stored.first.summary["views"]["server"]["clear"]


def test_the_figure_shows_the_table(stored: StoredComparison) -> None:
    """Each panel's bars are the columns of the table in its unit, and the rows are named."""
    exhibit = side_by_side(stored)
    data, rounds, lan, wan, ratio, auc = exhibit.figure.axes
    table = exhibit.table
    assert [label.get_text() for label in data.get_yticklabels()] == table["label"].tolist()
    for axes, column in ((rounds, "batch_rounds"), (ratio, "processor_ratio")):
        assert [bar.get_width() for bar in axes.patches] == pytest.approx(table[column].tolist())
    for axes, preset in ((lan, "lan"), (wan, "wan")):
        scale = 1e3 if axes.get_xlabel().startswith("ms") else 1
        seconds = [bar.get_width() / scale for bar in axes.patches]
        assert seconds == pytest.approx(table[f"batch_s_{preset}"].tolist())
        assert [text.get_text() for text in axes.texts] == [span(s) for s in table[f"batch_s_{preset}"]]
    spread = table["batch_online_bytes"] + table["batch_offline_bytes"]
    assert (data.get_xscale() == "log") == (spread.max() > 20 * spread.min())
    assert list(auc.lines[0].get_xdata()) == table["auc"].tolist()
    assert all(axes.get_xlabel() for axes in exhibit.figure.axes)


def test_the_page_says_what_must_be_known(finished: Path, stored: StoredComparison) -> None:
    """Data, seed, what stands aside, and every cell of the table are on the page and in the README."""
    assert "seed 1" in caption(stored)
    assert "own file own.csv" in caption(stored)
    assert "first layer algorithm1" in caption(stored)
    assert any("network.bandwidth, network.links" in note for note in notes(stored))
    page, readme = ((finished / name).read_text("utf-8") for name in ("index.html", "README.md"))
    for row in texts(stored):
        for cell in row:
            assert f">{cell}</td>" in page
        assert f"| {' | '.join(row)} |" in readme
    assert size(numbers(stored)["batch_online_bytes"].iloc[0]) in page
    assert "<script" not in page


def test_modelled_rows_carry_a_sign(finished: Path, tmp_path: Path) -> None:
    """What a summary calls modelled is marked in table and figure, and its sentences stand in the notes."""
    shutil.copytree(finished, tmp_path / "copy")
    for path in tmp_path.glob("copy/points/*_secret_layers-1_*/summary.json"):
        summary = json.loads(path.read_text())
        path.write_text(json.dumps(summary | {"modelled": ["triples were not made", "nor masks"]}))
    stored = read(tmp_path / "copy")
    assert isinstance(stored, StoredComparison)
    assert [row[0] for row in texts(stored)][:2] == ["0 · plaintext", "1 · algorithm1 †"]
    labels = [label.get_text() for label in side_by_side(stored).figure.axes[0].get_yticklabels()]
    assert labels[1] == "1 · algorithm1 †"
    assert "† 1, modelled: triples were not made; nor masks. Its processor time is without that." in notes(
        stored
    )
    assert "MODELLED: triples were not made. MODELLED: nor masks." in caption(stored)


def test_screens_have_every_value(stored: StoredComparison) -> None:
    """The parts for a screen hold the same texts as the table, and none is wider than 120 columns."""
    parts = list(screens(stored))
    assert [title for title, _, _ in parts][-1] == "Seen in the clear"
    for _, heads, rows in parts:
        assert all(len(row) == len(heads) for row in rows)
        assert sum(max(map(len, column)) + 2 for column in zip(heads, *rows, strict=True)) <= 120
    cells = {cell for _, _, rows in parts for row in rows for cell in row}
    left = [place for place, column in enumerate(COLUMNS, 1) if not column.table]
    for row in texts(stored):
        assert {cell for place, cell in enumerate(row) if place not in left} <= cells


def test_a_report_of_it_can_be_made_elsewhere(finished: Path, tmp_path: Path) -> None:
    """p2n2sim report renders the folder to the same bytes, and never over the folder itself."""
    build([finished], tmp_path / "out")
    for name in ("index.html", "README.md"):
        assert (tmp_path / "out" / name).read_bytes() == (finished / name).read_bytes()
    with pytest.raises(InputError, match=r"beside a report it holds comparison.json; name another folder"):
        build([finished], finished)
    assert (finished / "points").is_dir()


def test_a_damaged_note_is_named(finished: Path, tmp_path: Path) -> None:
    """A file that was cut short is told, not guessed at."""
    shutil.copytree(finished, tmp_path / "copy")
    (tmp_path / "copy" / COMPARISON).write_text('{"key": 3}')
    with pytest.raises(InputError, match=r"comparison\.json: the file is damaged"):
        read(tmp_path / "copy")


# -- the command


@pytest.mark.usefixtures("in_this_process")
def test_the_command_continues_where_it_stopped(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A missing run is made again and the others are kept; what is left out is told in one line each."""

    def call(*more: str) -> tuple[int, str, str]:
        given = ["compare", "tiny.toml", "--vary", "protocol.triples", "--set", "train.epochs=1"]
        layers = ["--set", "protocol.secret_layers=2", "--jobs", "1"]
        monkeypatch.setattr(sys, "argv", ["p2n2sim", *given, *layers, *more])
        with pytest.raises(SystemExit) as end:
            cli.main()
        return int(end.value.code or 0), *capsys.readouterr()

    code, out, err = call()
    assert code == 0
    assert err.splitlines()[0] == (
        "left out: ot (protocol.triples: 'ot' is modelled for the first layer's product alone; 'dealer' or "
        "'dealer-full' would do)"
    )
    folder = here / "runs" / folder_name(scenario(), "protocol.triples")
    assert out.endswith(f"page:              {(folder / 'index.html').relative_to(here)}\n")
    assert "dealer-full" in out
    runs = sorted(folder.glob("points/*/summary.json"))
    assert len(runs) == 4
    before = {path: path.stat().st_mtime_ns for path in runs}
    shutil.rmtree(runs[2].parent)
    page = (folder / "index.html").read_text()
    assert "Left out: he (protocol.triples: " in page
    assert call("--quiet") == (0, "", "")
    assert [path for path in runs if path.stat().st_mtime_ns != before[path]] == [runs[2]]
    code, _, err = call("--values", "dealer")
    assert (code, err.splitlines()[-1]) == (
        2, f"error: {folder.relative_to(here)}: it holds another sweep; name another folder with --out"
    )  # fmt: skip
