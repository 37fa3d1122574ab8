"""One look for every figure: colours, type, line widths, and bytes that depend on the figure alone."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Okabe and Ito, "Color Universal Design" (2008): told apart with every common colour vision.
ORANGE = "#e69f00"
SKY = "#56b4e9"
GREEN = "#009e73"
YELLOW = "#f0e442"
BLUE = "#0072b2"
VERMILLION = "#d55e00"
PURPLE = "#cc79a7"
SERIES = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, YELLOW)

# The page replaces these four by its own colours, so that figures follow a light or a dark page.
INK = "#24292f"
MUTED = "#5d6671"
GRID = "#d7dce1"
PAPER = "#fefefe"
ON_FILL = "#101418"  # writing on a coloured bar, the same on both pages
OTHER = "#9aa2ab"

_RC = {
    "axes.axisbelow": True,
    "axes.edgecolor": MUTED,
    "axes.facecolor": PAPER,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.labelsize": 10,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlecolor": INK,
    "figure.dpi": 100,
    "figure.facecolor": PAPER,
    "font.family": ["DejaVu Sans"],  # comes with matplotlib: the same on every machine
    "font.size": 9.5,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "lines.linewidth": 1.8,
    "lines.markersize": 6,
    "savefig.facecolor": PAPER,
    "svg.fonttype": "path",
    "text.color": INK,
    "xtick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.color": MUTED,
    "ytick.labelcolor": INK,
}


@contextlib.contextmanager
def look() -> Iterator[None]:
    """Within it, figures are made and rendered in this style; matplotlib's settings are put back after."""
    with matplotlib.style.context(["default", _RC]):
        yield


def new_figure(width: float, height: float) -> Figure:
    """An empty figure with a layout that keeps labels inside.

    Args:
        width: in inches.
        height: in inches.
    """
    return Figure(figsize=(width, height), layout="constrained")


def only_horizontal_grid(axes: Axes) -> None:
    """Leaves the grid lines that help to read heights."""
    axes.grid(visible=False, axis="x")


def legend_below(figure: Figure, axes: Axes, columns: int) -> None:
    """What the lines of one of its parts mean, under the whole figure; long enough to tell dashes apart."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, handlelength=4)


def png(figure: Figure, *, dpi: int = 150) -> bytes:
    """The figure as PNG, without metadata."""
    buffer = io.BytesIO()
    with look():
        figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    return buffer.getvalue()


def svg(figure: Figure, name: str) -> str:
    """The figure as SVG, without metadata.

    Args:
        figure: the figure.
        name: seeds the identifiers within the file, which are random otherwise.
    """
    buffer = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with look(), matplotlib.rc_context({"svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", metadata=nothing)
    return buffer.getvalue()
