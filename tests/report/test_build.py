"""The page: self-contained, reproducible, and never in the way of anything else."""

from __future__ import annotations

import hashlib
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest

from p2n2sim.errors import InputError
from p2n2sim.report.build import build
from p2n2sim.report.figures import of_sweep
from p2n2sim.report.read import StoredSweep, read


def digests(folder: Path) -> dict[str, str]:
    """Hash of every file."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_page_is_self_contained(folders: dict[str, Path], tmp_path: Path) -> None:
    """The page refers to nothing outside itself, and says nothing of where it was made."""
    page = build(list(folders.values()), tmp_path / "out")
    text = page.read_text("utf-8")
    references = re.findall(r"(?:src|href)=\"([^\"]*)\"", text) + re.findall(r"url\(([^)]*)\)", text)
    assert references
    assert all(reference.startswith("#") for reference in references)
    assert "<script" not in text
    for file in (text, (tmp_path / "out" / "README.md").read_text("utf-8")):
        assert str(tmp_path) not in file
        assert str(folders["two"].parent) not in file


def test_same_folders_same_bytes(folders: dict[str, Path], tmp_path: Path) -> None:
    """Two reports on the same folders are equal to the byte, wherever they are written."""
    given = [folders["two"], folders["by-bandwidth"]]
    build(given, tmp_path / "one")
    build(given, tmp_path / "other" / "two")
    assert digests(tmp_path / "one") == digests(tmp_path / "other" / "two")


def test_files_beside_every_figure(folders: dict[str, Path], tmp_path: Path) -> None:
    """Every figure is there as SVG and PNG with a CSV of its numbers, and the README shows it."""
    build(list(folders.values()), tmp_path / "out")
    figures = tmp_path / "out" / "figures"
    names = {path.stem for path in figures.iterdir()}
    assert len(names) == 3 * 2 + 1 + 2 + 1 + 1
    readme = (tmp_path / "out" / "README.md").read_text("utf-8")
    for name in names:
        assert {path.suffix for path in figures.glob(f"{name}.*")} == {".svg", ".png", ".csv"}
        assert f"(figures/{name}.png)" in readme


def test_csv_holds_the_figures_numbers(folders: dict[str, Path], tmp_path: Path) -> None:
    """The CSV is the table behind the figure."""
    build([folders["by-bandwidth"]], tmp_path / "out")
    stored = read(folders["by-bandwidth"])
    assert isinstance(stored, StoredSweep)
    (exhibit,) = of_sweep(stored)
    written = pd.read_csv(tmp_path / "out" / "figures" / f"{exhibit.name}.csv")
    pd.testing.assert_frame_equal(written, exhibit.table, check_dtype=False)


def test_page_tells_the_results(folders: dict[str, Path], tmp_path: Path) -> None:
    """AUC, rounds and what the parties learned stand on the page."""
    stored = read(folders["four"])
    text = build([folders["four"]], tmp_path / "out").read_text("utf-8")
    summary = stored.summary  # type: ignore[union-attr]
    for what in (
        f"{summary['metrics']['auc']:.4f}",
        f"{summary['traffic']['rounds']:,}",
        "dL/dh_L",
        "share of UV",
    ):
        assert what in text


SENTENCE = "ciphertexts: sizes and costs are exact, the values travelled in the clear"


@pytest.mark.parametrize(("name", "which"), [("modelled", "paillier"), ("by-protocol", "ckks")])
def test_what_is_modelled_is_said(folders: dict[str, Path], tmp_path: Path, name: str, which: str) -> None:
    """At the top, under the heading and in every caption, for a run and for a sweep with such a point."""
    for folder, modelled in ((folders[name], True), (folders["two"], False), (folders["by-size"], False)):
        page = build([folder], tmp_path / folder.name)
        readme = (tmp_path / folder.name / "README.md").read_text("utf-8")
        for text in (page.read_text("utf-8"), readme):
            assert ("modelled parts" in text) == modelled
            assert (f"Modelled: {which} {SENTENCE}." in text) == modelled
        captions = re.findall("<figcaption>.*</figcaption>", page.read_text("utf-8"))
        assert captions
        assert all((f"MODELLED: {which} {SENTENCE}." in caption) == modelled for caption in captions)


def test_an_unchanged_machine_profile_is_not_said_to_be_changed(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    """The scenarios here leave [compute] alone, so no caption names a role."""
    text = build([folders["two"]], tmp_path / "out").read_text("utf-8")
    assert "machine profile reference, one core a party)." in text
    assert "changed for" not in text


def test_ciphertexts_have_a_column_of_their_own(folders: dict[str, Path], tmp_path: Path) -> None:
    """Only where a run has any; the cells of a row are as many as the columns."""
    for name, titles in (("two", 3), ("modelled", 4)):
        build([folders[name]], tmp_path / name)
        lines = (tmp_path / name / "README.md").read_text("utf-8").splitlines()
        at = lines.index("### What each party learned") + 2
        table = [line for line in lines[at:] if line.startswith("|")]
        assert {line.replace("\\|", "").count("|") for line in table} == {titles + 1}
        assert ("encrypted (bytes)" in table[0]) == (titles == 4)
        assert len(table) == 2 + len(read(folders[name]).summary["views"])  # type: ignore[union-attr]


def test_a_report_replaces_a_report(folders: dict[str, Path], tmp_path: Path) -> None:
    """An older report is replaced whole."""
    out = tmp_path / "out"
    build([folders["by-width"]], out)
    build([folders["two"]], out)
    assert {path.stem for path in (out / "figures").iterdir()} == {"two-loss", "two-traffic"}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_nothing_else_is_replaced(folders: dict[str, Path], tmp_path: Path) -> None:
    """A folder that holds something else is left alone."""
    (tmp_path / "index.html").write_text("my home page")
    with pytest.raises(InputError, match="holds no report"):
        build([folders["two"]], tmp_path)
    assert (tmp_path / "index.html").read_text() == "my home page"


def test_no_folder(tmp_path: Path) -> None:
    """A folder that does not exist, or holds nothing of ours, is named with what would do."""
    with pytest.raises(InputError, match=r"there is no such folder; a run folder has summary.json"):
        build([tmp_path / "missing"], tmp_path / "out")
    with pytest.raises(InputError, match="it holds no finished run or sweep"):
        build([tmp_path], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_unfinished_sweep(folders: dict[str, Path], tmp_path: Path) -> None:
    """A sweep without its table is not finished, and the message says how to go on."""
    shutil.copytree(folders["by-width"], tmp_path / "sweep")
    (tmp_path / "sweep" / "sweep.parquet").unlink()
    with pytest.raises(InputError, match="the sweep is not finished; continue it"):
        build([tmp_path / "sweep"], tmp_path / "out")


@pytest.mark.parametrize("name", ["summary.json", "ledger.parquet", "metrics.parquet", "scenario.toml"])
def test_damaged_file(folders: dict[str, Path], tmp_path: Path, name: str) -> None:
    """A file that was cut short is named, and nothing is written."""
    shutil.copytree(folders["two"], tmp_path / "run")
    path = tmp_path / "run" / name
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match=name):
        build([tmp_path / "run"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_missing_file(folders: dict[str, Path], tmp_path: Path) -> None:
    """A file that is missing from a finished run is named."""
    shutil.copytree(folders["two"], tmp_path / "run")
    (tmp_path / "run" / "ledger.parquet").unlink()
    with pytest.raises(InputError, match=r"ledger\.parquet: the file is missing"):
        build([tmp_path / "run"], tmp_path / "out")


def test_two_of_one_name(folders: dict[str, Path], tmp_path: Path) -> None:
    """Two folders of one name would overwrite each other's figures: refused."""
    with pytest.raises(InputError, match="two folders hold a scenario of this name"):
        build([folders["two"], folders["two"]], tmp_path / "out")
