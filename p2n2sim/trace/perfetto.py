"""A run in the Chrome trace event format, which https://ui.perfetto.dev and chrome://tracing open.

Source of the format: "Trace Event Format", a public document of the Chromium project. Complete events (``X``)
on one track may nest but not overlap otherwise; flow events (``s``, ``f``) are arrows between the slices that
enclose them.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from p2n2sim.net.journal import BESIDE, party_of
from p2n2sim.report.tables import Recorded
from p2n2sim.report.text import size, words
from p2n2sim.trace.flights import Flight
from p2n2sim.trace.story import Happening, Story

Event = dict[str, Any]

_US = 1e6  # the format counts microseconds
_INSIDE_US = 1e-3  # an arrow ends this far inside the slice that its message ends


def perfetto(run: Recorded, story: Story) -> str:
    """The whole run as JSON text.

    A process for each party, with tracks for its work, its sending (from the first to the last bit, as long
    as any of its links is busy) and the waiting of each of its tasks; one process with a track for each link.
    """
    tracks = _Tracks()
    events = [
        *_work(run, story, tracks),
        *_sending(story, tracks),
        *_waiting(story, tracks),
        *_links(story, tracks),
        *_arrows(story, tracks),
    ]
    note = {
        "scenario": run.scenario.name,
        "time": "virtual",
        "ledger_sha256": run.summary["ledger_sha256"],
        **({"retimed": run.summary["retimed"]} if "retimed" in run.summary else {}),
    }
    trace = {"traceEvents": [*tracks.names(), *events], "displayTimeUnit": "ns", "otherData": note}
    return json.dumps(trace, separators=(",", ":"), allow_nan=False) + "\n"


class _Tracks:
    """Numbers processes and threads as they are first used."""

    def __init__(self) -> None:
        self._processes: dict[str, int] = {}
        self._threads: dict[tuple[str, str], int] = {}

    def at(self, process: str, thread: str) -> Event:
        """The format's names of a track."""
        pid = self._processes.setdefault(process, len(self._processes) + 1)
        tid = self._threads.setdefault((process, thread), len(self._threads) + 1)
        return {"pid": pid, "tid": tid}

    def names(self) -> Iterator[Event]:
        """What the tracks are called, and their order."""
        for process, pid in self._processes.items():
            at = {"ph": "M", "pid": pid, "tid": 0, "ts": 0}
            yield at | {"name": "process_name", "args": {"name": process}}
            yield at | {"name": "process_sort_index", "args": {"sort_index": pid}}
        for (process, thread), tid in self._threads.items():
            at = {"ph": "M", "pid": self._processes[process], "tid": tid, "ts": 0}
            yield at | {"name": "thread_name", "args": {"name": thread}}
            yield at | {"name": "thread_sort_index", "args": {"sort_index": tid}}


def _slice(at: Event, name: str, kind: str, start_s: float, end_s: float, **args: object) -> Event:
    start, end = start_s * _US, end_s * _US
    return {
        "ph": "X",
        "name": name,
        "cat": kind,
        "ts": start,
        "dur": max(0.0, end - start),
        **at,
        "args": args,
    }


def _work(run: Recorded, story: Story, tracks: _Tracks) -> Iterator[Event]:
    plugs = dict.fromkeys([*run.compute["party"], *(it.plug for it in story.happenings)])
    work = [it for it in story.happenings if it.kind == "compute"]
    for plug in plugs:
        at = tracks.at(party_of(plug), _work_track(plug))  # also who never computes has its place
        for it in (it for it in work if it.plug == plug):
            yield _slice(at, it.what or "work", "compute", it.began_s, it.ended_s)
    for session in story.sessions:
        for party, when in session.crashes:
            at = tracks.at(party, "away")
            yield _slice(at, "crashed", "crash", when, max(when, session.until_s))


def _work_track(plug: str) -> str:
    return "work beside" if plug.endswith(BESIDE) else "work"


def _sending(story: Story, tracks: _Tracks) -> Iterator[Event]:
    """From when a message is handed over until its last bit has left; what overlaps is one slice."""
    by_sender: dict[str, list[Flight]] = defaultdict(list)
    for flight in story.carried:
        by_sender[flight.entry.sender].append(flight)
    for sender, flights in by_sender.items():
        for group in _overlapping(flights):
            start, end = group[0].entry.sent_s, max(flight.left_s for flight in group)
            kinds = dict.fromkeys(words(flight.entry.kind) for flight in group)
            total = sum(int(flight.entry.wire_bytes) for flight in group)
            args = {"messages": len(group), "wire_bytes": total}
            yield _slice(tracks.at(sender, "sending"), ", ".join(kinds), "send", start, end, **args)


def _overlapping(flights: Iterable[Flight]) -> Iterator[list[Flight]]:
    """Groups without a pause between them, in order."""
    group: list[Flight] = []
    until = 0.0
    for flight in sorted(flights, key=lambda f: (f.entry.sent_s, f.row)):
        if group and flight.entry.sent_s > until:
            yield group
            group = []
        until = max(until, flight.left_s) if group else flight.left_s
        group.append(flight)
    if group:
        yield group


def _waiting(story: Story, tracks: _Tracks) -> Iterator[Event]:
    """A slice for each message taken, as long as it was waited for, and for each wait for another task."""
    for it in story.happenings:
        at = tracks.at(party_of(it.plug), _waiting_track(it))
        if it.kind == "receive":
            entry = story.flights[it.row].entry
            name = f"{words(it.what)} from {entry.sender}"
            args = {"wire_bytes": int(entry.wire_bytes), "step": int(entry.step), "round": int(entry.round)}
            yield _slice(at, name, "wait", it.reached_s, it.ended_s, **args)
        elif it.kind == "take" and it.ended_s > it.reached_s:
            yield _slice(at, "what another task makes", "wait", it.reached_s, it.ended_s)
        elif it.kind == "left" and it.ended_s > it.reached_s:
            yield _slice(at, f"{words(it.what)}, in vain", "wait", it.reached_s, it.ended_s)


def _waiting_track(it: Happening) -> str:
    return f"waiting, task {it.task + 1}"


def _links(story: Story, tracks: _Tracks) -> Iterator[Event]:
    """A slice for each message from its first to its last bit; a second track where two overlap."""
    busy: dict[str, list[float]] = defaultdict(list)
    for flight in sorted(story.carried, key=lambda f: (f.entry.start_s, f.row)):
        entry = flight.entry
        link = f"{entry.sender} → {entry.receiver}"
        lanes = busy[link]
        lane = next((n for n, until in enumerate(lanes) if until <= entry.start_s), len(lanes))
        lanes[lane:] = [flight.left_s, *lanes[lane + 1 :]]
        yield _slice(
            tracks.at("links", link if lane == 0 else f"{link} ({lane + 1})"),
            f"{words(entry.kind)} · {size(entry.wire_bytes)}",
            entry.phase,
            entry.start_s,
            flight.left_s,
            wire_bytes=int(entry.wire_bytes),
            payload_bytes=int(entry.payload_bytes),
            step=int(entry.step),
            round=int(entry.round),
            queued_us=(entry.start_s - entry.sent_s) * _US,
            **({"lost": True} if flight.lost else {"arrives_us": entry.arrived_s * _US}),
            **({"number": flight.number, "attempt": flight.attempt} if flight.number else {}),
        )


def _arrows(story: Story, tracks: _Tracks) -> Iterator[Event]:
    """From the sender's sending to the receiver's waiting."""
    for it in story.happenings:
        if it.kind != "receive":
            continue
        entry = story.flights[it.row].entry
        flow = {"name": words(it.what), "cat": "message", "id": it.row + 1}
        start, end = it.reached_s * _US, it.ended_s * _US
        taken = end - min(_INSIDE_US, (end - start) / 2)
        yield {"ph": "s", "ts": entry.sent_s * _US, **flow, **tracks.at(entry.sender, "sending")}
        yield {
            "ph": "f",
            "bp": "e",
            "ts": taken,
            **flow,
            **tracks.at(party_of(it.plug), _waiting_track(it)),
        }
