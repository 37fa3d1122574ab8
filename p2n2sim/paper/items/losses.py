"""Figures 3 and 4: average training and test loss by iteration."""

from __future__ import annotations

from functools import partial

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from p2n2sim.paper.item import Evidence, Item, Level, Section, Source, Verdict
from p2n2sim.paper.repeats import loss_by_epoch
from p2n2sim.report import style
from p2n2sim.report.figures import Exhibit
from p2n2sim.report.provenance import data_line

_SIZE = (7.2, 4.0)  # inches
_LINES = (("train", "training", style.BLUE, "o"), ("test", "test", style.VERMILLION, "s"))
STEADY = 0.8
"""Share of the epochs in which a loss that falls steadily falls."""
OVERFITTED = 1.05
"""A test loss this many times its least one has risen again."""
_RULE = (
    "the curves are read off no picture; the claim is tested. Steadily: the mean training loss falls in at "
    "least "
    f"{STEADY:.0%} of the epochs and ends below half of where it begins. Without over-fitting: the mean test "
    "loss "
    f"ends at most {OVERFITTED - 1:.0%} above its lowest. The settings are not stated, so that no more than "
    f"reproduced under stated conditions can be said."
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
        f"Average cross-entropy of P2N2 on the {data} data by iteration, here a pass over the training rows, "
        f"{train.batch_size:,} rows a batch. "
        f"Mean over {len(runs)} repeats (seeds {', '.join(str(run.summary['seed']) for run in runs)}), bars "
        "of one "
        "standard deviation; rings are the plain network on the same batches. A training loss is averaged "
        "while "
        f"the weights move, a test loss is taken after the pass. {data_line(told.summary['data'])} "
        f"{'Summed' if train.loss_reduction == 'sum' else 'Mean'} loss, learning rate "
        f"{train.learning_rate:g}, "
        f"{told.scenario.model.initialisation} initialisation."
    )
    runs_of = " ".join(run.name for run in runs)
    exhibit = Exhibit(name, "Average loss by iteration", figure, curve.assign(run=runs_of), caption)
    return Section(_verdict(curve, train.epochs, train.batch_size), claim, exhibits=[exhibit])


def draw(axes: Axes, curve: pd.DataFrame) -> None:
    """Draws mean losses with their spread; the plain network's as rings around them.

    Args:
        axes: where.
        curve: as `p2n2sim.paper.repeats.loss_by_epoch` makes it.
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
    axes.legend()


def steady(curve: pd.DataFrame) -> tuple[bool, bool]:
    """Whether the training loss falls steadily, and whether the test loss does not rise again."""
    train, test = curve["train_mean"], curve["test_mean"]
    falls = float((train.diff().dropna() < 0).mean())
    converges = falls >= STEADY and train.iloc[-1] < train.iloc[0] / 2
    return bool(converges), bool(test.iloc[-1] <= OVERFITTED * test.min())


def _verdict(curve: pd.DataFrame, epochs: int, batch: int) -> Verdict:
    converges, fits = steady(curve)
    train, test = curve["train_mean"], curve["test_mean"]
    falls = int((train.diff().dropna() < 0).sum())
    told = (
        f"with batches of {batch:,} the mean training loss falls in {falls} of {len(train) - 1} steps, from "
        f"{train.iloc[0]:.4f} to {train.iloc[-1]:.4f}, and the mean test loss ends at {test.iloc[-1]:.4f}, "
        f"{test.iloc[-1] / test.min() - 1:.1%} above its lowest, over {epochs} epochs."
    )
    level: Level = "reproduced only under stated conditions" if converges and fits else "not reproduced"
    return Verdict(level, told[0].upper() + told[1:], _RULE)


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
