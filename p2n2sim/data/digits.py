"""Digits: 1,797 handwritten digits of 8 x 8 pixels, which come with scikit-learn.

The test part of the UCI Machine Learning Repository's Optical Recognition of Handwritten Digits (Alpaydin and
Kaynak, 1998): counts of 0 to 16 set pixels in blocks of 4 x 4.
"""

from __future__ import annotations

import importlib

import numpy as np

from p2n2sim.data.sets import Table

NAME = "digits"
TITLE = (
    "Optical recognition of handwritten digits (Alpaydin, Kaynak, 1998), the part shipped with scikit-learn"
)
SIDE = 8
CLASSES = 10


def load_digits() -> Table:
    """The digits: pixels in [0, 1], row by row from the top; they are always there.

    Returns:
        A table with 64 columns called ``row,column``.
    """
    found = importlib.import_module("sklearn.datasets").load_digits()  # here, because it takes a second
    return Table(
        name=NAME,
        source=f"shipped with scikit-learn ({len(found.target):,} rows)",
        stand_in=False,
        X=np.ascontiguousarray(found.data, np.float32) / np.float32(16),
        y=found.target.astype(np.int8),
        feature_names=pixel_names(SIDE, SIDE),
        continuous=np.zeros(SIDE * SIDE, dtype=np.bool_),
        classes=CLASSES,
        image=(SIDE, SIDE),
    )


def pixel_names(rows: int, columns: int) -> tuple[str, ...]:
    """``row,column`` of every pixel from 0, row by row from the top."""
    return tuple(f"{row},{column}" for row in range(rows) for column in range(columns))
