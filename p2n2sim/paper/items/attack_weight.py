"""What the paper leaves out of Figure 7: attack success by the defender's weight, on digits and on fraud."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from p2n2sim.evaluation.item import Evidence, Item, Level, Section, Table, Verdict
from p2n2sim.paper.attacked import averaged, outcome
from p2n2sim.paper.items.digits_runs import DEFENDER, HEAD, READING, WEIGHT, WIDTH, caption, cells, undefended
from p2n2sim.paper.items.figure8 import FIGURE8, READINGS
from p2n2sim.report import style
from p2n2sim.report.figures import Exhibit

HIDES, COSTS = 0.5, 0.02
_SIZE = (10.2, 6.4)  # inches
_SETS: Final = {"digits": "Digits, 64 units", "fraud": "Fraud, 8 units"}
_NONE = "none"
_KEYS = ["data", "reading", "weight"]
_RULE = (
    "a weight hides the inputs from an attacker if the attacker's error is at least "
    f"{HIDES:.0%} of that of the true class's mean, without the defender it is not, and the test measure "
    f"falls "
    f'by at most {COSTS:g}. Reproduced ("effectively preventing the server from recovering") if some '
    f"weight of "
    "some reading hides them from the strongest attacker, under stated conditions if only from the "
    "paper's MLP, "
    "else not reproduced."
)


def _present(evidence: Evidence) -> Section:
    frame = measured(evidence)
    means = averaged(frame, _KEYS)
    rows = [
        [_SETS[row["data"]], row["reading"], f"{row['weight']:g}", *cells(row)]
        for row in means.to_dict("records")
    ]
    table = Table(
        "attack-weight-table",
        "The strongest attack by weight",
        frame,
        ["", "reading", "defender.weight", *HEAD],
        rows,
        "Errors as shares of what the features' means alone leave: 0 is everything, 1 nothing. Mean ± "
        "standard "
        "deviation of the repeats.",
    )
    text = caption(evidence, ("digits-width", "figure8")) + (
        " Solid: the strongest attack on training or test rows, dashed: the paper's MLP. Dotted: the true "
        "class's mean; grey: without a defender."
    )
    return Section(
        verdict(means),
        'It shows Figure 7 at one weight against one attacker: "the defender mechanism can effectively '
        'preventing the server from recovering the private input".',
        tables=[table],
        exhibits=[
            Exhibit("attack-weight", "Attack success by the defender's weight", _draw(means), means, text)
        ],
    )


def measured(evidence: Evidence) -> pd.DataFrame:
    """`outcome` of every run, with ``data``, ``reading`` and ``weight``."""
    rows = []
    for data, base, defended in (
        ("digits", undefended(evidence), evidence["digits-defender"]),
        ("fraud", evidence["figure8"], evidence["figure8-defender"]),
    ):
        rows += [outcome(run, {"data": data, "reading": _NONE, "weight": 0.0}) for run in base]
        rows += [
            outcome(run, {"data": data, "reading": run.values[READING], "weight": run.values[WEIGHT]})
            for run in defended
        ]
    return pd.DataFrame(rows)


def verdict(means: pd.DataFrame) -> Verdict:
    """By the rule.

    Args:
        means: of `averaged`, by data, reading and weight.
    """
    hidden = {name: _hiding(means, name) for name in ("best", "papers")}
    level: Level = "not reproduced"
    if hidden["best"]:
        level, where = "reproduced", f"The strongest attack is kept off by {'; '.join(hidden['best'])}."
    elif hidden["papers"]:
        level = "reproduced only under stated conditions"
        where = f"Only the paper's MLP is kept off, by {'; '.join(hidden['papers'])}."
    else:
        where = "No weight keeps an attacker off without its price in accuracy."
    parts = []
    for data, own in means.groupby("data", sort=False):
        none, rest = own[own["reading"] == _NONE].iloc[0], own[own["reading"] != _NONE]
        most = rest.sort_values("best", kind="stable").iloc[-1]
        parts.append(
            f"on {data} the strongest attack leaves {none['best']:.2g} without a defender and at most "
            f"{most['best']:.2g} with it ({most['reading']} at {most['weight']:g}, test measure "
            f"{most['test']:.3f} "
            f"instead of {none['test']:.3f}), the paper's MLP {none['papers']:.2g} and at most "
            f"{rest['papers'].max():.2g}"
        )
    return Verdict(level, f"{where} Of what the features' means leave, {'; '.join(parts)}.", _RULE)


def _hiding(means: pd.DataFrame, name: str) -> list[str]:
    """Where an attacker's errors become large at no great price."""
    found = []
    for data, own in means.groupby("data", sort=False):
        none = own[own["reading"] == _NONE].iloc[0]
        if none[name] >= HIDES * none["class_mean"]:
            continue  # there is nothing to hide
        for row in own[own["reading"] != _NONE].to_dict("records"):
            if row[name] >= HIDES * row["class_mean"] and none["test"] - row["test"] <= COSTS:
                found.append(f"{row['reading']} at {row['weight']:g} on {data}")
    return found


def _draw(means: pd.DataFrame) -> Figure:
    with style.look():
        figure = style.new_figure(*_SIZE)
        panels = figure.subplots(2, len(_SETS), sharex="col", height_ratios=[1.5, 1])
        for (data, title), (top, bottom) in zip(_SETS.items(), panels.T, strict=True):
            own = means[means["data"] == data]
            _errors(top, own)
            top.set_title(title)
            none = own[own["reading"] == _NONE].iloc[0]
            bottom.axhline(none["test"], color=style.OTHER, linewidth=1.4)
            for reading, (colour, marker) in READINGS.items():
                line = own[own["reading"] == reading]
                bottom.errorbar(
                    line["weight"], line["test"], line["test_sd"], color=colour, marker=marker, capsize=3
                )
            bottom.set_ylabel("test accuracy" if data == "digits" else "AUC, test rows")
            bottom.set_xscale("log")
            bottom.set_xlabel("defender.weight, λ")
        panels[0, 0].set_ylabel("error left, share of the means' error")
        style.legend_below(figure, panels[0, 0], 4)
    return figure


def _errors(axes: Axes, own: pd.DataFrame) -> None:
    none = own[own["reading"] == _NONE].iloc[0]
    axes.axhline(none["best"], color=style.OTHER, linewidth=1.4, label="no defender, strongest")
    axes.axhline(
        none["papers"], color=style.OTHER, linewidth=1.4, linestyle="--", label="no defender, paper's MLP"
    )
    for reading, (colour, marker) in READINGS.items():
        line = own[own["reading"] == reading]
        for name, style_of_line in (("best", "-"), ("papers", "--")):
            axes.errorbar(
                line["weight"],
                line[name],
                line[f"{name}_sd"],
                color=colour,
                marker=marker,
                linestyle=style_of_line,
                capsize=3,
                label=f"{reading}, {'strongest' if name == 'best' else 'paper’s MLP'}",
            )
    axes.axhline(
        own["class_mean"].mean(), color=style.INK, linestyle=":", linewidth=1, label="class mean known"
    )
    axes.set_ylim(0, max(1.1, 1.05 * float(np.max(own[["best", "papers"]].to_numpy()))))


ATTACK_WEIGHT = Item(
    "attack-weight",
    "Beyond the paper: attacks by the defender's weight",
    (
        WIDTH,
        DEFENDER,
        *(source for source in FIGURE8.sources if source.file in ("figure8.toml", "figure8-defender.toml")),
    ),
    _present,
)
