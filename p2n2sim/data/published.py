"""Holding a copy of a published set against what was published."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from p2n2sim.data.tabular import Columns
from p2n2sim.errors import DataError

_REMEDY = "bring the published file again, or give this one as your own: data.source = its path"


def check_published(
    columns: Columns, label: str, *, rows: int, positives: int, categories: Mapping[str, int]
) -> NDArray[np.int8]:
    """The labels of a copy that has the published counts.

    The values of categorical columns become columns of the encoded data. That their number is the published
    one is checked, so the layout of the features is known to everybody and tells nothing of a row.

    Args:
        columns: what was read.
        label: name of the label column.
        rows: published number of rows.
        positives: published number of rows of class 1.
        categories: categorical column -> published number of distinct values.

    Returns:
        int8, shape (rows,).

    Raises:
        DataError: something differs.
    """
    if columns.rows != rows:
        found = f"{columns.rows:,} rows where the published set has {rows:,}"
        raise DataError(columns.where, found + (": it is truncated" if columns.rows < rows else ""), _REMEDY)
    y = columns.labels(label)
    if (ones := int(np.count_nonzero(y))) != positives:
        found = f"{ones:,} rows of class 1 where the published set has {positives:,}"
        raise DataError(f"{columns.where}: label column {label!r}", found, _REMEDY)
    for name, published in categories.items():
        if (values := len(columns.codes(name)[0])) != published:
            raise DataError(
                f"{columns.where}: column {name!r}",
                f"{values} distinct values where the published set has {published}",
                _REMEDY,
            )
    return y


def source_line(path: Path | None, name: str, rows: int, positives: int, positive: str) -> str:
    """The line that says what the numbers of a published set are.

    Args:
        path: the file they were read from; None for a stand-in.
        name: what scenarios call the set.
        rows: as published.
        positives: rows of class 1, as published.
        positive: what a row of class 1 is called.
    """
    if path is not None:
        return f"real file {path.name} ({rows:,} rows)"
    return (
        f"stand-in generated from seed 0, same layout ({rows:,} rows) and class ratio "
        f"({positives:,} {positive}) as the published {name} data, which was not found"
    )


def highest(score: NDArray[np.float64], count: int) -> NDArray[np.bool_]:
    """Which rows have the highest scores.

    Args:
        score: (rows,).
        count: how many.

    Returns:
        bool, shape (rows,), with so many true.
    """
    chosen = np.zeros(len(score), dtype=np.bool_)
    chosen[np.argsort(-score, kind="stable")[:count]] = True
    return chosen
