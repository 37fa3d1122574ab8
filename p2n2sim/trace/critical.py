"""The critical path: which work, which bits and which distances the virtual time of a run consists of.

From the last thing that happened one goes back to what it had waited for, and so on to the beginning: the
work or message that ended a wait, and where that had queued, what it had queued behind. So every instant of
the run belongs to exactly one thing without which the run had been shorter or had had another reason to take
as long.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import pandas as pd

from p2n2sim.messages import DEALER
from p2n2sim.net.journal import BESIDE
from p2n2sim.trace.story import Flight, Happening, Story

PARTS = ("compute", "serialisation", "latency", "offline", "other")
"""Work; bits that leave, one after the other; distance; all three where they belong to the offline phase,
which is the dealer's or that of `p2n2sim.parties.generated`; and anything that was not recorded."""

_PS = 10**12
_MOST_LISTED = 12


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of the critical path.

    Attributes:
        start_s: in virtual seconds.
        end_s: the start of the next one.
        part: one of `PARTS`.
        where: the party that works, or the link.
        what: label of the work, or kind of the message.
    """

    start_s: float
    end_s: float
    part: str
    where: str
    what: str


def critical_path(story: Story) -> list[Segment]:
    """The segments from 0 to the end of the run, without gaps, in order."""
    path = list(_backwards(story))
    path.reverse()
    return path


def _backwards(story: Story) -> Iterator[Segment]:
    told = story.happenings
    now = story.virtual_s
    at: Happening | None = max(told, key=lambda h: (h.ended_s, h.number), default=None)
    while at is not None:
        if at.ended_s < now:
            yield Segment(at.ended_s, now, "other", at.plug, "not recorded")
            now = at.ended_s
        following = at.before
        if at.kind == "compute":
            yield Segment(at.began_s, now, _part("compute", offline=_aside(at.plug)), at.plug, at.what)
            now = at.began_s
            following = at.due_to if at.due_to >= 0 else at.before
        elif at.kind == "receive" and at.ended_s > at.reached_s:
            first = yield from _message(story, story.flights[at.row], now)
            now = first.entry.sent_s
            following = story.sent_by[first.row]
        elif at.kind == "take" and at.ended_s > at.reached_s:
            following = at.due_to
        at = told[following] if following >= 0 else None
    if now > 0:
        yield Segment(0.0, now, "other", "", "not recorded")


def _message(story: Story, flight: Flight, now: float) -> Generator[Segment, None, Flight]:
    """A message, and those that it queued behind; returns the one that did not queue."""
    first = True
    while True:
        entry = flight.entry
        link, offline = f"{entry.sender}->{entry.receiver}", entry.phase == "offline"
        if first:
            yield Segment(flight.left_s, now, _part("latency", offline=offline), link, entry.kind)
            now, first = flight.left_s, False
        yield Segment(entry.start_s, now, _part("serialisation", offline=offline), link, entry.kind)
        now = entry.start_s
        if flight.ahead < 0:
            if now > entry.sent_s:  # the transport let it wait
                yield Segment(entry.sent_s, now, _part("serialisation", offline=offline), link, entry.kind)
            return flight
        flight = story.flights[flight.ahead]


def _part(part: str, *, offline: bool) -> str:
    return "offline" if offline else part


def _aside(plug: str) -> bool:
    return plug == DEALER or plug.endswith(BESIDE)


def divide(path: list[Segment], batches: pd.DataFrame) -> dict[str, Any]:
    """How the time of a run divides, in whole picoseconds, which add up exactly.

    Args:
        path: as `critical_path` makes it.
        batches: the run's.

    Returns:
        ``total_ps``; ``parts_ps`` by part; ``stages_ps`` by stage (``setup``, ``train``, ``predict``) and
        part; ``longest``: part, where, what, how often and ps of what takes longest in all.
    """
    began = list(batches["began_s"])
    stages = ["setup", *batches["stage"]]
    by_stage = {stage: dict.fromkeys(PARTS, 0) for stage in ("setup", "train", "predict")}
    listed: dict[tuple[str, str, str], list[int]] = {}
    for segment in path:
        spent = _ps(segment.end_s) - _ps(segment.start_s)
        if spent:
            entry = listed.setdefault((segment.part, segment.where, segment.what), [0, 0])
            entry[0] += 1
            entry[1] += spent
        for stage, start, end in _cut(segment, began, stages):
            by_stage[stage][segment.part] += _ps(end) - _ps(start)
    parts = {part: sum(stage[part] for stage in by_stage.values()) for part in PARTS}
    longest = sorted(listed.items(), key=lambda item: -item[1][1])[:_MOST_LISTED]
    return {
        "total_ps": sum(parts.values()),
        "parts_ps": parts,
        "stages_ps": by_stage,
        "longest": [
            {"part": part, "where": where, "what": what, "times": times, "ps": ps}
            for (part, where, what), (times, ps) in longest
        ],
    }


def _cut(segment: Segment, began: list[float], stages: list[str]) -> Iterator[tuple[str, float, float]]:
    """The segment cut where batches begin: stage, start, end."""
    start = segment.start_s
    position = bisect_right(began, start)
    while position < len(began) and began[position] < segment.end_s:
        yield stages[position], start, began[position]
        start = began[position]
        position += 1
    yield stages[position], start, segment.end_s


def _ps(seconds: float) -> int:
    return round(Fraction(seconds) * _PS)
