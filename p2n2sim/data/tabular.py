"""Reading columns out of CSV and Parquet files, with errors that name file, column and remedy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet
from numpy.typing import NDArray

from p2n2sim.errors import DataError

SUFFIXES = (".csv", ".parquet")
LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Columns:
    """Some columns of a file, read but not yet turned into numbers.

    Attributes:
        where: the file (or address) they came from, for error messages.
        table: the columns as Arrow read them.
    """

    where: str
    table: Any  # pyarrow.Table

    @property
    def rows(self) -> int:
        """Number of rows."""
        return int(self.table.num_rows)

    @property
    def names(self) -> tuple[str, ...]:
        """Column names in the order in which they were asked for."""
        return tuple(self.table.column_names)

    def is_categorical(self, name: str) -> bool:
        """Whether a column holds text (or Arrow's dictionary type) rather than numbers or truth values."""
        kind = self.table.column(name).type
        return bool(
            pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind)
        )

    def numbers(self, name: str) -> NDArray[np.float64]:
        """A column of numbers or truth values.

        Returns:
            float64, shape (rows,); every entry finite, also in single precision.

        Raises:
            DataError: values are missing, infinite, or neither numbers nor truth values.
        """
        column = self._complete(name)
        kind = column.type
        numeric = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
        if not numeric and not pa.types.is_boolean(kind):
            raise DataError(
                f"{self.where}: column {name!r}",
                f"values of type {kind}",
                "numbers, truth values or text can be used; leave the column out (data.drop)",
            )
        values: NDArray[np.float64] = column.cast(pa.float64(), safe=False).to_numpy()
        infinite = len(values) - int(np.count_nonzero(np.abs(values) <= LARGEST))
        if infinite:
            raise DataError(
                f"{self.where}: column {name!r}",
                f"{infinite:,} of {len(values):,} values are infinite or too large for single precision",
                "put finite numbers there, remove those rows, or leave the column out (data.drop)",
            )
        return values

    def filled(self, name: str, value: float) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """A column of numbers of which some may be missing.

        Args:
            name: of the column.
            value: what stands where one is missing.

        Returns:
            float64, shape (rows,), every entry finite; and where one was missing, shape (rows,).

        Raises:
            DataError: values are infinite or no numbers.
        """
        column = self.table.column(name)
        if pa.types.is_null(column.type):
            column = column.cast(pa.float64())
        missing = pc.is_null(column, nan_is_null=pa.types.is_floating(column.type))
        whole = pc.if_else(missing, pa.scalar(value).cast(column.type), column)
        values = Columns(self.where, pa.table({name: whole})).numbers(name)
        return values, np.asarray(missing.to_numpy(), dtype=np.bool_)

    def codes(self, name: str) -> tuple[list[Any], NDArray[np.intp]]:
        """A column as positions in the sorted list of its distinct values.

        Returns:
            The distinct values in ascending order, and for every row the position of its value there,
            shape (rows,).

        Raises:
            DataError: values are missing.
        """
        column = self._complete(name)
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        distinct = pc.unique(column)
        order = pc.sort_indices(distinct)
        ascending = distinct.take(order)
        positions: NDArray[np.intp] = pc.index_in(column, value_set=ascending).to_numpy().astype(np.intp)
        return ascending.to_pylist(), positions

    def labels(self, name: str) -> NDArray[np.int8]:
        """A column with two distinct values: the larger, or later in the alphabet, becomes 1.

        Returns:
            int8, shape (rows,).

        Raises:
            DataError: values are missing, or there are not exactly two distinct ones.
        """
        distinct, positions = self.codes(name)
        if len(distinct) != 2:
            shown = ", ".join(repr(value) for value in distinct[:5]) + (", ..." if len(distinct) > 5 else "")
            found = f"{len(distinct)} distinct labels ({shown})" if distinct else "no rows"
            if len(distinct) == 1:
                found = f"labels of one class only (all {self.rows:,} rows say {shown})"
            raise DataError(
                f"{self.where}: label column {name!r}",
                found,
                "name a column with exactly two distinct values",
            )
        return positions.astype(np.int8)

    def _complete(self, name: str) -> Any:
        column = self.table.column(name)
        missing = column.null_count
        if pa.types.is_floating(column.type):
            missing += pc.sum(pc.is_nan(column)).as_py() or 0
        if missing:
            raise DataError(
                f"{self.where}: column {name!r}",
                f"{missing:,} of {len(column):,} values are missing",
                "fill them in, remove those rows, or leave the column out (data.drop)",
            )
        return column


def column_names(path: Path) -> tuple[str, ...]:
    """The column names of a CSV or Parquet file, without reading the rest of it.

    Raises:
        DataError: the file is absent, unreadable, of another type, or two columns share a name.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise DataError(
            str(path), f"a file of type {path.suffix or '(none)'}", "a .csv or .parquet file would do"
        )
    if not path.is_file():
        raise DataError(str(path), "no such file", "give the path of a .csv or .parquet file")
    try:
        if path.suffix.lower() == ".parquet":
            names = tuple(pyarrow.parquet.read_schema(path).names)
        else:
            with pyarrow.csv.open_csv(path) as reader:
                names = tuple(reader.schema.names)
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path, error) from error
    twice = [name for position, name in enumerate(names) if name in names[:position]]
    if twice:
        raise DataError(str(path), f"two columns are called {twice[0]!r}", "give every column its own name")
    return names


def read(path: Path, columns: Sequence[str], *, numeric: bool = False) -> Columns:
    """Reads some columns of a CSV or Parquet file.

    Args:
        path: the file; its suffix says which of the two it is.
        columns: names of the columns, in the order wanted.
        numeric: all of them are known to hold numbers. A CSV file is then read block by block, in half
            the memory; otherwise it is read whole, since a type can be inferred only from all rows.

    Raises:
        DataError: the file is absent, damaged, of another type, or lacks one of the columns.
    """
    require_columns(str(path), column_names(path), columns)
    try:
        if path.suffix.lower() == ".parquet":
            table = pyarrow.parquet.read_table(path, columns=list(columns))
        elif numeric:
            convert = pyarrow.csv.ConvertOptions(
                include_columns=list(columns), column_types=dict.fromkeys(columns, pa.float64())
            )
            with pyarrow.csv.open_csv(path, convert_options=convert) as reader:
                table = reader.read_all()
        else:
            convert = pyarrow.csv.ConvertOptions(include_columns=list(columns), strings_can_be_null=True)
            table = pyarrow.csv.read_csv(path, convert_options=convert)
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path, error) from error
    return Columns(str(path), table)


def require_columns(where: str, present: Sequence[str], wanted: Sequence[str]) -> None:
    """Holds the columns that are there against those that are needed.

    Raises:
        DataError: one is missing.
    """
    absent = [name for name in wanted if name not in present]
    if absent:
        missing = ", ".join(repr(name) for name in absent[:3]) + (", ..." if len(absent) > 3 else "")
        raise DataError(where, f"no column {missing}", f"its columns are {some_of(present)}")


def some_of(names: Sequence[str]) -> str:
    """The first few names, and how many there are in all when that is not all."""
    return ", ".join(names[:8]) + (f", ... ({len(names)} in all)" if len(names) > 8 else "")


def _damaged(path: Path, error: Exception) -> DataError:
    first_line = (str(error).splitlines() or [type(error).__name__])[0]
    return DataError(
        str(path), f"cannot be read ({first_line})", "the file is damaged or truncated: bring it again"
    )
