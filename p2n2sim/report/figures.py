"""The figures of a report: each with the numbers behind it and a caption that says how they came about."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter
from numpy.typing import NDArray

from p2n2sim.report import style
from p2n2sim.report.loss import draw_loss, unopened
from p2n2sim.report.provenance import (
    VIRTUAL,
    called,
    data_line,
    machine_line,
    modelled_line,
    network_line,
    origin,
)
from p2n2sim.report.read import StoredRun, StoredSweep
from p2n2sim.report.text import size, slug, three_digits
from p2n2sim.scenario.sections import Scenario
from p2n2sim.scenario.units import Bandwidth
from p2n2sim.summary import in_digits, measures

_SIZE = (7.2, 4.0)  # inches
_MOST_LINKS = 20
_WIDE = 20  # ratio of times above which a linear axis hides the shorter ones
RETIMED = "retimed.ledger_sha256"  # of the run that was replayed for a point
_TRAIN, _ROWS = "time.train_s", "data.rows_train"
_ACCURACY = "metrics.accuracy"  # with more than two classes


@dataclass(frozen=True)
class Exhibit:
    """One figure of a report.

    Attributes:
        name: for its files.
        title: for its heading.
        figure: the drawing.
        table: the numbers behind it.
        caption: how they came about.
    """

    name: str
    title: str
    figure: Figure
    table: pd.DataFrame
    caption: str


def of_run(run: StoredRun) -> Iterator[Exhibit]:
    """The figures of one run: losses and traffic."""
    yield losses(run)
    yield traffic(run)


def of_sweep(sweep: StoredSweep) -> Iterator[Exhibit]:
    """The figures of a sweep: by each swept key, but where there is a numeric one not by names."""
    numeric = [key for key in sweep.keys if _is_numeric(sweep, key)]
    for key in numeric or sweep.keys:
        if key == "network.bandwidth":
            yield time_by_bandwidth(sweep)
        elif key == "data.fraction":
            yield time_by_size(sweep)
        else:
            yield time_by_key(sweep, key)


def _is_numeric(sweep: StoredSweep, key: str) -> bool:
    return key == "network.bandwidth" or sweep.table[key].dtype.kind in "iuf"


def losses(run: StoredRun) -> Exhibit:
    """Average training and test loss by epoch (the paper's Figures 3 and 4)."""
    with style.look():
        figure = style.new_figure(*_SIZE)
        draw_loss(figure.add_subplot(), run.metrics, run.batches, protocol=called(run.summary))
    summary = run.summary
    own, plain = summary["metrics"], summary["baseline"]
    reached = "; ".join(
        f"{title} at the end: {in_digits(own[key], 4)}, of the plain network on the same batches "
        f"{in_digits(plain[key], 4)}"
        for key, title in measures(summary).items()
    )
    caption = (
        f"Average loss by epoch (as in the paper's Figures 3 and 4). Test {reached}. A "
        "training loss is averaged while the weights move, a test loss is taken after the epoch."
        f"{unopened(summary)} {origin(run.scenario, summary)}"
    )
    return Exhibit(f"{run.name}-loss", "Loss by epoch", figure, run.metrics, caption)


def traffic(run: StoredRun) -> Exhibit:
    """Wire bytes by link, stacked by phase."""
    ledger = run.ledger
    links = ledger.assign(link=ledger["sender"] + " → " + ledger["receiver"])
    table = links.pivot_table(index="link", columns="phase", values="wire_bytes", aggfunc="sum", fill_value=0)
    table = table.reindex(columns=["online", "offline"], fill_value=0)
    table = table.loc[table.sum(axis=1).sort_values(ascending=False, kind="stable").index]
    shown = table.iloc[:_MOST_LINKS]
    with style.look():
        figure = style.new_figure(_SIZE[0], 1.2 + 0.28 * len(shown))
        axes = figure.add_subplot()
        start = np.zeros(len(shown))
        for phase, colour in (("online", style.SKY), ("offline", style.ORANGE)):
            axes.barh(shown.index, shown[phase] / 1e6, left=start, color=colour, label=phase)
            start = start + shown[phase].to_numpy() / 1e6
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("MB on the wire")
        axes.set_xlim(0, max(start) * 1.13)
        for position, total in enumerate(start):
            axes.annotate(f" {size(total * 1e6)}", (total, position), va="center", fontsize=8.5)
        axes.legend(loc="lower right")
    left_out = f" The {_MOST_LINKS} busiest of {len(table)} links." if len(table) > _MOST_LINKS else ""
    caption = (
        f"Bytes on each link in the whole run, prediction included, from the ledger of all messages."
        f"{left_out} {origin(run.scenario, run.summary)}"
    )
    return Exhibit(f"{run.name}-traffic", "Traffic by link and phase", figure, table.reset_index(), caption)


def time_by_bandwidth(sweep: StoredSweep) -> Exhibit:
    """Training time by bandwidth (the paper's Figure 5)."""
    table = _series(sweep, "network.bandwidth")
    table.insert(
        1, "bandwidth_bit_per_s", [Bandwidth.parse(text).value for text in table["network.bandwidth"]]
    )
    table = table.sort_values("bandwidth_bit_per_s", kind="stable", ignore_index=True)
    with style.look():
        figure = style.new_figure(10.0, 4.0)
        linear, logarithmic = figure.subplots(1, 2)
        for number, (label, line) in enumerate(_lines(table, sweep, "network.bandwidth")):
            x = line["bandwidth_bit_per_s"] / 1e6
            for axes in (linear, logarithmic):
                axes.plot(x, line[_TRAIN], marker="o", color=_colour(number), label=label)
            _write_values(logarithmic, x.to_numpy(), line[_TRAIN].to_numpy())
        _log(logarithmic, "y")
        logarithmic.margins(x=0.12, y=0.14)
        linear.set_ylim(bottom=0)
        for axes, title in (
            (linear, "Time on a linear axis"),
            (logarithmic, "Time on a logarithmic axis"),
        ):
            _log(axes, "x")
            axes.set_title(title)
            axes.set_xlabel("bandwidth of every link in each direction, Mbit/s")
            axes.set_ylabel("training time, virtual s")
        _legend(linear)
    floor = table[_TRAIN].min()
    caption = (
        f"Training time by bandwidth (the paper's Figure 5). It falls with the bandwidth and flattens "
        f"towards what latency and local work take; the lowest point is {three_digits(floor)} s. "
        f"{_origin(sweep)}"
    )
    return Exhibit(f"{sweep.name}-time", "Training time by bandwidth", figure, table, caption)


def time_by_size(sweep: StoredSweep) -> Exhibit:
    """Training time by number of training rows with a fitted line (the paper's Figure 6)."""
    table = _series(sweep, "data.fraction").sort_values(_ROWS, kind="stable", ignore_index=True)
    fits = []
    with style.look():
        figure = style.new_figure(*_SIZE)
        axes = figure.add_subplot()
        for number, (label, line) in enumerate(_lines(table, sweep, "data.fraction")):
            rows, seconds = line[_ROWS].to_numpy(float), line[_TRAIN].to_numpy(float)
            colour, name = _colour(number), label or "training time"
            axes.plot(rows, seconds, "o", color=colour, label=name)
            if len(rows) > 2:
                slope, intercept, r2 = fit_line(rows, seconds)
                ends = np.array([rows.min(), rows.max()])
                axes.plot(
                    ends, slope * ends + intercept, color=colour, linewidth=1.2, label=f"line, R² = {r2:.6f}"
                )
                fits.append(
                    f"{name}: {three_digits(slope * 1e3)} s per 1,000 rows {intercept:+.3f} s, R² = {r2:.6f}"
                )
        axes.set_ylim(bottom=0)
        axes.set_xlim(left=0)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, position: f"{value:,.0f}"))
        axes.set_xlabel("training rows")
        axes.set_ylabel("training time, virtual s")
        axes.legend(loc="upper left")
    caption = (
        f"Training time by data size (the paper's Figure 6). Fitted line for {'; '.join(fits)}. "
        f"{_origin(sweep)}"
    )
    return Exhibit(f"{sweep.name}-time", "Training time by data size", figure, table, caption)


def time_by_key(sweep: StoredSweep, key: str) -> Exhibit:
    """Training time, traffic and AUC by any other swept key."""
    table = _series(sweep, key)
    numeric = _is_numeric(sweep, key)
    everywhere = _ACCURACY in table and table[_ACCURACY].notna().all()
    quality, measure = (_ACCURACY, "accuracy") if everywhere else ("metrics.auc", "AUC")
    with style.look():
        figure = style.new_figure(_SIZE[0], 7.0)
        upper, middle, lower = figure.subplots(3, 1, sharex=True)
        for axes, values, label in (
            (upper, table[_TRAIN], "training time, virtual s"),
            (middle, table["traffic.wire_bytes"] / 1e6, "MB on the wire, all links"),
            (lower, table[quality], f"test {measure}"),
        ):
            for number, (name, line) in enumerate(_lines(table, sweep, key)):
                axes.plot(
                    line[key] if numeric else line[key].astype(str),
                    values[line.index],
                    marker="o",
                    linestyle="-" if numeric else "none",
                    color=_colour(number),
                    label=name,
                )
            axes.set_ylabel(label)
            axes.margins(x=0.08, y=0.15)
            if axes is not lower:
                _from_zero_or_log(axes, values)
        if numeric and table[key].dtype.kind in "iu":
            lower.xaxis.set_major_locator(MaxNLocator(integer=True))
        lower.set_xlabel(key)
        _legend(upper)
    shown = f"Training time, bytes on all links together in the whole run, and test {measure}"
    caption = f"{shown} by {key}. {_origin(sweep)}"
    name = f"{sweep.name}-{slug(key)}"
    return Exhibit(name, f"Time, traffic and {measure} by {key}", figure, table, caption)


def _from_zero_or_log(axes: Axes, values: pd.Series) -> None:
    if values.max() > _WIDE * values.min() > 0:
        _log(axes, "y")
    else:
        axes.set_ylim(bottom=0)


def fit_line(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, float, float]:
    """Least squares: slope, intercept, and R^2, the share of the variance of y that the line explains."""
    slope, intercept = np.polyfit(x, y, 1)
    residual = y - (slope * x + intercept)
    spread = y - y.mean()
    r2 = 1 - float(residual @ residual) / float(spread @ spread) if spread.any() else 1.0
    return float(slope), float(intercept), r2


def _series(sweep: StoredSweep, key: str) -> pd.DataFrame:
    """The columns of the sweep's table that the figures show, the key first."""
    others = [name for name in sweep.keys if name != key]
    shown = [
        _ROWS,
        _TRAIN,
        "time.virtual_s",
        "time.wall_s",
        "metrics.auc",
        *([_ACCURACY] if _ACCURACY in sweep.table else []),
        "traffic.wire_bytes",
        "traffic.rounds",
    ]
    return sweep.table[[key, *others, *(name for name in shown if name not in (key, *others))]].copy()


def _lines(table: pd.DataFrame, sweep: StoredSweep, key: str) -> Iterator[tuple[str, pd.DataFrame]]:
    """A line for every combination of the other swept keys, with its label; one without if there are none."""
    others = [name for name in sweep.keys if name != key]
    if not others:
        yield "", table
        return
    for values, line in table.groupby(others, sort=False):
        yield ", ".join(f"{name} = {value}" for name, value in zip(others, values, strict=True)), line


def _origin(sweep: StoredSweep) -> str:
    """Where a sweep's numbers come from, without what it varies."""
    scenario: Scenario = sweep.scenario
    data = sweep.first.summary["data"]
    train = scenario.train
    facts = {
        "train.seed": f"seed {train.seed}",
        "data.holders": f"{data['holders']} holders",
        "protocol.first_layer": f"protocol {scenario.protocol.first_layer}",
        "train.epochs": f"{train.epochs} epoch{'s' * (train.epochs > 1)}",
        "train.batch_size": f"batches of {train.batch_size:,}",
    }
    fixed = ", ".join(fact for key, fact in facts.items() if key not in sweep.keys)
    replayed = int(sweep.table[RETIMED].notna().sum()) if RETIMED in sweep.table else 0
    made = (
        f"{len(sweep.table) - replayed} runs, RE-TIMED for {replayed} further points"
        if replayed
        else "one run a point"
    )
    source = "" if "data.source" in sweep.keys else f" {data_line(data)}"
    return (
        f"Scenario {scenario.name}, {made}, {fixed}.{source} "
        f"{VIRTUAL}: {network_line(scenario, sweep.keys)}; {machine_line(scenario.compute)}."
        f"{modelled_line(sweep.modelled)}"
    )


def _log(axes: Axes, which: str) -> None:
    axis = axes.xaxis if which == "x" else axes.yaxis
    (axes.set_xscale if which == "x" else axes.set_yscale)("log")
    axis.set_major_formatter(FuncFormatter(lambda value, position: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def _write_values(axes: Axes, x: NDArray[np.float64], y: NDArray[np.float64]) -> None:
    for at, value in zip(x, y, strict=True):
        axes.annotate(three_digits(value), (at, value), (4, 6), textcoords="offset points", fontsize=8.5)


def _legend(axes: Axes) -> None:
    if any(label for label in axes.get_legend_handles_labels()[1]):
        axes.legend()


def _colour(number: int) -> str:
    return style.SERIES[number % len(style.SERIES)]
