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
from p2n2sim.net.journal import BESIDE, party_of
from p2n2sim.trace.flights import Flight
from p2n2sim.trace.story import Happening, Session, Story

PARTS = ("compute", "serialisation", "latency", "offline", "fault", "other")
"""Work; bits that leave, one after the other; distance; all three where they belong to the offline phase,
which is the dealer's or that of `p2n2sim.parties.generated`; waiting for a message to be sent again, to
arrive in spite of a fault, for a timeout to pass, for a party to come back; and anything that was not
recorded."""

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
    now = story.virtual_s
    own: list[list[Happening]] = [[] for _ in story.sessions]
    for it in story.happenings:
        own[it.session].append(it)
    for session, happenings in zip(reversed(story.sessions), reversed(own), strict=True):
        now = yield from _session(story, session, happenings, now)


Path = Generator[Segment, None, float]
"""Segments, from the last to the first; returns where they begin."""


def _session(story: Story, session: Session, own: list[Happening], now: float) -> Path:
    """From the end of a session, whose happenings are its own, to its beginning."""
    told = story.happenings
    done = (it for it in own if not it.cut)
    at = max(done, key=lambda it: (it.ended_s, it.number), default=None)
    if session.crashes and (at is None or at.ended_s < now):  # it ended because somebody had crashed
        party, when = session.crashes[-1]
        yield Segment(when, now, "fault", party, "crash")
        now = when
        mine = [it for it in own if party_of(it.plug) == party and it.reached_s <= when]
        at = mine[-1] if mine else None
        if at is not None and at.ended_s < now:  # it waited when it crashed
            yield Segment(at.ended_s, now, "fault", party, "crash")
            now = at.ended_s
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
            first, now = yield from _message(story, story.flights[at.by], now)
            following = story.sent_by[first.row]
        elif at.kind == "take" and at.ended_s > at.reached_s:
            following = at.due_to
        elif at.kind == "left" and at.ended_s > at.reached_s:
            yield Segment(at.reached_s, now, "fault", at.plug, f"timeout of {at.what}")
            now = at.reached_s
        at = told[following] if following >= 0 else None
    if now > session.began_s:
        yield Segment(session.began_s, now, "other", "", "not recorded")
    return session.began_s


def _message(story: Story, flight: Flight, now: float) -> Generator[Segment, None, tuple[Flight, float]]:
    """A message, what it queued behind, and what these were sent for, as far as no task sent them.

    Returns:
        The transmission that a task sent, and when.
    """
    while True:
        yield from _distance(flight, now)
        now = flight.left_s
        while True:
            entry = flight.entry
            link, offline = f"{entry.sender}->{entry.receiver}", entry.phase == "offline"
            yield Segment(entry.start_s, now, _part("serialisation", offline=offline), link, entry.kind)
            now = entry.start_s
            if flight.ahead < 0:
                break
            flight = story.flights[flight.ahead]
        if now > entry.sent_s:  # the transport let it wait
            yield Segment(entry.sent_s, now, _part("serialisation", offline=offline), link, entry.kind)
            now = entry.sent_s
        while flight.attempt > 1:
            flight = story.flights[flight.earlier]
            yield Segment(flight.entry.sent_s, now, "fault", link, f"{flight.entry.kind}: sent again")
            now = flight.entry.sent_s
        if not flight.acknowledges:
            return flight, now
        flight = story.flights[flight.earlier]


def _distance(flight: Flight, now: float) -> Iterator[Segment]:
    """From the last bit's leaving to the arrival, which a fault may have put off."""
    entry = flight.entry
    link, offline = f"{entry.sender}->{entry.receiver}", entry.phase == "offline"
    if flight.due_s < now:
        yield Segment(flight.due_s, now, "fault", link, f"{entry.kind}: held up")
    yield Segment(flight.left_s, min(flight.due_s, now), _part("latency", offline=offline), link, entry.kind)


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
