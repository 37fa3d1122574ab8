"""Bringing the credit card set over the network."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from p2n2sim.data import creditcard as fraud
from p2n2sim.data import fetch, load
from p2n2sim.errors import DataError


def _answer(monkeypatch: pytest.MonkeyPatch, frame: pd.DataFrame) -> None:
    """Lets OpenML answer with a table; everything on this side of the network is real."""

    def answer(**_: Any) -> SimpleNamespace:
        return SimpleNamespace(frame=frame)

    monkeypatch.setattr(fetch, "fetch_openml", answer)


def _openml_frame() -> pd.DataFrame:
    table = fraud.stand_in()
    frame = pd.DataFrame(table.X, columns=list(table.feature_names))
    return frame.assign(Amount=1.0, Class=pd.Categorical(table.y.astype(np.str_)))


def test_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a network there is one clear message, and nothing is left behind."""
    # A proxy on a port where nothing listens makes every machine one without a network.
    for variable in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    for variable in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    target = tmp_path / "data"
    with pytest.raises(DataError, match=r"could not be brought .*refused.*connect to a network") as caught:
        fetch.fetch_creditcard(target)
    assert caught.value.where == "OpenML data set 1597 (creditcard)"
    assert "\n" not in str(caught.value)
    assert not target.exists()


def test_what_was_brought_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The set lands as one Parquet file that the lookup finds and the loader takes for the full set."""
    _answer(monkeypatch, _openml_frame())
    path = fetch.fetch_creditcard(Path("data"))
    assert [file.name for file in Path("data").iterdir()] == ["creditcard.parquet"]
    table = load("creditcard")
    assert table.path == path
    assert table.source == "real file creditcard.parquet (284,807 rows)"
    assert table.fingerprint == fraud.stand_in().fingerprint


def test_short_answer_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer with too few rows or without a column is refused, and nothing is written."""
    target = tmp_path / "data"
    _answer(monkeypatch, _openml_frame().iloc[:200_000])
    with pytest.raises(DataError, match="200,000 rows where the published set has 284,807"):
        fetch.fetch_creditcard(target)
    _answer(monkeypatch, pd.DataFrame({"V1": [0.0], "Class": ["0"]}))
    with pytest.raises(DataError, match="no column 'V2'"):
        fetch.fetch_creditcard(target)
    assert not target.exists()


def test_target_must_be_a_directory(tmp_path: Path) -> None:
    """A file in the place of the directory is told before anything is brought."""
    target = tmp_path / "file"
    target.write_text("")
    with pytest.raises(DataError, match="is no directory"):
        fetch.fetch_creditcard(target)


def test_failed_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the file cannot be put in its place, no half-written one is left."""
    (tmp_path / "creditcard.parquet").mkdir()
    _answer(monkeypatch, _openml_frame())
    with pytest.raises(DataError, match="cannot be written"):
        fetch.fetch_creditcard(tmp_path)
    assert sorted(entry.name for entry in tmp_path.iterdir() if entry.name != "a") == ["creditcard.parquet"]
