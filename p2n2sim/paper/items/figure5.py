"""Figure 5: training time by bandwidth, for the paper's protocol and the others of its family."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from p2n2sim.evaluation.item import Evidence, Item, Level, Section, Source, Table, Verdict
from p2n2sim.evaluation.retimed import times
from p2n2sim.parties.first_layer.family import MEMBERS
from p2n2sim.report import style
from p2n2sim.report.figures import Exhibit
from p2n2sim.report.provenance import data_line, machine_line, modelled_line
from p2n2sim.report.text import three_digits

_SIZE = (9.6, 4.4)  # inches
_USUAL = (10e6, 1e9)  # bit/s: a guess at what the paper shows
KEY = "protocol.first_layer"
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
RAPID, STABLE = 0.8, 0.25
"""Falls rapidly: the first decade takes this share of the whole fall. Stable: a decade takes this share of "
"itself."""
_RULE = (
    '"first rapidly decreases and then tends to be stable", of algorithm1 from 1 Mbit/s to 10 Gbit/s. In '
    f"seconds: the first decade makes at least {RAPID:.0%} of the whole fall, as any time in proportion to "
    f"1/bandwidth does. In proportion: the decade up to 1 Gbit/s shortens the time by at most {STABLE:.0%} "
    "of itself. Reproduced if both hold, under stated conditions if only the first does."
)


def _present(evidence: Evidence) -> Section:
    runs = evidence["figure5"]
    frame = times(runs)
    told = runs[0].told
    modelled = dict.fromkeys(text for run in runs for text in run.summary["modelled"])
    caption = (
        "Training time of one epoch of the fraud data by bandwidth (the paper's Figure 5 has algorithm1; "
        "its axis has no numbers in the text, the shaded range is a guess, and a decade is added on both "
        "sides). One run for every protocol, RE-TIMED for the bandwidths. Batches of "
        f"{told.scenario.train.batch_size:,} rows, 0.2 ms one way, {machine_line(told.scenario.compute)}. "
        f"{data_line(told.summary['data'])}{modelled_line(modelled)}"
    )
    columns = [KEY, "network.bandwidth", "bit_per_s", "time.train_s", "time.virtual_s", "run"]
    exhibit = Exhibit("figure5", "Training time by bandwidth", _draw(frame), frame[columns], caption)
    return Section(
        verdict(frame),
        'With the bandwidth the training time on the fraud data "first rapidly decreases and then '
        "tends to be "
        'stable".',
        tables=[_table(frame)],
        exhibits=[exhibit],
    )


def _draw(frame: pd.DataFrame) -> Figure:
    """On linear axes what a paper shows, on logarithmic ones all of it."""
    with style.look():
        figure = style.new_figure(*_SIZE)
        linear, wide = figure.subplots(1, 2, width_ratios=[2, 3])
        for number, (protocol, line) in enumerate(frame.groupby(KEY, sort=False)):
            for axes, part in ((linear, line[line["bit_per_s"].between(*_USUAL)]), (wide, line)):
                axes.plot(
                    part["bit_per_s"] / 1e6,
                    part["time.train_s"],
                    marker=MARKERS[number % len(MARKERS)],
                    markersize=5,
                    color=style.SERIES[number % len(style.SERIES)],
                    label=MEMBERS[str(protocol)].title,
                )
        linear.set_xlim(left=0)
        linear.set_ylim(bottom=0)
        linear.set_title("10 Mbit/s to 1 Gbit/s")
        linear.set_ylabel("training time of an epoch, virtual s")
        wide.axvspan(_USUAL[0] / 1e6, _USUAL[1] / 1e6, color=style.GRID, alpha=0.45, linewidth=0)
        wide.set_title("a decade more on both sides")
        for axis, scale in ((wide.xaxis, wide.set_xscale), (wide.yaxis, wide.set_yscale)):
            scale("log")
            axis.set_major_formatter(FuncFormatter(lambda value, position: f"{value:,g}"))
            axis.set_minor_formatter(NullFormatter())
        for axes in (linear, wide):
            axes.set_xlabel("bandwidth of every link, Mbit/s")
        linear.legend(loc="upper right")
    return figure


def _table(frame: pd.DataFrame) -> Table:
    wide = frame.pivot(index=KEY, columns="network.bandwidth", values="time.train_s")
    shown = [one for one in ("1 Mbit/s", "10 Mbit/s", "100 Mbit/s", "1 Gbit/s", "10 Gbit/s") if one in wide]
    wide = wide.loc[list(dict.fromkeys(frame[KEY])), shown]
    rows = [[str(name), *(three_digits(value) for value in row)] for name, row in wide.iterrows()]
    rows = [[MEMBERS[name].title, *row] for name, *row in rows]
    caption = "Virtual seconds of an epoch, as in the figure."
    return Table("figure5-table", "Some of the points", wide.reset_index(), ["", *shown], rows, caption)


def falls(frame: pd.DataFrame) -> tuple[float, float]:
    """How algorithm1's time falls with the bandwidth.

    Args:
        frame: as `p2n2sim.evaluation.retimed.times` makes it.

    Returns:
        Which share of the whole fall is the first decade's, and by which share of itself the time falls from
        100 Mbit/s to 1 Gbit/s.
    """
    own = frame[frame[KEY] == "algorithm1"].sort_values("bit_per_s")
    rate, seconds = own["bit_per_s"].to_numpy(float), own["time.train_s"].to_numpy(float)

    def at(bit_per_s: float) -> float:
        return float(np.exp(np.interp(np.log(bit_per_s), np.log(rate), np.log(seconds))))

    whole = seconds[0] - seconds[-1]
    return (seconds[0] - at(10 * rate[0])) / whole, 1 - at(1e9) / at(1e8)


def verdict(frame: pd.DataFrame) -> Verdict:
    """The verdict on Figure 5, from times as `p2n2sim.evaluation.retimed.times` makes them."""
    first, usual = falls(frame)
    reason = (
        f"The first decade of bandwidth makes {first:.0%} of the whole fall, so that on linear axes the "
        f"curve drops and flattens; in proportion the time still falls by {usual:.0%} from 100 Mbit/s to 1 "
        "Gbit/s, because bytes over bandwidth are nearly all of it."
    )
    if first < RAPID:
        return Verdict("not reproduced", reason, _RULE)
    level: Level = "reproduced" if usual <= STABLE else "reproduced only under stated conditions"
    return Verdict(level, reason, _RULE)


FIGURE5 = Item(
    "figure5",
    "Figure 5: time by bandwidth",
    (Source("figure5.toml", quick={"data.fraction": 0.25}, retimed=True),),
    _present,
)
