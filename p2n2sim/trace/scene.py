"""What a message sequence chart of one batch shows: who, which messages in which groups, which scale."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from p2n2sim.errors import InputError
from p2n2sim.messages import DEALER, SERVER
from p2n2sim.net.journal import BESIDE, party_of
from p2n2sim.report.tables import Recorded
from p2n2sim.report.text import size, words
from p2n2sim.trace.flights import Flight

MOST_PARTIES = 14
_FINEST = 1 / 1500  # of the batch: gaps below are drawn in proportion, longer ones ever shorter
_LEAST = 0.05  # of the mean height: no gap is drawn lower, so that arrows slope


@dataclass(frozen=True)
class Group:
    """Messages of one kind, at most one on each link: one round of the protocol.

    Attributes:
        flights: in the order in which they were sent.
    """

    flights: tuple[Flight, ...]

    def name(self, step: int) -> tuple[str, str]:
        """How many of what, and how large; of another batch than `step`, also of which."""
        entry, count = self.flights[0].entry, len(self.flights)
        sizes = sorted({int(flight.entry.wire_bytes) for flight in self.flights})
        large = size(sizes[0]) if len(sizes) == 1 else f"{size(sizes[0])} to {size(sizes[-1])}"
        other = "" if entry.step == step else f", batch {entry.step + 1}" if entry.step >= 0 else ", setup"
        lost = sum(flight.lost for flight in self.flights)
        if lost:
            other += ", lost" if lost == count else f", {lost} lost"
        if self.flights[0].attempt > 1:
            other += f", attempt {self.flights[0].attempt}"
        return f"{count} × {words(entry.kind)}" if count > 1 else words(entry.kind), large + other


@dataclass(frozen=True)
class Scene:
    """One batch.

    Attributes:
        step: number of the batch.
        stage: ``train`` or ``predict``.
        rows: of data.
        began_s: virtual time at which it began.
        length_s: until the next one began, or the end.
        parties: from left to right.
        left_out: who is not shown.
        groups: the messages between those shown that were on their way meanwhile.
        work: party, beside (whether on a second processor), start_s, end_s, label, cut at the batch's two
        ends.
    """

    step: int
    stage: str
    rows: int
    began_s: float
    length_s: float
    parties: tuple[str, ...]
    left_out: tuple[str, ...]
    groups: tuple[Group, ...]
    work: pd.DataFrame


def scene(run: Recorded, flights: list[Flight], number: int | None) -> Scene:
    """Takes a batch out of a run.

    Args:
        run: the run.
        flights: what has left its sender.
        number: of the batch, from 1; the one that the run's summary describes unless given.

    Raises:
        InputError: there is no such batch.
    """
    batches, step = run.batches, step_of(run, number)
    found = np.flatnonzero(batches["step"] == step)
    batch = batches.iloc[int(found[0])]
    began = float(batch["began_s"])
    later = batches["began_s"].iloc[int(found[0]) + 1 :]
    end = float(later.iloc[0]) if len(later) else float(run.summary["time"]["virtual_s"])
    shown, left_out = _parties(run)
    under_way = [
        f
        for f in flights
        if began <= f.entry.sent_s < end and f.entry.sender in shown and f.entry.receiver in shown
    ]
    return Scene(
        step=step,
        stage=str(batch["stage"]),
        rows=int(batch["rows"]),
        began_s=began,
        length_s=end - began,
        parties=tuple(shown),
        left_out=tuple(left_out),
        groups=tuple(_grouped(under_way)),
        work=_work(run, began, end, shown),
    )


def step_of(run: Recorded, number: int | None) -> int:
    """The step of a batch; of the one that the run's summary describes unless its number is given.

    Raises:
        InputError: there is no such batch.
    """
    if number is None:
        return int(run.summary["traffic"]["one_batch"]["step"])
    if not (run.batches["step"] == number - 1).any():
        raise InputError(f"--batch {number}", "there is no such batch", f"the run has {len(run.batches)}")
    return number - 1


def there(flight: Flight) -> float:
    """When a message arrives, or would have."""
    return flight.due_s if flight.lost else float(flight.entry.arrived_s)


def _parties(run: Recorded) -> tuple[list[str], list[str]]:
    """The dealer on the left, the server on the right; of too many holders the first ones and the last."""
    everybody = list(dict.fromkeys([*run.ledger["sender"], *run.ledger["receiver"]]))
    holders = sorted((p for p in everybody if p not in (DEALER, SERVER)), key=lambda name: (len(name), name))
    room = MOST_PARTIES - (len(everybody) - len(holders))
    left_out = holders[room - 1 : -1] if len(holders) > room else []
    shown = [p for p in holders if p not in left_out]
    left, right = [p for p in everybody if p == DEALER], [p for p in everybody if p == SERVER]
    return [*left, *shown, *right], left_out


def _grouped(flights: list[Flight]) -> list[Group]:
    """A message belongs to the latest group of its kind, step and attempt that has none on its link yet."""
    groups: list[list[Flight]] = []
    latest: dict[tuple[str, int, int], list[Flight]] = {}
    for flight in flights:
        entry = flight.entry
        key = (entry.kind, int(entry.step), flight.attempt)
        group = latest.get(key)
        link = (entry.sender, entry.receiver)
        if group is None or link in [(f.entry.sender, f.entry.receiver) for f in group]:
            group = latest[key] = []
            groups.append(group)
        group.append(flight)
    return [Group(tuple(group)) for group in groups]


def _work(run: Recorded, began: float, end: float, shown: list[str]) -> pd.DataFrame:
    work = run.compute[(run.compute["start_s"] < end) & (run.compute["end_s"] > began)]
    frame = pd.DataFrame(
        {
            "party": [party_of(plug) for plug in work["party"]],
            "beside": [plug.endswith(BESIDE) for plug in work["party"]],
            "start_s": work["start_s"].clip(lower=began).to_numpy(),
            "end_s": work["end_s"].clip(upper=end).to_numpy(),
            "label": work["label"].to_numpy(),
        }
    )
    return frame[frame["party"].isin(shown)]


class Scale:
    """From virtual time to the height on the chart: long stretches in which nothing begins or ends are
    shortened.

    Args:
        it: the batch.
    """

    def __init__(self, it: Scene) -> None:
        times = [it.began_s, it.began_s + it.length_s]
        for group in it.groups:
            for flight in group.flights:
                times += [flight.entry.start_s, flight.left_s, there(flight)]
        times += [*it.work["start_s"], *it.work["end_s"]]
        finest = max(it.length_s * _FINEST, 1e-12)
        rounded = np.unique(np.round((np.array(times) - it.began_s) / (finest / 10)) * (finest / 10))
        heights: NDArray[np.float64] = np.log1p(np.diff(rounded) / finest)
        if len(heights):
            heights = np.maximum(heights, _LEAST * heights.mean())
        self.times = rounded + it.began_s
        self._heights = np.concatenate([[0.0], np.cumsum(heights)])
        self._total = max(float(self._heights[-1]), 1e-9)

    def __call__(self, time_s: float) -> float:
        """0 at the top to 1 at the batch's last event."""
        return float(np.interp(time_s, self.times, self._heights)) / self._total
