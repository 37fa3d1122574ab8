"""Re-timing: a replay of what was recorded is the run that would have been made."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd
import pytest

from p2n2sim import folder
from p2n2sim.errors import InputError, ScenarioError
from p2n2sim.report.figures import of_sweep
from p2n2sim.report.read import StoredSweep, read, read_events
from p2n2sim.retime import TIMES_THAT_STAY, on_network, retime
from p2n2sim.run import Run, run
from p2n2sim.scenario.load import load
from p2n2sim.sweep import sweep
from tests import tiny
from tests.tiny import Call

pytestmark = pytest.mark.usefixtures("without_pictures")

NETWORKS = (
    "wan",
    "ideal",
    "bandwidth=100 kbit/s,latency=0 s",
    "bandwidth=3 Gbit/s,latency=0.01 ms",
    "bandwidth=7 Mbit/s,latency=3 ms,links.B->A.bandwidth=50 kbit/s",
)
PROTOCOLS = {
    "algorithm1": [],
    "masked-once": ["protocol.first_layer=algorithm1-masked-once"],
    "masked-sum": ["protocol.first_layer=masked-sum", "data.holders=3"],
    "plaintext": ["protocol.first_layer=plaintext"],
    "whole network": ["protocol.secret_layers=3"],
    "oblivious transfer": ["protocol.triples=ot"],
    "oblivious transfer, four holders, nothing ahead": [
        "protocol.triples=ot",
        "data.holders=4",
        "protocol.triples_ahead=0",
    ],
    "whole shares from the dealer": ["protocol.triples=dealer-full", "protocol.triples_ahead=3"],
}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the tiny scenario."""
    inside = tiny.move_into(tmp_path, monkeypatch)
    tiny.write_scenario(inside)
    return inside


def tiny_run(*overrides: str) -> Run:
    """The tiny scenario with some overrides, one epoch."""
    return run(load("tiny.toml", ["train.epochs=1", *overrides]), threads=1)


def without_measured(summary: dict[str, Any]) -> dict[str, Any]:
    """What a summary says of virtual things; NaN becomes None."""
    time = {name: value for name, value in summary["time"].items() if name not in TIMES_THAT_STAY}
    read: dict[str, Any] = json.loads(folder.to_json(summary | {"time": time}))
    read.pop("retimed", None)
    return read


@pytest.mark.parametrize("overrides", PROTOCOLS.values(), ids=PROTOCOLS)
def test_replays_are_the_full_runs(overrides: list[str]) -> None:
    """Every time of every message, computation and batch is that of a full run on those links, to the bit."""
    recorded = tiny_run(*overrides)
    for network in NETWORKS:
        scenario = on_network(recorded.scenario, network)
        replayed, full = retime(recorded, scenario, "run"), run(scenario, threads=1)
        assert not full.ledger["arrived_s"].equals(recorded.ledger["arrived_s"])
        for name in ("ledger", "compute", "batches", "events", "metrics"):
            pd.testing.assert_frame_equal(getattr(replayed, name), getattr(full, name), check_exact=True)
        assert without_measured(replayed.summary) == without_measured(full.summary)


@pytest.mark.parametrize(
    "other", ["transport=tcp,latency=2 ms", "transport=grpc,tls=true", "star", "wan,jitter=1 ms"]
)
def test_replays_over_other_transports(other: str) -> None:
    """From ideal links to transports, shared bottlenecks or jitter, and back: the full runs, to the bit."""
    ideal = tiny_run()
    scenario = on_network(ideal.scenario, other)
    full = run(scenario, threads=1)
    for replayed, expected in (
        (retime(ideal, scenario, "run"), full),
        (retime(full, ideal.scenario, "run"), ideal),
    ):
        pd.testing.assert_frame_equal(replayed.ledger, expected.ledger, check_exact=True)
        assert without_measured(replayed.summary) == without_measured(expected.summary)


def test_a_replay_of_a_replay_leads_back() -> None:
    """Re-timed to other links and back again, a run is as it was, and still says where it comes from."""
    recorded = tiny_run("protocol.triples=ot")
    there = retime(recorded, on_network(recorded.scenario, "wan"), "run")
    back = retime(there, on_network(there.scenario, "lan"), "run")
    pd.testing.assert_frame_equal(back.ledger, recorded.ledger, check_exact=True)
    assert there.summary["retimed"]["ledger_sha256"] == recorded.summary["ledger_sha256"]
    assert back.summary["retimed"] == there.summary["retimed"]


def test_times_without_a_recorded_reason_are_refused() -> None:
    """A message that was sent later than all that is recorded before it is refused: somebody slept."""
    recorded = tiny_run()
    ledger = recorded.ledger.copy()
    ledger.loc[5, ["sent_s", "start_s", "arrived_s"]] += 1e-9
    slept = dataclasses.replace(recorded, ledger=ledger)
    with pytest.raises(
        InputError, match=r"^run: it cannot be re-timed: \w+ from \w+ to \w+ at t = .* waited"
    ):
        retime(slept, on_network(recorded.scenario, "wan"), "run")


def test_only_links_may_differ() -> None:
    """A scenario with another batch size is another run."""
    recorded = tiny_run()
    other = load("tiny.toml", ["train.epochs=1", f"data.fingerprint={recorded.scenario.data.fingerprint}"])
    assert retime(recorded, other, "run").summary["ledger_sha256"] == recorded.summary["ledger_sha256"]
    train = msgspec.structs.replace(other.train, batch_size=10)
    other = msgspec.structs.replace(other, train=train)
    with pytest.raises(InputError, match=r"^run: its train differs by more than the links; run the"):
        retime(recorded, other, "run")


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (
            "lam",
            r"--network lam: 'lam' is no preset; lan, wan, .*, three-regions would do, or keys such as",
        ),
        ("bandwith=1 Mbit/s", r"--network bandwith=1 Mbit/s: network\.bandwith: there is no such key"),
        ("latency=5", r"--network latency=5: network\.latency: found"),
        ("links.A-Z.latency=5 ms", r"--network .*Z"),
    ],
)
def test_networks_that_are_none(network: str, message: str) -> None:
    """A misspelt preset or key and a bad value are told in one line."""
    with pytest.raises(ScenarioError, match=message):
        on_network(load("tiny.toml"), network)


def test_on_the_command_line(here: Path, call: Call) -> None:
    """The folder that is written says that it was re-timed; the summary is that of the full run."""
    call("run", "tiny.toml", "--out", "run", "--quiet")
    call("run", "tiny.toml", "--set", "network.preset=wan", "--out", "full", "--quiet")
    code, out, _ = call("retime", "run", "--network", "wan", "--out", "replayed")
    assert code == 0
    assert "Re-timed: the events of a run on ideal links of 1 Gbit/s" in " ".join(out.split())
    assert "wall: the recorded simulation" in out
    replayed, full = read_events(here / "replayed"), read_events(here / "full")
    pd.testing.assert_frame_equal(replayed.ledger, full.ledger, check_exact=True)
    assert replayed.scenario == full.scenario
    assert replayed.summary["retimed"]["network"].startswith("ideal links of 1 Gbit/s")
    code, out, _ = call("retime", "run", "--network", "wan", "--json")
    assert code == 0
    assert json.loads(out)["ledger_sha256"] == full.summary["ledger_sha256"]


def test_bad_folders_end_with_one_line(here: Path, call: Call) -> None:
    """No run, a run without its events, a damaged file and a taken target end with 2 and one line."""
    call("run", "tiny.toml", "--out", "run", "--quiet")
    call("run", "tiny.toml", "--out", "old", "--quiet")
    call("run", "tiny.toml", "--out", "damaged", "--quiet")
    (here / "old" / "events.parquet").unlink()
    (here / "damaged" / "events.parquet").write_bytes(b"x")
    for arguments, found in (
        (["none", "--network", "wan"], "there is no such folder"),
        (["old", "--network", "wan"], "the file is missing; run the scenario again"),
        (["damaged", "--network", "wan"], "the file is damaged"),
        (["run", "--network", "moon"], "'moon' is no preset"),
        (["run", "--network", "wan", "--out", "run"], "it already holds a run"),
    ):
        code, out, err = call("retime", *arguments)
        assert (code, out) == (2, "")
        assert err.startswith("error: ")
        assert found in err
        assert err.count("\n") == 1


@pytest.mark.usefixtures("in_this_process")
def test_a_sweep_of_replays_is_the_sweep(here: Path) -> None:
    """One run for each set of points that differ in their links alone: the same table, figure and ledgers."""
    table = '"network.bandwidth" = ["10 Mbit/s", "1 Mbit/s", "100 kbit/s"]\n"data.holders" = [2, 3]'
    tiny.write_scenario(here, f"[sweep]\n{table}\n")
    scenario = load("tiny.toml")
    full = read_sweep(sweep(scenario, here / "full", jobs=1))
    told: list[int] = []
    path = sweep(
        scenario, here / "fast", jobs=1, retimed=True, on_point=lambda point, done, total: told.append(done)
    )
    fast = read_sweep(path)
    assert told == [1, 2, 3, 4, 5, 6]
    columns = [name for name in full.table if name not in {f"time.{name}" for name in TIMES_THAT_STAY}]
    pd.testing.assert_frame_equal(fast.table[columns], full.table[columns], check_exact=True)
    replayed = [bool(isinstance(text, str)) for text in fast.table["retimed.ledger_sha256"]]
    assert replayed == [False, False, True, True, True, True]
    for one, other in zip(of_sweep(fast), of_sweep(full), strict=True):
        assert "2 runs, RE-TIMED for 4 further points" in one.caption
        assert "one run a point" in other.caption
        numbers = one.table.drop(columns="time.wall_s", errors="ignore")
        pd.testing.assert_frame_equal(numbers, other.table[list(numbers)], check_exact=True)
    for point in full.table["point"]:
        ledgers = [
            pd.read_parquet(here / name / "points" / point / "ledger.parquet") for name in ("full", "fast")
        ]
        pd.testing.assert_frame_equal(*ledgers, check_exact=True)


def read_sweep(table: Path) -> StoredSweep:
    """The sweep whose table was written."""
    stored = read(table.parent)
    assert isinstance(stored, StoredSweep)
    return stored


def test_a_virtual_time_of_nothing(here: Path) -> None:
    """On ideal links and instant machines everything happens at once, and is replayed so."""
    recorded = tiny_run("compute.preset=instant")
    replayed = retime(recorded, on_network(recorded.scenario, "ideal"), "run")
    assert replayed.summary["time"]["virtual_s"] == 0
    assert math.isfinite(replayed.ledger["arrived_s"].sum())
