"""Small files in the format of MNIST."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from p2n2sim.data import mnist

SMALL = {"train": 120, "t10k": 60}


def small_mnist(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four files as they were published, with so many rows that the loader is told of them; their folder.

    Image i has the grey i % 256 everywhere, but i's digit in the first pixel; its label is i % 10.
    """
    monkeypatch.setattr(mnist, "ROWS", SMALL)
    folder = directory / "mnist"
    folder.mkdir(parents=True)
    for part, rows in SMALL.items():
        images = np.empty((rows, 28, 28), np.uint8)
        images[:] = np.arange(rows)[:, None, None] % 256
        labels = (np.arange(rows) % 10).astype(np.uint8)
        images[:, 0, 0] = 25 * labels
        write_idx(folder / f"{part}-images-idx3-ubyte.gz", images)
        write_idx(folder / f"{part}-labels-idx1-ubyte.gz", labels)
    return folder


def write_idx(path: Path, array: np.ndarray) -> None:
    """A compressed IDX file of unsigned bytes."""
    shape = b"".join(int(n).to_bytes(4, "big") for n in array.shape)
    path.write_bytes(gzip.compress(bytes([0, 0, 8, array.ndim]) + shape + array.tobytes()))
