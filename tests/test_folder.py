"""Run folders: whole or not at all."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pandas as pd
import pytest

from p2n2sim import folder
from p2n2sim.errors import InputError
from p2n2sim.report.read import read_told
from p2n2sim.run import Run, run
from p2n2sim.scenario.load import load, to_toml
from p2n2sim.simulate import Outcome
from tests import tiny
from tests.tiny import Call

FILES = {
    "summary.json",
    "scenario.toml",
    "ledger.parquet",
    "metrics.parquet",
    "batches.parquet",
    "compute.parquet",
    "events.parquet",
    "picture.png",
}


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """One run, for all tests to save."""
    return run(load(tiny.write_scenario(tmp_path_factory.mktemp("once"))), threads=1)


@pytest.fixture(scope="module")
def picture(result: Run) -> bytes:
    """Its picture, drawn once."""
    return folder.draw(result)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, picture: bytes) -> Path:
    """An empty working directory; whatever is saved there has the run's picture."""
    monkeypatch.setattr(folder, "draw", lambda run: picture)
    return tiny.move_into(tmp_path, monkeypatch)


def everything(path: Path) -> set[str]:
    """Names in a directory, hidden ones included."""
    return {inside.name for inside in path.iterdir()}


def test_what_a_run_folder_holds(here: Path, result: Run) -> None:
    """All files are there and nothing beside them; the tables read back as they were."""
    assert folder.save(result, "deep/er/out") == Path("deep/er/out")
    out = here / "deep" / "er" / "out"
    assert everything(out) == FILES
    assert everything(out.parent) == {"out"}
    assert json.loads((out / "summary.json").read_text()) == json.loads(folder.to_json(result.summary))
    for name in ("ledger", "metrics", "batches", "compute", "events"):
        pd.testing.assert_frame_equal(pd.read_parquet(out / f"{name}.parquet"), getattr(result, name))
    assert load(out / "scenario.toml") == result.scenario
    assert (out / "picture.png").read_bytes().startswith(b"\x89PNG")
    assert folder.is_finished(out)


def test_a_scenario_that_is_not_as_it_was_written_is_noticed(here: Path, result: Run, call: Call) -> None:
    """Cut after any line or changed, it is named by whatever reads the folder; without a hash it is read."""
    path = folder.save(result, "out") / "scenario.toml"
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    for changed in (
        *(b"".join(lines[:n]) for n in range(len(lines))),
        whole.replace(b"epochs = 2", b"epochs = 3"),
    ):
        path.write_bytes(changed)
        with pytest.raises(InputError, match=r"^out/scenario\.toml: .*"):
            read_told(path.parent)
    expected = "out/scenario.toml: it was cut short or changed after it was written; run the scenario again"
    for command in (
        ("trace", "out", "--critical-path"),
        ("retime", "out", "--network", "wan"),
        ("attack", "out"),
        ("report", "out", "--out", "page"),
    ):
        assert call(*command) == (2, "", f"error: {expected}\n")
    path.write_text(to_toml(result.scenario))
    assert read_told(path.parent).scenario == result.scenario


def test_an_interrupted_runs_scenario_is_as_it_was_written(here: Path, result: Run, call: Call) -> None:
    """A run whose scenario was cut short meanwhile does not go on as another one; what it has stays."""
    with pytest.raises(KeyboardInterrupt), folder.working_on(result.scenario, Path("out")) as working:
        raise KeyboardInterrupt
    with folder.resuming(Path("out")) as (scenario, _):
        assert scenario == result.scenario
    with pytest.raises(KeyboardInterrupt), folder.working_on(result.scenario, Path("out")):
        raise KeyboardInterrupt
    path = working / "scenario.toml"
    path.write_bytes(path.read_bytes().partition(b"[network]")[0])
    assert load(path).data == result.scenario.data
    expected = f"{path}: it was cut short or changed after it was written; run the scenario again"
    assert call("run", "--resume", "out") == (2, "", f"error: {expected}\n")
    assert path.is_file()


def test_a_run_is_replaced_only_by_force(here: Path, result: Run) -> None:
    """Without force the first run stays; with it the second takes its place, and nothing else is left."""
    folder.save(result, "out")
    (here / "out" / "picture.png").write_bytes(b"old")
    with pytest.raises(InputError, match=r"^out: it already holds a run; name another .*, or add --force$"):
        folder.save(result, "out")
    assert (here / "out" / "picture.png").read_bytes() == b"old"
    folder.save(result, "out", force=True)
    assert everything(here / "out") == FILES
    assert (here / "out" / "picture.png").read_bytes() != b"old"
    assert everything(here) == {"out"}


@pytest.mark.parametrize("force", [False, True])
def test_nothing_but_a_run_is_ever_replaced(here: Path, result: Run, force: bool) -> None:
    """A folder with anything else in it and a file are left alone, even by force."""
    (here / "mine").mkdir()
    (here / "mine" / "thesis.tex").write_text("x")
    (here / "file").write_text("x")
    for name in ("mine", "file"):
        with pytest.raises(
            InputError, match=rf"^{name}: it is there and holds no finished run; name another"
        ):
            folder.save(result, name, force=force)
    assert everything(here) == {"mine", "file"}
    assert everything(here / "mine") == {"thesis.tex"}


def test_an_empty_folder_may_be_written_to(here: Path, result: Run) -> None:
    """Who makes the folder first gets the run in it."""
    (here / "out").mkdir()
    folder.save(result, "out")
    assert everything(here / "out") == FILES


def test_the_folder_behind_a_link_is_written_to(here: Path, result: Run) -> None:
    """A symbolic link stays one, and the run lands where it leads."""
    (here / "disk").mkdir()
    (here / "out").symlink_to("disk")
    folder.save(result, "out")
    folder.save(result, "out", force=True)
    assert (here / "out").is_symlink()
    assert everything(here / "disk") == FILES
    assert everything(here) == {"out", "disk"}


@pytest.mark.parametrize("path", [".", "..", "/"])
def test_the_working_directory_is_refused(here: Path, result: Run, path: str) -> None:
    """Replacing the folder in which the user stands would pull it away."""
    with pytest.raises(InputError, match=r"this is the working directory, or around it; name another folder"):
        folder.save(result, path)
    assert everything(here) == set()


@pytest.mark.parametrize("path", ["file/out", "file/deep/out", "/proc/p2n2sim/out"])
def test_a_folder_that_cannot_be_made_is_bad_input(here: Path, result: Run, path: str) -> None:
    """Below a file, or where nothing may be made, there is one message and nothing written."""
    (here / "file").write_text("x")
    with pytest.raises(InputError, match=rf"^{path}: .*; name another folder with --out$"):
        folder.save(result, path)
    assert everything(here) == {"file"}


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write anywhere")
def test_a_folder_without_permission_is_refused_before_the_work(here: Path) -> None:
    """check_free tells that a directory may not be written to."""
    (here / "locked").mkdir(mode=0o500)
    with pytest.raises(InputError, match=r"^locked/out: .* may not be written to; name another folder"):
        folder.check_free(Path("locked/out"))


def test_a_failure_while_writing_leaves_nothing(
    here: Path, result: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the disk is full half-way, there is one message, no folder and no remains."""

    def full(run: Run) -> bytes:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(folder, "draw", full)
    with pytest.raises(InputError, match=r"^out: it cannot be written \(No space left on device\); name"):
        folder.save(result, "out")
    assert everything(here) == set()


def test_remains_of_a_killed_run_do_no_harm(here: Path, result: Run) -> None:
    """What a killed process left is no finished run, is in nobody's way, and is gone after the next."""
    (here / ".out.unfinished").mkdir()
    (here / ".out.unfinished" / "summary.json").write_text("{}")
    assert not folder.is_finished(here / "out")
    folder.save(result, "out")
    assert everything(here) == {"out"}


def test_interrupted_work_is_kept_beside_and_never_overwritten(here: Path, result: Run) -> None:
    """Each interruption keeps its tables in a folder of its own, which is no finished run."""
    kept = [folder.save_interrupted(result.scenario, Outcome(), Path("out")) for _ in range(2)]
    assert kept == [Path("out.interrupted"), Path("out.interrupted-2")]
    for path in kept:
        tables = {"ledger.parquet", "batches.parquet", "compute.parquet", "events.parquet"}
        assert everything(path) == {"scenario.toml", *tables}
        assert not folder.is_finished(path)
    assert not (here / "out").exists()


def test_next_free(here: Path) -> None:
    """The name itself, then -2, -3, ..."""
    assert folder.next_free(Path("r/x")) == Path("r/x")
    for name in ("x", "x-2"):
        (here / "r" / name).mkdir(parents=True)
    assert folder.next_free(Path("r/x")) == Path("r/x-3")


def test_scalars_of_a_summary(result: Run) -> None:
    """read_summary has dotted names for the scalars, and leaves lists out."""
    folder.save(result, "out")
    summary = folder.read_summary(Path("out"))
    assert summary["metrics.auc"] == result.summary["metrics"]["auc"]
    assert (
        summary["traffic.by_link.A->B.messages"] == result.summary["traffic"]["by_link"]["A->B"]["messages"]
    )
    assert "data.widths" not in summary
