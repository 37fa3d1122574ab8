"""The evaluation as a whole: what it writes, how it goes on, and what it refuses."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from p2n2sim.errors import InputError
from p2n2sim.evaluation import plan as plan_module
from p2n2sim.evaluation import work
from p2n2sim.evaluation.item import Item, Source, Step
from p2n2sim.evaluation.plan import plan
from p2n2sim.evaluation.program import program
from p2n2sim.evaluation.select import select
from p2n2sim.evaluation.work import finish
from p2n2sim.paper.catalogue import ITEMS
from p2n2sim.run import run
from p2n2sim.scenario.load import load
from p2n2sim.scenario.units import Bandwidth
from tests.here import work_here
from tests.paper.conftest import BOTH, evaluated, write_scenarios
from tests.tiny import Call, write_csv

SHIPPED = Path(__file__).parents[2] / "scenarios" / "paper"


@pytest.fixture
def home(tmp_path: Path, in_this_process: None) -> Path:
    """A folder with scenario files."""
    write_scenarios(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Such a folder with a finished evaluation, its report in `out`."""
    folder = tmp_path_factory.mktemp("finished")
    write_scenarios(folder)
    with pytest.MonkeyPatch.context() as patch:
        work_here(patch)
        evaluated(folder, "out")
    yield folder
    shutil.rmtree(folder)


def files(folder: Path) -> dict[str, bytes]:
    """Path within a folder -> bytes."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def folders(home: Path, *, quick: bool = False) -> set[str]:
    """Where the runs of both items are kept."""
    planned = plan(select(BOTH, ITEMS), home / "scenarios", home / "work", quick=quick, data_dir=None)
    return {run.folder.name for item in planned for own in item.runs.values() for run in own}


def test_the_command_line_makes_a_report_in_other_processes(tmp_path: Path, call: Call) -> None:
    """The command shows what is finished, and says where the page is; quick says so in the report."""
    scenarios = write_scenarios(tmp_path)
    arguments = (
        "--work",
        tmp_path / "work",
        "--scenarios",
        scenarios,
        "--items",
        "figure3",
        "--quick",
        "--jobs",
        "1",
    )
    code, out, err = call("paper", "--out", tmp_path / "out", *arguments)
    assert (code, out) == (0, f"report: {tmp_path / 'out' / 'index.html'}\n")
    assert "2/2 figure3-seed-2" in err
    assert "quick evaluation" in (tmp_path / "out" / "README.md").read_text()
    assert call("paper", "--out", tmp_path / "out", *arguments)[2] == "2/2 finished before\n"


def test_every_link_and_every_run_leads_somewhere(finished: Path) -> None:
    """README and page refer to files that are there; a CSV's runs are folders of the report."""
    out = finished / "out"
    readme, page = (out / "README.md").read_text(), (out / "index.html").read_text()
    links = re.findall(r"\]\(([^)#]+)\)", readme) + re.findall(r'href="([^"#]+)"', page)
    assert len(links) > 12
    assert [link for link in links if not (out / link).is_file()] == []
    for path in (out / "figures").glob("figure?.csv"):
        for names in pd.read_csv(path)["run"]:
            assert all((out / "runs" / name / "summary.json").is_file() for name in names.split())
    assert str(finished) not in readme + page


def test_a_kept_scenario_makes_the_run_again(finished: Path) -> None:
    """What stands in runs/NAME/scenario.toml has the weights that stand in runs/NAME/summary.json."""
    kept = finished / "out" / "runs" / "figure3-seed-2"
    again = load(kept / "scenario.toml", [f"data.source={finished / 'scenarios' / 'own.csv'}"])
    told = json.loads((kept / "summary.json").read_text())
    assert run(again, threads=1).summary["weights_sha256"] == told["weights_sha256"]


def test_made_again_it_has_the_same_bytes(finished: Path, home: Path) -> None:
    """Figures, numbers and scenarios of runs made again are the same bytes, and so is their section."""
    first, again = files(finished / "out"), files(evaluated(home, "out", "figure5"))
    assert len(again) > 7
    for name in again.keys() - {"README.md", "index.html"}:
        assert again[name] == first[name] or name.endswith("summary.json"), name
    section = again["README.md"].split(b"## Figure 5")[1]
    assert section == first["README.md"].split(b"## Figure 5")[1]


def test_it_goes_on_where_it_stopped(home: Path) -> None:
    """After Ctrl-C what is finished is kept; the next start makes the rest alone, a third one nothing."""

    def interrupt(name: str, done: int, total: int) -> None:
        raise KeyboardInterrupt

    told: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        evaluated(home, "out", "figure3", on_end=interrupt)
    assert not (home / "out").exists()
    for _ in range(2):
        evaluated(
            home, "out", "figure3", on_end=lambda name, done, total: told.append(f"{name} {done}/{total}")
        )
    assert told == ["finished before 1/2", "figure3-seed-2 2/2", "finished before 2/2"]


def test_what_changed_is_made_again_and_nothing_else(home: Path) -> None:
    """A changed scenario file costs its runs, changed data all; a quick one shares what is the same."""
    first = folders(home)
    assert len(first) == 4
    path = home / "scenarios" / "figure3.toml"
    path.write_text(path.read_text().replace("epochs = 2", "epochs = 10"))  # as many as a quick one has
    second = folders(home)
    assert sorted(second - first) == sorted(name for name in second if "figure3" in name)
    assert folders(home, quick=True) & second == second - first
    write_csv(home / "scenarios" / "own.csv", rows=150)
    assert folders(home) & second == set()


@pytest.mark.usefixtures("in_this_process")
def test_what_another_program_has_run_is_not_used(
    tmp_path: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a change of the program all is run again, which is said once; what was interrupted goes on."""
    scenarios = write_scenarios(tmp_path)
    arguments = ["--out", tmp_path / "out", "--work", tmp_path / "work", "--scenarios", scenarios]
    arguments += ["--items", "figure3"]
    runs = ["1/2 figure3-seed-1", "2/2 figure3-seed-2"]
    told = f"what another version of the program has kept in {tmp_path / 'work'} is left aside"
    assert call("paper", *arguments)[2].splitlines() == runs
    for module in (plan_module, work):
        monkeypatch.setattr(module, "program", lambda: "another")
    assert call("paper", *arguments)[2].splitlines() == [told, *runs]
    assert call("paper", *arguments)[2].splitlines() == ["2/2 finished before"]
    (tmp_path / "work" / "evaluation.txt").write_text("of a version that did not say which it was\n")
    assert call("paper", *arguments)[2].splitlines() == [told, "2/2 finished before"]


def test_every_source_file_makes_the_program(tmp_path: Path) -> None:
    """Another byte, name or file is another program; what is no source file is not."""
    (tmp_path / "deep").mkdir()
    seen = set()
    for name, text in (("a.py", "1"), ("a.py", "2"), ("deep/b.py", ""), ("deep/b.py", "3"), ("c.py", "")):
        (tmp_path / name).write_text(text)
        program.cache_clear()
        seen.add(program(tmp_path))
    (tmp_path / "c.py").rename(tmp_path / "d.py")
    (tmp_path / "d.pyc").write_text("4")
    program.cache_clear()
    seen.add(program(tmp_path))
    assert len(seen) == 6
    (tmp_path / "d.pyc").unlink()
    program.cache_clear()
    assert program(tmp_path) in seen


def test_retimed_points_are_those_of_runs(finished: Path) -> None:
    """A point of figure 5 is what a run with that bandwidth takes."""
    frame = pd.read_csv(finished / "out" / "figures" / "figure5.csv")
    assert len(frame) == 10
    point = frame[(frame["protocol.first_layer"] == "masked-sum") & (frame["bit_per_s"] == 1e7)].iloc[0]
    options = ["protocol.first_layer=masked-sum", "network.bandwidth=10 Mbit/s"]
    alone = run(load(finished / "scenarios" / "figure5.toml", options), threads=1)
    assert point["time.train_s"] == pytest.approx(alone.summary["time"]["train_s"], rel=1e-12)
    assert Bandwidth.parse(point["network.bandwidth"]).value == 1e7


def count(folder: Path, data_dir: Path | None, options: dict[str, int]) -> dict[str, int]:
    """A step for tests: what it is called with."""
    if options.get("fail"):
        raise InputError("count", "it cannot", "nothing would do")
    return {"files": len(list(folder.iterdir())), **options}


def items_with(options: dict[str, int]) -> list[Item]:
    """An item with a step; it is never shown."""
    source = Source("figure3.toml", steps=(Step("count", count, options),))
    return [Item("figure3", "", (source,), lambda evidence: pytest.fail("never shown"))]


def found(home: Path, options: dict[str, int]) -> tuple[list[dict[str, int]], list[str]]:
    """What a step calculated on every run, and what had to be made for it."""
    made: list[str] = []
    planned = plan(items_with(options), home / "scenarios", home / "work", quick=False, data_dir=None)
    (evidence,) = finish(planned, data_dir=None, jobs=1, on_end=lambda name, *_: made.append(name))
    return [one.found["count"] for one in evidence["figure3"]], made[1:]


@pytest.mark.usefixtures("in_this_process")
def test_steps_are_calculated_on_every_run_and_kept(finished: Path) -> None:
    """A step sees a run's folder and its options; other options are another calculation."""
    both = ["figure3-seed-1: count", "figure3-seed-2: count"]
    assert found(finished, {"a": 1}) == ([{"files": 8, "a": 1}] * 2, both)
    assert found(finished, {"a": 1}) == ([{"files": 8, "a": 1}] * 2, [])
    assert found(finished, {"a": 2}) == ([{"files": 8, "a": 2}] * 2, both)


@pytest.mark.usefixtures("in_this_process")
def test_a_failure_keeps_the_others(finished: Path) -> None:
    """The error names the run and says how much failed; what was made stays."""
    before = files(finished / "work")
    with pytest.raises(InputError, match=r"figure3-seed-1: count: count: it cannot.*2 of 4"):
        found(finished, {"fail": 1})
    assert files(finished / "work") == before


@pytest.mark.usefixtures("in_this_process")
def test_bad_input_is_named(tmp_path: Path, call: Call) -> None:
    """Every kind ends with 2 and one line that says what would do, before anything is run."""
    scenarios = write_scenarios(tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("")
    wrong = {
        ("--items", "tabel1"): "there is no 'tabel1'; did you mean table1? there are table1, figure3",
        ("--items", " , "): "there are none",
        ("--scenarios", tmp_path / "nowhere"): "nowhere: there is no such folder",
        ("--data", tmp_path / "nowhere"): "is no directory",
        ("--work", tmp_path / "mine"): "mine: it is there and holds no runs of an evaluation",
        ("--out", tmp_path / "mine"): "mine: it is there and holds no report",
        ("--items", "table1"): "table1-fraud-literal.toml: there is no such file",
    }
    for arguments, expected in wrong.items():
        base = ["--out", tmp_path / "out", "--work", tmp_path / "work", "--scenarios", scenarios]
        code, out, err = call("paper", *base, "--items", "figure3", *arguments)
        assert (code, out, err.count("\n")) == (2, "", 1), err
        assert expected in err
    assert not (tmp_path / "out").exists()
    assert sorted(path.name for path in (tmp_path / "mine").iterdir()) == ["thesis.tex"]


def test_two_runs_of_one_name_are_refused(home: Path) -> None:
    """A report has one folder for each name."""
    path = home / "scenarios" / "figure3.toml"
    (home / "scenarios" / "other.toml").write_text(path.read_text().replace("epochs = 2", "epochs = 1"))
    items = [Item(name, "", (Source(f"{name}.toml"),), ITEMS[0].present) for name in ("figure3", "other")]
    with pytest.raises(InputError, match="two scenario files have runs of this name"):
        plan(items, home / "scenarios", home / "work", quick=False, data_dir=None)


@pytest.mark.parametrize("quick", [False, True])
def test_every_shipped_item_has_its_scenario_files(tmp_path: Path, quick: bool) -> None:
    """All of them are valid, also when shortened, and each item has at least one run."""
    for planned in plan(select(None, ITEMS), SHIPPED, tmp_path, quick=quick, data_dir=None):
        assert any(planned.runs.values()), planned.item.name
    named = {source.file for item in ITEMS for source in item.sources}
    assert named == {path.name for path in SHIPPED.glob("*.toml")}
