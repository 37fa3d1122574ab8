"""A message sequence chart of one batch: lifelines for the parties, time downwards, an arrow a message."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Polygon, Rectangle

from p2n2sim.report import style
from p2n2sim.report.tables import Recorded
from p2n2sim.report.text import listed, rate, span
from p2n2sim.report.timeline import COLOUR, KINDS, PHASES
from p2n2sim.scenario.topology import topology
from p2n2sim.trace.flights import Flight
from p2n2sim.trace.scene import Group, Scale, Scene, scene, there
from p2n2sim.trace.story import Story

_COLUMN = 1.9  # inches between lifelines; less for many parties
_WIDEST = 15.0
_BAR = 0.16  # inches, width of work on a lifeline
_ON_ARROW = 2  # messages of a group that are written on; more of them are named in the margin
_MANY = 24
_LOST_AT = 0.6  # of the way: how far a message is drawn that never arrives
_LINE = 0.20  # inches that a line of writing needs


def sequence(run: Recorded, story: Story, number: int | None = None) -> Figure:
    """Draws the chart.

    Args:
        run: a finished run.
        story: the same.
        number: of the batch, from 1; the one that the run's summary describes unless given.

    Raises:
        InputError: there is no such batch.
    """
    it = scene(run, story.carried, number)
    chart = _Chart(it)
    with style.look():
        figure = style.new_figure(max(6.5, chart.width + chart.margin + 0.9), chart.height + 2.3)
        axes = figure.add_subplot()
        chart.draw(axes)
        figure.suptitle(_title(it), x=0.01, ha="left", fontsize=12, fontweight="bold")
        figure.supxlabel("\n" + _caption(run, it), x=0.01, ha="left", fontsize=8, color=style.MUTED)
    return figure


class _Chart:
    """Where everything stands; lengths in inches from the top left corner."""

    def __init__(self, it: Scene) -> None:
        self.it = it
        self.column = min(_COLUMN, _WIDEST / len(it.parties)) if len(it.parties) > 2 else 2 * _COLUMN
        self.width = self.column * (len(it.parties) - 1)
        self.height = min(24.0, max(5.0, 1.0 + 0.62 * len(it.groups)))
        self._scale = Scale(it)
        crowded = any(len(group.flights) > _ON_ARROW for group in it.groups)
        self.margin = 2.4 if crowded else 0.6
        self._x = {party: position * self.column for position, party in enumerate(it.parties)}

    def y(self, time_s: float) -> float:
        """Of a time."""
        return self._scale(time_s) * self.height

    def draw(self, axes: Axes) -> None:
        """Everything but title and caption."""
        self._lifelines(axes)
        self._ticks(axes)
        margin: list[tuple[float, Group]] = []
        for group in self.it.groups:
            for flight in group.flights:
                self._message(axes, flight, of=len(group.flights))
            if len(group.flights) > _ON_ARROW:
                margin.append((self.y(min(f.left_s for f in group.flights)), group))
            else:
                self._write(axes, group)
        self._work(axes)
        self._margin(axes, margin)
        self._legend(axes)
        axes.set_xlim(-0.9, self.width + self.margin)
        axes.set_ylim(self.height + 0.15, -0.5)
        axes.set_aspect("equal")
        axes.axis("off")

    def _lifelines(self, axes: Axes) -> None:
        for party, x in self._x.items():
            axes.plot([x, x], [0, self.height], color=style.OTHER, linewidth=0.9, zorder=1)
            axes.text(x, -0.2, party, ha="center", va="center", fontweight="bold", fontsize=10)

    def _ticks(self, axes: Axes) -> None:
        latest = -1.0
        for time in self._scale.times:
            y = self.y(time)
            if y - latest < 1.6 * _LINE:
                continue
            latest = y
            text = span(time - self.it.began_s)
            axes.text(-0.35, y, text, ha="right", va="center", fontsize=7.5, color=style.MUTED)
            axes.plot([-0.3, self.width + 0.1], [y, y], color=style.GRID, linewidth=0.6, zorder=0)

    def _message(self, axes: Axes, flight: Flight, *, of: int) -> None:
        entry = flight.entry
        a, b = self._x[entry.sender], self._x[entry.receiver]
        delay = there(flight) - flight.left_s
        first, last = self.y(entry.start_s), self.y(flight.left_s)
        first_end, end = self.y(entry.start_s + delay), self.y(there(flight))
        if flight.lost:
            b = a + (b - a) * _LOST_AT
            first_end, end = first + (first_end - first) * _LOST_AT, last + (end - last) * _LOST_AT
            axes.plot([b], [end], marker="x", color=style.INK, markersize=6, zorder=5)
        colour = PHASES.get(entry.phase, style.OTHER)
        own = entry.step == self.it.step
        inset = _BAR / 2 if b > a else -_BAR / 2
        axes.add_patch(
            Polygon(
                [(a, first), (a, last), (b, end), (b, first_end)],
                facecolor=colour,
                edgecolor="none",
                alpha=(0.32 if own else 0.16) / max(1.0, of / 8) ** 0.5,
                zorder=2,
            )
        )
        axes.annotate(
            "",
            xy=(b if flight.lost else b - inset, end),
            xytext=(a + inset, last),
            arrowprops={
                "arrowstyle": "-" if flight.lost else "-|>,head_length=0.45,head_width=0.18",
                "color": style.INK if own else style.MUTED,
                "linewidth": 0.9 if of <= _ON_ARROW else 0.5 if of <= _MANY else 0.3,
                "linestyle": "-" if entry.phase == "online" else (0, (4, 2)),
                "shrinkA": 0,
                "shrinkB": 0,
            },
            zorder=3,
        )

    def _write(self, axes: Axes, group: Group) -> None:
        """What a message is, on its arrow; of two alike on the first one's."""
        flight = group.flights[0]
        a, b = self._x[flight.entry.sender], self._x[flight.entry.receiver]
        crossing = len(group.flights) == 2 and group.flights[1].entry.sender == flight.entry.receiver
        share = 0.5 if crossing else min(0.5, (0.5 * self.column) / abs(b - a))
        last, end = self.y(flight.left_s), self.y(there(flight))
        box = {"facecolor": style.PAPER, "edgecolor": "none", "alpha": 0.85, "pad": 0.8}
        axes.text(
            a + (b - a) * share,
            last + (end - last) * share - 0.02,
            " · ".join(group.name(self.it.step)),
            ha="center",
            va="bottom",
            fontsize=7.5,
            bbox=box,
            zorder=5,
        )

    def _margin(self, axes: Axes, groups: list[tuple[float, Group]]) -> None:
        """What is too much to be written on arrows, beside them; one below the other."""
        free = -1.0
        x = self.width + 0.35
        for y, group in sorted(groups, key=lambda pair: pair[0]):
            at = max(y, free)
            free = at + 2.2 * _LINE
            axes.plot(
                [self.width + 0.12, self.width + 0.24, x - 0.04],
                [y, at, at],
                color=style.MUTED,
                linewidth=0.7,
            )
            axes.text(x, at, "\n".join(group.name(self.it.step)), va="center", fontsize=7.5)

    def _work(self, axes: Axes) -> None:
        work: Any
        for work in self.it.work.itertuples(index=False):
            top, bottom = self.y(work.start_s), self.y(work.end_s)
            colour = COLOUR.get(work.label, style.OTHER)
            left = self._x[work.party] + (_BAR / 2 if work.beside else -_BAR / 2)
            axes.add_patch(
                Rectangle(
                    (left, top),
                    _BAR,
                    bottom - top,
                    facecolor=colour,
                    edgecolor=colour,
                    linewidth=0.6,
                    zorder=4,
                )
            )

    def _legend(self, axes: Axes) -> None:
        labels = set(self.it.work["label"])
        handles = [
            Patch(color=colour, label=name) for name, colour, known in KINDS if labels.intersection(known)
        ]
        if labels - COLOUR.keys():
            handles.append(Patch(color=style.OTHER, label="other work"))
        phases = {f.entry.phase for group in self.it.groups for f in group.flights}
        handles += [
            Patch(facecolor=colour, alpha=0.45, label=f"bits of a message, {phase}")
            for phase, colour in PHASES.items()
            if phase in phases
        ]
        axes.legend(handles=handles, loc="upper left", bbox_to_anchor=(0.0, 0.0), ncols=3, fontsize=8)


def _title(it: Scene) -> str:
    what = "training" if it.stage == "train" else "prediction"
    return f"Batch {it.step + 1}: {what}, {it.rows:,} rows, {span(it.length_s)}"


def _caption(run: Recorded, it: Scene) -> str:
    link = topology(run.scenario).default
    text = (
        "Virtual time since the batch began, downwards, not to scale: stretches in which nothing begins or "
        "ends are shortened.\n"
        "An arrow ends where the last bit arrives, at a cross if a fault lost it. "
        f"Protocol {run.summary['protocol']}, links of "
        f"{rate(link.bandwidth)} and {span(link.latency)} unless the scenario has others."
    )
    if "retimed" in run.summary:
        text += " Re-timed."
    if it.left_out:
        text += f"\nNot shown: {listed(list(it.left_out))}."
    return text
