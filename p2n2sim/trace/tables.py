"""The critical path as tables on the screen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from p2n2sim.report.text import span, words
from p2n2sim.trace.critical import PARTS

_NAMES = {
    "compute": "compute",
    "serialisation": "serialisation",
    "latency": "latency",
    "offline": "waiting for dealer (offline)",
    "fault": "waiting for a retry, timeout or fault",
    "other": "not recorded",
}
_STAGES = {"setup": "setup", "train": "training", "predict": "prediction"}


def critical_tables(divided: Mapping[str, Any]) -> RenderableType:
    """How the time divides by part and stage, and what takes longest.

    Args:
        divided: as `p2n2sim.trace.critical.divide` makes it.
    """
    return Group(Text(""), _parts(divided), Text(""), _longest(divided))


def _parts(divided: Mapping[str, Any]) -> Table:
    stages, total = divided["stages_ps"], divided["total_ps"]
    table = _new("Critical path", "", *_STAGES.values(), "whole run", "")
    for part in PARTS:
        whole = divided["parts_ps"][part]
        if whole or part not in ("fault", "other"):
            own = [_seconds(stages[stage][part]) for stage in _STAGES]
            table.add_row(_NAMES[part], *own, _seconds(whole), _percent(whole, total))
    table.add_section()
    sums = [_seconds(sum(stages[stage].values())) for stage in _STAGES]
    table.add_row("virtual time", *sums, _seconds(total), _percent(total, total))
    return table


def _longest(divided: Mapping[str, Any]) -> Table:
    table = _new("What takes longest on it", "", "", "", "times", "in all", "")
    for column in table.columns[1:3]:
        column.justify = "left"
    for entry in divided["longest"]:
        what = entry["what"] if entry["part"] == "compute" else words(entry["what"])
        share = _percent(entry["ps"], divided["total_ps"])
        where = entry["where"].replace("->", " → ")
        table.add_row(entry["part"], where, what, f"{entry['times']:,}", _seconds(entry["ps"]), share)
    return table


def _new(title: str, *heads: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for position, head in enumerate(heads):
        table.add_column(head, justify="left" if position == 0 else "right", no_wrap=True)
    return table


def _seconds(ps: int) -> str:
    return span(ps / 1e12) if ps else "–"


def _percent(ps: int, total: int) -> str:
    return f"{100 * ps / total:.1f} %" if total else "–"
