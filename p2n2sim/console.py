"""What a person sees: progress while a run goes on, and its tables at the end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from p2n2sim.assemble import Setup
from p2n2sim.parties.passes import Pass
from p2n2sim.parties.schedule import Batch
from p2n2sim.scenario.protocol import WHOLE, protocol_name
from p2n2sim.summary import in_digits, measures, privacy_sentence, quality, retimed_sentence, training_loss

STAND_IN = Text("These are stand-in data, not the published set.", style="bold yellow")


def progress_bar(console: Console) -> Progress:
    """A bar with counts, elapsed and remaining time; nothing where no terminal is."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


class RunProgress:
    """Shows how far a run is, and a line for every epoch.

    Args:
        console: where to.
        bar: already started.
    """

    def __init__(self, console: Console, bar: Progress) -> None:
        self._console = console
        self._bar = bar
        self._task = bar.add_task("loading data", total=None)
        self._setup: Setup | None = None
        self._loss_train = 0.0

    def begin(self, setup: Setup) -> None:
        """Says what is about to be simulated."""
        self._setup = setup
        self._bar.update(self._task, total=len(setup.schedule), description="training")
        data = setup.dataset
        self._console.print(
            f"{setup.scenario.title or setup.scenario.name}\n"
            f"data: {data.source}\n"
            f"{len(data.y_train):,} training rows, {len(data.y_test):,} test rows, {data.features} features, "
            f"{len(setup.blocks)} holders, {len(setup.schedule)} batches",
            markup=False,
            highlight=False,
        )

    def batch(self, batch: Batch) -> None:
        """Moves the bar."""
        stage = "training" if batch.stage == "train" else "predicting"
        self._bar.update(self._task, completed=batch.step, description=f"epoch {batch.epoch} {stage}")

    def finished(self, done: Pass) -> None:
        """A line for every epoch that ended with a prediction."""
        if done.stage == "train":
            self._loss_train = done.loss
            return
        assert self._setup is not None  # begin comes first
        if len(done.logits) < len(self._setup.dataset.y_test):
            return  # a checkpoint has divided the pass: its rest is still to come
        self._console.print(
            f"epoch {done.epoch}: loss {self._training_loss()}, {done.loss:.6f} test, "
            f"{quality(self._setup.dataset.y_test, done.logits)}",
            markup=False,
            highlight=False,
        )

    def _training_loss(self) -> str:
        assert self._setup is not None  # as above
        if protocol_name(self._setup.scenario) == WHOLE:
            return "not opened in training"
        return f"{self._loss_train:.6f} training"


def summary_tables(summary: Mapping[str, Any]) -> RenderableType:
    """The tables at the end of a run."""
    parts: list[RenderableType] = []
    if summary["data"]["stand_in"]:
        parts.append(STAND_IN)
    parts += [Text(f"Modelled: {sentence}.", style="bold yellow") for sentence in summary["modelled"]]
    if retimed := retimed_sentence(summary):
        parts.append(Text(f"Re-timed: {retimed}.", style="bold yellow"))
    if private := privacy_sentence(summary):
        parts.append(Text(f"Privacy: {private}."))
    parts += [Text(f"Shadow: {sentence}.") for sentence in summary["shadow"]]
    for table in (_quality(summary), _time(summary), _traffic(summary), _views(summary)):
        parts += [Text(""), table]
    return Group(*parts)


def comparison_tables(
    parts: Iterable[tuple[str, Sequence[str], Sequence[Sequence[str]]]],
) -> RenderableType:
    """What a comparison ends with.

    Args:
        parts: title, headings and rows of each table.
    """
    tables: list[RenderableType] = []
    for title, heads, rows in parts:
        table = _table(title, *heads)
        table.columns[0].no_wrap = True  # what a row is about is never folded; words of the others are
        for row in rows:
            table.add_row(*row)
        tables += [Text(""), table]
    return Group(*tables)


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    table.add_column(columns[0])
    for column in columns[1:]:
        table.add_column(column, justify="right")
    return table


def _quality(summary: Mapping[str, Any]) -> Table:
    own, plain = summary["metrics"], summary["baseline"]
    shown = measures(summary)
    table = _table("Quality", "", *shown.values(), "test loss", "training loss")
    for name, values, trained in (
        (f"protocol ({summary['protocol']})", own, training_loss(summary, 6)),
        ("plain network", plain, in_digits(plain["loss_train"], 6)),
    ):
        numbers = (in_digits(values[key], 4) for key in shown)
        table.add_row(name, *numbers, in_digits(values["loss_test"], 6), trained)
    return table


def _time(summary: Mapping[str, Any]) -> Table:
    time, batch = summary["time"], summary["traffic"]["one_batch"]
    table = _table("Time", "", "seconds", "rounds")
    table.add_row("virtual: before the first batch", f"{time['setup_s']:.3f}", "")
    table.add_row("virtual: training", f"{time['train_s']:.3f}", "")
    table.add_row("virtual: prediction", f"{time['predict_s']:.3f}", "")
    table.add_row("virtual: whole run", f"{time['virtual_s']:.3f}", f"{summary['traffic']['rounds']:,}")
    table.add_row(f"virtual: one batch of {batch['rows']:,}", f"{batch['seconds']:.4f}", f"{batch['rounds']}")
    simulation = "the recorded" if "retimed" in summary else "this"
    table.add_row(f"wall: {simulation} simulation", f"{time['wall_s']:.2f}", "")
    table.add_row("processor: the protocol", f"{time['simulation_processor_s']:.2f}", "")
    table.add_row("processor: plain network", f"{time['plain_processor_s']:.2f}", "")
    return table


def _traffic(summary: Mapping[str, Any]) -> Table:
    traffic = summary["traffic"]
    table = _table("Traffic", "", "messages", "payload MB", "wire MB")
    for key, label in (("by_phase", "by phase"), ("by_stage", "by stage"), ("by_link", "by link")):
        table.add_row(label, style="italic")
        for name, row in traffic[key].items():
            table.add_row(f"  {name}", *_sizes(row))
    table.add_row("all", *_sizes(traffic), style="bold")
    return table


def _sizes(row: Mapping[str, int]) -> tuple[str, str, str]:
    return f"{row['messages']:,}", f"{row['payload_bytes'] / 1e6:,.3f}", f"{row['wire_bytes'] / 1e6:,.3f}"


def _views(summary: Mapping[str, Any]) -> Table:
    """A row for each value that a party was sent; bytes that it cannot read only where there are any."""
    views = summary["views"]
    columns = {"clear": "in the clear", "uniform": "uniformly random"}
    columns |= {
        how: title
        for how, title in (("encrypted", "ciphertext bytes"), ("modelled", "modelled bytes"))
        if any(view[how] for view in views.values())
    }
    table = _table("What each party learned", "", *columns.values())
    for party, view in views.items():
        table.add_row(party if any(view.values()) else f"{party}: nothing", style="italic")
        for how in columns:
            for what, count in view[how].items():
                table.add_row(f"  {what}", *(f"{count:,}" if how == column else "" for column in columns))
    return table
