"""Where data files are looked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from p2n2sim.data import locate
from p2n2sim.data.find import VARIABLE, directories
from p2n2sim.errors import DataError


def _put(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def test_order_of_directories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The directory given comes first, then the environment's, then ./data, then ../shared/data."""
    file = "financial_distress.parquet"
    given, environment = tmp_path / "given", tmp_path / "environment"
    places = [given / file, environment / file, Path("data") / file, Path("../shared/data") / file]
    _put(*places)
    monkeypatch.setenv(VARIABLE, str(environment))
    for place in places:
        assert locate("financial_distress", given) == place
        place.unlink()
    assert locate("financial_distress", given) is None


def test_full_file_before_subset() -> None:
    """Within one directory the published set is preferred to the subset."""
    data = Path("data")
    _put(data / "creditcard_subset.parquet")
    assert locate("creditcard") == data / "creditcard_subset.parquet"
    _put(data / "creditcard.parquet")
    assert locate("creditcard") == data / "creditcard.parquet"
    _put(data / "creditcard.csv")
    assert locate("creditcard") == data / "creditcard.csv"


def test_first_directory_decides(tmp_path: Path) -> None:
    """A subset in the directory given wins over a full file elsewhere: the user pointed there."""
    _put(Path("data/creditcard.csv"), tmp_path / "creditcard_subset.parquet")
    assert locate("creditcard", tmp_path) == tmp_path / "creditcard_subset.parquet"


def test_named_directory_must_exist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory that was named and does not exist is an error, not a reason to look elsewhere."""
    with pytest.raises(DataError, match="nowhere is no directory") as caught:
        locate("creditcard", tmp_path / "nowhere")
    assert caught.value.where == "--data"
    monkeypatch.setenv(VARIABLE, str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match="nowhere is no directory") as caught:
        directories()
    assert caught.value.where == VARIABLE


def test_empty_variable_is_no_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty environment variable counts as not set."""
    monkeypatch.setenv(VARIABLE, "")
    assert directories() == (Path("data"), Path("../shared/data"))
