"""Traces of runs with checkpoints, faults, retries and authentication, and the true bytes of messages."""

from __future__ import annotations

import math
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest

from p2n2sim import folder
from p2n2sim.errors import ReceiveTimeout
from p2n2sim.messages import VOCABULARY
from p2n2sim.net import frame
from p2n2sim.net.faults import Ack
from p2n2sim.net.link import LinkSpec
from p2n2sim.net.network import Network
from p2n2sim.net.replay import parties_of
from p2n2sim.net.topology import Topology
from p2n2sim.report.read import StoredEvents, read_events
from p2n2sim.report.tables import Recorded
from p2n2sim.retime import on_network, retime
from p2n2sim.run import run
from p2n2sim.scenario.failures import delivery_of
from p2n2sim.scenario.load import load
from p2n2sim.scenario.topology import topology
from p2n2sim.trace.critical import critical_path, divide
from p2n2sim.trace.packets import segments
from p2n2sim.trace.pcapng import pcapng
from p2n2sim.trace.perfetto import perfetto
from p2n2sim.trace.scene import scene
from p2n2sim.trace.sequence import sequence
from p2n2sim.trace.story import tell
from p2n2sim.trace.write import comments
from p2n2sim.wire import decode
from tests import tiny
from tests.capture_reader import Packet, check_conversations, read_capture
from tests.handmade import Tasks, Value, handmade, value
from tests.tiny import Call
from tests.trace_reader import check_trace

RETRY = "network.retry=true"
DROP = '{kind="drop",probability=0.1}'
CRASH = '{kind="crash",party="B",number=20,restart="1 s"}'
ALL = (
    f'{DROP},{{kind="corrupt",probability=0.05}},{{kind="delay",probability=0.1,by="5 ms"}},'
    '{kind="reorder",probability=0.1,by="5 ms"},{kind="duplicate",probability=0.1}'
)
LATE = '{kind="delay",probability=0.1,by="5 ms"},{kind="reorder",probability=0.1,by="50 ms"}'
RUNS = {
    "checkpoints": ["train.checkpoint_every=2"],
    "transfer": ["train.checkpoint_every=3", "protocol.triples=ot"],
    "authenticated": ["network.authenticate=true"],
    "slow": ['fault=[{kind="slow",party="B",factor=3,after="2 ms",until="6 ms"}]'],
    "retry": [RETRY],
    "drop": [RETRY, f"fault=[{DROP}]"],
    "all": [RETRY, "network.authenticate=true", f"fault=[{ALL}]"],
    "held up": [f"fault=[{LATE}]"],
    "crash": [RETRY, "train.checkpoint_every=3", f"fault=[{DROP},{CRASH}]"],
    "crash over tcp": [
        "train.checkpoint_every=3",
        'fault=[{kind="crash",party="B",at="10 ms",restart="1 s"}]',
        "network.transport=tcp",
        "network.handshake=true",
    ],
    "dealer away": [
        'fault=[{kind="crash",party="dealer",at="3 ms",restart="1 s"}]',
        "network.transport=grpc",
    ],
    "whole": [
        RETRY,
        "protocol.secret_layers=3",
        f"fault=[{DROP}]",
        "network.preset=star",
        "network.sharing=fcfs",
    ],
}
FAULTY = ("drop", "all", "held up", "crash", "crash over tcp", "dealer away", "whole")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run folder for each of `RUNS`."""
    home = tmp_path_factory.mktemp("disturbed")
    path = tiny.write_scenario(home)
    for name, options in RUNS.items():
        folder.save(run(load(path, ["train.epochs=1", *options]), threads=1), home / name)
    return home


@pytest.fixture(params=RUNS)
def traced(request: pytest.FixtureRequest, folders: Path) -> StoredEvents:
    """Each of the runs, read from its folder."""
    return read_events(folders / request.param)


def capture(
    run: Recorded, contents: Mapping[int, bytes] | None = None
) -> tuple[list[Packet], dict[int, str]]:
    """What a reader finds in a capture; with messages of zeros unless others are given."""
    return read_capture(_file(run, contents))


def _file(run: Recorded, contents: Mapping[int, bytes] | None = None) -> bytes:
    parties, story = parties_of(run.events, run.ledger, run.compute), tell(run)
    if contents is None:
        contents = {flight.row: bytes(flight.size) for flight in story.flights}
    told = segments(story, topology(run.scenario), parties)
    return b"".join(pcapng(told, parties, comment="test", comments=comments(story), contents=contents))


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
    path.write_bytes(_file(traced))
    wrong = "_ws.malformed || tcp.analysis.flags || ip.checksum.status != 1 || tcp.checksum.status != 1"
    checked = ["-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE", "-Y", wrong]
    done = subprocess.run([tshark, "-n", "-r", path, *checked], capture_output=True, text=True, check=True)
    assert done.stdout == ""


# -- true bytes


@pytest.mark.parametrize("name", ["transfer", "authenticated", "all", "crash over tcp", "crash"])
def test_captured_bytes_are_the_messages(folders: Path, tmp_path: Path, call: Call, name: str) -> None:
    """The payload of a batch, cut at the sizes in the ledger, decodes to messages of the ledger's kinds."""
    path, run_ = tmp_path / "run.pcapng", read_events(folders / name)
    code, _, err = call("trace", folders / name, "--pcapng", path, "--payload", "--batch", "2")
    assert (code, err) == (0, "")
    packets, names = read_capture(path.read_bytes())
    check_conversations(packets)
    streams: dict[tuple[str, str], bytes] = defaultdict(bytes)
    for packet in packets:
        assert packet.captured in (0, packet.length)
        streams[names[packet.source[0]], names[packet.target[0]]] += packet.payload
    kinds = [*VOCABULARY, Ack]
    framed = name in ("authenticated", "all", "crash")
    key = delivery_of(run_.scenario.network, run_.scenario.train.seed).key
    seen = 0
    for flight in (f for f in tell(run_).carried if f.entry.step == 1):
        link = flight.entry.sender, flight.entry.receiver
        data, streams[link] = streams[link][: flight.size], streams[link][flight.size :]
        if framed:
            number, data = frame.unseal(data, None if key is None else frame.pair_key(key, *link))
            assert flight.number in (0, number)
        message = decode(data, kinds)
        assert (type(message).__name__, message.step) == (flight.entry.kind, 1)
        seen += 1
    assert seen > 3
    assert not any(streams.values())


def test_captured_bytes_are_those_that_were_sent(folders: Path, tmp_path: Path, call: Call) -> None:
    """They are not zeros, and the same on every call."""
    files = [tmp_path / "one.pcapng", tmp_path / "two.pcapng"]
    for path in files:
        assert call("trace", folders / "checkpoints", "--pcapng", path, "--payload")[0] == 0
    assert files[0].read_bytes() == files[1].read_bytes()
    payload = b"".join(packet.payload for packet in read_capture(files[0].read_bytes())[0])
    assert len(set(payload)) > 100


def test_another_ledger_is_refused(folders: Path, tmp_path: Path, call: Call) -> None:
    """A scenario that does not lead to the folder's ledger, and a payload for no file, end in one line."""
    other = tmp_path / "other"
    shutil.copytree(folders / "checkpoints", other)
    text = (other / "scenario.toml").read_text("utf-8")
    (other / "scenario.toml").write_text(text.replace("0.2 ms", "0.3 ms").replace('"lan"', '"wan"'), "utf-8")
    for arguments, found in (
        ((other, "--pcapng", tmp_path / "x", "--payload"), "run again, has another ledger"),
        ((other, "--payload"), "there is no capture to put it into"),
    ):
        code, out, err = call("trace", *arguments)
        assert (code, out) == (2, "")
        assert found in err
        assert err.count("\n") == 1
    assert not (tmp_path / "x").exists()


# -- replays


@pytest.mark.parametrize("name", ["checkpoints", "transfer", "authenticated", "slow"])
@pytest.mark.parametrize("network", ["wan", "bandwidth=1 Mbit/s", "transport=grpc", "wan,authenticate=true"])
def test_replays_are_the_full_runs(folders: Path, name: str, network: str) -> None:
    """With checkpoints, codes and slow parties no message depends on time: exact, to the bit."""
    if name == "authenticated" and "grpc" in network:
        network = "wan,authenticate=false"
    recorded = read_events(folders / name)
    scenario = on_network(recorded.scenario, network)
    replayed, full = retime(recorded, scenario, "run"), run(scenario, threads=1)
    for table in ("ledger", "compute", "batches", "events"):
        pd.testing.assert_frame_equal(getattr(replayed, table), getattr(full, table), check_exact=True)
    assert replayed.summary["ledger_sha256"] == full.summary["ledger_sha256"]


def test_from_tcp_to_codes_and_drawn_delays(tmp_path: Path) -> None:
    """Sizes are those of the messages, whatever the transport added; draws are those of each session."""
    path = tiny.write_scenario(tmp_path)
    keys = ["train.epochs=1", "train.checkpoint_every=3"]
    recorded = run(load(path, [*keys, "network.transport=tcp"]), threads=1)
    for network in ("ideal,authenticate=true", "wan,jitter=1 ms"):
        scenario = on_network(recorded.scenario, network)
        replayed, full = retime(recorded, scenario, "run"), run(scenario, threads=1)
        pd.testing.assert_frame_equal(replayed.ledger, full.ledger, check_exact=True)
