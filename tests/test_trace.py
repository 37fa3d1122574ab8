"""p2n2sim trace: files that their readers take, of runs of several protocols."""

from __future__ import annotations

import json
import math
import re
import shutil
import subprocess
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import matplotlib.image
import pandas as pd
import pytest

from p2n2sim import folder
from p2n2sim.net.journal import Record, party_of
from p2n2sim.net.replay import parties_of
from p2n2sim.report import style
from p2n2sim.report.read import StoredEvents, read_events
from p2n2sim.report.tables import Recorded
from p2n2sim.run import run
from p2n2sim.scenario.load import load
from p2n2sim.scenario.topology import topology
from p2n2sim.trace.critical import critical_path, divide
from p2n2sim.trace.packets import MSS, segments
from p2n2sim.trace.pcapng import pcapng
from p2n2sim.trace.perfetto import perfetto
from p2n2sim.trace.scene import MOST_PARTIES, Scale, scene
from p2n2sim.trace.sequence import sequence
from p2n2sim.trace.story import tell
from p2n2sim.trace.write import comments
from tests import tiny
from tests.capture_reader import check_conversations, read_capture
from tests.here import leave_out_pictures
from tests.tiny import Call
from tests.trace_reader import check_trace

RUNS = {
    "two": [],
    "slow": ["network.bandwidth=100 kbit/s"],
    "instant": ["network.preset=ideal", "compute.preset=instant", "data.holders=3"],
    "transfer": ["protocol.triples=ot"],
    "whole": ["protocol.secret_layers=3"],
    "four": ["data.holders=4", "network.bandwidth=1 Mbit/s"],
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run folder for each of `RUNS`."""
    home = tmp_path_factory.mktemp("traced")
    path = tiny.write_scenario(home)
    with pytest.MonkeyPatch.context() as patch:
        leave_out_pictures(patch)
        for name, options in RUNS.items():
            scenario = load(path, [f"name={name}", "train.epochs=1", *options])
            folder.save(run(scenario, threads=1), home / name)
    return home


@pytest.fixture(params=RUNS)
def traced(request: pytest.FixtureRequest, folders: Path) -> StoredEvents:
    """Each of the runs, read from its folder."""
    return read_events(folders / request.param)


def test_every_time_of_a_story_is_recorded(traced: StoredEvents) -> None:
    """Tasks never go back in time, and every message is sent where the ledger has it."""
    story = tell(traced)
    done = traced.events[traced.events["task"] >= 0]
    for it in story.happenings:
        assert it.reached_s <= it.began_s <= it.ended_s
        if it.before >= 0:
            assert story.happenings[it.before].ended_s == it.reached_s
        if it.kind == "send":
            assert it.ended_s == it.reached_s == story.flights[it.row].entry.sent_s
            assert party_of(it.plug) == story.flights[it.row].entry.sender
        if it.kind == "compute":
            seconds = done["seconds"].iloc[it.number]
            assert it.ended_s == pytest.approx(it.began_s + seconds, rel=1e-12, abs=1e-15)
    assert max(it.ended_s for it in story.happenings) == story.virtual_s
    assert all(story.happenings[number].row == row for row, number in enumerate(story.sent_by))


# -- Perfetto


def test_perfetto_follows_the_format(traced: StoredEvents) -> None:
    """The trace keeps the format's rules; an arrow for every message that was taken; tracks as announced."""
    trace = check_trace(perfetto(traced, tell(traced)))
    events = trace["traceEvents"]
    taken = int((traced.events["kind"] == "receive").sum())
    assert sum(event["ph"] == "s" for event in events) == taken
    names = {event["args"]["name"] for event in events if event["name"] == "process_name"}
    assert names == {*parties_of(traced.events, traced.ledger, traced.compute), "links"}
    links = {event["args"]["name"] for event in events if event["name"] == "thread_name"}
    sent = traced.ledger
    assert {f"{a} → {b}" for a, b in zip(sent["sender"], sent["receiver"], strict=True)} <= links
    work = [event for event in events if event.get("cat") == "compute"]
    assert sum(event["dur"] for event in work) == pytest.approx(
        (traced.compute["end_s"] - traced.compute["start_s"]).sum() * 1e6, abs=1e-3
    )
    assert trace["otherData"]["time"] == "virtual"


def test_the_checks_of_the_format_can_fail(folders: Path) -> None:
    """A slice that ends within its neighbour, one before the beginning and one without a track are found."""
    run = read_events(folders / "two")
    good = json.loads(perfetto(run, tell(run)))
    slices = [n for n, event in enumerate(good["traceEvents"]) if event.get("cat") == "compute"]
    first, second = (good["traceEvents"][number] for number in slices[:2])
    assert first["tid"] == second["tid"]
    overlap = second["ts"] + second["dur"] / 2 - first["ts"]
    for change in ({"dur": overlap}, {"ts": -1.0}, {"tid": 9999}):
        bad = json.loads(json.dumps(good))
        bad["traceEvents"][slices[0]] |= change
        with pytest.raises(AssertionError):
            check_trace(json.dumps(bad))


# -- the capture


def capture(run: Recorded, contents: Mapping[int, bytes] | None = None) -> bytes:
    """The whole capture; with messages of zeros unless others are given."""
    parties, story = parties_of(run.events, run.ledger, run.compute), tell(run)
    told = segments(story, topology(run.scenario), parties)
    if contents is None:
        contents = {flight.row: bytes(flight.size) for flight in story.flights}
    return b"".join(pcapng(told, parties, comment="test", comments=comments(story), contents=contents))


@pytest.mark.parametrize("payload", [False, True])
def test_a_capture_is_consistent(traced: StoredEvents, payload: bool) -> None:
    """Checksums, numbers and acknowledgements fit, and each link carries the ledger's bytes."""
    packets, names = read_capture(capture(traced, None if payload else {}))
    carried = check_conversations(packets)
    by_link = traced.ledger.groupby(["sender", "receiver"])["wire_bytes"].sum()
    assert {(names[a], names[b]): count for (a, b), count in carried.items()} == by_link.to_dict()
    assert all(packet.captured == (packet.length if payload else 0) for packet in packets)
    assert max(packet.length for packet in packets) <= MSS
    last = max(packet.time_ns for packet in packets if packet.length)
    assert last <= round(traced.ledger["arrived_s"].max() * 1e9)


def test_segments_are_stamped_when_they_leave(folders: Path) -> None:
    """A message's last segment leaves when its last bit does, its first one earlier by the others' bits."""
    run = read_events(folders / "transfer")
    packets, names = read_capture(capture(run, {}))
    entry = run.ledger.loc[run.ledger["wire_bytes"].idxmax()]
    assert entry["wire_bytes"] > 10 * MSS
    left = entry["arrived_s"] - 0.2e-3
    mine = [
        packet
        for packet in packets
        if names[packet.source[0]] == entry["sender"]
        and names[packet.target[0]] == entry["receiver"]
        and packet.length
        and entry["start_s"] * 1e9 < packet.time_ns <= left * 1e9 + 1
    ]
    assert sum(packet.length for packet in mine) == entry["wire_bytes"]
    gap = (mine[1].time_ns - mine[0].time_ns) / 1e9
    assert gap == pytest.approx(mine[1].length * 8 / 1e9, abs=2e-9)
    assert mine[-1].time_ns / 1e9 == pytest.approx(left, abs=2e-9)


def test_wireshark_takes_a_capture(traced: StoredEvents, tmp_path: Path) -> None:
    """No malformed packet, no wrong checksum, nothing that its analysis of TCP objects to."""
    tshark = shutil.which("tshark")
    if tshark is None:
        pytest.skip("tshark is not installed; the file is checked by a reader of this project's own")
    path = tmp_path / "run.pcapng"
    path.write_bytes(capture(traced))

    def read(*options: str) -> list[str]:
        command = [tshark, "-n", "-r", str(path), *options]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()

    checked = ["-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE"]
    wrong = "_ws.malformed || tcp.analysis.flags || ip.checksum.status != 1 || tcp.checksum.status != 1"
    assert read(*checked, "-Y", wrong) == []
    assert len(read()) == len(read_capture(path.read_bytes())[0])


# -- the chart


@pytest.mark.parametrize("name", ["two", "four", "transfer", "whole"])
def test_a_chart_shows_its_batch(folders: Path, name: str) -> None:
    """Every message that was sent in the batch between parties that are shown stands in one group."""
    run = read_events(folders / name)
    it = scene(run, tell(run).flights, None)
    assert it.step == run.summary["traffic"]["one_batch"]["step"]
    shown = [flight.row for group in it.groups for flight in group.flights]
    sent = run.ledger["sent_s"]
    expected = run.ledger[(sent >= it.began_s) & (sent < it.began_s + it.length_s)]
    assert sorted(shown) == list(expected.index)
    for group in it.groups:
        links = [(flight.entry.sender, flight.entry.receiver) for flight in group.flights]
        assert len(set(links)) == len(links)
        assert len({(flight.entry.kind, flight.entry.step) for flight in group.flights}) == 1
    scale = Scale(it)
    heights = [scale(time) for time in scale.times]
    assert heights[0] == 0
    assert heights[-1] == 1
    assert all(a < b for a, b in pairwise(heights))


def test_many_parties_are_thinned_out(tmp_path: Path) -> None:
    """Of too many holders the first ones and the last are shown, beside server and dealer."""
    features = [f"f{number}" for number in range(20)]
    pd.DataFrame(
        [{**{f: (row * (n + 3)) % 7 for n, f in enumerate(features)}, "y": row % 2} for row in range(60)]
    ).to_csv(tmp_path / "own.csv", index=False)
    (tmp_path / "tiny.toml").write_text(tiny.SCENARIO)
    run_ = run(load(tmp_path / "tiny.toml", ["data.holders=20", "train.epochs=1"]), threads=1)
    it = scene(run_, tell(run_).flights, 1)
    assert len(it.parties) == MOST_PARTIES
    assert it.parties[0] == "dealer"
    assert it.parties[-2:] == ("T", "server")
    assert len(it.left_out) == 22 - MOST_PARTIES
    figure = sequence(run_, tell(run_), 1)
    assert "Not shown: L, M, N, O, P and 3 others." in figure.get_supxlabel()
    assert figure.get_suptitle().startswith("Batch 1: training, 20 rows, ")


def test_a_batch_of_no_time_is_drawn(folders: Path) -> None:
    """Where everything happens at once there is a chart of one instant."""
    run = read_events(folders / "instant")
    assert style.svg(sequence(run, tell(run)), "instant").startswith("<?xml")


# -- the command


def test_the_command_writes_all_at_once(folders: Path, tmp_path: Path, call: Call) -> None:
    """All three files and the table in one go; nothing else is left in the folder."""
    out = tmp_path / "out"
    out.mkdir()
    files = {"--perfetto": "a.json", "--sequence": "b.svg", "--pcapng": "c.pcapng"}
    arguments = [part for option, name in files.items() for part in (option, out / name)]
    code, text, err = call("trace", folders / "two", *arguments, "--critical-path")
    assert (code, err) == (0, "")
    assert {path.name for path in out.iterdir()} == set(files.values())
    check_trace((out / "a.json").read_text("utf-8"))
    assert (out / "b.svg").read_text("utf-8").startswith("<?xml")
    check_conversations(read_capture((out / "c.pcapng").read_bytes())[0])
    assert "waiting for dealer (offline)" in text
    assert "serialisation" in text
    first = {path.name: path.read_bytes() for path in out.iterdir()}
    call("trace", folders / "two", *arguments)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == first


def test_the_critical_path_as_json(folders: Path, call: Call) -> None:
    """What is printed is the division of the run, and adds up to its virtual time and that of its stages."""
    code, text, _ = call("trace", folders / "four", "--critical-path", "--json")
    assert code == 0
    told, run = json.loads(text), read_events(folders / "four")
    assert told == divide(critical_path(tell(run)), run.batches)
    time = run.summary["time"]
    assert told["total_ps"] == sum(told["parts_ps"].values()) == round(time["virtual_s"] * 1e12)
    for stage, parts in told["stages_ps"].items():
        assert sum(parts.values()) / 1e12 == pytest.approx(time[f"{stage}_s"], abs=1e-11)
    assert told["parts_ps"]["other"] == 0


def test_a_chart_as_png(folders: Path, tmp_path: Path, call: Call) -> None:
    """A name that ends in .png gives a picture; the batch can be chosen."""
    path = tmp_path / "chart.png"
    assert call("trace", folders / "four", "--sequence", path, "--batch", "3")[0] == 0
    assert matplotlib.image.imread(path).shape[0] > 300
    code, out, err = call("trace", folders / "four", "--sequence", path, "--batch", "99")
    assert (code, out) == (2, "")
    assert err.startswith("error: --batch 99: there is no such batch; the run has ")


def test_bad_requests_end_with_one_line(folders: Path, tmp_path: Path, call: Call) -> None:
    """No folder, no finished run, a damaged or missing table, a bad target and no wish at all."""
    shutil.copytree(folders / "two", tmp_path / "old")
    shutil.copytree(folders / "two", tmp_path / "wrong")
    (tmp_path / "old" / "events.parquet").unlink()
    pd.DataFrame({"x": [1]}).to_parquet(tmp_path / "wrong" / "events.parquet")
    for arguments, found in (
        ([tmp_path / "none", "--critical-path"], "there is no such folder"),
        ([tmp_path, "--critical-path"], "it holds no finished run or sweep"),
        ([tmp_path / "old", "--critical-path"], "the file is missing; run the scenario again"),
        ([tmp_path / "wrong", "--critical-path"], "the file is damaged (not a journal's columns)"),
        ([folders / "two"], "trace: there is nothing to do; add --perfetto"),
        (
            [folders / "two", "--sequence", tmp_path / "a.gif"],
            "a chart is no such file; .svg or .png would do",
        ),
        ([folders / "two", "--sequence", tmp_path / "svg"], "a chart is no such file; .svg or .png would do"),
        ([folders / "two", "--perfetto", tmp_path / "none" / "a.json"], "it cannot be written (No such file"),
    ):
        code, out, err = call("trace", *arguments)
        assert (code, out) == (2, ""), err
        assert err.startswith("error: ")
        assert found in err
        assert err.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["old", "wrong"]
    assert math.isfinite(read_events(folders / "two").summary["time"]["virtual_s"])


def test_the_document_names_options_that_exist(call: Call) -> None:
    """Every command and option of docs/traces.md is the command line's, every column is recorded."""
    text = (Path(__file__).parents[1] / "docs" / "traces.md").read_text("utf-8")
    for command in ("run", "trace", "retime", "sweep"):
        assert f"p2n2sim {command}" in text
    offered = "".join(call(command, "--help")[1] for command in ("run", "trace", "retime", "sweep"))
    for option in set(re.findall(r"--[a-z][a-z-]+", text)):
        assert option in offered, option
    for name in Record._fields:
        assert f"`{name}`" in text
