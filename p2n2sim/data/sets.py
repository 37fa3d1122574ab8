"""What a data set is: a table of numbers with a label, and where it came from."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Table:
    """A data set as its file (or its stand-in) holds it: encoded, but neither split nor scaled.

    Attributes:
        name: what scenarios call it, or the path of the user's own file.
        source: one line that says what the numbers are: a real file, a resampled subset, a stand-in.
        stand_in: True when the numbers stand in for a published set that was not found.
        X: features, float64 (of images float32), shape (rows, features), C order.
        y: labels 0 to classes - 1, int8, shape (rows,).
        feature_names: one name per column; the columns of a one-hot code are called ``column=value``, those
            of an image ``row,column``.
        continuous: bool, shape (features,); False for what is never standardised, the columns of a one-hot
            code and pixels.
        path: the file it was read from; None for a stand-in.
        normals_after_resampling: how many rows of class 0 the prepared set has, where the file holds
            fewer and they are to be drawn again after the split; None when rows are used as they are.
        classes: how many there are; of two, 1 is the positive one.
        image: rows and columns of pixels, where every row of X is an image.
        rows_test: how many rows at the end were published to test on; None where the split is drawn.
    """

    name: str
    source: str
    stand_in: bool
    X: NDArray[np.floating[Any]]
    y: NDArray[np.int8]
    feature_names: tuple[str, ...]
    continuous: NDArray[np.bool_]
    path: Path | None = None
    normals_after_resampling: int | None = None
    classes: int = 2
    image: tuple[int, int] | None = None
    rows_test: int | None = None

    @property
    def features(self) -> int:
        """Number of columns of X."""
        return len(self.feature_names)

    @property
    def positives(self) -> int:
        """Number of rows of class 1."""
        return int(np.count_nonzero(self.y))

    @property
    def rows(self) -> int:
        """Number of rows that the prepared set has, resampled ones included."""
        if self.normals_after_resampling is None:
            return len(self.y)
        return self.positives + self.normals_after_resampling

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hexadecimal) over the names, the shape and the bytes of X and y."""
        return fingerprint(self.feature_names, self.X, self.y)


@dataclass(frozen=True, eq=False)
class Ranges:
    """Where the values of each column are known to lie, whatever the rows are.

    Attributes:
        lower: float64, shape (features,); minus infinity where nothing is known.
        upper: the same; infinity where nothing is known.
        continuous: bool, shape (features,); False for 0/1 columns of one-hot codes and for pixels.
    """

    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    continuous: NDArray[np.bool_]

    def of(self, columns: NDArray[np.intp] | slice) -> Ranges:
        """The ranges of some of the columns."""
        return Ranges(self.lower[columns], self.upper[columns], self.continuous[columns])


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set ready for training: split into rows to learn from and rows to test on, and scaled.

    Attributes:
        name: what scenarios call it, or the path of the user's own file.
        source: one line that says what the numbers are; belongs beside every figure made from them.
        stand_in: True when the numbers stand in for a published set that was not found.
        feature_names: one name per column.
        X_train: float32, shape (rows_train, features), C order.
        y_train: labels 0.0 to classes - 1, float32, shape (rows_train,).
        X_test: float32, shape (rows_test, features), C order.
        y_test: labels 0.0 to classes - 1, float32, shape (rows_test,).
        classes: how many there are; of two, 1.0 is the positive one.
        image: rows and columns of pixels, where every row is an image; the names tell which column is where.
        ranges: where the features lie before they are scaled, whatever the rows are.
    """

    name: str
    source: str
    stand_in: bool
    feature_names: tuple[str, ...]
    X_train: NDArray[np.float32]
    y_train: NDArray[np.float32]
    X_test: NDArray[np.float32]
    y_test: NDArray[np.float32]
    classes: int = 2
    image: tuple[int, int] | None = None
    ranges: Ranges | None = None

    @property
    def features(self) -> int:
        """Number of columns of X_train and X_test."""
        return len(self.feature_names)

    @property
    def logits(self) -> int:
        """Outputs of the label's head: one for two classes, else one for each."""
        return 1 if self.classes == 2 else self.classes

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hexadecimal) over the names and all four arrays: equal when training sees the same."""
        return fingerprint(self.feature_names, self.X_train, self.y_train, self.X_test, self.y_test)


def fingerprint(names: Sequence[str], *arrays: NDArray[np.generic]) -> str:
    """SHA-256 over column names and C-ordered arrays, each with its type and shape.

    Args:
        names: the column names, in order.
        *arrays: C-ordered arrays of any shape and number type.

    Returns:
        64 hexadecimal digits.
    """
    digest = hashlib.sha256(repr(tuple(names)).encode())
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
