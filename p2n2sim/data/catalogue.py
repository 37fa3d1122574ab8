"""Which data sets there are, and what a name stands for on this machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from p2n2sim.data import (
    creditcard,
    digits,
    distress,
    german_credit,
    give_me_some_credit,
    mnist,
    uci_default,
)
from p2n2sim.data.find import directories, locate
from p2n2sim.data.own import load_own
from p2n2sim.data.sets import Table
from p2n2sim.data.tabular import SUFFIXES
from p2n2sim.errors import DataError, ScenarioError

TITLES: Final[Mapping[str, str]] = {
    known.NAME: known.TITLE
    for known in (
        creditcard,
        distress,
        uci_default,
        give_me_some_credit,
        german_credit,
        mnist,
        digits,
    )
}

_IN_FILES: Final[Mapping[str, Callable[[Path | None], Table]]] = {
    creditcard.NAME: creditcard.load_creditcard,
    uci_default.NAME: uci_default.load_uci_default,
    give_me_some_credit.NAME: give_me_some_credit.load_give_me_some_credit,
    german_credit.NAME: german_credit.load_german_credit,
    mnist.NAME: mnist.load_mnist,
}


@dataclass(frozen=True)
class Entry:
    """One built-in data set as it would be used here and now.

    Attributes:
        name: what scenarios call it.
        title: what it is and who published it.
        path: the file or directory that was found; None when there is none and a stand-in would be used.
        source: what the numbers would be, in one line; empty when the file found cannot be used.
        rows: rows before the split, resampled ones included.
        features: columns after encoding.
        positives: rows of class 1, where there are two classes.
        problem: why the file found cannot be used; empty when it can.
        classes: how many there are.
        shipped: it comes with the package, or with one that it needs.
    """

    name: str
    title: str
    path: Path | None
    source: str
    rows: int
    features: int
    positives: int
    problem: str = ""
    classes: int = 2
    shipped: bool = False


def catalogue(data_dir: Path | None = None) -> list[Entry]:
    """Every built-in data set, loaded to see what would be used.

    Args:
        data_dir: a directory to search before the usual ones.

    Raises:
        DataError: a directory that the user or the environment names does not exist. A file that cannot
            be used is told in its entry instead.
    """
    directories(data_dir)
    entries = []
    for name in TITLES:
        try:
            table = load(name, data_dir=data_dir)
        except DataError as error:
            path = locate(name, data_dir)
            entries.append(Entry(name, TITLES[name], path, "", 0, 0, 0, problem=str(error)))
        else:
            entries.append(
                Entry(
                    name,
                    TITLES[name],
                    table.path,
                    table.source,
                    table.rows,
                    table.features,
                    table.positives,
                    classes=table.classes,
                    shipped=name == digits.NAME,
                )
            )
    return entries


def load(
    source: str,
    *,
    label: str | None = None,
    drop: Sequence[str] = (),
    leak_target: bool = False,
    history: int = 0,
    data_dir: Path | None = None,
) -> Table:
    """A built-in set by its name, or the user's own file by its path.

    Args:
        source: a key of `TITLES`, or the path of a .csv or .parquet file.
        label: label column of the user's own file.
        drop: columns of the user's own file to leave out.
        leak_target: only for "financial_distress", see ``load_distress``.
        history: only for "financial_distress", see ``load_distress``.
        data_dir: a directory to search for built-in sets before the usual ones.

    Raises:
        ScenarioError: an argument does not apply to the source.
        DataError: the data set cannot be used.
    """
    if source in TITLES and (label is not None or drop):
        key = "data.drop" if label is None else "data.label"
        raise ScenarioError(key, f"{source} has a label and columns of its own", "leave the key out")
    if leak_target and source != distress.NAME:
        raise ScenarioError(
            "data.leak_target", f"{source} has no such column", f"only {distress.NAME} has it"
        )
    if history and source != distress.NAME:
        raise ScenarioError(
            "data.history", f"the rows of {source} are no periods", f"only those of {distress.NAME} are"
        )
    if source in _IN_FILES:
        return _IN_FILES[source](data_dir)
    if source == distress.NAME:
        return distress.load_distress(data_dir, leak_target=leak_target, history=history)
    if source == digits.NAME:
        return digits.load_digits()
    if Path(source).suffix.lower() not in SUFFIXES:
        known = ", ".join(TITLES)
        raise DataError(
            "data.source", f"{source!r}", f"one of {known}, or the path of a .csv or .parquet file"
        )
    return load_own(Path(source), label=label, drop=drop)
