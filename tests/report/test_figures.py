"""The figures: right numbers, from the folders alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from p2n2sim.report.figures import Exhibit, fit_line, of_run, of_sweep
from p2n2sim.report.read import StoredRun, StoredSweep, read


def exhibits(folder: Path) -> list[Exhibit]:
    """All figures of a folder."""
    stored = read(folder)
    return list(of_run(stored) if isinstance(stored, StoredRun) else of_sweep(stored))


def test_line_through_points_on_a_line() -> None:
    """Points on a line are explained wholly."""
    x = np.array([1.0, 2.0, 5.0])
    assert fit_line(x, 3 * x - 1) == pytest.approx((3, -1, 1))


def test_line_through_scattered_points() -> None:
    """R^2 is the squared correlation of x and y, by an independent formula."""
    random = np.random.default_rng(0)
    x = random.normal(size=50)
    y = 2 * x + random.normal(size=50)
    slope, _, r2 = fit_line(x, y)
    assert r2 == pytest.approx(np.corrcoef(x, y)[0, 1] ** 2)
    assert slope == pytest.approx(np.cov(x, y)[0, 1] / np.var(x, ddof=1))


def test_constant_values() -> None:
    """A constant is a line without slope that explains everything."""
    assert fit_line(np.array([1.0, 2.0]), np.array([4.0, 4.0])) == pytest.approx((0, 4, 1))


def test_time_by_bandwidth(folders: dict[str, Path]) -> None:
    """Points are sorted by bandwidth; training time falls as it grows."""
    (exhibit,) = exhibits(folders["by-bandwidth"])
    assert list(exhibit.table["bandwidth_bit_per_s"]) == [1e5, 1e6, 1e7]
    assert exhibit.table["time.train_s"].is_monotonic_decreasing
    assert "Figure 5" in exhibit.caption


def test_time_by_size(folders: dict[str, Path]) -> None:
    """Time by data size is fitted by a line for each value of the other swept key."""
    by_size, by_holders = exhibits(folders["by-size"])
    assert list(by_size.table["data.rows_train"]) == sorted(by_size.table["data.rows_train"])
    for holders, line in by_size.table.groupby("data.holders"):
        r2 = fit_line(line["data.rows_train"].to_numpy(float), line["time.train_s"].to_numpy(float))[2]
        assert f"data.holders = {holders}" in by_size.caption
        assert f"R² = {r2:.6f}" in by_size.caption
    assert by_holders.title == "Time, traffic and AUC by data.holders"


def test_any_other_key(folders: dict[str, Path]) -> None:
    """A key whose values are lists gets a figure with one place for each."""
    (exhibit,) = exhibits(folders["by-width"])
    labels = [text.get_text() for text in exhibit.figure.axes[-1].get_xticklabels()]
    assert len(labels) == 2
    assert list(exhibit.table["metrics.auc"].between(0, 1)) == [True, True]


@pytest.mark.parametrize("name", ["two", "four"])
def test_traffic_adds_up(folders: dict[str, Path], name: str) -> None:
    """The bars of all links and phases add up to the summary's wire bytes."""
    stored = read(folders[name])
    assert isinstance(stored, StoredRun)
    table = next(e for e in exhibits(folders[name]) if e.name.endswith("traffic")).table
    assert table[["online", "offline"]].to_numpy().sum() == stored.summary["traffic"]["wire_bytes"]
    assert len(table) == len(stored.summary["traffic"]["by_link"])


def test_losses_are_the_metrics(folders: dict[str, Path]) -> None:
    """The table behind the loss curves is the run's own."""
    stored = read(folders["two"])
    assert isinstance(stored, StoredRun)
    loss = next(e for e in exhibits(folders["two"]) if e.name.endswith("loss"))
    pd.testing.assert_frame_equal(loss.table, stored.metrics)
    assert f"{stored.summary['metrics']['auc']:.4f}" in loss.caption


def test_captions_say_where_numbers_come_from(folders: dict[str, Path]) -> None:
    """Every caption names scenario, seed, data, links and machine, and that times are virtual."""
    for folder in folders.values():
        for exhibit in exhibits(folder):
            for what in ("Scenario ", "seed 1", "own.csv", "virtual time", "ideal links", "machine profile"):
                assert what in exhibit.caption, (exhibit.name, what)


def test_captions_leave_out_what_is_swept(folders: dict[str, Path]) -> None:
    """What a sweep varies is not told as if it were fixed."""
    by_size, _ = exhibits(folders["by-size"])
    assert " holders" not in by_size.caption.replace("data.holders", "")
    (by_bandwidth,) = exhibits(folders["by-bandwidth"])
    assert "2 holders" in by_bandwidth.caption
    assert "bit/s" not in by_bandwidth.caption


def test_every_axis_is_labelled(folders: dict[str, Path]) -> None:
    """Every axis of every figure has a label, save where a neighbour's serves or the bars are named."""
    for folder in folders.values():
        for exhibit in exhibits(folder):
            assert exhibit.figure.axes[-1].get_xlabel()
            if not exhibit.name.endswith("traffic"):
                assert all(axes.get_ylabel() for axes in exhibit.figure.axes)


def test_read_tells_runs_from_sweeps(folders: dict[str, Path]) -> None:
    """A folder is read as what it holds."""
    assert isinstance(read(folders["two"]), StoredRun)
    sweep = read(folders["by-size"])
    assert isinstance(sweep, StoredSweep)
    assert sweep.keys == ["data.fraction", "data.holders"]
    assert len(sweep.table) == 6
