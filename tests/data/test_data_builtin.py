"""The built-in sets: stand-ins, published files, and files that are not what they say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from p2n2sim.data import catalogue, load
from p2n2sim.data import creditcard as fraud
from p2n2sim.data.distress import stand_in_columns
from p2n2sim.errors import DataError


@pytest.fixture(scope="module")
def full_csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of the published shape in the published layout (labels in quotation marks), short numbers."""
    table = fraud.stand_in()
    columns = {"Time": np.arange(len(table.y))}
    columns |= {name: np.round(table.X[:, i], 1) for i, name in enumerate(table.feature_names)}
    columns |= {"Amount": np.ones(len(table.y)), "Class": table.y.astype(np.str_)}
    path = tmp_path_factory.mktemp("full") / "creditcard.csv"
    pyarrow.csv.write_csv(pa.table(columns), path)
    return path


def test_fraud_stand_in() -> None:
    """Without a file, creditcard has the published shape and class ratio, and is called a stand-in."""
    table = load("creditcard")
    assert table.X.shape == (284_807, 28)
    assert (table.rows, table.features, table.positives) == (284_807, 28, 492)
    assert table.stand_in
    assert table.path is None
    assert "stand-in" in table.source
    deviations = table.X[table.y == 0].std(axis=0)
    np.testing.assert_allclose(deviations[[0, -1]], [1.96, 0.33], rtol=0.01)
    assert (np.diff(deviations) < 0).all()


def test_fraud_stand_in_is_as_hard_as_it_says() -> None:
    """The direction along which stand-in frauds lie separates them with the AUC of the formula."""
    table = fraud.stand_in()
    direction = np.where(np.arange(18) % 2 == 0, -1.0, 1.0)
    score = (table.X / np.geomspace(1.96, 0.33, 28))[:, :18] @ direction
    expected = 0.5 + np.exp(1 / 16**2) * norm.sf(np.sqrt(2) / 16)
    # Three standard errors of an AUC over 492 frauds.
    assert roc_auc_score(table.y, score) == pytest.approx(expected, abs=3 * np.sqrt(0.967 * 0.033 / 492))


def test_distress_stand_in() -> None:
    """Without a file, financial_distress has the published layout, and is called a stand-in."""
    table = load("financial_distress")
    assert (table.rows, table.features, table.positives) == (3_672, 555, 136)
    assert table.stand_in
    assert "stand-in" in table.source
    assert int(table.continuous.sum()) == 82
    groups = [name.split("=")[0] for name in table.feature_names if "=" in name]
    assert [groups.count(name) for name in ("Company", "Time", "x80")] == [422, 14, 37]
    np.testing.assert_array_equal(table.X[:, 82:].sum(axis=1), 3.0)


def test_distress_stand_in_periods_are_runs() -> None:
    """In the stand-in every company has one unbroken run of at most 14 periods and one sector."""
    frame = stand_in_columns().to_pandas()
    time = frame.groupby("Company")["Time"]
    assert (time.max() - time.min() + 1 == time.count()).all()
    assert (frame["Time"].min(), frame["Time"].max()) == (1, 14)
    assert (frame.groupby("Company")["x80"].nunique() == 1).all()
    assert list(frame.columns).count("x83") == 1
    assert len(frame.columns) == 86


@pytest.mark.parametrize("name", ["creditcard", "financial_distress"])
def test_loads_are_repeatable(name: str) -> None:
    """Two loads of one set have the same fingerprint."""
    assert load(name).fingerprint == load(name).fingerprint


def test_leaked_target_is_named() -> None:
    """With leak_target the paper's 556 columns come out, and the source says why."""
    table = load("financial_distress", leak_target=True)
    assert table.features == 556
    assert table.feature_names[0] == "Financial Distress"
    np.testing.assert_array_equal(table.y, table.X[:, 0] <= -0.5)
    assert "gives the label away" in table.source


def test_full_csv(full_csv: Path) -> None:
    """A CSV file of the published shape is read as the real file, row by row."""
    table = load("creditcard", data_dir=full_csv.parent)
    stand_in = fraud.stand_in()
    assert table.source == "real file creditcard.csv (284,807 rows)"
    assert not table.stand_in
    assert table.normals_after_resampling is None
    np.testing.assert_array_equal(table.X, np.round(stand_in.X, 1))
    np.testing.assert_array_equal(table.y, stand_in.y)


def test_csv_cut_between_lines(full_csv: Path, tmp_path: Path) -> None:
    """A file that lacks rows is called truncated, with the rows found and the rows published."""
    lines = full_csv.read_bytes().splitlines(keepends=True)
    (tmp_path / "creditcard.csv").write_bytes(b"".join(lines[:-1_000]))
    with pytest.raises(DataError, match=r"creditcard\.csv: 283,807 rows where the published set has 284,807"):
        load("creditcard", data_dir=tmp_path)


def test_csv_cut_within_a_line(full_csv: Path, tmp_path: Path) -> None:
    """A file that ends within a line is called damaged or truncated."""
    whole = full_csv.read_bytes()
    (tmp_path / "creditcard.csv").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"creditcard.csv.*truncated"):
        load("creditcard", data_dir=tmp_path)


def test_missing_column(tmp_path: Path) -> None:
    """A built-in file without one of its columns names the column and those that are there."""
    pyarrow.parquet.write_table(pa.table({"V1": [0.5], "Amount": [1.0]}), tmp_path / "creditcard.parquet")
    with pytest.raises(DataError, match=r"no column 'V2', 'V3', 'V4', ...; its columns are V1, Amount"):
        load("creditcard", data_dir=tmp_path)


def _small_fraud(rows: int, frauds: int, path: Path) -> None:
    columns = {name: np.zeros(rows) for name in fraud.FEATURES}
    pyarrow.parquet.write_table(pa.table(columns | {"Class": (np.arange(rows) < frauds).astype(int)}), path)


def test_wrong_counts_of_rows_and_frauds(tmp_path: Path) -> None:
    """Published names are kept for the published counts of rows and frauds."""
    _small_fraud(284_808, 492, tmp_path / "creditcard.parquet")
    with pytest.raises(DataError, match="284,808 rows where the published set has 284,807;"):
        load("creditcard", data_dir=tmp_path)
    _small_fraud(284_807, 490, tmp_path / "creditcard.parquet")
    with pytest.raises(DataError, match="490 frauds where the published set has 492"):
        load("creditcard", data_dir=tmp_path)
    (tmp_path / "creditcard.parquet").unlink()
    _small_fraud(1_000, 400, tmp_path / "creditcard_subset.parquet")
    with pytest.raises(DataError, match="400 frauds where the published set has 492"):
        load("creditcard", data_dir=tmp_path)


def test_distress_file_is_checked(tmp_path: Path) -> None:
    """The distress file has the published rows and the published number of companies."""
    columns = stand_in_columns()
    path = tmp_path / "financial_distress.parquet"
    pyarrow.parquet.write_table(columns.slice(0, 3_000), path)
    with pytest.raises(DataError, match="3,000 rows where the published set has 3,672: it is truncated"):
        load("financial_distress", data_dir=tmp_path)
    pyarrow.parquet.write_table(columns.set_column(0, "Company", pa.array([1] * 3_672)), path)
    with pytest.raises(
        DataError, match="column 'Company': 1 distinct values where the published set has 422"
    ):
        load("financial_distress", data_dir=tmp_path)


def test_distress_csv_equals_parquet(tmp_path: Path) -> None:
    """The published CSV name is read to the same table as the Parquet file."""
    columns = stand_in_columns()
    pyarrow.csv.write_csv(columns, tmp_path / "Financial Distress.csv")
    from_csv = load("financial_distress", data_dir=tmp_path)
    assert from_csv.source == "real file Financial Distress.csv (3,672 rows)"
    assert from_csv.fingerprint == load("financial_distress", data_dir=None).fingerprint


def test_catalogue_says_what_would_be_used(tmp_path: Path) -> None:
    """The catalogue lists every set as it would be loaded, and tells of a file that cannot be used."""
    (tmp_path / "financial_distress.parquet").write_bytes(b"PAR1")
    entries = {entry.name: entry for entry in catalogue(tmp_path)}
    assert list(entries)[:2] == ["creditcard", "financial_distress"]
    assert {"uci_default", "give_me_some_credit", "german_credit", "mnist", "digits"} < set(entries)
    good, bad = entries["creditcard"], entries["financial_distress"]
    assert (good.rows, good.features, good.positives, good.path, good.problem) == (284_807, 28, 492, None, "")
    assert good.source.startswith("stand-in")
    assert bad.path == tmp_path / "financial_distress.parquet"
    assert "cannot be read" in bad.problem
    assert bad.source == ""
    with pytest.raises(DataError, match="is no directory"):
        catalogue(tmp_path / "nowhere")


def test_published_distress_file(published: dict[str, Path]) -> None:
    """The published distress file has 555 features and 136 distressed company periods."""
    if "financial_distress" not in published:
        pytest.skip("the published file is not here")
    table = load("financial_distress", data_dir=published["financial_distress"].parent)
    assert table.X.shape == (3_672, 555)
    assert table.positives == 136
    assert not table.stand_in
    # As the publisher describes it: a company leaves the records with its one distressed period.
    companies = [i for i, name in enumerate(table.feature_names) if name.startswith("Company=")]
    assert table.X[table.y == 1][:, companies].sum(axis=0).max() == 1.0


def test_published_fraud_file(published: dict[str, Path]) -> None:
    """The fraud file that is here prepares to the published shape and says what it is."""
    if "creditcard" not in published:
        pytest.skip("neither the published file nor the subset is here")
    table = load("creditcard", data_dir=published["creditcard"].parent)
    assert (table.rows, table.features, table.positives) == (284_807, 28, 492)
    assert not table.stand_in
    assert ("resampled" in table.source) == (table.path is not None and "subset" in table.path.name)
