"""From a table to training and test rows: split, resample, subset, scale.

Everything here is a function of the arguments and the seed. Random orders come from the raw output of
PCG64, whose stream NumPy guarantees across versions (NEP 19), and from a stable sort.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from p2n2sim.data import mnist
from p2n2sim.data.catalogue import load
from p2n2sim.data.clean import Bounds, clean
from p2n2sim.data.names import matching
from p2n2sim.data.sets import Dataset, Table
from p2n2sim.data.tabular import SUFFIXES, read, some_of
from p2n2sim.errors import DataError, ScenarioError

Indices = NDArray[np.intp]

USUAL_TEST_FRACTION = 0.2

# Rows scaled at a time: small enough for the processor's cache.
BLOCK = 4_096


def prepare(
    *,
    source: str,
    seed: int,
    label: str | None = None,
    drop: Sequence[str] = (),
    fraction: float = 1.0,
    test_fraction: float = USUAL_TEST_FRACTION,
    standardise: bool = True,
    clip: float | None = None,
    leak_target: bool = False,
    history: int = 0,
    columns: Sequence[str] = (),
    bounds: Bounds | None = None,
    logarithm: Sequence[str] = (),
    data_dir: Path | None = None,
) -> Dataset:
    """Loads a data set, splits its rows at random and scales its features.

    Rows are shuffled and the last ``test_fraction`` of them set apart, without stratification (the paper:
    "we randomly split"). Where normals are to be resampled, the file's own rows are split first and each
    part's normals drawn again within the part, so no normal row stands in both parts; the parts then have
    the sizes that the full set would give. A set that was published in two parts (MNIST) keeps them.
    ``fraction`` keeps a random share of the training rows and all test rows.

    Args:
        source: a built-in set by its name, or the path of a .csv or .parquet file.
        seed: any non-negative integer; decides the split, the resampling and the order of rows.
        label: label column of the user's own file.
        drop: columns of the user's own file to leave out.
        fraction: share of the training rows that is used, in (0, 1].
        test_fraction: share of all rows that is tested on, in (0, 1).
        standardise: in numeric columns, subtract the mean of the training rows and divide by their
            standard deviation; columns that are constant there become 0. One-hot columns stay 0 and 1,
            pixels in [0, 1].
        clip: with ``standardise``, the largest magnitude that a standardised value may have.
        leak_target: see ``load_distress``.
        history: see ``load_distress``.
        columns: names or patterns of the features that are used; unless given, all.
        bounds: what numeric columns are held within, see ``clean``.
        logarithm: numeric columns whose long tails are drawn in, see ``clean``.
        data_dir: a directory to search before the usual ones.

    Returns:
        The data set, float32.

    Raises:
        ScenarioError: an argument is out of range or does not apply to the source.
        DataError: the file cannot be used, or a part has labels of one class only.
    """
    _check(seed, fraction, test_fraction, standardise, clip)
    if source == mnist.NAME and test_fraction != USUAL_TEST_FRACTION:  # also where digits stand in for it
        raise ScenarioError("data.test_fraction", f"{source} has test rows of its own", "leave the key out")
    table = load(source, label=label, drop=drop, leak_target=leak_target, history=history, data_dir=data_dir)
    table, ranges = clean(_only(table, columns), bounds or {}, logarithm)
    train, test = split_rows(table, test_fraction=test_fraction, seed=seed)
    train = train[: max(1, round(fraction * len(train)))]
    for part, rows in (("training", train), ("test", test)):
        _check_classes(table, part, table.y[rows])
    scale = _fit_scale(table, train, clip) if standardise and table.continuous.any() else None
    return Dataset(
        name=table.name,
        source=table.source,
        stand_in=table.stand_in,
        feature_names=table.feature_names,
        X_train=_scaled(table.X, train, scale),
        y_train=table.y[train].astype(np.float32),
        X_test=_scaled(table.X, test, scale),
        y_test=table.y[test].astype(np.float32),
        classes=table.classes,
        image=table.image,
        ranges=ranges,
    )


def _only(table: Table, names: Sequence[str]) -> Table:
    """The table with some of its columns, in its own order."""
    if not names:
        return table
    found = {name: matching(table.feature_names, name) for name in names}
    for name, numbers in found.items():
        if not numbers:
            raise ScenarioError("data.columns", f"no column is called {name!r}", "name columns of the data")
    kept = sorted({number for numbers in found.values() for number in numbers})
    return dataclasses.replace(
        table,
        X=np.ascontiguousarray(table.X[:, kept]),
        feature_names=tuple(table.feature_names[number] for number in kept),
        continuous=table.continuous[kept],
        image=None,
    )


def column(
    name: str,
    *,
    source: str,
    seed: int,
    label: str | None = None,
    drop: Sequence[str] = (),
    fraction: float = 1.0,
    test_fraction: float = USUAL_TEST_FRACTION,
    leak_target: bool = False,
    history: int = 0,
    data_dir: Path | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A column of a data set's file, for the rows of `prepare` in their order: also one that is no feature.

    Args:
        name: of the column; a feature, or another numeric column of the file.
        source: as of `prepare`, and so are the others.
        seed: decides which row is where.
        label: label column of the user's own file.
        drop: columns of the user's own file that are left out as features.
        fraction: share of the training rows that is used.
        test_fraction: share of all rows that is tested on.
        leak_target: see ``load_distress``.
        history: see ``load_distress``.
        data_dir: a directory to search before the usual ones.

    Returns:
        Values of the training and of the test rows, float64, as the file has them.

    Raises:
        DataError: there is no such column, or it has no numbers.
    """
    table = load(source, label=label, drop=drop, leak_target=leak_target, history=history, data_dir=data_dir)
    train, test = split_rows(table, test_fraction=test_fraction, seed=seed)
    train = train[: max(1, round(fraction * len(train)))]
    if name in table.feature_names:
        values = table.X[:, table.feature_names.index(name)].astype(np.float64)
    elif table.path is not None and table.path.suffix.lower() in SUFFIXES:
        values = read(table.path, [name]).numbers(name)
    else:
        raise DataError(
            source, f"no column {name!r} ({table.source})", f"its columns are {some_of(table.feature_names)}"
        )
    return values[train], values[test]


def split_rows(table: Table, *, test_fraction: float, seed: int) -> tuple[Indices, Indices]:
    """Row numbers of the training and the test part, each in random order.

    Args:
        table: the data set.
        test_fraction: share of the rows in the test part, in (0, 1); the count is rounded.
        seed: any non-negative integer.

    Returns:
        Row numbers (training, test). No row number is in both; within a part a number occurs again
        only where normals are resampled, and then each of the part's rows at least once. Test rows that
        were published as such come in the published order.
    """
    rows = np.arange(len(table.y))
    if table.rows_test is not None:
        return _shuffled(rows[: -table.rows_test], seed, "split"), rows[-table.rows_test :]
    order = _shuffled(rows, seed, "split")
    kept = len(order) - round(test_fraction * len(order))
    train, test = order[:kept], order[kept:]
    if table.normals_after_resampling is None:
        return train, test
    rows_test = round(test_fraction * table.rows)
    return (
        _resampled(table.y, train, table.rows - rows_test, seed, "train"),
        _resampled(table.y, test, rows_test, seed, "test"),
    )


def _resampled(y: NDArray[np.int8], part: Indices, rows: int, seed: int, purpose: str) -> Indices:
    """All rows of a part once, and normals of it drawn with replacement until there are ``rows``."""
    normals = part[y[part] == 0]
    missing = rows - len(part)
    if missing <= 0 or not len(normals):
        return part
    # The remainder is biased by less than len(normals) / 2^64.
    draws = _stream(seed, f"draw {purpose}").random_raw(missing) % len(normals)
    return _shuffled(np.concatenate([part, normals[draws]]), seed, f"order {purpose}")


def _stream(seed: int, purpose: str) -> np.random.PCG64:
    return np.random.PCG64(np.random.SeedSequence([seed, *purpose.encode()]))


def _shuffled(rows: Indices, seed: int, purpose: str) -> Indices:
    return rows[np.argsort(_stream(seed, purpose).random_raw(len(rows)), kind="stable")]


@dataclass(frozen=True)
class _Scale:
    """Standardises a row x to clip((x - mean) / deviation, -limit, limit); all of shape (features,)."""

    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]
    limit: NDArray[np.float64]


def _fit_scale(table: Table, rows: Indices, clip: float | None) -> _Scale:
    """Mean and standard deviation of some rows, in two passes; the identity for one-hot columns."""
    total = np.zeros(table.features)
    for start in range(0, len(rows), BLOCK):
        total += table.X[rows[start : start + BLOCK]].sum(axis=0)
    mean = total / len(rows)
    squares = np.zeros(table.features)
    for start in range(0, len(rows), BLOCK):
        squares += np.square(table.X[rows[start : start + BLOCK]] - mean).sum(axis=0)
    deviation = np.sqrt(squares / len(rows))
    # A constant column leaves the rounding error of its mean behind: 1e-12 of the mean is far above that.
    deviation[deviation <= 1e-12 * np.abs(mean)] = 1.0
    return _Scale(
        mean=np.where(table.continuous, mean, 0.0),
        deviation=np.where(table.continuous, deviation, 1.0),
        limit=np.where(table.continuous, np.inf if clip is None else clip, np.inf),
    )


def _scaled(X: NDArray[np.floating[Any]], rows: Indices, scale: _Scale | None) -> NDArray[np.float32]:
    scaled = np.empty((len(rows), X.shape[1]), dtype=np.float32)  # (rows, features)
    for start in range(0, len(rows), BLOCK):
        block = X[rows[start : start + BLOCK]]  # (block, features), a copy
        if scale is not None:
            block -= scale.mean
            block /= scale.deviation
            np.clip(block, -scale.limit, scale.limit, out=block)
        scaled[start : start + BLOCK] = block
    return scaled


def _check(seed: int, fraction: float, test_fraction: float, standardise: bool, clip: float | None) -> None:
    if seed < 0:
        raise ScenarioError("seed", f"{seed}", "a whole number of 0 or more would do")
    if not 0 < fraction <= 1:
        raise ScenarioError("data.fraction", f"{fraction:g}", "a number above 0 and at most 1 would do")
    if not 0 < test_fraction < 1:
        raise ScenarioError("data.test_fraction", f"{test_fraction:g}", "a number between 0 and 1 would do")
    if clip is not None and not clip > 0:
        raise ScenarioError("data.clip", f"{clip:g}", "a number above 0 would do")
    if clip is not None and not standardise:
        raise ScenarioError(
            "data.clip", "features are not standardised", "set data.standardise, or leave clip out"
        )


def _check_classes(table: Table, part: str, y: NDArray[np.int8]) -> None:
    positives = int(np.count_nonzero(y == y[0])) if table.classes > 2 else int(np.count_nonzero(y))
    if 0 < positives < len(y):
        return
    value = y[0] if table.classes > 2 else 1
    raise DataError(
        str(table.path or table.name),
        f"the {part} part has labels of one class only ({positives:,} of {len(y):,} rows are {value})",
        "use more rows, another seed or another data.test_fraction",
    )
