"""Traces of runs with checkpoints, faults, retries and authentication."""

from __future__ import annotations

import math
import shutil
import subprocess
from collections import defaultdict
from itertools import pairwise
from pathlib import Path

import pytest

from p2n2sim.errors import ReceiveTimeout
from p2n2sim.net.link import LinkSpec
from p2n2sim.net.network import Network
from p2n2sim.net.topology import Topology
from p2n2sim.report.read import StoredEvents, read_events
from p2n2sim.run import run
from p2n2sim.scenario.load import load
from p2n2sim.trace.critical import critical_path, divide
from p2n2sim.trace.packets import segments
from p2n2sim.trace.pcapng import pcapng
from p2n2sim.trace.perfetto import perfetto
from p2n2sim.trace.scene import scene
from p2n2sim.trace.sequence import sequence
from p2n2sim.trace.story import tell
from tests import tiny
from tests.capture_reader import check_conversations, read_capture
from tests.disturbed import FAULTY, RETRY, RUNS, capture, capture_file, write_runs
from tests.handmade import Tasks, Value, handmade, value
from tests.trace_reader import check_trace


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run folder for each of the runs."""
    return write_runs(tmp_path_factory.mktemp("disturbed"))


@pytest.fixture(params=RUNS)
def traced(request: pytest.FixtureRequest, folders: Path) -> StoredEvents:
    """Each of the runs, read from its folder."""
    return read_events(folders / request.param)


# -- the critical path


def test_every_instant_has_a_reason(traced: StoredEvents) -> None:
    """The path has no gaps, adds up exactly to the virtual time, and leaves nothing unexplained."""
    path = critical_path(tell(traced))
    assert path[0].start_s == 0
    assert path[-1].end_s == traced.summary["time"]["virtual_s"]
    assert all(a.end_s == b.start_s for a, b in pairwise(path))
    assert all(segment.start_s <= segment.end_s for segment in path)
    divided = divide(path, traced.batches)
    parts = divided["parts_ps"]
    assert divided["total_ps"] == sum(parts.values()) == round(path[-1].end_s * 1e12)
    assert parts["other"] == 0


@pytest.mark.parametrize("name", RUNS)
def test_faults_are_on_the_path_where_there_are_any(folders: Path, name: str) -> None:
    """Who waits for a retry, a late message or a crashed party waits for that, and nobody else does."""
    run_ = read_events(folders / name)
    faults = divide(critical_path(tell(run_)), run_.batches)["parts_ps"]["fault"]
    assert (faults > 0) == (name in FAULTY)


def test_a_lost_message_is_a_wait_of_its_timeout(tmp_path: Path) -> None:
    """One message lost once costs what the first timeout and the message's way there and back take."""
    path = tiny.write_scenario(tmp_path)
    one = 'fault=[{kind="drop",links=["A->B"],numbers=[3]}]'
    lost, calm = (run(load(path, ["train.epochs=1", RETRY, *options]), threads=1) for options in ([one], []))
    faults = [s for s in critical_path(tell(lost)) if s.part == "fault"]
    assert [(s.where, s.what.split(":")[1]) for s in faults] == [("A->B", " sent again")]
    row = lost.ledger[lost.ledger["arrived_s"].isna()].iloc[0]
    assert (faults[0].start_s, faults[0].what.split(":")[0]) == (row["sent_s"], row["kind"])
    there = row["wire_bytes"] * 8 / 1e9 + 0.2e-3
    assert faults[0].end_s - faults[0].start_s == pytest.approx(1 + 2 * there, rel=1e-9)
    longer = lost.summary["time"]["virtual_s"] - calm.summary["time"]["virtual_s"]
    assert longer == pytest.approx(faults[0].end_s - faults[0].start_s, rel=1e-3)


def test_a_crashed_party_is_waited_for(folders: Path) -> None:
    """From its crash until the next session begins everybody waits for it."""
    story = tell(read_events(folders / "crash over tcp"))
    crashed = [s for s in story.sessions if s.crashes]
    assert [s.crashes for s in crashed] == [(("B", 0.01),)]
    assert crashed[0].until_s == pytest.approx(1.01)
    away = [s for s in critical_path(story) if s.what == "crash" and s.end_s == crashed[0].until_s]
    assert [(s.part, s.where, s.start_s) for s in away] == [("fault", "B", 0.01)]


def test_a_timeout_is_waited_for() -> None:
    """Who waits in vain waits for its timeout, and goes on."""

    def tasks(network: Network) -> Tasks:
        async def a() -> None:
            with pytest.raises(ReceiveTimeout):
                await network.parties["A"].recv("B", Value, timeout=4.0)
            await network.parties["A"].compute(lambda: None, 2.0)

        return {"A": a()}

    told = handmade(["A", "B"], tasks)
    divided = divide(critical_path(tell(told)), told.batches)["parts_ps"]
    assert (divided["fault"], divided["compute"], divided["other"]) == (4 * 10**12, 2 * 10**12, 0)
    check_trace(perfetto(told, tell(told)))


# -- what is drawn


def test_disturbed_runs_are_drawn(traced: StoredEvents) -> None:
    """Perfetto's format is kept, with a slice for all that left its sender; every batch has its chart."""
    story = tell(traced)
    events = check_trace(perfetto(traced, story))["traceEvents"]
    slices = [event for event in events if event.get("cat") in ("online", "offline")]
    assert len(slices) == len(story.carried)
    lost = [event for event in slices if event["args"].get("lost")]
    assert len(lost) == int(traced.ledger["arrived_s"].isna().sum())
    assert not any("arrives_us" in event["args"] for event in lost)
    sequence(traced, story)


def test_what_is_lost_stands_in_the_chart(folders: Path) -> None:
    """Lost messages are named so, and what is sent again says which attempt it is."""
    run_ = read_events(folders / "whole")
    story = tell(run_)
    names = [
        " ".join(group.name(it.step))
        for batch in range(1, len(run_.batches) + 1)
        for it in [scene(run_, story.carried, batch)]
        for group in it.groups
    ]
    assert any(", lost" in name or " lost" in name for name in names)
    assert any("attempt 2" in name for name in names)


def test_what_is_not_known_to_leave_is_left_out() -> None:
    """A message on its way at the end of a run over TCP has no time yet: every exporter omits it."""

    def tasks(network: Network) -> Tasks:
        async def a() -> None:
            network.parties["A"].send("B", value(10))
            network.parties["A"].send("B", value(100_000))

        async def b() -> None:
            await network.parties["B"].recv("A", Value)

        return {"A": a(), "B": b()}

    links = Topology(LinkSpec(bandwidth=1e6, latency=0.01, transport="tcp"))
    run_ = handmade("AB", tasks, latency="10 ms", links=links)
    assert run_.ledger["arrived_s"].iloc[1] == math.inf
    story = tell(run_)
    assert [flight.row for flight in story.carried] == [0]
    trace = perfetto(run_, story)
    assert "Infinity" not in trace
    check_trace(trace)
    assert sum(s.end_s - s.start_s for s in critical_path(story)) == pytest.approx(story.virtual_s)
    assert len(scene(run_, story.carried, 1).groups) == 1
    packets, _ = read_capture(b"".join(pcapng(segments(story, links, ["A", "B"]), ["A", "B"], comment="")))
    assert sum(check_conversations(packets).values()) == story.flights[0].size


# -- the capture


def test_every_transmission_is_captured(traced: StoredEvents) -> None:
    """Connections carry what left, lost or not; all end, those of a crashed party by a reset."""
    packets, names = capture(traced)
    carried, expected = check_conversations(packets), defaultdict(int)
    story = tell(traced)
    for flight in story.carried:
        expected[flight.entry.sender, flight.entry.receiver] += flight.size
    assert {(names[a], names[b]): count for (a, b), count in carried.items()} == expected
    crashed = {party for session in story.sessions for party, _ in session.crashes}
    assert {names[packet.source[0]] for packet in packets if packet.flags & 4} == crashed
    noted = [packet.comment for packet in packets if packet.comment]
    assert sum("never arrives" in note for note in noted) == traced.ledger["arrived_s"].isna().sum()
    assert sum("attempt" in note for note in noted) == sum(f.attempt > 1 for f in story.flights)


def test_a_handshake_takes_a_round_trip(folders: Path) -> None:
    """Over TCP with a handshake the first byte leaves a round trip after the SYN, and no earlier."""
    packets, _ = capture(read_events(folders / "crash over tcp"))
    for syn in (packet for packet in packets if packet.flags & 18 == 2):
        own = [p for p in packets if {p.source, p.target} == {syn.source, syn.target}]
        first = next(p for p in own if p.length)
        assert [p.time_ns - syn.time_ns for p in own[:3]] == pytest.approx([0, 200_000, 400_000], abs=2)
        assert first.time_ns >= syn.time_ns + 400_000 - 2


def test_wireshark_takes_disturbed_runs(traced: StoredEvents, tmp_path: Path) -> None:
    """No malformed packet, no wrong checksum, nothing missing in front, nothing else that is objected to."""
    tshark = shutil.which("tshark")
    if tshark is None:
        pytest.skip("tshark is not installed; the file is checked by a reader of this project's own")
    path = tmp_path / "run.pcapng"
    path.write_bytes(capture_file(traced))
    wrong = "_ws.malformed || tcp.analysis.flags || ip.checksum.status != 1 || tcp.checksum.status != 1"
    checked = ["-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE", "-Y", wrong]
    done = subprocess.run([tshark, "-n", "-r", path, *checked], capture_output=True, text=True, check=True)
    assert done.stdout == ""
