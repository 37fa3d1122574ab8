"""MNIST: 70,000 handwritten digits of 28 x 28 pixels, the last 10,000 of them to test on.

LeCun, Cortes, Burges: The MNIST database of handwritten digits; the data of the P2N2 paper's Figure 7. The
paper counts 728 pixels; 28 x 28 are 784.

The four published files are in the IDX format: two zero bytes, a byte for the type of the elements (8 for
unsigned bytes), a byte for the number of dimensions, each dimension as a big-endian 32-bit number, then the
elements in C order.
"""

from __future__ import annotations

import gzip
import math
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from p2n2sim.data import digits
from p2n2sim.data.digits import pixel_names
from p2n2sim.data.find import locate
from p2n2sim.data.sets import Table
from p2n2sim.errors import DataError

NAME = "mnist"
TITLE = "MNIST handwritten digits (LeCun, Cortes, Burges, 1998)"
SIDE = 28
CLASSES = 10
ROWS: Final = {"train": 60_000, "t10k": 10_000}

_BRING_AGAIN = "bring the four published .gz files again"
_UNSIGNED_BYTE = 8


def load_mnist(data_dir: Path | None = None) -> Table:
    """The published set, else scikit-learn's digits as a stand-in.

    Args:
        data_dir: a directory to search before the usual ones.

    Returns:
        A table with the 60,000 training images first and then the 10,000 test images: pixels in [0, 1],
        float32, row by row from the top; 64 columns instead of 784 where the digits stand in.

    Raises:
        DataError: one of the four files is missing, damaged, or not what was published.
    """
    path = locate(NAME, data_dir)
    if path is None:
        return _stand_in()
    pixels, labels = [], []
    for part, rows in ROWS.items():
        pixels.append(read_idx(path.parent / f"{part}-images-idx3-ubyte.gz", (rows, SIDE, SIDE)))
        labels.append(_labels(path.parent / f"{part}-labels-idx1-ubyte.gz", rows))
    X = np.concatenate(pixels).reshape(-1, SIDE * SIDE).astype(np.float32)
    X /= 255
    return Table(
        name=NAME,
        source=(
            f"real files in {path.parent.name}/ ({ROWS['train']:,} rows to learn from, "
            f"{ROWS['t10k']:,} to test on)"
        ),
        stand_in=False,
        X=X,
        y=np.concatenate(labels).astype(np.int8),
        feature_names=pixel_names(SIDE, SIDE),
        continuous=np.zeros(SIDE * SIDE, dtype=np.bool_),
        path=path.parent,
        classes=CLASSES,
        image=(SIDE, SIDE),
        rows_test=ROWS["t10k"],
    )


def _stand_in() -> Table:
    table = digits.load_digits()
    return replace(
        table,
        name=f"stand-in for {NAME} ({digits.NAME})",
        source=(
            f"stand-in: scikit-learn's 8x8 digits ({table.rows:,} rows, {table.features} pixels) in place "
            f"of the published {NAME} data, which was not found"
        ),
        stand_in=True,
        path=None,
    )


def read_idx(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """The elements of a compressed IDX file of unsigned bytes.

    Args:
        path: the .gz file.
        shape: what its header must say.

    Raises:
        DataError: the file is missing, damaged, truncated, or holds something else.
    """
    header = bytes([0, 0, _UNSIGNED_BYTE, len(shape)]) + b"".join(n.to_bytes(4, "big") for n in shape)
    expected = len(header) + math.prod(shape)
    try:
        with gzip.open(path) as file:
            content = file.read(expected + 1)  # up to the checksum at its end, but no more than that
    except FileNotFoundError:
        raise DataError(str(path), "no such file beside the others", _BRING_AGAIN) from None
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            str(path), f"cannot be read ({error})", f"it is damaged or truncated: {_BRING_AGAIN}"
        ) from error
    if not content.startswith(header):
        raise DataError(str(path), f"its header is not that of {_told(shape)} unsigned bytes", _BRING_AGAIN)
    if len(content) != expected:
        found = "more" if len(content) > expected else f"{len(content) - len(header):,}"
        raise DataError(str(path), f"{found} bytes where its header says {_told(shape)}", _BRING_AGAIN)
    return np.frombuffer(content, np.uint8, offset=len(header)).reshape(shape)


def _labels(path: Path, rows: int) -> NDArray[np.uint8]:
    labels = read_idx(path, (rows,))
    if labels.max() >= CLASSES:
        raise DataError(str(path), f"a label {labels.max()}, which is no digit", _BRING_AGAIN)
    return labels


def _told(shape: tuple[int, ...]) -> str:
    return " x ".join(f"{n:,}" for n in shape)
