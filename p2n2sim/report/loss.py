"""The loss by epoch, of the protocol and of the plain network: Figures 3 and 4 of the paper."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

from p2n2sim.report import style
from p2n2sim.scenario.protocol import WHOLE

FEW_EPOCHS = 5
_STEEP = 10.0  # ratio of losses above which a linear axis hides the end of the curve
_SERIES = (("train", style.BLUE, "o"), ("test", style.VERMILLION, "s"))


def draw_loss(axes: Axes, metrics: pd.DataFrame, batches: pd.DataFrame, *, protocol: str) -> None:
    """Draws the curves; with few epochs also the loss of every training batch.

    Args:
        axes: where.
        metrics: a row for every epoch, see `p2n2sim.summary.metrics_frame`.
        batches: a row for every batch, see `p2n2sim.summary.batches_frame`.
        protocol: what the legend calls it.
    """
    curve = by_batch(batches)
    if len(metrics) > FEW_EPOCHS or len(curve) <= len(metrics):
        curve = curve.iloc[:0]  # the epochs alone say enough
    else:
        axes.plot(
            curve["epochs"], curve["loss"], color=style.SKY, linewidth=1.0, label=f"{protocol}, each batch"
        )
    for part, colour, marker in _SERIES:
        own = metrics[["epoch", f"loss_{part}"]].dropna()
        plain = metrics[["epoch", f"plain_loss_{part}"]].dropna()
        if len(own):  # with the whole network under sharing nobody knows the training loss
            axes.plot(
                *own.to_numpy().T, color=colour, marker=marker, markersize=5, label=f"{protocol}, {part}"
            )
        axes.plot(
            *plain.to_numpy().T,
            color=colour,
            linestyle="none",
            marker=marker,
            markersize=10,
            fillstyle="none",
            label=f"plain network, {part}",
        )
    axes.set_xlabel("epochs completed")
    axes.set_ylabel("cross-entropy, mean over rows")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=10))
    _choose_scale(axes, metrics, curve)
    axes.legend(loc="best")


def unopened(summary: Mapping[str, Any]) -> str:
    """A sentence for captions where nobody knows the training loss."""
    whole = summary["protocol"] == WHOLE
    return " With the whole network under secret sharing nobody opens the training loss." if whole else ""


def by_batch(batches: pd.DataFrame) -> pd.DataFrame:
    """The loss of every training batch whose loss is known.

    Returns:
        Columns ``epochs`` (completed when the batch ends, a fraction) and ``loss``.
    """
    train = batches[batches["stage"] == "train"]
    position = train.groupby("epoch").cumcount() + 1
    length = train.groupby("epoch")["step"].transform("size")
    frame = pd.DataFrame({"epochs": train["epoch"] - 1 + position / length, "loss": train["loss"]})
    return frame.dropna()


def _choose_scale(axes: Axes, metrics: pd.DataFrame, curve: pd.DataFrame) -> None:
    losses = pd.concat([metrics.filter(like="loss_").stack(), curve["loss"]])
    if losses.min() > 0 and losses.max() / losses.min() > _STEEP:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, position: f"{value:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    else:
        axes.set_ylim(bottom=0)
