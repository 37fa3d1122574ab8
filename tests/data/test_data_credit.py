"""Credit data sets: layouts, stand-ins, missing values, wrong files; cleaning; history."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from p2n2sim.data import (
    columns_by_name,
    german_credit,
    give_me_some_credit,
    load,
    locate,
    prepare,
    uci_default,
)
from p2n2sim.data.clean import clean, signed_log
from p2n2sim.data.names import matching
from p2n2sim.data.sets import Table
from p2n2sim.errors import DataError, ScenarioError

LAYOUTS = {"uci_default": (30_000, 33, 6_636), "give_me_some_credit": (150_000, 12, 10_026)} | {
    "german_credit": (1_000, 61, 300)
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_stand_in_has_the_published_layout(name: str) -> None:
    """Without a file a credit set has the published rows, columns and class ratio, and is named."""
    table = load(name)
    assert (table.rows, table.features, table.positives) == LAYOUTS[name]
    assert table.stand_in
    assert table.source.startswith("stand-in generated from seed 0")
    assert table.fingerprint == load(name).fingerprint


@pytest.mark.parametrize("name", LAYOUTS)
def test_published_file_is_read(name: str, real_credit: dict[str, Path]) -> None:
    """The published file has the stand-in's columns, and is called real."""
    if name not in real_credit:
        pytest.skip("the published file is not here")
    table = load(name, data_dir=real_credit[name].parent)
    assert (table.rows, table.features, table.positives) == LAYOUTS[name]
    assert not table.stand_in
    assert table.feature_names == load(name).feature_names


@pytest.fixture(scope="session")
def real_credit() -> dict[str, Path]:
    """The published files found from where the tests were started."""
    found = {name: locate(name) for name in LAYOUTS}
    return {name: path.resolve() for name, path in found.items() if path is not None}


def test_missing_values_are_marked(tmp_path: Path) -> None:
    """A missing income is 0 and its indicator 1, be it a null of Parquet or NA in CSV."""
    columns = give_me_some_credit.stand_in_columns()
    missing = columns.column("MonthlyIncome").is_null().to_numpy()
    pyarrow.csv.write_csv(columns, tmp_path / "cs-training.csv")
    text = (tmp_path / "cs-training.csv").read_text().replace(",,", ",NA,")
    (tmp_path / "cs-training.csv").write_text(text)
    table = load("give_me_some_credit", data_dir=tmp_path)
    value, mark = (table.feature_names.index(name) for name in ("MonthlyIncome", "MonthlyIncome=missing"))
    np.testing.assert_array_equal(table.X[:, mark] == 1, missing)
    assert (table.X[missing, value] == 0).all()
    assert (table.X[~missing, value] > 0).all()
    np.testing.assert_array_equal(table.X, load("give_me_some_credit", data_dir=None).X)


def test_wrong_files_are_named(tmp_path: Path) -> None:
    """Rows, positives, codes and columns that differ from the published ones are told with the column."""
    columns = german_credit.stand_in_columns()
    path = tmp_path / "german_credit.parquet"
    pyarrow.parquet.write_table(columns.slice(0, 999), path)
    with pytest.raises(DataError, match="999 rows where the published set has 1,000: it is truncated"):
        load("german_credit", data_dir=tmp_path)
    wrong = columns.set_column(columns.column_names.index("A20"), "A20", pa.array(["A201"] * 1_000))
    pyarrow.parquet.write_table(wrong, path)
    with pytest.raises(DataError, match="column 'A20': 1 distinct values where the published set has 2"):
        load("german_credit", data_dir=tmp_path)
    flipped = columns.set_column(columns.column_names.index("class"), "class", pa.array([1] * 999 + [2]))
    pyarrow.parquet.write_table(flipped, path)
    with pytest.raises(DataError, match="1 rows of class 1 where the published set has 300"):
        load("german_credit", data_dir=tmp_path)
    pyarrow.parquet.write_table(columns.drop_columns(["A5"]), path)
    with pytest.raises(DataError, match="no column 'A5'"):
        load("german_credit", data_dir=tmp_path)


def test_names_and_patterns() -> None:
    """A name stands for itself and its one-hot columns, a pattern for all that it fits; [ is a letter."""
    names = ["PAY_0", "PAY_2", "PAY_AMT1", "SEX=1", "SEX=2", "x[1]a"]
    assert matching(names, "PAY_?") == [0, 1]
    assert matching(names, "PAY_*") == [0, 1, 2]
    assert matching(names, "SEX") == matching(names, "S*") == [3, 4]
    assert matching(names, "x[1]*") == [5]
    assert matching(names, "BILL*") == []
    parts = columns_by_name(names, [["PAY_*"], ["SEX", "x*"]])
    assert [part.tolist() for part in parts] == [[0, 1, 2], [3, 4, 5]]


def _table() -> Table:
    X = np.array([[-5.0, 10.0, 1.0], [0.5, 1000.0, 0.0]])
    return Table(
        "t", "t", False, X, np.array([0, 1], np.int8), ("a", "b", "c=1"), np.array([True, True, False])
    )


def test_cleaning_is_within_bounds_and_row_by_row() -> None:
    """Values are held within bounds before the logarithm, and the ranges hold for what comes out."""
    table, ranges = clean(_table(), {"a": (-1.0, 1.0), "b": (0.0, 100.0)}, ["b"])
    np.testing.assert_allclose(table.X, [[-1, np.log(11), 1], [0.5, np.log(101), 0]])
    np.testing.assert_allclose(ranges.lower, [-1, 0, 0])
    np.testing.assert_allclose(ranges.upper, [1, np.log(101), 1])
    np.testing.assert_allclose(signed_log(np.array([-np.e + 1, 0.0])), [-1.0, 0.0])
    same, unknown = clean(_table(), {}, [])
    assert same.fingerprint == _table().fingerprint
    assert np.isinf(unknown.upper[:2]).all()


@pytest.mark.parametrize(
    ("bounds", "logarithm", "where"),
    [
        ({"c": (0.0, 1.0)}, [], "data.bounds"),
        ({"a": (1.0, 1.0)}, [], "data.bounds"),
        ({"a": (0.0, 1.0), "?": (0.0, 1.0)}, [], "data.bounds"),
        ({}, ["z*"], "data.logarithm"),
    ],
)
def test_wrong_cleaning_is_named(
    bounds: dict[str, tuple[float, float]], logarithm: list[str], where: str
) -> None:
    """Unknown columns, one-hot columns, empty ranges and double bounds are refused at their key."""
    with pytest.raises(ScenarioError) as caught:
        clean(_table(), bounds, logarithm)
    assert caught.value.where == where


def test_history_of_a_company() -> None:
    """x@1 of a row is x@0 of its company's row one period before, or the earliest there is."""
    now, table = load("financial_distress"), load("financial_distress", history=2)
    at = {name: i for i, name in enumerate(table.feature_names)}
    assert table.features == 3 * 82 + 473
    np.testing.assert_array_equal(table.X[:, at["x1@0"]], now.X[:, 0])
    company = np.array([i for i, name in enumerate(table.feature_names) if name.startswith("Company=")])
    time = np.array([i for i, name in enumerate(table.feature_names) if name.startswith("Time=")])
    keys = list(zip(table.X[:, company].argmax(1), table.X[:, time].argmax(1), strict=True))
    rows = {key: row for row, key in enumerate(keys)}
    for row, (who, when) in list(enumerate(keys))[:400]:
        before = rows.get((who, when - 1), row)
        assert table.X[row, at["x7@1"]] == now.X[before, now.feature_names.index("x7")]
    assert "2 earlier periods" in table.source
    with pytest.raises(ScenarioError, match="no periods"):
        load("uci_default", history=1)


def test_bounds_reach_the_prepared_data() -> None:
    """What prepare returns was cleaned before it was scaled, and knows its ranges."""
    bounds = {"AGE": (30.0, 40.0)}
    data = prepare(source="uci_default", seed=1, standardise=False, fraction=0.1, bounds=bounds)
    age = data.X_train[:, uci_default.NUMERIC.index("AGE")]
    assert (age.min(), age.max()) == (30, 40)
    assert data.ranges is not None
    assert data.ranges.upper[uci_default.NUMERIC.index("AGE")] == 40
