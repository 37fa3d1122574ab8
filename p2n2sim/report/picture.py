"""The picture of a run: its loss, its key figures, and one batch as a timeline."""

from __future__ import annotations

import textwrap

from matplotlib.axes import Axes

from p2n2sim.report import style
from p2n2sim.report.batch_view import batch_view
from p2n2sim.report.loss import draw_loss
from p2n2sim.report.provenance import called, origin
from p2n2sim.report.tables import Tables
from p2n2sim.report.text import size, span, without_folders
from p2n2sim.report.timeline import draw_timeline, title
from p2n2sim.summary import in_digits, measures, training_loss

_WIDTH = 12.5  # inches
_CAPTION_CHARACTERS = 178


def draw(run: Tables) -> bytes:
    """Draws a finished run.

    Args:
        run: a `p2n2sim.run.Run`, or one that was read from a folder.

    Returns:
        The bytes of a PNG file, a function of the run alone.
    """
    view = batch_view(run)
    caption = textwrap.wrap(origin(run.scenario, run.summary), _CAPTION_CHARACTERS)
    heights = [3.1, 1.25 + 0.26 * len(view.lanes), 0.19 * len(caption)]
    with style.look():
        figure = style.new_figure(_WIDTH, 0.75 + sum(heights))
        figure.get_layout_engine().set(hspace=0.03, h_pad=0.06)  # type: ignore[union-attr, call-arg]
        grid = figure.add_gridspec(3, 2, height_ratios=heights, width_ratios=[2.3, 1.0])
        name = without_folders(run.summary["title"] or run.summary["scenario"])
        figure.suptitle(
            "\n".join(textwrap.wrap(name, 110)), x=0.008, ha="left", fontsize=14, fontweight="bold"
        )
        loss = figure.add_subplot(grid[0, 0])
        loss.set_title("Loss by epoch")
        draw_loss(loss, run.metrics, run.batches, protocol=called(run.summary))
        _write_facts(figure.add_subplot(grid[0, 1]), run)
        timeline = figure.add_subplot(grid[1, :])
        timeline.set_title(title(view))
        draw_timeline(timeline, view, width=_WIDTH - 2.6)
        foot = figure.add_subplot(grid[2, :])
        foot.axis("off")
        foot.text(0.0, 1.0, "\n".join(caption), va="top", fontsize=8.5, color=style.MUTED, linespacing=1.4)
    return style.png(figure)


def _write_facts(axes: Axes, run: Tables) -> None:
    """The key figures, the plain network's beside the protocol's."""
    own, plain = run.summary["metrics"], run.summary["baseline"]
    time, traffic = run.summary["time"], run.summary["traffic"]
    online = traffic["by_phase"].get("online", {"wire_bytes": 0})["wire_bytes"]
    rows = [
        ("", called(run.summary), "plain"),
        *(
            (f"{title} on test rows", in_digits(own[key], 4), in_digits(plain[key], 4))
            for key, title in measures(run.summary).items()
        ),
        ("loss on test rows", in_digits(own["loss_test"], 5), in_digits(plain["loss_test"], 5)),
        ("loss on training rows", training_loss(run.summary, 5), in_digits(plain["loss_train"], 5)),
        ("virtual time of training", span(time["train_s"]), ""),
        ("virtual time, all", span(time["virtual_s"]), ""),
        ("bytes on the wire", size(traffic["wire_bytes"]), ""),
        ("of them online", size(online), ""),
        ("messages", f"{traffic['messages']:,}", ""),
        ("rounds", f"{traffic['rounds']:,}", ""),
    ]
    axes.axis("off")
    axes.set_title("What came out")
    for position, (name, value, other) in enumerate(rows):
        y = 0.96 - position * min(0.103, 1.03 / len(rows))
        weight = "bold" if position == 0 else "normal"
        axes.text(0.0, y, name, va="center", color=style.MUTED, transform=axes.transAxes)
        axes.text(0.76, y, value, va="center", ha="right", fontweight=weight, transform=axes.transAxes)
        axes.text(1.0, y, other, va="center", ha="right", fontweight=weight, transform=axes.transAxes)
