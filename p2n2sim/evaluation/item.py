"""An item of an evaluation: one table or one figure, from its scenario files to its verdict.

An item says which scenario files it needs, what is calculated on their runs (an attack for example), and how
the numbers become a section. Everything else (planning, running, continuing, rendering) is the same for all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from p2n2sim.report.figures import Exhibit
from p2n2sim.report.read import StoredRun, Told, read_told
from p2n2sim.report.read import read as read_folder

Level = Literal[
    "reproduced", "reproduced only under stated conditions", "not reproduced", "shown", "not shown"
]

Calculation = Callable[[Path, Path | None, Mapping[str, Any]], Mapping[str, Any]]
"""A function of a module: a finished run's folder, where to look for data, options -> plain values for "
"JSON."""


ATTACKS = "attacks"
"""The step whose result is kept with a run as ``attacks.json``, but for what is under `PICTURES`."""
PICTURES = "pictures"


@dataclass(frozen=True)
class Edition:
    """What a report is of.

    Attributes:
        command: that makes it.
        title: its heading.
        preface: what stands before the sections.
    """

    command: str
    title: str
    preface: tuple[str, ...]


@dataclass(frozen=True)
class Step:
    """Something that is calculated on every run of a scenario file.

    Attributes:
        name: by which the item finds the result.
        calculate: the function.
        options: its options, plain values.
    """

    name: str
    calculate: Calculation
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Source:
    """A scenario file of an item; its ``[sweep]`` says which runs there are, repeats over seeds among them.

    Attributes:
        file: its name in the folder of scenario files.
        name: by which its runs are found; unless given, the file's name without its ending.
        changed: key -> another value, where a file is used for more than one thing.
        quick: key -> what it is in a quick evaluation: the values of a swept key, the value of any other.
        retimed: of points that differ in their links alone, one is run and replayed for the others.
        steps: what is calculated on each run.
        left_out_if_quick: a quick evaluation does without these runs.
    """

    file: str
    name: str | None = None
    changed: Mapping[str, Any] = field(default_factory=dict)
    quick: Mapping[str, Any] = field(default_factory=dict)
    retimed: bool = False
    steps: tuple[Step, ...] = ()
    left_out_if_quick: bool = False

    @property
    def key(self) -> str:
        """By which its runs are found."""
        return self.name or Path(self.file).stem


@dataclass(frozen=True)
class Finished:
    """A finished run of an item.

    Attributes:
        name: of its folder in the report.
        folder: where it is kept.
        values: swept key -> value.
        found: name of a step -> what it calculated.
    """

    name: str
    folder: Path
    values: Mapping[str, Any]
    found: Mapping[str, Any]

    @property
    def told(self) -> Told:
        """Scenario and summary."""
        return read_told(self.folder)

    @property
    def summary(self) -> dict[str, Any]:
        """What the run says of itself."""
        return self.told.summary

    @property
    def stored(self) -> StoredRun:
        """The run with its tables."""
        stored = read_folder(self.folder)
        assert isinstance(stored, StoredRun)  # written by this package
        return stored


Evidence = Mapping[str, Sequence[Finished]]
"""Name of a source -> its finished runs; none of one that was left out."""


@dataclass(frozen=True)
class Verdict:
    """Whether the paper's numbers came out.

    Attributes:
        level: the verdict.
        reason: one sentence.
        rule: how the level follows from the numbers.
    """

    level: Level
    reason: str
    rule: str


@dataclass(frozen=True)
class Table:
    """A table of a section.

    Attributes:
        name: for its file.
        title: for its heading.
        numbers: for the CSV file.
        head: titles of the columns shown.
        rows: texts.
        caption: how they came about.
    """

    name: str
    title: str
    numbers: pd.DataFrame
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str


@dataclass(frozen=True)
class Section:
    """What an item has to show.

    Attributes:
        verdict: the verdict.
        paper: what the paper reports, a sentence or two.
        tables: its tables.
        exhibits: its figures.
        notes: further sentences.
    """

    verdict: Verdict
    paper: str
    tables: Sequence[Table] = ()
    exhibits: Sequence[Exhibit] = ()
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Item:
    """A table or a figure of the evaluation.

    Attributes:
        name: on the command line.
        title: its heading.
        sources: the scenario files.
        present: makes its section from the finished runs.
    """

    name: str
    title: str
    sources: tuple[Source, ...]
    present: Callable[[Evidence], Section]
