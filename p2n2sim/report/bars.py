"""The figure of a comparison: small multiples of bars, a row for each value."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from numpy.typing import NDArray

from p2n2sim.report import style
from p2n2sim.report.comparison import caption, numbers
from p2n2sim.report.figures import Exhibit
from p2n2sim.report.read import StoredComparison
from p2n2sim.report.text import size, span, three_digits

_WIDTH = 9.6  # inches
_WIDE = 20  # ratio of values above which a linear axis hides the shorter bars
_THICK = 0.68
_PHASES = (("online", style.SKY), ("offline", style.ORANGE))
_SMALL = 8.5  # points


def side_by_side(comparison: StoredComparison) -> Exhibit:
    """Bytes, rounds, virtual time on both presets, processor time and AUC (or accuracy) by value."""
    table, key = numbers(comparison), comparison.note.key
    return Exhibit(
        f"{comparison.name}-costs", f"Side by side: {key}", _draw(table), table, caption(comparison)
    )


def _draw(table: pd.DataFrame) -> Figure:
    with style.look():
        figure = style.new_figure(_WIDTH, 3 * (0.85 + 0.27 * len(table)) + 0.3)
        figure.get_layout_engine().set(hspace=0.04, wspace=0.03)  # type: ignore[union-attr, call-arg]
        panels = figure.subplots(3, 2, sharey=True)
        _bytes(panels[0, 0], table)
        _bars(panels[0, 1], table["batch_rounds"], "Rounds of a batch", "rounds", str)
        for axes, preset in zip(panels[1], ("lan", "wan"), strict=True):
            seconds = table[f"batch_s_{preset}"]
            unit, scale = _time_unit(seconds.max())
            title = f"Virtual time of a batch, {preset}"
            _bars(axes, seconds / scale, title, unit, _spanning(scale))
        ratio = table["processor_ratio"]
        _bars(
            panels[2, 0], ratio, "Processor time of the run", "times plain", lambda v: f"{three_digits(v)}×"
        )
        measure = "accuracy" if "accuracy" in table and table["accuracy"].notna().all() else "auc"
        _quality(panels[2, 1], table[measure], "accuracy" if measure == "accuracy" else "AUC")
        for axes in panels[:, 0]:
            axes.set_yticks(range(len(table)), table["label"])
        for axes in panels.flat:
            axes.grid(visible=False, axis="y")
            axes.tick_params(axis="y", length=0)
        panels[0, 0].set_ylim(len(table) - 0.45, -0.55)
    return figure


def _bytes(axes: Axes, table: pd.DataFrame) -> None:
    """Payload by phase: stacked, or on a log axis side by side where a stack would hide short ones."""
    total = table["batch_online_bytes"] + table["batch_offline_bytes"]
    parts = {phase: table[f"batch_{phase}_bytes"].to_numpy(float) for phase, _ in _PHASES}
    unit, scale = next(
        ((unit, scale) for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)) if total.max() >= scale),
        ("bytes", 1.0),
    )
    places = np.arange(len(table))
    wide = _is_wide(total.to_numpy(float))
    start = np.zeros(len(table))
    for number, (phase, colour) in enumerate(_PHASES):
        length = parts[phase] / scale
        if wide:
            at = places + (number - 0.5) * _THICK / 2
            axes.barh(at, length, _THICK / 2, color=colour, label=phase)
            for y, value in zip(at, parts[phase], strict=True):
                if value:
                    _write(axes, value / scale, y, size(value), 7.5)
        else:
            axes.barh(places, length, _THICK, left=start, color=colour, label=phase)
            start = start + length
    if not wide:
        for y, value in zip(places, total, strict=True):
            _write(axes, value / scale, y, size(value))
    nonzero = np.concatenate(list(parts.values())) / scale
    _scale(axes, nonzero[nonzero > 0] if wide else start, wide, unit)
    axes.set_title("Payload of a batch")
    axes.legend(
        loc="lower right",
        bbox_to_anchor=(1.0, 0.97),
        ncols=2,
        borderpad=0.2,
        handlelength=1.2,
        columnspacing=1.2,
    )


def _bars(axes: Axes, values: pd.Series, title: str, unit: str, text: Callable[[float], str]) -> None:
    """One bar a row, with its number at the end."""
    lengths = values.to_numpy(float)
    axes.barh(np.arange(len(lengths)), lengths, _THICK, color=style.BLUE)
    for y, value in enumerate(values):
        _write(axes, value, y, text(value))
    _scale(axes, lengths, _is_wide(lengths), unit)
    axes.set_title(title)


def _spanning(scale: float) -> Callable[[float], str]:
    return lambda value: span(value * scale)


def _quality(axes: Axes, values: pd.Series, measure: str) -> None:
    """Dots, because an AUC does not begin at 0; none where it is unknown."""
    known = values.astype(float).dropna()
    axes.plot(known, known.index, "o", color=style.BLUE)
    for y, value in known.items():
        _write(axes, value, y, f"{value:.4f}", offset=7)
    middle, half = (known.max() + known.min()) / 2, max((known.max() - known.min()) / 2, 0.005)
    if len(known):
        axes.set_xlim(middle - 1.25 * half, middle + 2.2 * half)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.set_title(f"{measure} on the test rows".replace("accuracy", "Accuracy"))
    axes.set_xlabel(measure)


def _write(axes: Axes, x: float, y: object, text: str, points: float = _SMALL, offset: float = 4) -> None:
    axes.annotate(
        text,
        (x, y),
        (offset, 0),
        textcoords="offset points",
        va="center",
        fontsize=points,
    )


def _is_wide(lengths: NDArray[np.float64]) -> bool:
    above = lengths[lengths > 0]
    return len(above) > 0 and above.max() > _WIDE * above.min()


def _scale(axes: Axes, lengths: NDArray[np.float64], wide: bool, unit: str) -> None:
    """An axis with room for the numbers behind the bars."""
    most = float(lengths.max()) or 1.0
    axes.set_xlabel(f"{unit}, log axis" if wide else unit)
    if not wide:
        axes.set_xlim(0, most * 1.3)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        return
    least = float(lengths[lengths > 0].min())
    axes.set_xscale("log")
    axes.set_xlim(least / 3, most * (3 * most / least) ** 0.3)
    axes.xaxis.set_major_locator(LogLocator(numticks=6))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, position: f"{value:,g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _time_unit(longest: float) -> tuple[str, float]:
    return ("s", 1.0) if longest >= 1 else ("ms", 1e-3)
