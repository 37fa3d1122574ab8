"""A scenario run again for its bytes, and a run replayed on other links, with all that can disturb it."""

from __future__ import annotations

import shutil
from collections import defaultdict
from pathlib import Path

import pandas as pd
import pytest

from p2n2sim.messages import VOCABULARY
from p2n2sim.net import frame
from p2n2sim.net.faults import Ack
from p2n2sim.report.read import read_events
from p2n2sim.retime import on_network, retime
from p2n2sim.run import run
from p2n2sim.scenario.failures import delivery_of
from p2n2sim.scenario.load import load, to_toml
from p2n2sim.trace.story import tell
from p2n2sim.wire import decode
from tests import tiny
from tests.capture_reader import check_conversations, read_capture
from tests.disturbed import write_runs
from tests.tiny import Call

NAMES = ("checkpoints", "transfer", "authenticated", "slow", "all", "crash", "crash over tcp")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run folder for each of the runs."""
    return write_runs(tmp_path_factory.mktemp("disturbed"), NAMES)


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
    text = to_toml(read_events(other).scenario)  # as a version without hashes kept it
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
