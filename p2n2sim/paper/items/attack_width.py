"""What the paper leaves out: attack success by the width of the cut, without a defender."""

from __future__ import annotations

from typing import Final

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from p2n2sim.evaluation.item import Evidence, Item, Level, Section, Source, Table, Verdict
from p2n2sim.paper.attacked import averaged, outcome
from p2n2sim.paper.items.digits_runs import HEAD, HIDDEN, SEED, WIDTH, caption, cells, width
from p2n2sim.paper.recovered import recovering
from p2n2sim.report import style
from p2n2sim.report.figures import Exhibit

_FILES: Final = {"digits": "digits-width", "fraud": "fraud-width"}
_TITLES: Final = {"digits": "Digits, 64 pixels", "fraud": "Fraud, 28 features"}
_SIZE = (10.2, 6.2)  # inches
RECOVERS = 0.5
_RULE = (
    f"a cut gives inputs away if the strongest attack's error is at most {RECOVERS:.0%} of that of the "
    f"true class's "
    'mean. Reproduced (an attacker can "easily recover the input" from the hidden layer) if every width '
    "does on "
    "both data sets, under stated conditions if some do, else not reproduced."
)


def _present(evidence: Evidence) -> Section:
    frame = pd.DataFrame(
        [
            outcome(run, {"data": data, "width": width(run)})
            for data, file in _FILES.items()
            for run in evidence[file]
        ]
    )
    means = averaged(frame, ["data", "width"])
    rows = [[_TITLES[row["data"]], str(row["width"]), *cells(row)] for row in means.to_dict("records")]
    table = Table(
        "attack-width-table",
        "The strongest attack by width",
        frame,
        ["", "units", *HEAD],
        rows,
        "Errors as shares of what the features' means alone leave: 0 is everything, 1 nothing. Mean ± "
        "standard "
        "deviation of the repeats. The bound is that of affine functions; an attacker that is none may do "
        "better.",
    )
    return Section(
        verdict(means),
        'Without the defender "the attacker can easily recover the input of other records given their '
        'hidden layers"; '
        "the width of the cut is not varied.",
        tables=[table],
        exhibits=[
            Exhibit(
                "attack-width",
                "Attack success by width of the cut",
                _draw(means),
                means,
                caption(evidence, list(_FILES.values())),
            )
        ],
    )


def verdict(means: pd.DataFrame) -> Verdict:
    """By the rule.

    Args:
        means: of `averaged`, by data and width.
    """
    parts, count = [], 0
    for data, own in means.groupby("data", sort=False):
        given = own.loc[own["best"] <= RECOVERS * own["class_mean"], "width"].tolist()
        count += len(given)
        parts.append(
            f"on {data} at {', '.join(map(str, given)) or 'none'} of the widths "
            f"{', '.join(map(str, own['width']))}"
        )
    level: Level = "reproduced only under stated conditions" if count else "not reproduced"
    if count == len(means):
        level = "reproduced"
    return Verdict(level, f"Inputs are given away {'; '.join(parts)}.", _RULE)


def _draw(means: pd.DataFrame) -> Figure:
    lines = (
        ("best", "strongest attack", style.VERMILLION, "o", "-"),
        ("papers", "the paper's MLP", style.BLUE, "s", "--"),
        ("bound", "best affine function (bound)", style.GREEN, "^", "-."),
    )
    with style.look():
        figure = style.new_figure(*_SIZE)
        panels = figure.subplots(2, len(_FILES), sharex="col", height_ratios=[1.5, 1])
        for data, (top, bottom) in zip(_FILES, panels.T, strict=True):
            own = means[means["data"] == data]
            for name, label, colour, marker, dashes in lines:
                top.errorbar(
                    own["width"],
                    own[name],
                    own[f"{name}_sd"],
                    label=label,
                    color=colour,
                    marker=marker,
                    linestyle=dashes,
                    capsize=3,
                )
            top.plot(
                own["width"],
                own["class_mean"],
                color=style.INK,
                linestyle=":",
                linewidth=1,
                label="class mean known",
            )
            top.set_ylim(0, 1.1)
            top.set_title(_TITLES[data])
            bottom.errorbar(
                own["width"], own["test"], own["test_sd"], color=style.PURPLE, marker="D", capsize=3
            )
            bottom.set_ylabel("test accuracy" if data == "digits" else "AUC, test rows")
            bottom.set_xscale("log")
            bottom.xaxis.set_major_locator(FixedLocator(own["width"].tolist()))
            bottom.xaxis.set_minor_locator(NullLocator())
            bottom.xaxis.set_major_formatter(FuncFormatter(lambda value, position: f"{value:g}"))
            bottom.set_xlabel("units of the cut, model.hidden[0]")
        panels[0, 0].set_ylabel("error left, share of the means' error")
        style.legend_below(figure, panels[0, 0], 4)
    return figure


ATTACK_WIDTH = Item(
    "attack-width",
    "Beyond the paper: attacks by width of the cut",
    (
        WIDTH,
        Source(
            "fraud-width.toml",
            quick={SEED: [1], HIDDEN: [[1, 8], [4, 8], [16, 8]]},
            steps=(recovering(stages=("predict",)),),
        ),
    ),
    _present,
)
