"""Figures 3 and 4: average training and test loss by iteration."""

from __future__ import annotations

import math
from functools import partial

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from p2n2sim.evaluation.item import Evidence, Item, Level, Section, Source, Verdict
from p2n2sim.evaluation.repeats import loss_by_epoch
from p2n2sim.report import style
from p2n2sim.report.figures import Exhibit
from p2n2sim.report.provenance import data_line

_SIZE = (7.2, 4.0)  # inches
_LINES = (("train", "training", style.BLUE, "o"), ("test", "test", style.VERMILLION, "s"))
RISE = 0.05
"""A loss that falls steadily never rises by more than this share of its whole fall."""
OVERFITTED = 1.05
"""A test loss this many times its least one has risen again."""
_RULE = (
    "there is no picture to read numbers from, so the claim is tested. Steadily: the mean training loss "
    f"falls, and from one pass to the next never rises by more than {RISE:.0%} of its whole fall. Without "
    f"over-fitting: the mean test loss ends at most {OVERFITTED - 1:.0%} above its lowest. The settings are "
    "not stated, so no more can be said than that the claim holds under stated conditions."
)


def _present(evidence: Evidence, *, name: str, data: str, claim: str) -> Section:
    runs = evidence[name]
    curve = loss_by_epoch(runs)
    told = runs[0].told
    train = told.scenario.train
    with style.look():
        figure = style.new_figure(*_SIZE)
        draw(figure.add_subplot(), curve)
    caption = (
        f"Average cross-entropy of P2N2 on the {data} data by iteration, here a pass over the training "
        f"rows, {train.batch_size:,} rows a batch. Mean over {len(runs)} repeats (seeds "
        f"{', '.join(str(run.summary['seed']) for run in runs)}), bars of one standard deviation; rings are "
        "the plain network on the same batches. A training loss is averaged while the weights move, a test "
        f"loss is taken after the pass. {data_line(told.summary['data'])} "
        f"{'Summed' if train.loss_reduction == 'sum' else 'Mean'} loss, learning rate "
        f"{train.learning_rate:g}, {told.scenario.model.initialisation} initialisation."
    )
    runs_of = " ".join(run.name for run in runs)
    exhibit = Exhibit(name, "Average loss by iteration", figure, curve.assign(run=runs_of), caption)
    return Section(verdict(curve, train.epochs, train.batch_size), claim, exhibits=[exhibit])


def draw(axes: Axes, curve: pd.DataFrame) -> None:
    """Draws mean losses with their spread; the plain network's as rings around them.

    Args:
        axes: where.
        curve: as `p2n2sim.evaluation.repeats.loss_by_epoch` makes it.
    """
    for part, title, colour, marker in _LINES:
        axes.errorbar(
            curve["epoch"],
            curve[f"{part}_mean"],
            yerr=curve[f"{part}_sd"],
            color=colour,
            marker=marker,
            markersize=4.5,
            elinewidth=1.0,
            capsize=2.0,
            label=f"P2N2, {title}",
        )
        axes.plot(
            curve["epoch"],
            curve[f"plain_{part}_mean"],
            color=colour,
            linestyle="none",
            marker=marker,
            markersize=9,
            fillstyle="none",
            markeredgewidth=0.8,
            label=f"plain network, {title}",
        )
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=10))
    axes.set_xlabel("passes over the training rows")
    axes.set_ylabel("cross-entropy, mean over rows")
    handles, labels = axes.get_legend_handles_labels()
    order = sorted(range(len(labels)), key=lambda number: labels[number].startswith("plain"))
    axes.legend([handles[number] for number in order], [labels[number] for number in order])


def rise(curve: pd.DataFrame) -> float:
    """The largest rise of the mean training loss between two passes, as a share of its whole fall.

    Args:
        curve: as `p2n2sim.evaluation.repeats.loss_by_epoch` makes it.

    Returns:
        0 if it never rises, infinity if it does not fall as a whole.
    """
    train = curve["train_mean"]
    fall = float(train.iloc[0] - train.iloc[-1])
    return max(0.0, float(train.diff().max())) / fall if fall > 0 else math.inf


def excess(curve: pd.DataFrame) -> float:
    """How far the mean test loss ends above its lowest, as a share of that."""
    test = curve["test_mean"]
    return float(test.iloc[-1] / test.min() - 1)


def verdict(curve: pd.DataFrame, epochs: int, batch: int) -> Verdict:
    """The verdict on a curve of losses after so many epochs of batches of so many rows."""
    train, test = curve["train_mean"], curve["test_mean"]
    reason = (
        f"With batches of {batch:,} the mean training loss goes from {train.iloc[0]:.4f} to "
        f"{train.iloc[-1]:.4f} in {epochs} epochs, its largest rise is {rise(curve):.1%} of that, and the "
        f"mean test loss ends at {test.iloc[-1]:.4f}, {excess(curve):.1%} above its lowest."
    )
    holds = rise(curve) <= RISE and excess(curve) <= OVERFITTED - 1
    level: Level = "reproduced only under stated conditions" if holds else "not reproduced"
    return Verdict(level, reason, _RULE)


def _item(number: int, data: str, quick_epochs: int) -> Item:
    name = f"figure{number}"
    return Item(
        name,
        f"Figure {number}: average loss, {data} data",
        (Source(f"{name}.toml", quick={"train.seed": [1, 2], "train.epochs": quick_epochs}),),
        partial(
            _present,
            name=name,
            data=data,
            claim=f"Average training and test loss on the {data} data by iteration; "
            '"P2N2 converges steadily without '
            f'over-fitting".',
        ),
    )


FIGURE3, FIGURE4 = _item(3, "fraud", 10), _item(4, "distress", 10)
