"""Credit card fraud: 284,807 transactions, 492 of them frauds, 28 principal components V1 to V28.

Dal Pozzolo, Caelen, Johnson, Bontempi: Calibrating Probability with Undersampling for Unbalanced
Classification, 2015; the fraud detection data of the P2N2 paper ("28 features and 284,807 transactions").
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from p2n2sim.data.find import locate
from p2n2sim.data.sets import Table
from p2n2sim.data.tabular import Columns, read
from p2n2sim.errors import DataError

NAME = "creditcard"
TITLE = "Credit card fraud detection (ULB Machine Learning Group, 2015)"
FEATURES = tuple(f"V{number}" for number in range(1, 29))
LABEL = "Class"
ROWS = 284_807
FRAUDS = 492
NORMALS = ROWS - FRAUDS


def load_creditcard(data_dir: Path | None = None) -> Table:
    """The published set; else the subset, its normals to be resampled; else a stand-in.

    Some transactions differ in time only and are equal in V1 to V28, here as in the published set (99 of
    the subset's 20,014 normals repeat another one): a random split may part them.

    Args:
        data_dir: a directory to search before the usual ones.

    Returns:
        A table with 28 features that prepares to 284,807 rows.

    Raises:
        DataError: the file found is damaged, lacks a column or has not the published number of rows.
    """
    path = locate(NAME, data_dir)
    if path is None:
        return stand_in()
    columns = read(path, [*FEATURES, LABEL], numeric=True)
    y = columns.labels(LABEL)
    frauds = int(np.count_nonzero(y))
    subset = path.stem.endswith("_subset")
    check_counts(str(path), len(y), frauds, subset=subset)
    source = f"real file {path.name} ({ROWS:,} rows)"
    if subset:
        source = (
            f"subset in {path.name}: all {FRAUDS} frauds, and its {len(y) - frauds:,} normals "
            f"resampled to {NORMALS:,} after the split, so that none is in both parts"
        )
    return Table(
        name=NAME,
        source=source,
        stand_in=False,
        X=_matrix(columns),
        y=y,
        feature_names=FEATURES,
        continuous=np.ones(len(FEATURES), dtype=np.bool_),
        path=path,
        normals_after_resampling=NORMALS if subset else None,
    )


def check_counts(where: str, rows: int, frauds: int, *, subset: bool = False) -> None:
    """Holds a copy against the published counts of rows and frauds.

    Args:
        where: the file or address that the copy came from.
        rows: rows found.
        frauds: rows of class 1 found.
        subset: fewer normals are allowed, the frauds must be complete.

    Raises:
        DataError: the counts differ from the published ones.
    """
    remedy = "bring the published file again, or give this one as your own: data.source = its path"
    if rows < ROWS and not subset:
        raise DataError(where, f"{rows:,} rows where the published set has {ROWS:,}: it is truncated", remedy)
    if rows > ROWS:
        raise DataError(where, f"{rows:,} rows where the published set has {ROWS:,}", remedy)
    if frauds != FRAUDS:
        raise DataError(where, f"{frauds:,} frauds where the published set has {FRAUDS}", remedy)


def stand_in() -> Table:
    """A synthetic set of the same shape and class ratio, always the same one.

    Independent normal columns whose scales fall from 1.96 to 0.33 as those of the published components
    do. A fraud lies s standard deviations off along one direction, which spreads evenly over the first 18
    columns with alternating signs. s is exponential with mean m = 16: as in the published set, most
    frauds are far from everything else and some are hidden among the normals. The best AUC is therefore
    1/2 + exp(1/m^2) Q(sqrt(2)/m) = 0.967, where Q is the upper tail of the standard normal.
    """
    generator = np.random.Generator(np.random.PCG64(0))
    X = generator.standard_normal((ROWS, len(FEATURES)))
    frauds = np.argsort(generator.random(ROWS), kind="stable")[:FRAUDS]
    distance = -16.0 * np.log1p(-generator.random(FRAUDS))  # (frauds,)
    direction = np.zeros(len(FEATURES))
    direction[:18] = np.where(np.arange(18) % 2 == 0, -1.0, 1.0) / np.sqrt(18)
    X[frauds] += distance[:, None] * direction
    X *= np.geomspace(1.96, 0.33, len(FEATURES))
    y = np.zeros(ROWS, dtype=np.int8)
    y[frauds] = 1
    return Table(
        name=NAME,
        source=(
            f"stand-in generated from seed 0, same shape ({ROWS:,} x {len(FEATURES)}) and class ratio "
            f"({FRAUDS} frauds) as the published {NAME} data, which was not found"
        ),
        stand_in=True,
        X=X,
        y=y,
        feature_names=FEATURES,
        continuous=np.ones(len(FEATURES), dtype=np.bool_),
    )


def _matrix(columns: Columns) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    X = np.empty((columns.rows, len(FEATURES)))  # (rows, 28)
    for position, name in enumerate(FEATURES):
        X[:, position] = columns.numbers(name)
    return X
