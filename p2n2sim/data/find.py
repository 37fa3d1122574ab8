"""Where data files are looked for."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from p2n2sim.errors import DataError

VARIABLE = "P2N2SIM_DATA"

# In the order of preference within one directory; of MNIST all four are needed, and any one shows where.
FILES: Final[Mapping[str, tuple[str, ...]]] = {
    "creditcard": ("creditcard.csv", "creditcard.parquet", "creditcard_subset.parquet"),
    "financial_distress": ("financial_distress.parquet", "Financial Distress.csv"),
    "uci_default": ("uci_default_credit.parquet", "UCI_Credit_Card.csv"),
    "give_me_some_credit": ("give_me_some_credit.parquet", "cs-training.csv"),
    "german_credit": ("german_credit.parquet",),
    "mnist": tuple(
        f"mnist/{part}-{what}-ubyte.gz"
        for part in ("train", "t10k")
        for what in ("images-idx3", "labels-idx1")
    ),
}


def directories(data_dir: Path | None = None) -> tuple[Path, ...]:
    """The directories searched, first to last: the one given, the environment's, ./data, ../shared/data.

    Args:
        data_dir: the directory that the user named, if any.

    Raises:
        DataError: the directory that the user or the environment variable names does not exist.
    """
    named = [("--data", data_dir), (VARIABLE, _from_environment())]
    for where, directory in named:
        if directory is not None and not directory.is_dir():
            raise DataError(
                where, f"{directory} is no directory", "name a directory that exists, or none at all"
            )
    usual = (Path("data"), Path("..") / "shared" / "data")
    return (*(directory for _, directory in named if directory is not None), *usual)


def locate(name: str, data_dir: Path | None = None) -> Path | None:
    """The file that a built-in data set would be read from.

    The first directory that has any of the set's files decides; within it the published full file is
    preferred to a subset.

    Args:
        name: of a set that is kept in files: a key of `FILES`.
        data_dir: a directory to search before the usual ones.

    Returns:
        The file, or None when no directory has one.

    Raises:
        DataError: a named directory does not exist.
    """
    for directory in directories(data_dir):
        for file in FILES[name]:
            path = directory / file
            if path.is_file():
                return path
    return None


def _from_environment() -> Path | None:
    value = os.environ.get(VARIABLE, "")
    return Path(value) if value else None
