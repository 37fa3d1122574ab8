"""Sweeps: all points, on all cores, once."""

from __future__ import annotations

import multiprocessing
import pickle
from pathlib import Path

import pandas as pd
import pytest

from p2n2sim import folder
from p2n2sim.errors import (
    DataError,
    DeadlockError,
    FixedPointError,
    InputError,
    P2N2SimError,
    ScenarioError,
    Wait,
)
from p2n2sim.run import run
from p2n2sim.scenario.load import load, points
from p2n2sim.scenario.sections import Scenario
from p2n2sim.sweep import Point, SweepError, sweep
from tests import tiny

SWEEP = '[sweep]\n"train.epochs" = [1, 2]\n"model.hidden" = [[4, 3], [2]]\n'
WALL = [f"time.{name}_s" for name in ("wall", "processor", "simulation_processor", "plain_processor")]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a scenario that has a sweep of four points."""
    inside = tiny.move_into(tmp_path, monkeypatch)
    tiny.write_scenario(inside, SWEEP)
    return inside


def scenario(*overrides: str) -> Scenario:
    """The scenario with some overrides."""
    return load("tiny.toml", overrides)


class Stop(BaseException):
    """Not an error: somebody wants to go."""


def test_a_sweep_that_is_interrupted_continues_to_the_same_table(here: Path) -> None:
    """Finished points are not run again; the table is that of single runs, but for wall times."""

    def stop_after_one(point: Point, done: int, total: int) -> None:
        raise Stop

    with pytest.raises(Stop):
        sweep(scenario(), here / "out", jobs=1, on_point=stop_after_one)
    assert not multiprocessing.active_children()
    kept = {path.parent: path.stat().st_mtime_ns for path in (here / "out").glob("points/*/summary.json")}
    assert len(kept) >= 1
    assert not (here / "out" / "sweep.parquet").exists()

    told: list[tuple[int, int]] = []
    path = sweep(
        scenario(), here / "out", jobs=2, on_point=lambda point, done, total: told.append((done, total))
    )
    assert path == here / "out" / "sweep.parquet"
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert all((at / "summary.json").stat().st_mtime_ns == before for at, before in kept.items())

    table = pd.read_parquet(path)
    assert table["train.epochs"].tolist() == [1, 1, 2, 2]
    assert table["model.hidden"].tolist() == ["[4, 3]", "[2]", "[4, 3]", "[2]"]
    assert (table[WALL] > 0).all(axis=None)
    for (_, row), (_, point) in zip(table.iterrows(), points(scenario()), strict=True):
        summary = run(point, threads=2).summary
        assert row["weights_sha256"] == summary["weights_sha256"]
        assert row["ledger_sha256"] == summary["ledger_sha256"]
        assert row["metrics.auc"] == summary["metrics"]["auc"]
        assert (
            row["traffic.by_link.A->B.payload_bytes"]
            == summary["traffic"]["by_link"]["A->B"]["payload_bytes"]
        )
        assert load(here / "out" / "points" / row["point"] / "scenario.toml").train == point.train
    assert sorted(table["point"]) == sorted(path.name for path in (here / "out" / "points").iterdir())

    again = sweep(scenario(), here / "out", jobs=2)
    pd.testing.assert_frame_equal(pd.read_parquet(again), table)


@pytest.mark.usefixtures("in_this_process")
def test_a_folder_belongs_to_one_sweep(here: Path) -> None:
    """Another sweep, a folder with something else and a file are refused; nothing is written there."""
    small = ('sweep={"train.epochs" = [1]}',)
    sweep(scenario(*small), here / "out", jobs=1)
    with pytest.raises(InputError, match=r"out: it holds another sweep; name another folder with --out$"):
        sweep(scenario(*small, "train.seed=9"), here / "out")
    (here / "mine").mkdir()
    (here / "mine" / "thesis.tex").write_text("x")
    (here / "file").write_text("x")
    for name in ("mine", "file"):
        with pytest.raises(InputError, match=rf"{name}: it is there and holds no sweep; name another folder"):
            sweep(scenario(), here / name)
    with pytest.raises(InputError, match=r"file/out: .* is no directory; name another folder"):
        sweep(scenario(), here / "file" / "out")
    assert [path.name for path in (here / "mine").iterdir()] == ["thesis.tex"]


def test_a_scenario_without_a_sweep_is_refused(here: Path) -> None:
    """There is nothing to do, and nothing is written."""
    with pytest.raises(ScenarioError, match=r"^sweep: there is no \[sweep\] table; add one, for example"):
        sweep(scenario("sweep={}"), here / "out")
    assert not (here / "out").exists()


def test_one_bad_point_leaves_the_others(here: Path) -> None:
    """The error says which point, what is wrong and how many failed; the good ones are kept."""
    with pytest.raises(
        InputError,
        match=r"^sweep: train\.batch_size = 5000: train\.batch_size: 5000 is larger than the data, which "
        r"have 96 training rows; a smaller batch would do \(1 of 2 points failed, the others are kept\)$",
    ):
        sweep(scenario('sweep={"train.batch_size" = [5000, 20]}'), here / "out", jobs=1)
    assert [path.name for path in (here / "out" / "points").iterdir()] == ["001_batch_size-20"]
    assert not (here / "out" / "sweep.parquet").exists()


@pytest.mark.usefixtures("in_this_process")
def test_a_sweep_of_bad_points_alone_leaves_nothing(here: Path) -> None:
    """When no point can be run there is one message and no folder."""
    with pytest.raises(InputError, match=r"data\.label: .* \(1 of 1 points failed"):
        sweep(scenario("data.label=gone", 'sweep={"train.epochs" = [1]}'), here / "out", jobs=1)
    assert not (here / "out").exists()


def test_a_process_that_dies_is_one_clear_error(here: Path) -> None:
    """When a process is killed the sweep ends at once with a SweepError; what was finished is kept."""

    def kill(point: Point, done: int, total: int) -> None:
        for child in multiprocessing.active_children():
            child.kill()

    endless = 'sweep={"train.epochs" = [1, 1000000]}'
    with pytest.raises(
        SweepError, match=r"^sweep: train\.epochs = 1000000: a process died, perhaps for want of"
    ):
        sweep(scenario(endless), here / "out", jobs=1, on_point=kill)
    assert not multiprocessing.active_children()
    assert [path.name for path in (here / "out" / "points").glob("[!.]*")] == ["000_epochs-1"]
    assert folder.is_finished(here / "out" / "points" / "000_epochs-1")


@pytest.mark.parametrize(
    "error",
    [
        InputError("f.toml: train.epochs", "found 0", "1 would do"),
        ScenarioError("a", "b", "c"),
        DataError("a", "b", "c"),
        FixedPointError("the number"),
        SweepError("a process died"),
        DeadlockError(3.0, [Wait("A", "B", "Kind", 1.0), Wait("B", "A", "Kind", 2.0)], ["other"]),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_cross_processes_as_they_are(error: P2N2SimError) -> None:
    """What a process of a sweep raises arrives with its type, its text and its parts."""
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert vars(copy) == vars(error)
