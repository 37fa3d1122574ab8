"""What the paper leaves out: accuracy against the strongest attack, for all defences on digits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import pandas as pd
from matplotlib.figure import Figure

from p2n2sim.evaluation.item import Evidence, Finished, Item, Level, Section, Table, Verdict
from p2n2sim.paper.attacked import averaged, outcome
from p2n2sim.paper.items.digits_runs import (
    DEFENDER,
    FULL,
    HEAD,
    NOISE,
    NOISE_DEVIATION,
    NOPEEK,
    NOPEEK_WEIGHT,
    READING,
    SGLD,
    TEMPERATURE,
    WEIGHT,
    WIDTH,
    caption,
    cells,
    undefended,
    width,
)
from p2n2sim.report import style
from p2n2sim.report.figures import Exhibit
from p2n2sim.report.text import listed

_SIZE = (9.4, 5.6)  # inches
NONE = "no defence"
OF_PAPER: Final = {
    "literal": "defender, literal",
    "minmax": "defender, minmax",
    "best-response": "defender, best-response",
}
LOOKS: Final = {
    NONE: (style.INK, "*"),
    OF_PAPER["literal"]: (style.VERMILLION, "o"),
    OF_PAPER["minmax"]: (style.BLUE, "s"),
    OF_PAPER["best-response"]: (style.GREEN, "^"),
    "narrower cut": (style.PURPLE, "D"),
    "NoPeek": (style.ORANGE, "v"),
    "noise on h1": (style.SKY, "P"),
    "SGLD": (style.OTHER, "X"),
}
_STRENGTHS: Final = {
    "narrower cut": "units",
    "NoPeek": "defence.nopeek",
    "noise on h1": "defence.noise",
    "SGLD": "train.temperature",
}
HIDES = 0.5
_RULE = (
    "a point is on the frontier if no other has at least its accuracy and at least its error of the "
    "strongest attack, "
    f"and protects if that error is at least {HIDES:.0%} of the true class's mean's. Reproduced if the "
    f"literal reading "
    "of the paper's defender has a point on the frontier that protects, under stated conditions if "
    "another reading "
    "has, else not reproduced."
)


def _present(evidence: Evidence) -> Section:
    frame = pd.DataFrame(
        [
            outcome(run, {"defence": defence, "strength": strength})
            for defence, strength, run in _runs(evidence)
        ]
    )
    means = averaged(frame, ["defence", "strength"])
    means["frontier"] = on_frontier(means)
    rows = [
        [row["defence"], _strength(row), *cells(row), "yes" if row["frontier"] else ""]
        for row in means.to_dict("records")
    ]
    table = Table(
        "frontier-table",
        "Every defence at every strength",
        frame,
        ["defence", "strength", *HEAD, "on the frontier"],
        rows,
        "Errors as shares of what the features' means alone leave: 0 is everything, 1 nothing. Mean ± "
        "standard "
        "deviation of the repeats. The bound is that of h1 without noise.",
    )
    text = caption(evidence, ("digits-width",)) + (
        " Each point: the mean over the repeats, right is private and up is accurate; lines go from weak "
        "to strong. "
        "Hollow: the same runs as the paper's MLP alone would judge them, for the paper's defender. Black "
        "line: the "
        "frontier. Dotted: who knows the true class alone, and who knows the means alone. SGLD with its "
        "own learning "
        "rate of 0.1, all else with Adam."
    )
    return Section(
        verdict(means),
        "It compares its defender with none other, and against no other attacker.",
        tables=[table],
        exhibits=[Exhibit("frontier", "Accuracy against the strongest attack", _draw(means), means, text)],
    )


def _runs(evidence: Evidence) -> Iterator[tuple[str, float, Finished]]:
    yield from ((NONE, float(FULL), run) for run in undefended(evidence))
    for run in evidence["digits-defender"]:
        yield OF_PAPER[run.values[READING]], float(run.values[WEIGHT]), run
    for run in reversed(evidence["digits-width"]):
        if width(run) != FULL:
            yield "narrower cut", float(width(run)), run
    for name, file, key in (
        ("NoPeek", "digits-nopeek", NOPEEK_WEIGHT),
        ("noise on h1", "digits-noise", NOISE_DEVIATION),
        ("SGLD", "digits-sgld", TEMPERATURE),
    ):
        yield from ((name, float(run.values[key]), run) for run in evidence[file])


def _strength(row: dict[Any, Any]) -> str:
    if row["defence"] == NONE:
        return f"{FULL} units"
    if row["defence"] == "narrower cut":
        return f"{row['strength']:g} unit{'s' if row['strength'] > 1 else ''}"
    return f"{_STRENGTHS.get(row['defence'], 'λ')} = {row['strength']:g}"


def on_frontier(means: pd.DataFrame) -> list[bool]:
    """Whether no other point has at least a point's accuracy and error, and more of one of them.

    Args:
        means: columns ``test`` and ``best``.
    """
    points = list(zip(means["test"], means["best"], strict=True))
    return [
        not any(a >= test and b >= best and (a, b) != (test, best) for a, b in points)
        for test, best in points
    ]


def verdict(means: pd.DataFrame) -> Verdict:
    """By the rule.

    Args:
        means: of `averaged`, by defence and strength, with `on_frontier` as ``frontier``.
    """
    good = means[means["frontier"] & (means["best"] >= HIDES * means["class_mean"])]
    protecting = list(dict.fromkeys(good["defence"]))
    of_paper = [name for name in OF_PAPER.values() if name in protecting]
    level: Level = "not reproduced"
    if OF_PAPER["literal"] in of_paper:
        level = "reproduced"
    elif of_paper:
        level = "reproduced only under stated conditions"
    reason = "Nothing protects."
    if protecting:
        reason = f"On the frontier {listed(protecting)} {'protects' if len(protecting) == 1 else 'protect'}"
        row = good.sort_values("test", kind="stable").iloc[-1]
        none = means[means["defence"] == NONE].iloc[0]
        reason += (
            f"; the most accurate that does is {row['defence']} ({_strength(dict(row))}): accuracy "
            f"{row['test']:.3f} "
            f"and error {row['best']:.2g}, without a defence {none['test']:.3f} and {none['best']:.2g}."
        )
    literal = means[means["defence"] == OF_PAPER["literal"]]
    reason += (
        f" The literal reading leaves the strongest attack at most {literal['best'].max():.2g}, though "
        f"the paper's MLP "
        f"{literal['papers'].max():.2g}."
    )
    return Verdict(level, reason, _RULE)


def _draw(means: pd.DataFrame) -> Figure:
    with style.look():
        figure = style.new_figure(*_SIZE)
        axes = figure.add_subplot()
        front = means[means["frontier"]].sort_values("best")
        axes.plot(front["best"], front["test"], color=style.INK, linewidth=0.9, zorder=1, label="frontier")
        for defence, (colour, marker) in LOOKS.items():
            line = means[means["defence"] == defence]
            axes.errorbar(
                line["best"],
                line["test"],
                line["test_sd"],
                line["best_sd"],
                color=colour,
                marker=marker,
                markersize=11 if defence == NONE else 7,
                linewidth=1,
                elinewidth=0.8,
                label=defence,
            )
            if defence in OF_PAPER.values():
                axes.plot(line["papers"], line["test"], marker, color=colour, mfc="none", alpha=0.9)
        axes.plot([], [], "o", color=style.INK, mfc="none", label="to the paper's MLP alone")
        for value, name in ((means["class_mean"].mean(), "class known"), (1.0, "means known")):
            axes.axvline(value, color=style.MUTED, linestyle=":", linewidth=1)
            axes.annotate(
                name,
                (value, 0.0),
                (3, 5),
                xycoords=("data", "axes fraction"),
                textcoords="offset points",
                rotation=90,
                fontsize=8.5,
                color=style.MUTED,
            )
        axes.set_xscale("log")
        axes.set_xlabel("error left to the strongest attack, share of the means' error (right: more private)")
        axes.set_ylabel("test accuracy")
        figure.legend(loc="outside right upper")
    return figure


FRONTIER = Item(
    "frontier",
    "Beyond the paper: accuracy against the strongest attack",
    (WIDTH, DEFENDER, NOPEEK, NOISE, SGLD),
    _present,
)
