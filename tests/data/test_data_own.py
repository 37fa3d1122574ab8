"""The user's own CSV and Parquet files."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from p2n2sim.data import load
from p2n2sim.errors import DataError, InputError

GOOD = "age,city,member,bad\n30,Rome,true,no\n41.5,Bonn,false,yes\n22,Rome,false,no\n"


def _csv(text: str, name: str = "own.csv") -> str:
    Path(name).write_text(text)
    return name


def _parquet(columns: dict[str, Any]) -> str:
    pyarrow.parquet.write_table(pa.table(columns), "own.parquet")
    return "own.parquet"


def test_columns_become_numbers() -> None:
    """Numbers and truth values stay in front as they are, text follows one-hot in alphabetical order."""
    table = load(_csv(GOOD), label="bad")
    assert table.feature_names == ("age", "member", "city=Bonn", "city=Rome")
    np.testing.assert_array_equal(table.X, [[30, 1, 0, 1], [41.5, 0, 1, 0], [22, 0, 0, 1]])
    np.testing.assert_array_equal(table.y, [0, 1, 0])
    np.testing.assert_array_equal(table.continuous, [True, True, False, False])
    assert (table.source, table.stand_in, table.path) == ("own file own.csv (3 rows)", False, Path("own.csv"))


def test_csv_and_parquet_agree() -> None:
    """The same columns in either format give the same fingerprint."""
    table = load(_csv(GOOD), label="bad")
    same = _parquet(
        {
            "age": [30.0, 41.5, 22.0],
            "city": pa.array(["Rome", "Bonn", "Rome"]).dictionary_encode(),
            "member": [True, False, False],
            "bad": ["no", "yes", "no"],
        }
    )
    assert load(same, label="bad").fingerprint == table.fingerprint


def test_dropped_columns_are_gone() -> None:
    """Columns named in data.drop are no features and may hold anything."""
    table = load(_csv("id,a,y\nx1,1,0\n,2,1\n"), label="y", drop=["id"])
    assert table.feature_names == ("a",)


def test_type_is_inferred_from_all_rows() -> None:
    """A column that looks like whole numbers for a megabyte and then does not is still one of numbers."""
    rows = 200_000
    text = "a,y\n" + "".join(f"{row},{row % 2}\n" for row in range(rows)) + "0.5,1\n"
    assert load(_csv(text), label="y").X[-1, 0] == 0.5


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ([0, 1, 1], [0, 1, 1]),
        ([2, 1, 1], [1, 0, 0]),
        ([-1.0, 1.0, -1.0], [0, 1, 0]),
        ([True, False, True], [1, 0, 1]),
        (["good", "bad", "bad"], [1, 0, 0]),
        (pa.array(["0", "1", "0"]).dictionary_encode(), [0, 1, 0]),
    ],
)
def test_larger_label_is_one(labels: Any, expected: list[int]) -> None:
    """Of two distinct labels the larger, or later in the alphabet, is class 1."""
    table = load(_parquet({"x": [1, 2, 3], "y": labels}), label="y")
    np.testing.assert_array_equal(table.y, expected)
    assert table.y.dtype == np.int8


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x,y\n1,0\n2,0\n", r"own.csv: label column 'y': labels of one class only \(all 2 rows say 0\)"),
        ("x,y\n1,a\n2,b\n3,c\n", r"own.csv: label column 'y': 3 distinct labels \('a', 'b', 'c'\)"),
        ("x,y\n1,1\n2,2\n3,3\n4,4\n5,5\n6,6\n", r"6 distinct labels \(1, 2, 3, 4, 5, ...\)"),
        ("x,y\n", "label column 'y': no rows"),
        ("x,y\n1,0\n2,\n", "column 'y': 1 of 2 values are missing"),
        ("x,y\n1,0\n,1\n", "column 'x': 1 of 2 values are missing"),
        ("x,y\na,0\n,1\n", "column 'x': 1 of 2 values are missing"),
        ("x,y\n,0\n,1\n", "column 'x': 2 of 2 values are missing"),
        ("x,y\n1,0\nNaN,1\n", "column 'x': 1 of 2 values are missing"),
        ("x,y\n1,0\n-inf,1\n", "column 'x': 1 of 2 values are infinite"),
        ("x,y\n1,0\n1e39,1\n", "column 'x': 1 of 2 values are infinite or too large"),
        ("x,x,y\n1,1,0\n2,2,1\n", "two columns are called 'x'"),
        ("y\n0\n1\n", "no column besides the label 'y'"),
        ("x,y\n2020-01-01,0\n2020-01-02,1\n", "column 'x': values of type date32"),
        ("x,y\n1,0\n2", "own.csv: cannot be read .*Expected 2 columns, got 1"),
        ("", "own.csv: cannot be read .*[Ee]mpty CSV"),
    ],
)
def test_unusable_csv(text: str, message: str) -> None:
    """What cannot be used is told with file, column, what was found and how often."""
    with pytest.raises(DataError, match=message):
        load(_csv(text), label="y")


def test_nan_in_parquet_is_missing() -> None:
    """A NaN in a Parquet file counts as a missing value, as a null does."""
    with pytest.raises(DataError, match="column 'x': 2 of 3 values are missing"):
        load(
            _parquet({"x": pa.array([1.0, None, float("nan")], from_pandas=False), "y": [0, 1, 1]}), label="y"
        )


def test_dates_are_no_features() -> None:
    """A column of another type names the type and the way out."""
    with pytest.raises(DataError, match=r"type date32.*data\.drop"):
        load(_parquet({"when": [date(2020, 1, 1), date(2020, 1, 2)], "y": [0, 1]}), label="y")


def test_identifiers_are_no_categories() -> None:
    """A text column with more than a thousand values is refused before it becomes as many features."""
    rows = 1_001
    path = _parquet({"id": [f"c{row}" for row in range(rows)], "y": [row % 2 for row in range(rows)]})
    with pytest.raises(DataError, match="column 'id': 1,001 distinct values"):
        load(path, label="y")


@pytest.mark.parametrize("keep", [0, 3, 100, -1])
def test_truncated_parquet(keep: int) -> None:
    """A Parquet file that was cut anywhere is called damaged or truncated."""
    path = Path(_parquet({"x": list(range(1_000)), "y": [0, 1] * 500}))
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DataError, match=r"own.parquet: cannot be read .*truncated"):
        load(str(path), label="y")


def test_damaged_parquet() -> None:
    """A Parquet file whose pages were overwritten is called damaged, though its footer is whole."""
    path = Path(_parquet({"x": list(range(1_000)), "y": [0, 1] * 500}))
    whole = path.read_bytes()
    path.write_bytes(whole[:4] + b"\xff" * 60 + whole[64:])
    with pytest.raises(DataError, match=r"own.parquet: cannot be read .*damaged"):
        load(str(path), label="y")


@pytest.mark.parametrize(
    ("arguments", "where", "message"),
    [
        ({"source": "own.csv"}, "data.label", "its columns: age, city, member, bad"),
        ({"source": "own.csv", "label": "class"}, "data.label", "no column 'class'"),
        ({"source": "own.csv", "label": "bad", "drop": ["zip"]}, "data.drop", "no column 'zip'"),
        ({"source": "own.csv", "label": "bad", "drop": ["bad"]}, "data.drop", "is the label column"),
        ({"source": "absent.csv", "label": "bad"}, "absent.csv", "no such file"),
        ({"source": "own.xlsx", "label": "bad"}, "data.source", "creditcard, financial_distress"),
        ({"source": "credit card"}, "data.source", "creditcard, financial_distress"),
        ({"source": "creditcard", "label": "Class"}, "data.label", "of its own"),
        ({"source": "creditcard", "drop": ["V1"]}, "data.drop", "of its own"),
        ({"source": "creditcard", "leak_target": True}, "data.leak_target", "only financial_distress"),
        (
            {"source": "own.csv", "label": "bad", "leak_target": True},
            "data.leak_target",
            "only financial_distress",
        ),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], where: str, message: str) -> None:
    """A wrong key is named, with what would do."""
    _csv(GOOD)
    with pytest.raises(InputError, match=message) as caught:
        load(**arguments)
    assert caught.value.where == where
