"""A reader of the Chrome trace event format that is stricter than the browsers."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any

SLACK_US = 1e-6  # of a float in microseconds


def check_trace(text: str) -> dict[str, Any]:
    """Checks the rules of the format and returns the trace.

    Every event has a phase, a process, a thread and a time; slices of a track nest; every arrow has one
    beginning and one end, in this order, each in a slice of its track; every track has a name.
    """
    trace: dict[str, Any] = json.loads(text)
    assert isinstance(trace["traceEvents"], list)
    assert trace["displayTimeUnit"] in ("ms", "ns")
    slices: dict[tuple[int, int], list[tuple[float, float]]] = defaultdict(list)
    arrows: dict[int, list[dict[str, Any]]] = defaultdict(list)
    processes, threads = set(), set()
    for event in trace["traceEvents"]:
        assert event["ph"] in ("M", "X", "s", "f")
        assert isinstance(event["pid"], int)
        assert isinstance(event["tid"], int)
        assert isinstance(event["ts"], (int, float))
        assert event["ts"] >= 0
        assert isinstance(event["name"], str)
        assert event["name"]
        if event["ph"] == "X":
            assert event["dur"] >= 0
            slices[event["pid"], event["tid"]].append((event["ts"], event["ts"] + event["dur"]))
        elif event["ph"] == "M":
            if event["name"] == "process_name":
                processes.add(event["pid"])
            if event["name"] == "thread_name":
                threads.add((event["pid"], event["tid"]))
        else:
            arrows[event["id"]].append(event)
    assert {pid for pid, _ in slices} <= processes
    assert set(slices) <= threads
    for track in slices.values():
        _check_nesting(track)
    for ends in arrows.values():
        first, last = ends
        assert (first["ph"], last["ph"], last["bp"]) == ("s", "f", "e")
        assert (first["name"], first["cat"]) == (last["name"], last["cat"])
        assert first["ts"] <= last["ts"] + SLACK_US
        for end in ends:
            track = slices[end["pid"], end["tid"]]
            assert any(a - SLACK_US <= end["ts"] <= b + SLACK_US for a, b in track), end
    return trace


def _check_nesting(track: list[tuple[float, float]]) -> None:
    """Two slices of a track are apart, or one lies within the other."""
    open_ends: list[float] = []
    for start, end in sorted(track, key=lambda s: (s[0], -s[1])):
        while open_ends and open_ends[-1] <= start + SLACK_US:
            open_ends.pop()
        assert not open_ends or end <= open_ends[-1] + SLACK_US
        open_ends.append(end)
