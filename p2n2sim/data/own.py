"""The user's own CSV or Parquet file, and the encoding of its columns."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from p2n2sim.data.sets import Table
from p2n2sim.data.tabular import Columns, column_names, read, some_of
from p2n2sim.errors import DataError

MOST_CATEGORIES = 1_000


def load_own(path: Path, *, label: str | None, drop: Sequence[str] = ()) -> Table:
    """A file with a header, one row per example, no missing values and a column with two labels.

    Numbers and truth values are features as they are; text columns are one-hot encoded.

    Args:
        path: a .csv or .parquet file.
        label: name of the label column; of its two values the larger, or later in the alphabet, is 1.
        drop: columns to leave out.

    Returns:
        A table with the numeric columns first, then the one-hot columns, each group in the file's order.

    Raises:
        DataError: the file, the label column or another column cannot be used.
    """
    present = column_names(path)
    if label is None:
        raise DataError(
            "data.label",
            f"no label column is named for {path}",
            f"name one of its columns: {some_of(present)}",
        )
    for key, names in (("data.label", (label,)), ("data.drop", drop)):
        for name in names:
            if name not in present:
                raise DataError(
                    key, f"{path} has no column {name!r}", f"name one of its columns: {some_of(present)}"
                )
    if label in drop:
        raise DataError("data.drop", f"{label!r} is the label column", "leave it out of this list")
    wanted = [name for name in present if name != label and name not in drop]
    if not wanted:
        raise DataError(
            str(path), f"no column besides the label {label!r}", "a file with at least one feature"
        )
    columns = read(path, [*wanted, label])
    y = columns.labels(label)
    categorical = [name for name in wanted if columns.is_categorical(name)]
    X, names, continuous = encode(columns, [name for name in wanted if name not in categorical], categorical)
    return Table(
        name=str(path),
        source=f"own file {path.name} ({len(y):,} rows)",
        stand_in=False,
        X=X,
        y=y,
        feature_names=names,
        continuous=continuous,
        path=path,
    )


def encode(
    columns: Columns, numeric: Sequence[str], categorical: Sequence[str]
) -> tuple[NDArray[np.float64], tuple[str, ...], NDArray[np.bool_]]:
    """Numeric columns as they are, then one 0/1 column for every value of every categorical column.

    Args:
        columns: what was read from the file.
        numeric: names of numeric columns.
        categorical: names of columns to be one-hot encoded, values in ascending order.

    Returns:
        The features, float64, shape (rows, features); their names; and which of them are numeric, shape
        (features,).

    Raises:
        DataError: a column has missing or infinite values, or more distinct values than make sense as
            categories.
    """
    codes = {name: columns.codes(name) for name in categorical}
    for name, (values, _) in codes.items():
        if len(values) > MOST_CATEGORIES:
            raise DataError(
                f"{columns.where}: column {name!r}",
                f"{len(values):,} distinct values, each of which would become a feature",
                f"leave it out (data.drop) or group its values into at most {MOST_CATEGORIES:,}",
            )
    names = [*numeric, *(f"{name}={value}" for name, (values, _) in codes.items() for value in values)]
    X = np.zeros((columns.rows, len(names)))  # (rows, features)
    for position, name in enumerate(numeric):
        X[:, position] = columns.numbers(name)
    first, every_row = len(numeric), np.arange(columns.rows)
    for values, positions in codes.values():
        X[every_row, first + positions] = 1.0
        first += len(values)
    return X, tuple(names), np.arange(len(names)) < len(numeric)
