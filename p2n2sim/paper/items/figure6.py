"""Figure 6: training time by data size, with a fitted line for every protocol of the family."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.ticker import FuncFormatter

from p2n2sim.evaluation.item import Evidence, Item, Section, Source, Table, Verdict
from p2n2sim.paper.items.figure5 import KEY, MARKERS
from p2n2sim.parties.first_layer.family import MEMBERS
from p2n2sim.report import style
from p2n2sim.report.figures import Exhibit, fit_line
from p2n2sim.report.provenance import data_line, machine_line, modelled_line
from p2n2sim.report.text import three_digits

_SIZE = (7.2, 4.6)  # inches
LINEAR = 0.99
_RULE = (
    f'"scales linearly": a line through the points of algorithm1 explains at least {LINEAR:.0%} of their '
    "variance (R²)."
)


def _present(evidence: Evidence) -> Section:
    runs = evidence["figure6"]
    frame = pd.DataFrame(
        [
            {
                KEY: run.values[KEY],
                "data.fraction": run.values["data.fraction"],
                "rows": run.summary["data"]["rows_train"],
                "time.train_s": run.summary["time"]["train_s"],
                "run": run.name,
            }
            for run in runs
        ]
    )
    fits = {str(name): fit_line(*_points(line)) for name, line in frame.groupby(KEY, sort=False)}
    told = runs[0].told
    with style.look():
        figure = style.new_figure(*_SIZE)
        axes = figure.add_subplot()
        for number, (name, line) in enumerate(frame.groupby(KEY, sort=False)):
            rows, seconds = _points(line)
            slope, intercept, _ = fits[str(name)]
            ends = np.array([rows.min(), rows.max()])
            colour = style.SERIES[number % len(style.SERIES)]
            axes.plot(ends, slope * ends + intercept, color=colour, linewidth=1.2)
            axes.plot(
                rows,
                seconds,
                linestyle="none",
                marker=MARKERS[number % len(MARKERS)],
                markersize=5.5,
                color=colour,
                label=MEMBERS[str(name)].title,
            )
        axes.set_xlim(left=0)
        axes.set_ylim(bottom=0)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, position: f"{value:,.0f}"))
        axes.set_xlabel("training rows")
        axes.set_ylabel("training time of an epoch, virtual s")
        axes.legend(loc="upper left")
    modelled = dict.fromkeys(text for run in runs for text in run.summary["modelled"])
    caption = (
        "Training time of one epoch by the number of training rows at 100 Mbit/s (the paper's Figure 6 has "
        "algorithm1), with lines fitted by least squares. A run a point, batches of "
        f"{told.scenario.train.batch_size:,} rows, 0.2 ms one way, {machine_line(told.scenario.compute)}. "
        f"{data_line(told.summary['data'])}{modelled_line(modelled)}"
    )
    slope, intercept, r2 = fits["algorithm1"]
    reason = (
        f"{three_digits(slope * 1e3)} s for 1,000 rows and {intercept:+.3f} s, R² = {r2:.6f}, at 100 Mbit/s "
        "with algorithm1."
    )
    return Section(
        Verdict("reproduced" if r2 >= LINEAR else "not reproduced", reason, _RULE),
        'At 100 Mbit/s the training time on the fraud data "scales linearly with the training data size".',
        tables=[_table(fits)],
        exhibits=[Exhibit("figure6", "Training time by data size", figure, frame, caption)],
    )


def _points(line: pd.DataFrame) -> tuple[np.ndarray[tuple[int], np.dtype[np.float64]], ...]:
    return line["rows"].to_numpy(float), line["time.train_s"].to_numpy(float)


def _table(fits: dict[str, tuple[float, float, float]]) -> Table:
    numbers = pd.DataFrame(
        [
            {KEY: name, "s_per_row": slope, "intercept_s": intercept, "r2": r2}
            for name, (slope, intercept, r2) in fits.items()
        ]
    )
    rows = [
        [MEMBERS[name].title, three_digits(slope * 1e3), f"{intercept:+.3f}", f"{r2:.6f}"]
        for name, (slope, intercept, r2) in fits.items()
    ]
    head = ["", "s for 1,000 rows", "intercept, s", "R²"]
    return Table(
        "figure6-fits", "Fitted lines", numbers, head, rows, "Least squares over the figure's points."
    )


FIGURE6 = Item(
    "figure6",
    "Figure 6: time by data size",
    (
        Source(
            "figure6.toml",
            quick={"data.fraction": [0.05, 0.1, 0.2], "protocol.first_layer": ["algorithm1", "masked-sum"]},
        ),
    ),
    _present,
)
