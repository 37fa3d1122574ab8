"""Figure 7: digits recovered from h1, without and with the defender, by every attacker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from p2n2sim.attacks.recovery import PAIRS
from p2n2sim.evaluation.item import (
    ATTACKS,
    PICTURES,
    Evidence,
    Finished,
    Item,
    Level,
    Section,
    Source,
    Table,
    Verdict,
)
from p2n2sim.paper.attacked import BOUND, CLASS_MEAN, PAPERS, judged
from p2n2sim.paper.recovered import SLOWER, recovering
from p2n2sim.report import style
from p2n2sim.report.figures import Exhibit
from p2n2sim.report.provenance import data_line
from p2n2sim.report.text import listed

READING = "defender.reading"
NONE = "none"
PAPERS_KIND: Final = (PAPERS, SLOWER)
"""The paper's attacker: a network of three layers; its own learning rate is not stated."""
RECOVERS = 0.5
"""An attacker recovers digits if its error is at most so much of what a digit's class alone leaves."""
_DIGITS = 10
_RULE = (
    f"an attacker recovers digits if its mean squared error is at most {RECOVERS:.0%} of that of the mean "
    f"image "
    "of the digit's true class; a reading protects against an attacker that recovers them without the "
    "defender "
    "and does not with it. Reproduced if some reading protects against the strongest attacker, under stated "
    "conditions if only against networks like the paper's, else not reproduced."
)
_SHORT = {
    PAPERS: "MLP,\nrate 0.01",
    SLOWER: "MLP,\nrate 0.001",
    "whitened MLP": "MLP,\nwhitened",
    "ridge regression": "ridge",
    "kernel ridge regression": "kernel\nridge",
}


def _present(evidence: Evidence) -> Section:
    runs = [*evidence["figure7"], *evidence["figure7-defender"]]
    frame = pd.concat([judged(run).assign(reading=_reading(run)) for run in runs], ignore_index=True)
    accuracy = {_reading(run): float(run.summary["metrics"]["accuracy"]) for run in runs}
    data = runs[0].summary["data"]
    notes = [
        "lambda = 100 here weighs the mean squared error of a holder's half of the pixels, bounded by "
        "defender.bound, against the mean cross-entropy: where the distance is far below the bound it counts "
        "100 times the error itself (docs/defender.md).",
        "The paper states Adam's rate 0.01, but not whether it is the attacker's, too. Its MLP is shown "
        "at both.",
        "The bound is for every affine function of h1 = X theta with full knowledge of the rows; it is the "
        "cut's, not an attacker's.",
    ]
    if data["stand_in"] or data["name"] != "mnist":
        why = "MNIST was not found" if data["stand_in"] else "A quick evaluation does without MNIST"
        notes.insert(0, f"{why}: these are scikit-learn's digits of 8 x 8 pixels in its place.")
    return Section(
        verdict(frame),
        'Digits recovered without the defender can be read; with it, at lambda = 100, "it becomes more '
        'difficult to recognize the recovered digits".',
        tables=[_table(frame, accuracy)],
        exhibits=[
            Exhibit("figure7", "Digits that the server recovers", _draw(runs), _numbers(runs), _caption(runs))
        ],
        notes=notes,
    )


def _reading(run: Finished) -> str:
    return str(run.values.get(READING, NONE))


def verdict(frame: pd.DataFrame) -> Verdict:
    """By the rule.

    Args:
        frame: of `judged`, with a column ``reading``; `NONE` without a defender.
    """
    learned = frame[(frame["part"] == "scores") & (frame["assumes"] == PAIRS)]
    errors = learned.groupby(["reading", "attack"], sort=False)["mse"].min().unstack("attack")
    limit = RECOVERS * float(frame.loc[frame["attack"] == CLASS_MEAN, "mse"].min())
    recovers = errors <= limit
    defended = [reading for reading in errors.index if reading != NONE]
    best = errors.min(axis=1)
    against_best = [one for one in defended if best[NONE] <= limit < best[one]]
    papers = [name for name in PAPERS_KIND if name in errors]
    against_papers = [
        one
        for one in defended
        if any(recovers.at[NONE, name] and not recovers.at[one, name] for name in papers)
    ]
    strongest = {one: errors.loc[one].idxmin() for one in (NONE, *defended)}
    told = ", ".join(f"{best[one]:.4f} with {one}" for one in defended)
    reason = (
        f"The strongest attack without a defender ({strongest[NONE]}) leaves {best[NONE]:.4f}, the strongest "
        f"with it {told}; a class's mean image leaves {limit / RECOVERS:.4f}."
    )
    level: Level = "not reproduced"
    if against_best:
        level = "reproduced"
    elif against_papers:
        level = "reproduced only under stated conditions"
        reason = f"Only networks like the paper's are kept off, by {listed(against_papers)}. {reason}"
    else:
        reason = f"No reading keeps any attacker off that recovers digits without it. {reason}"
    return Verdict(level, reason, _RULE)


def _table(frame: pd.DataFrame, accuracy: dict[str, float]) -> Table:
    rows = []
    for reading, own in frame.groupby("reading", sort=False):
        learned = own[(own["part"] == "scores") & (own["assumes"] == PAIRS)]
        best = learned["mse"].min()
        for row in learned.to_dict("records"):
            name = f"{row['attack']}{' (strongest)' if row['mse'] == best else ''}"
            rows.append([_defence(str(reading)), f"{accuracy[str(reading)]:.3f}", name, *_metrics(row)])
        for row in own[own["attack"] == BOUND].to_dict("records"):
            rows.append([_defence(str(reading)), "", "bound: best linear estimate", *_metrics(row)])
    first = frame[frame["reading"] == frame["reading"].iloc[0]]
    for row in first[first["part"] == "floors"].to_dict("records"):
        floor = "mean image" if row["attack"] == "mean" else "mean image of the true class"
        rows.append(["", "", f"floor: {floor}", *_metrics(row)])
    return Table(
        "figure7-table",
        "How near the recovered digits come",
        frame.assign(accuracy=frame["reading"].map(accuracy)),
        ["defender", "test accuracy", "attacker", "MSE", "PSNR, dB", "SSIM"],
        rows,
        "Averages over all attacked test digits that were not leaked; pixels are from 0 to 1. Small "
        "errors, large "
        "PSNR and SSIM: a strong attack. The CSV has attackers without pairs, too.",
    )


def _metrics(row: dict[Any, Any]) -> list[str]:
    """Text of the error, PSNR and SSIM; empty where there is none, as for a bound."""
    texts = []
    for name, digits in (("mse", 4), ("psnr_db", 1), ("ssim", 2)):
        value = row.get(name)
        texts.append("" if value is None or pd.isna(value) else f"{value:.{digits}f}")
    return texts


def _defence(reading: str) -> str:
    return "no defender" if reading == NONE else f"defender, {reading}"


def _draw(runs: Sequence[Finished]) -> Figure:
    kept = [run.found[ATTACKS][PICTURES][0] for run in runs]
    attackers = list(kept[0]["recovered"])
    columns = -(-len(runs) // 2)
    with style.look():
        figure = style.new_figure(5.6 * columns, 0.3 + 2 * (0.35 + 0.43 * (1 + len(attackers))))
        panels = np.atleast_1d(figure.subplots(2 if len(runs) > 1 else 1, columns)).ravel()
        for axes, run, pictures in zip(panels, runs, kept, strict=False):
            _panel(axes, pictures, attackers)
            accuracy = run.summary["metrics"]["accuracy"]
            axes.set_title(f"{_defence(_reading(run)).capitalize()}, test accuracy {accuracy:.3f}")
        for axes in panels[len(runs) :]:
            axes.axis("off")
    return figure


def _panel(axes: Axes, pictures: dict[str, Any], attackers: Sequence[str]) -> None:
    """A line of digits as they were, then one for every attacker with its error at the right."""
    height, width = pictures["image"]
    gap = max(1, height // 8)
    original = np.array(pictures["original"], float) / 255
    lines = [original, *(np.array(pictures["recovered"][name], float) / 255 for name in attackers)]
    whole = np.full((len(lines) * (height + gap) - gap, len(original) * (width + gap) - gap), np.nan)
    for y, line in enumerate(lines):
        for x, digit in enumerate(line):
            top, left = y * (height + gap), x * (width + gap)
            whole[top : top + height, left : left + width] = digit.reshape(height, width)
    axes.imshow(whole, cmap="gray_r", vmin=0, vmax=1, interpolation="nearest")
    axes.grid(visible=False)
    axes.set_xticks([])
    names = ["original", *(_SHORT.get(name, name) for name in attackers)]
    middles = [y * (height + gap) + height / 2 - 0.5 for y in range(len(lines))]
    axes.set_yticks(middles, names)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    for middle, line in zip(middles[1:], lines[1:], strict=True):
        error = np.mean((line - original) ** 2)
        axes.annotate(
            f"{error:.4f}",
            (1.01, middle),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=8.5,
            color=style.MUTED,
        )


def _numbers(runs: Sequence[Finished]) -> pd.DataFrame:
    """Every picture with its error and its pixels."""
    rows = []
    for run in runs:
        pictures = run.found[ATTACKS][PICTURES][0]
        original = np.array(pictures["original"], float) / 255
        for name, guesses in {"original": pictures["original"], **pictures["recovered"]}.items():
            for place, pixels in enumerate(guesses):
                error = float(np.mean((np.array(pixels, float) / 255 - original[place]) ** 2))
                rows.append(
                    {
                        "reading": _reading(run),
                        "attack": name,
                        "row": pictures["rows"][place],
                        "digit": pictures["classes"][place],
                        "mse": error,
                        "pixels_0_to_255": " ".join(map(str, pixels)),
                        "run": run.name,
                    }
                )
    return pd.DataFrame(rows)


def _caption(runs: Sequence[Finished]) -> str:
    run = runs[0]
    finding = run.found[ATTACKS]["findings"][0]
    scenario, data = run.told.scenario, run.summary["data"]
    return (
        f"The server recovers test digits from its recorded view: h1 of {scenario.model.hidden[0]} "
        f"columns. It "
        f"knows {finding['rows_leaked']:,} digits with their h1 and is judged on {finding['rows_scored']:,} "
        "others; shown is the first of them of every class, at the right the mean squared error of the "
        "pictures of a line (pixels from 0 to 1, cut off beyond). The attackers are trained afresh for every "
        f"run. Network {', '.join(map(str, scenario.model.hidden))} and {_DIGITS} with ReLU, "
        f"{scenario.train.epochs} epochs of {data['rows_train']:,} digits, Adam with rate "
        f"{scenario.train.learning_rate:g}, two holders with the upper and the lower half, lambda = 100, "
        f"first "
        f"layer by masked sums. {data_line(data)}"
    )


_STEPS = (recovering(stages=("predict",), pictures=_DIGITS, slower=True),)
_QUICK = {"data.source": "digits", "data.fraction": 1.0, "train.batch_size": 100}
FIGURE7 = Item(
    "figure7",
    "Figure 7: recovered digits",
    (
        Source("figure7.toml", quick=_QUICK, steps=_STEPS),
        Source("figure7-defender.toml", quick=_QUICK, steps=_STEPS),
    ),
    _present,
)
