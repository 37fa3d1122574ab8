"""What a person sees."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from p2n2sim.console import RunProgress, progress_bar, summary_tables
from p2n2sim.run import Run, run
from p2n2sim.scenario.load import load
from tests import tiny


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """One run, for all tests to look at."""
    path = tiny.write_scenario(tmp_path_factory.mktemp("once"))
    return run(load(path, ["data.holders=4", "title=Four [red]holders[/red]"]), threads=1)


def screen(result: Run, width: int, terminal: bool = False) -> str:
    """The tables on a screen of some width."""
    out = io.StringIO()
    colours = {"force_terminal": True, "color_system": "standard"} if terminal else {}
    Console(file=out, width=width, **colours).print(summary_tables(result.summary))  # type: ignore[arg-type]
    return out.getvalue()


@pytest.mark.parametrize("width", [80, 120])
def test_the_tables_fit_the_screen(result: Run, width: int) -> None:
    """At 80 and 120 columns nothing is cut off or folded: a name stands on one line with its number."""
    text = screen(result, width)
    lines = text.splitlines()
    assert all(len(line) <= width for line in lines)
    assert "…" not in text
    summary = result.summary
    for key in ("by_phase", "by_stage", "by_link"):
        for name, row in summary["traffic"][key].items():
            assert any(line.split()[:2] == [name, f"{row['messages']:,}"] for line in lines)
    for view in summary["views"].values():
        for how in ("clear", "uniform"):
            for what, count in view[how].items():
                assert any(line.strip().startswith(what) and f"{count:,}" in line for line in lines)


def test_the_tables_say_what_was_promised(result: Run) -> None:
    """AUC and loss beside the plain network's, both times, traffic by group, rounds, what was learned."""
    text = screen(result, 80)
    summary = result.summary
    for values in (summary["metrics"], summary["baseline"]):
        assert f"{values['auc']:.4f}" in text
        assert f"{values['loss_test']:.6f}" in text
    for word in ("virtual: whole run", "wall: this simulation", "by phase", "offline", "online", "by link"):
        assert word in text
    assert "What each party learned" in text
    assert "dealer: nothing" in text
    assert f"{summary['traffic']['rounds']:,}" in text


def test_stand_ins_are_named_first(result: Run) -> None:
    """With stand-in data the first line says so; with real data nothing does."""
    assert "stand-in" not in screen(result, 80)
    marked = result.summary | {"data": result.summary["data"] | {"stand_in": True}}
    out = io.StringIO()
    Console(file=out, width=80).print(summary_tables(marked))
    assert out.getvalue().startswith("These are stand-in data, not the published set.")


def test_what_is_modelled_is_named_first(tmp_path: Path) -> None:
    """Modelled ciphertexts are told before any number, real ones have no such line; both have a column."""
    path = tiny.write_scenario(tmp_path)
    for crypto in ("real", "modelled"):
        result = run(load(path, ["protocol.first_layer=ckks", f"protocol.crypto={crypto}"]), threads=1)
        text = screen(result, 80)
        line = "Modelled: ckks ciphertexts: sizes and costs are exact, the values travelled in "
        assert text.startswith(line) == (crypto == "modelled")
        assert "ciphertext bytes" in text
        (row,) = [row for row in text.splitlines() if "X_1 theta_1 + ..." in row]
        assert row.split()[-1] == f"{14 * 65_536:,}"
        assert "dealer" not in text


def test_a_column_of_ciphertexts_only_where_there_are_any(result: Run) -> None:
    """Without encryption the table has the two columns that it always has."""
    text = screen(result, 80)
    assert "uniformly random" in text
    assert "ciphertext bytes" not in text
    assert "Modelled" not in text


def test_colours_are_for_terminals(result: Run) -> None:
    """Escape sequences are written to a terminal and nowhere else."""
    assert "\x1b[" in screen(result, 80, terminal=True)
    assert "\x1b[" not in screen(result, 80)


def test_progress_without_a_terminal_is_lines_only(tmp_path: Path) -> None:
    """In a file or a pipe there is no bar, one line for each predicted epoch, and brackets stay brackets."""
    out = io.StringIO()
    console = Console(file=out, width=80)
    path = tiny.write_scenario(tmp_path)
    with progress_bar(console) as bar:
        result = run(load(path, ["title=a [red]b[/red]"]), threads=1, progress=RunProgress(console, bar))
    lines = out.getvalue().splitlines()
    assert lines[:2] == ["a [red]b[/red]", "data: own file own.csv (120 rows)"]
    assert lines[2] == "96 training rows, 24 test rows, 6 features, 2 holders, 14 batches"
    assert [line.split(":")[0] for line in lines[3:]] == ["epoch 1", "epoch 2"]
    last = result.metrics.iloc[-1]
    losses = f"loss {last['loss_train']:.6f} training, {last['loss_test']:.6f} test"
    assert lines[-1] == f"epoch 2: {losses}, AUC {last['auc']:.4f}"


def test_a_terminal_sees_a_bar(tmp_path: Path) -> None:
    """On a terminal a bar counts the batches, and it is gone in the end."""
    out = io.StringIO()
    console = Console(file=out, width=80, force_terminal=True)
    path = tiny.write_scenario(tmp_path)
    with progress_bar(console) as bar:
        run(load(path), threads=1, progress=RunProgress(console, bar))
    assert "loading data" in out.getvalue()
    assert "/14" in out.getvalue()


def test_a_divided_prediction_is_told_once(tmp_path: Path) -> None:
    """Where a checkpoint divides the prediction of an epoch, its line comes when it is whole."""
    path = tiny.write_scenario(tmp_path)
    out = io.StringIO()
    console = Console(file=out, width=100)
    keys = ["train.checkpoint_every=3", "train.batch_size=10"]
    with progress_bar(console) as bar:
        run(load(path, keys), threads=1, progress=RunProgress(console, bar))
    assert [line.split(":")[0] for line in out.getvalue().splitlines() if "AUC" in line] == [
        "epoch 1",
        "epoch 2",
    ]
