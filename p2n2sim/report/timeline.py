"""The timeline of one batch: bars for work and for messages, arrows to who receives them."""

from __future__ import annotations

from typing import Any, cast

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from p2n2sim.report import style
from p2n2sim.report.batch_view import BatchView, Lane
from p2n2sim.report.text import listed, size, span

# Kinds of work by the labels that the parties give them; a label that stands nowhere is "other work".
KINDS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("make and expand triples", style.ORANGE, ("make triple", "expand triple")),
    ("make triples (modelled)", style.INK, ("generate triple (modelled)",)),
    ("share, mask, open", style.BLUE, ("share", "mask", "open", "agree on keys")),
    ("multiply", style.VERMILLION, ("multiply", "multiply and mask")),
    ("encrypt, add, decrypt", style.ORANGE, ("encrypt", "add ciphertexts", "decrypt h1")),
    (
        "hidden layers",
        style.GREEN,
        ("reconstruct h1", "add h1", "hidden layers forward", "hidden layers backward"),
    ),
    ("head, loss, update", style.PURPLE, ("predict", "predict, loss, gradient", "update theta")),
    ("defender", style.YELLOW, ("show h1", "defender")),
)
COLOUR = {label: colour for _, colour, labels in KINDS for label in labels}
PHASES = {"online": style.SKY, "offline": style.YELLOW}
_WORK_HEIGHT, _MESSAGE_HEIGHT = 0.6, 0.56
_CHARACTER_INCHES = 0.064  # of the writing on the bars


def draw_timeline(axes: Axes, view: BatchView, *, width: float) -> None:
    """Draws one row a lane, time from left to right in milliseconds from the batch's beginning.

    Args:
        axes: where.
        view: what.
        width: of the axes in inches, about; decides which bars have room for writing.
    """
    row = {lane: position for position, lane in enumerate(view.lanes)}
    for lane, position in row.items():
        if not lane.receivers:
            axes.axhspan(position - 0.5, position + 0.5, color=style.GRID, alpha=0.45, linewidth=0)
            _draw_work(axes, view.on(lane), position)
        else:
            _draw_messages(axes, view, lane, position, view.length_ms / width)
            _draw_arrows(axes, view, lane, row)
        axes.text(
            1.008,
            position,
            _note(view, lane),
            transform=axes.get_yaxis_transform(),
            va="center",
            fontsize=8,
            color=style.MUTED,
        )
    _label(axes, view)
    _legend(axes, view)


def _draw_work(axes: Axes, events: pd.DataFrame, position: int) -> None:
    for what, start, end in zip(events["what"], events["start_ms"], events["end_ms"], strict=True):
        colour = COLOUR.get(what, style.OTHER)
        # The edge keeps work that is shorter than a pixel visible.
        axes.barh(position, end - start, _WORK_HEIGHT, start, color=colour, edgecolor=colour, linewidth=0.8)


def _draw_messages(axes: Axes, view: BatchView, lane: Lane, position: int, ms_per_inch: float) -> None:
    for event in view.on(lane).to_dict("records"):
        own, start, end = event["step"] == view.step, event["start_ms"], event["end_ms"]
        writing = end - event["flight_ms"]  # until the last bit has left
        axes.barh(
            position,
            max(0.0, writing - start),
            _MESSAGE_HEIGHT,
            start,
            color=PHASES.get(event["phase"], style.OTHER),
            edgecolor=style.MUTED,
            linewidth=0.6,
            alpha=1.0 if own else 0.5,
        )
        axes.plot([writing, end], [position] * 2, color=style.MUTED, linewidth=0.9)
        text = f"{event['what']} · {size(event['wire_bytes'])}"
        for shorter in (text if own else f"{text}, batch {event['step'] + 1:.0f}", text, event["what"]):
            if len(shorter) * _CHARACTER_INCHES * ms_per_inch < writing - start:
                middle = (start + writing) / 2
                axes.text(
                    middle, position, shorter, ha="center", va="center", fontsize=7.5, color=style.ON_FILL
                )
                break


def _draw_arrows(axes: Axes, view: BatchView, lane: Lane, row: dict[Lane, int]) -> None:
    """From the arrival of each message to the row of who receives it."""
    for arrival in view.on(lane)["end_ms"]:
        for receiver in lane.receivers:
            if Lane(receiver) not in row or arrival >= view.length_ms * (1 - 1e-9):
                continue
            axes.annotate(
                "",
                xy=(arrival, row[Lane(receiver)]),
                xytext=(arrival, row[lane]),
                arrowprops={
                    "arrowstyle": "-|>,head_length=0.3,head_width=0.14",
                    "color": style.MUTED,
                    "linewidth": 0.6,
                    "alpha": 0.75,
                    "shrinkA": 0,
                    "shrinkB": 0,
                },
            )


def _note(view: BatchView, lane: Lane) -> str:
    events = view.on(lane)
    if not lane.receivers:
        return f"{span((events['end_ms'] - events['start_ms']).sum() / 1e3)} of work"
    each = " each" if len(lane.receivers) > 1 else ""
    return f"{size(events['wire_bytes'].sum())}{each}"


def _label(axes: Axes, view: BatchView) -> None:
    axes.set_yticks(range(len(view.lanes)), [_lane_name(lane) for lane in view.lanes])
    for tick, lane in zip(axes.get_yticklabels(), view.lanes, strict=True):
        tick.set_fontweight("normal" if lane.receivers else "bold")
        tick.set_fontsize(8.5 if lane.receivers else 9.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.set_ylim(len(view.lanes) - 0.4, -0.6)
    axes.set_xlim(0, view.length_ms or 1.0)  # where nothing takes any time
    axes.set_xlabel("virtual time since the batch began, ms")


def _lane_name(lane: Lane) -> str:
    if not lane.receivers:
        return lane.party
    return f"{lane.party} → {', '.join(lane.receivers) if len(lane.receivers) < 6 else _many(lane)}"


def _many(lane: Lane) -> str:
    return f"{lane.receivers[0]}, ... {lane.receivers[-1]} ({len(lane.receivers)})"


def title(view: BatchView) -> str:
    """What the timeline shows, and what it leaves out."""
    what = "training" if view.stage == "train" else "prediction"
    text = f"One {what} batch: batch {view.step + 1}, {view.rows:,} rows, {span(view.length_ms / 1e3)}"
    if view.left_out:
        text += f" (busiest rows; not shown: {listed(list(view.left_out))})"
    return text


def _legend(axes: Axes, view: BatchView) -> None:
    shown = view.events[view.events["shown"]]
    labels = list(shown.loc[shown["kind"] == "work", "what"].unique())
    handles: list[Any] = [
        Patch(color=colour, label=name)
        for name, colour, known in KINDS
        if any(label in known for label in labels)
    ]
    if unknown := [label for label in labels if label not in COLOUR]:
        handles.append(Patch(color=style.OTHER, label=f"other work: {listed(unknown)}"))
    phases = list(shown["phase"].dropna().unique())
    handles += [
        Patch(facecolor=colour, edgecolor=style.MUTED, linewidth=0.6, label=f"message, {phase}")
        for phase, colour in PHASES.items()
        if phase in phases
    ]
    if (shown["flight_ms"] > 0).any():
        handles.append(Line2D([], [], color=style.MUTED, linewidth=0.9, label="last bit on its way"))
    figure = cast(Figure, axes.figure)
    axes.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(0.0, -0.72 / axes.get_position().height / figure.get_size_inches()[1]),
        ncols=min(len(handles), 4),
        columnspacing=1.6,
        handlelength=1.4,
    )
