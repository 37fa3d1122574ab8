"""The files that a trace is written to: whole or not at all."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from p2n2sim.net.replay import parties_of
from p2n2sim.report import style
from p2n2sim.report.tables import Recorded
from p2n2sim.report.text import words
from p2n2sim.scenario.topology import topology
from p2n2sim.trace.packets import segments
from p2n2sim.trace.pcapng import pcapng
from p2n2sim.trace.perfetto import perfetto
from p2n2sim.trace.sequence import sequence
from p2n2sim.trace.story import Story

Writer = Callable[..., None]
CHARTS = (".svg", ".png")
"""How the name of a message sequence chart may end."""


def _perfetto(run: Recorded, story: Story, path: Path, **options: object) -> None:
    _write(path, [perfetto(run, story).encode()])


def _sequence(run: Recorded, story: Story, path: Path, *, batch: int | None, **options: object) -> None:
    figure = sequence(run, story, batch)
    image = style.png(figure) if path.suffix.lower() == ".png" else style.svg(figure, path.stem).encode()
    _write(path, [image])


def _pcapng(
    run: Recorded, story: Story, path: Path, *, contents: Mapping[int, bytes], **options: object
) -> None:
    parties = parties_of(run.events, run.ledger, run.compute)
    comment = f"Synthetic: scenario {run.scenario.name}, virtual time, ledger {run.summary['ledger_sha256']}"
    if "retimed" in run.summary:
        comment += f", re-timed from {run.summary['retimed']['network']}"
    told = segments(story, topology(run.scenario), parties)
    _write(path, pcapng(told, parties, comment=comment, comments=comments(story), contents=contents))


def comments(story: Story) -> dict[int, str]:
    """What a capture says of messages that are not sent once and taken, by their rows in the ledger."""
    out = {}
    for flight in story.flights:
        told = [f"attempt {flight.attempt}"] if flight.attempt > 1 else []
        told += ["never arrives"] if flight.lost else []
        if told:
            out[flight.row] = f"{words(flight.entry.kind)} {flight.number}: {', '.join(told)}"
    return out


WRITERS: dict[str, Writer] = {"perfetto": _perfetto, "sequence": _sequence, "pcapng": _pcapng}
"""By the name of the option: a function of a run, its story and a path."""


def _write(path: Path, pieces: Iterable[bytes]) -> None:
    with _beside(path) as file:
        for piece in pieces:
            file.write(piece)


@contextlib.contextmanager
def _beside(path: Path) -> Iterator[BinaryIO]:
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        with unfinished.open("wb") as file:
            yield file
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
