"""Bringing a published data set over the network."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
from sklearn.datasets import fetch_openml

from p2n2sim.data.creditcard import FEATURES, LABEL, check_counts
from p2n2sim.data.tabular import Columns, require_columns
from p2n2sim.errors import DataError

OPENML_ID = 1597
FILE = "creditcard.parquet"


def fetch_creditcard(target_dir: Path) -> Path:
    """Brings the credit card set from OpenML and keeps it as ``creditcard.parquet``.

    The file appears under its name only when it is complete and has the published counts; whatever goes
    wrong before leaves nothing behind.

    Args:
        target_dir: the directory to put it in; made if need be.

    Returns:
        The file.

    Raises:
        DataError: no network, no answer, wrong counts, or the directory cannot be written to.
    """
    where = f"OpenML data set {OPENML_ID} (creditcard)"
    if target_dir.exists() and not target_dir.is_dir():
        raise DataError(str(target_dir), "is no directory", "name a directory to put the data set in")
    frame = _download(where)
    columns = Columns(where, pa.Table.from_pandas(frame, preserve_index=False))
    require_columns(where, columns.names, [*FEATURES, LABEL])
    y = columns.labels(LABEL)
    check_counts(where, len(y), int(np.count_nonzero(y)))
    table = pa.table({**{name: columns.numbers(name) for name in FEATURES}, LABEL: y.astype(np.int64)})
    return write_whole(table, target_dir / FILE)


def _download(where: str) -> pd.DataFrame:
    try:
        with warnings.catch_warnings():
            # scikit-learn warns before every further try; the error below says the same once.
            warnings.simplefilter("ignore")
            fetched = fetch_openml(data_id=OPENML_ID, as_frame=True, parser="pandas", cache=False)
    except (OSError, ValueError) as error:  # urllib's errors are OSErrors, scikit-learn's are ValueErrors
        raise DataError(
            where,
            f"could not be brought ({getattr(error, 'reason', error)})",
            "connect to a network, or put the published creditcard.csv into the data directory by hand",
        ) from error
    frame: pd.DataFrame = fetched.frame
    return frame


def write_whole(table: pa.Table, path: Path) -> Path:
    """Writes a Parquet file so that it is there whole or not at all.

    Args:
        table: what to write.
        path: where; its directory is made if need be.

    Raises:
        DataError: the directory cannot be written to.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".fetch-") as scratch:
            partial = Path(scratch) / path.name
            pyarrow.parquet.write_table(table, partial, compression="zstd")
            partial.replace(path)
    except OSError as error:
        raise DataError(
            str(path), f"cannot be written ({error})", "name a directory that can be written to"
        ) from error
    return path
