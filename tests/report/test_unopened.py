"""A training loss that nobody knows is never shown as a number."""

from __future__ import annotations

import io
import math
from pathlib import Path

import pytest
from rich.console import Console

from p2n2sim import folder
from p2n2sim.console import RunProgress, progress_bar, summary_tables
from p2n2sim.report.build import build
from p2n2sim.report.figures import losses
from p2n2sim.report.picture import draw
from p2n2sim.report.read import StoredRun, read
from p2n2sim.run import Run, run
from p2n2sim.scenario.load import load
from p2n2sim.summary import in_digits, training_loss
from tests import tiny


@pytest.fixture(scope="module")
def progress() -> io.StringIO:
    """What the run below writes while it goes on."""
    return io.StringIO()


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory, progress: io.StringIO) -> Run:
    """A run with the whole network under secret sharing."""
    path = tiny.write_scenario(tmp_path_factory.mktemp("whole"))
    console = Console(file=progress, width=100)
    with progress_bar(console) as bar:
        return run(load(path, ["protocol.secret_layers=3"]), threads=1, progress=RunProgress(console, bar))


@pytest.fixture(scope="module")
def stored(result: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its folder."""
    return folder.save(result, tmp_path_factory.mktemp("whole") / "whole")


def test_on_the_screen(result: Run, progress: io.StringIO) -> None:
    """Progress and tables say that the loss was not opened, and nothing is nan."""
    assert math.isnan(result.summary["metrics"]["loss_train"])
    out = io.StringIO()
    Console(file=out, width=80).print(summary_tables(result.summary))
    assert "not opened" in out.getvalue()
    assert "epoch 1: loss not opened in training, " in progress.getvalue()
    assert "nan" not in out.getvalue() + progress.getvalue()


def test_in_picture_and_report(result: Run, stored: Path, tmp_path: Path) -> None:
    """The picture is the same from memory (NaN) and from the folder (null), and the page tells why."""
    kept = read(stored)
    assert isinstance(kept, StoredRun)
    assert kept.summary["metrics"]["loss_train"] is None
    assert draw(kept) == draw(result) == (stored / "picture.png").read_bytes()
    exhibit = losses(kept)
    labels = exhibit.figure.axes[0].get_legend_handles_labels()[1]
    assert "secureml, test" in labels
    assert "secureml, train" not in labels
    page = build([stored], tmp_path / "out").read_text("utf-8")
    assert "nobody opens the training loss" in page


def test_numbers_as_text() -> None:
    """Unknown is a dash, in whichever way it is unknown; infinite is no number that was lost."""
    assert in_digits(0.12345, 4) == "0.1235"
    assert in_digits(None, 4) == in_digits(math.nan, 4) == "–"
    assert in_digits(math.inf, 4) == "inf"


def test_a_loss_that_diverged_was_opened() -> None:
    """Where parts of the network are in the clear, a loss that is no number is unknown, not unopened."""
    summary = {"protocol": "algorithm1", "metrics": {"loss_train": None}}
    assert training_loss(summary, 4) == "–"
