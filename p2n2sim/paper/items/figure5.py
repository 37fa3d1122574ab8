"""Figure 5: training time by bandwidth, for the paper's protocol and the others of its family."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.ticker import FuncFormatter, NullFormatter

from p2n2sim.paper.item import Evidence, Item, Level, Section, Source, Table, Verdict
from p2n2sim.paper.retimed import times
from p2n2sim.parties.first_layer.family import MEMBERS
from p2n2sim.report import style
from p2n2sim.report.figures import Exhibit
from p2n2sim.report.provenance import data_line, machine_line, modelled_line
from p2n2sim.report.text import three_digits

_SIZE = (7.2, 4.6)  # inches
KEY = "protocol.first_layer"
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
RAPID, STABLE = 0.6, 0.25
"""Falls rapidly: by this share of itself or more. Tends to be stable: by this share or less."""
_RULE = (
    f'"first rapidly decreases and then tends to be stable": between the two lowest bandwidths of which '
    "the one is "
    f"ten times the other the time of algorithm1 falls by at least {RAPID:.0%}, between the two highest by "
    "at most "
    f"{STABLE:.0%}. Reproduced if both hold; under stated conditions if it falls so, but is stable only for "
    "a "
    f"decade that a LAN of PCs does not have (above 1 Gbit/s)."
)


def _present(evidence: Evidence) -> Section:
    runs = evidence["figure5"]
    frame = times(runs)
    told = runs[0].told
    with style.look():
        figure = style.new_figure(*_SIZE)
        axes = figure.add_subplot()
        axes.axvspan(10, 1000, color=style.GRID, alpha=0.45, linewidth=0)
        axes.annotate(
            "10 Mbit/s to 1 Gbit/s",
            (100, 1),
            (0, -11),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            ha="center",
            fontsize=8.5,
            color=style.MUTED,
        )
        for number, (protocol, line) in enumerate(frame.groupby(KEY, sort=False)):
            axes.plot(
                line["bit_per_s"] / 1e6,
                line["time.train_s"],
                marker=MARKERS[number % len(MARKERS)],
                markersize=5,
                color=style.SERIES[number % len(style.SERIES)],
                label=MEMBERS[str(protocol)].title,
            )
        for axis, scale in ((axes.xaxis, axes.set_xscale), (axes.yaxis, axes.set_yscale)):
            scale("log")
            axis.set_major_formatter(FuncFormatter(lambda value, position: f"{value:,g}"))
            axis.set_minor_formatter(NullFormatter())
        axes.set_xlabel("bandwidth of every link, Mbit/s")
        axes.set_ylabel("training time of an epoch, virtual s")
        axes.legend(loc="upper right", bbox_to_anchor=(1.0, 0.96))
    modelled = dict.fromkeys(text for run in runs for text in run.summary["modelled"])
    caption = (
        "Training time of one epoch of the fraud data by bandwidth (the paper's Figure 5 has algorithm1; "
        "its axis "
        "has no numbers in the text, the shaded range is a guess, and a decade is added on both sides). One "
        "run for "
        f"every protocol, RE-TIMED for the bandwidths. Batches of {told.scenario.train.batch_size:,} rows, "
        "0.2 ms one "
        f"way, {machine_line(told.scenario.compute)}. {data_line(told.summary['data'])}"
        f"{modelled_line(modelled)}"
    )
    columns = [KEY, "network.bandwidth", "bit_per_s", "time.train_s", "time.virtual_s", "run"]
    exhibit = Exhibit("figure5", "Training time by bandwidth", figure, frame[columns], caption)
    return Section(
        _verdict(frame),
        'With the bandwidth the training time on the fraud data "first rapidly decreases and then '
        "tends to be "
        'stable".',
        tables=[_table(frame)],
        exhibits=[exhibit],
    )


def _table(frame: pd.DataFrame) -> Table:
    wide = frame.pivot(index=KEY, columns="network.bandwidth", values="time.train_s")
    shown = [one for one in ("1 Mbit/s", "10 Mbit/s", "100 Mbit/s", "1 Gbit/s", "10 Gbit/s") if one in wide]
    wide = wide.loc[list(dict.fromkeys(frame[KEY])), shown]
    rows = [[str(name), *(three_digits(value) for value in row)] for name, row in wide.iterrows()]
    rows = [[MEMBERS[name].title, *row] for name, *row in rows]
    caption = "Virtual seconds of an epoch, as in the figure."
    return Table("figure5-table", "Some of the points", wide.reset_index(), ["", *shown], rows, caption)


def falls(frame: pd.DataFrame) -> tuple[float, float, float]:
    """By which share of itself algorithm1's time falls.

    Args:
        frame: as `p2n2sim.paper.retimed.times` makes it.

    Returns:
        In the first decade of bandwidths, in the one that ends at 1 Gbit/s, and in the last.
    """
    own = frame[frame[KEY] == "algorithm1"].sort_values("bit_per_s")
    rate, seconds = own["bit_per_s"].to_numpy(float), own["time.train_s"].to_numpy(float)

    def fall(low: float, high: float) -> float:
        at = np.interp(np.log([low, high]), np.log(rate), np.log(seconds))
        return float(1 - np.exp(at[1] - at[0]))

    return fall(rate[0], 10 * rate[0]), fall(1e8, 1e9), fall(rate[-1] / 10, rate[-1])


def _verdict(frame: pd.DataFrame) -> Verdict:
    first, usual, last = falls(frame)
    reason = (
        f"A decade more of bandwidth shortens the time by {first:.0%} at the slow end, by {usual:.0%} from "
        "100 Mbit/s "
        f"to 1 Gbit/s and by {last:.0%} at the fast end."
    )
    if first >= RAPID and min(usual, last) <= STABLE:
        level: Level = "reproduced" if usual <= STABLE else "reproduced only under stated conditions"
        return Verdict(level, reason, _RULE)
    return Verdict("not reproduced", reason, _RULE)


FIGURE5 = Item(
    "figure5",
    "Figure 5: time by bandwidth",
    (Source("figure5.toml", quick={"data.fraction": 0.25}, retimed=True),),
    _present,
)
