"""Checkpoints: a run that is cut off goes on to the same weights, one that was killed to the same bytes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from p2n2sim import checkpoint
from p2n2sim.checkpoint import Checkpoints
from p2n2sim.run import weights_sha256
from p2n2sim.simulate import Outcome, simulate
from p2n2sim.state import State
from tests.killed import PLACES
from tests.small import small_setup
from tests.tiny import SCENARIO, Call, write_scenario

pytestmark = pytest.mark.usefixtures("without_pictures")

PROTOCOLS: dict[str, dict[str, Any]] = {
    "algorithm1": {},
    "algorithm1, full dealer": {"protocol.triples": "dealer-full"},
    "algorithm1, no dealer": {"protocol.triples": "ot"},
    "algorithm1-prg": {"protocol.first_layer": "algorithm1-prg"},
    "masked-once": {"protocol.first_layer": "algorithm1-masked-once"},
    "masked-sum": {"protocol.first_layer": "masked-sum"},
    "plaintext": {"protocol.first_layer": "plaintext"},
    "masked-sum, adam": {
        "protocol.first_layer": "masked-sum",
        "train.optimiser": "adam",
        "train.momentum": 0.0,
    },
    "masked-sum, sgld": {
        "protocol.first_layer": "masked-sum",
        "train.optimiser": "sgld",
        "train.momentum": 0.0,
    },
    "two layers": {"protocol.secret_layers": 2, "protocol.first_layer": "algorithm1-masked-once"},
    "whole network": {"protocol.secret_layers": 3},
}
COMMON = {"train.epochs": 2, "train.momentum": 0.5}
TEXT = SCENARIO.replace("epochs = 2", "epochs = 2\ncheckpoint_every = 4\nmomentum = 0.9")


def trained(**overrides: Any) -> tuple[str, Outcome]:
    """The hash of the weights after a small run of ten batches, and what it left behind."""
    setup, outcome = small_setup(rows=18, overrides=COMMON | overrides), Outcome()
    simulate(setup, outcome)
    return weights_sha256(setup.parts), outcome


@pytest.mark.parametrize("name", PROTOCOLS)
def test_sessions_change_no_weight(name: str) -> None:
    """However the batches are divided into sessions, weights and losses are the same bits."""
    weights, outcome = trained(**PROTOCOLS[name])
    for every in (1, 2, 3, 100):
        again, other = trained(**PROTOCOLS[name], **{"train.checkpoint_every": every})
        assert again == weights
        assert len(outcome.passes) == len(other.passes)
        for one, two in zip(outcome.passes, other.passes, strict=True):
            assert (one.epoch, one.stage) == (two.epoch, two.stage)
            for field in ("losses", "rows", "logits"):
                assert np.array_equal(getattr(one, field), getattr(two, field), equal_nan=True)
        assert [batch.step for batch, _ in other.began] == [batch.step for batch, _ in outcome.began]


@pytest.mark.parametrize("name", PROTOCOLS)
@pytest.mark.parametrize(
    "crash",
    [
        {"party": "A", "batch": 4},
        {"party": "B", "at": "13.5 s"},
        {"party": "B", "number": 9},
    ],
    ids=["batch", "time", "message"],
)
@pytest.mark.parametrize("every", [None, 2])
def test_who_comes_back_goes_on(name: str, crash: dict[str, Any], every: int | None) -> None:
    """After a crash and a restart all go on from the last checkpoint, if any, to the same weights."""
    keys = PROTOCOLS[name] | ({"train.checkpoint_every": every} if every else {})
    weights, outcome = trained(**keys)
    again, other = trained(**keys, fault=[{"kind": "crash", "restart": "20 s", **crash}])
    assert again == weights
    assert other.virtual_s > outcome.virtual_s + 18.0  # it may have been waited for anyway
    assert len(other.ledger.rows) >= len(outcome.ledger.rows)


def test_checkpoints_save_time() -> None:
    """The more often the parties store what they have, the less is repeated after a crash."""
    crash = {"kind": "crash", "party": "A", "batch": 8, "restart": "1 s"}
    times = [
        trained(fault=[crash], **({"train.checkpoint_every": every} if every else {}))[1].virtual_s
        for every in (None, 5, 3)
    ]
    assert times == sorted(times, reverse=True)
    assert len(set(times)) == len(times)


def test_several_crashes() -> None:
    """One crash after the other, also of the one who has just come back, the server and the dealer."""
    faults = [
        {"kind": "crash", "party": party, "at": f"{at} s", "restart": "3 s"}
        for party, at in (("A", 5), ("A", 9), ("server", 15.5), ("dealer", 30), ("B", 31))
    ]
    assert trained(fault=faults)[0] == trained()[0]


@pytest.mark.parametrize("name", list(PROTOCOLS)[2:])
def test_what_is_stored_is_what_was_there(name: str, tmp_path: Path) -> None:
    """From every checkpoint on disk a run goes on to the same ledger, views, local work and weights."""
    keys = COMMON | PROTOCOLS[name] | {"train.checkpoint_every": 3}
    setup, outcome = small_setup(rows=18, overrides=keys), Outcome()
    states: list[State] = []
    checkpoints = Checkpoints(tmp_path, setup, outcome)
    simulate(setup, outcome, on_checkpoint=lambda state: (states.append(state), checkpoints.store(state)))
    assert [state.step for state in states] == [3, 6, 9, 10]
    for _ in states:
        again, other = small_setup(rows=18, overrides=keys), Outcome()
        state = Checkpoints(tmp_path, again, other).load()
        assert state is not None
        simulate(again, other, state=state)
        assert weights_sha256(again.parts) == weights_sha256(setup.parts)
        assert other.ledger.sha256() == outcome.ledger.sha256()
        assert other.ledger.rows == outcome.ledger.rows
        assert other.ledger.views(other.parties) == outcome.ledger.views(outcome.parties)
        assert other.intervals == outcome.intervals
        assert list(other.intervals) == list(outcome.intervals)
        assert (other.virtual_s, other.parties) == (outcome.virtual_s, outcome.parties)
        assert [time for _, time in other.began] == [time for _, time in outcome.began]
        for file in checkpoint._all(tmp_path)[-1].iterdir():
            file.unlink()
        checkpoint._all(tmp_path)[-1].rmdir()  # the one before is now the last
    assert Checkpoints(tmp_path, setup, Outcome()).load() is None


def test_faults_go_on_where_they_were(tmp_path: Path) -> None:
    """Rules tell messages apart by their numbers, which go on counting; a crash happens once."""
    faults = [
        {"kind": "drop", "probability": 0.1},
        {"kind": "crash", "party": "B", "number": 30, "restart": "5 s"},
        {"kind": "crash", "party": "A", "batch": 4, "restart": "5 s"},
    ]
    keys = COMMON | {"train.checkpoint_every": 2, "network.retry": True, "fault": faults}
    setup, outcome = small_setup(rows=18, overrides=keys), Outcome()
    checkpoints = Checkpoints(tmp_path, setup, outcome)

    class Killed(Exception):
        """The process ends here."""

    def store(state: State) -> None:
        checkpoints.store(state)
        if state.step == 6:
            raise Killed

    with pytest.raises(Killed):
        simulate(setup, outcome, on_checkpoint=store)
    again, other = small_setup(rows=18, overrides=keys), Outcome()
    simulate(again, other, state=Checkpoints(tmp_path, again, other).load())
    whole, undisturbed = small_setup(rows=18, overrides=keys), Outcome()
    simulate(whole, undisturbed)
    assert other.ledger.sha256() == undisturbed.ledger.sha256()
    assert weights_sha256(again.parts) == weights_sha256(whole.parts) == trained()[0]


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with runs that were killed, one in each of `PLACES`, on their way to killed0 and so on."""
    directory = tmp_path_factory.mktemp("killed")
    write_scenario(directory, text=TEXT)
    command = [
        sys.executable,
        "-m",
        "tests.killed",
        "run",
        "tiny.toml",
        "--out",
        "killed{}",
        "--threads",
        "1",
    ]
    subprocess.run([*command, "--quiet"], cwd=directory, env=environment(), check=True, timeout=120)
    return directory


def environment() -> dict[str, str]:
    """That of a process which finds the package and the tests."""
    return os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}


@pytest.mark.parametrize("number", range(len(PLACES)), ids=[f"{p.name}-{p.call}-{p.after}" for p in PLACES])
def test_a_killed_run_goes_on(killed: Path, number: int, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever a run was killed, --resume ends with the tables and hashes of a run that was not."""
    monkeypatch.chdir(killed)
    if not Path("whole").exists():
        assert call("run", "tiny.toml", "--out", "whole", "--threads", "1", "--quiet")[0] == 0
    assert Path(f"killed{number}.partial").is_dir()
    code, _, err = call("run", "--resume", f"killed{number}", "--threads", "1", "--quiet")
    assert (code, err) == (0, "")
    assert not Path(f"killed{number}.partial").exists()
    one, two = (json.loads(Path(name, "summary.json").read_text()) for name in ("whole", f"killed{number}"))
    one.pop("time"), two.pop("time")
    assert one == two
    for table in ("ledger", "metrics", "batches", "compute"):
        assert pd.read_parquet(f"whole/{table}.parquet").equals(
            pd.read_parquet(f"killed{number}/{table}.parquet")
        )
    assert Path("whole/scenario.toml").read_bytes() == Path(f"killed{number}/scenario.toml").read_bytes()


def test_a_run_that_others_kill(tmp_path: Path, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same when kill -9 comes from outside, whatever the run is at."""
    monkeypatch.chdir(tmp_path)
    write_scenario(tmp_path, text=TEXT.replace("epochs = 2", "epochs = 40"))
    command = [sys.executable, "-m", "p2n2sim", "run", "tiny.toml", "--out", "out", "--quiet"]
    with subprocess.Popen(command, env=environment()) as process:
        while not list(tmp_path.glob("out.partial/0*")):
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert not Path("out").exists()
    assert call("run", "tiny.toml", "--out", "out")[0] == 2  # it is not begun anew by accident
    assert call("run", "--resume", "out", "--quiet")[0] == 0
    resumed = json.loads(Path("out/summary.json").read_text())
    assert resumed["time"]["resumed_after_batches"] >= 4
    assert call("run", "tiny.toml", "--out", "whole", "--quiet")[0] == 0
    whole = json.loads(Path("whole/summary.json").read_text())
    assert resumed["weights_sha256"] == whole["weights_sha256"]
    assert resumed["ledger_sha256"] == whole["ledger_sha256"]


def test_what_cannot_be_resumed(tmp_path: Path, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no run was interrupted there is nothing to go on with, and other arguments say nothing."""
    monkeypatch.chdir(tmp_path)
    code, _, err = call("run", "--resume", "nowhere")
    assert (code, "no run with checkpoints was interrupted there" in err) == (2, True)
    assert call("run", "tiny.toml", "--resume", "nowhere")[0] == 2
    assert call("run")[0] == 2
