"""Splitting, resampling, subsetting and scaling of rows."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from p2n2sim.data import creditcard as fraud
from p2n2sim.data import load, prepare
from p2n2sim.data.prepare import split_rows
from p2n2sim.data.sets import Table
from p2n2sim.errors import DataError, ScenarioError

ROWS = 400


@pytest.fixture
def own() -> dict[str, Any]:
    """The user's own file: a row number, a skewed column, a constant, a text column and labels."""
    row = np.arange(ROWS)
    columns = {
        "row": row.astype(float),
        "skewed": np.exp(row / 40.0),
        "constant": np.full(ROWS, 0.1),
        "kind": [("red", "green", "blue")[i % 3] for i in row],
        "label": row % 4 // 3,
    }
    pyarrow.parquet.write_table(pa.table(columns), "own.parquet")
    return {"source": "own.parquet", "label": "label"}


def _table(y: np.ndarray[Any, Any], normals: int | None = None) -> Table:
    X = np.arange(len(y), dtype=np.float64)[:, None]
    return Table("t", "t", False, X, y.astype(np.int8), ("row",), np.array([True]), None, normals)


def test_shapes_and_types(own: dict[str, Any]) -> None:
    """Everything is float32 in C order, and the parts have the sizes asked for."""
    data = prepare(**own, seed=3, test_fraction=0.3)
    assert data.X_train.shape == (280, 6)
    assert data.X_test.shape == (120, 6)
    for array in (data.X_train, data.y_train, data.X_test, data.y_test):
        assert array.dtype == np.float32
        assert array.flags.c_contiguous
    assert data.feature_names == ("row", "skewed", "constant", "kind=blue", "kind=green", "kind=red")
    assert data.features == 6


def test_every_row_is_in_one_part(own: dict[str, Any]) -> None:
    """Training and test rows together are the file's rows, each with its own label."""
    data = prepare(**own, seed=3, standardise=False)
    rows = np.concatenate([data.X_train[:, 0], data.X_test[:, 0]])
    labels = np.concatenate([data.y_train, data.y_test])
    np.testing.assert_array_equal(np.sort(rows), np.arange(ROWS))
    np.testing.assert_array_equal(labels, rows.astype(int) % 4 // 3)


def test_seed_decides_the_order(own: dict[str, Any]) -> None:
    """Equal seeds give equal data, other seeds another split."""
    first, again, other = (prepare(**own, seed=seed) for seed in (1, 1, 2))
    assert first.fingerprint == again.fingerprint
    assert first.fingerprint != other.fingerprint


def test_same_data_in_every_process(own: dict[str, Any]) -> None:
    """The fingerprint depends neither on the process nor on the seed of Python's hashes."""
    code = f"from p2n2sim.data import prepare; print(prepare(**{own!r}, seed=5).fingerprint)"
    seen = {prepare(**own, seed=5).fingerprint}
    for hash_seed in ("0", "4711"):
        environment = os.environ | {"PYTHONHASHSEED": hash_seed}
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
        )
        seen.add(done.stdout.strip())
    assert len(seen) == 1


def test_fraction_takes_from_training_only(own: dict[str, Any]) -> None:
    """A smaller fraction keeps the test rows, and its training rows are among those of a larger one."""
    half, all_rows = (prepare(**own, seed=1, fraction=fraction, standardise=False) for fraction in (0.5, 1.0))
    assert len(half.X_train) == 160
    np.testing.assert_array_equal(half.X_test, all_rows.X_test)
    assert np.isin(half.X_train[:, 0], all_rows.X_train[:, 0]).all()


def test_standardised_with_training_statistics(own: dict[str, Any]) -> None:
    """Numeric columns get mean 0 and deviation 1 over the training rows; test rows use the same numbers."""
    raw, data = prepare(**own, seed=1, standardise=False), prepare(**own, seed=1)
    numeric = [0, 1]
    np.testing.assert_allclose(data.X_train[:, numeric].mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(data.X_train[:, numeric].std(axis=0), 1, rtol=1e-6)
    mean = raw.X_train[:, 0].astype(np.float64).mean()
    deviation = raw.X_train[:, 0].astype(np.float64).std()
    np.testing.assert_allclose(data.X_test[:, 0], (raw.X_test[:, 0] - mean) / deviation, rtol=1e-5, atol=1e-6)


def test_constants_vanish_and_one_hot_stays(own: dict[str, Any]) -> None:
    """A column that is constant in training becomes 0; one-hot columns stay 0 and 1, clipped or not."""
    data = prepare(**own, seed=1, clip=0.5)
    np.testing.assert_allclose(data.X_train[:, 2], 0, atol=1e-12)
    np.testing.assert_allclose(data.X_test[:, 2], 0, atol=1e-12)
    assert np.unique(data.X_train[:, 3:]).tolist() == [0.0, 1.0]
    np.testing.assert_array_equal(data.X_train[:, 3:].sum(axis=1), 1.0)


def test_clip_bounds_both_parts(own: dict[str, Any]) -> None:
    """Standardised values beyond the limit are set to it, the others are left alone."""
    free, clipped = prepare(**own, seed=1), prepare(**own, seed=1, clip=1.5)
    assert np.abs(free.X_train).max() > 1.5
    np.testing.assert_array_equal(clipped.X_train, np.clip(free.X_train, -1.5, 1.5))
    np.testing.assert_array_equal(clipped.X_test, np.clip(free.X_test, -1.5, 1.5))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.integers(2, 300),
    positive=st.integers(1, 5),
    test_fraction=st.floats(0.01, 0.99),
    more=st.integers(0, 500),
    seed=st.integers(0, 2**64),
)
def test_resampling_never_crosses_the_split(
    rows: int, positive: int, test_fraction: float, more: int, seed: int
) -> None:
    """No row is in both parts, every row is in one, and resampling repeats normals only."""
    y = (np.arange(rows) % (positive + 1) == 0).astype(np.int8)
    normals = int(np.count_nonzero(y == 0))
    for target in (None, normals + more):
        train, test = split_rows(_table(y, target), test_fraction=test_fraction, seed=seed)
        assert np.intersect1d(train, test).size == 0
        both = np.concatenate([train, test])
        np.testing.assert_array_equal(np.unique(both), np.arange(rows))
        np.testing.assert_array_equal(np.bincount(both)[y == 1], 1)
        if target is None:
            assert len(both) == rows


def test_resampled_parts_have_the_sizes_of_the_full_set() -> None:
    """Resampled training and test parts are as large as the full set's, whatever the seed."""
    y = (np.arange(2_000) % 20 == 0).astype(np.int8)
    for seed in range(5):
        train, test = split_rows(_table(y, 9_900), test_fraction=0.2, seed=seed)
        assert (len(train), len(test)) == (8_000, 2_000)


def test_resampled_rows_are_spread() -> None:
    """Draws are uniform over the part's normals: no row is repeated far more often than chance allows."""
    y = (np.arange(1_000) % 20 == 0).astype(np.int8)
    train, _ = split_rows(_table(y, 100_000), test_fraction=0.2, seed=0)
    counts = np.bincount(train, minlength=1_000)
    normals = counts[(y == 0) & (counts > 0)] - 1
    assert normals.var() == pytest.approx(normals.mean(), rel=0.2)  # Poisson: the variance is the mean


def test_subset_prepares_to_full_size(tmp_path: Path) -> None:
    """A subset file comes out at the published size, said so, and no normal is in both parts."""
    stand_in = fraud.stand_in()
    keep = np.flatnonzero((stand_in.y == 1) | (np.arange(len(stand_in.y)) % 20 == 0))
    columns = {name: stand_in.X[keep, i] for i, name in enumerate(stand_in.feature_names)}
    pyarrow.parquet.write_table(
        pa.table(columns | {"Class": stand_in.y[keep]}), tmp_path / "creditcard_subset.parquet"
    )
    data = prepare(source="creditcard", seed=0, data_dir=tmp_path)
    assert "resampled to 284,315" in data.source
    assert not data.stand_in
    assert (len(data.y_train), len(data.y_test)) == (227_846, 56_961)
    assert int(data.y_train.sum() + data.y_test.sum()) == 492
    _assert_no_normal_in_both(data.X_train[data.y_train == 0], data.X_test[data.y_test == 0])


def test_published_fraud_parts_share_no_normal(published: dict[str, Path]) -> None:
    """In the subset that is here, no resampled normal transaction is both trained and tested on."""
    path = published.get("creditcard")
    if path is None or "subset" not in path.name:
        pytest.skip("the subset is not what the lookup finds here")
    table = load("creditcard", data_dir=path.parent)
    train, test = split_rows(table, test_fraction=0.2, seed=0)
    assert (len(train), len(test)) == (227_846, 56_961)
    assert np.intersect1d(train, test).size == 0
    assert np.unique(np.concatenate([train, test])).size == len(table.y)


def _assert_no_normal_in_both(train: np.ndarray[Any, Any], test: np.ndarray[Any, Any]) -> None:
    assert not {row.tobytes() for row in train} & {row.tobytes() for row in test}


@pytest.mark.parametrize("part", ["training", "test"])
def test_one_class_in_a_part(part: str) -> None:
    """A part without both labels is an error that names the part and the file."""
    label = [0] * 49 + [1]
    pyarrow.parquet.write_table(pa.table({"x": list(range(50)), "y": label}), "rare.parquet")
    seen = []
    for seed in range(60):
        with pytest.raises(
            DataError, match=r"rare.parquet: the (training|test) part has labels of one class"
        ) as caught:
            prepare(source="rare.parquet", label="y", seed=seed)
        seen.append(caught.value.found)
    assert any(part in found for found in seen)


@pytest.mark.parametrize(
    ("arguments", "where"),
    [
        ({"fraction": 0.0}, "data.fraction"),
        ({"fraction": 1.01}, "data.fraction"),
        ({"fraction": float("nan")}, "data.fraction"),
        ({"test_fraction": 0.0}, "data.test_fraction"),
        ({"test_fraction": 1.0}, "data.test_fraction"),
        ({"clip": 0.0}, "data.clip"),
        ({"clip": float("nan")}, "data.clip"),
        ({"clip": 5.0, "standardise": False}, "data.clip"),
        ({"seed": -1}, "seed"),
    ],
)
def test_arguments_out_of_range(own: dict[str, Any], arguments: dict[str, Any], where: str) -> None:
    """Arguments out of range are named by their key in the scenario."""
    with pytest.raises(ScenarioError) as caught:
        prepare(**(own | {"seed": 0} | arguments))
    assert caught.value.where == where
