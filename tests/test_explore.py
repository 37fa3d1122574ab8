"""Scenarios under many schedules, and run twice."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import json
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import msgspec
import pandas as pd
import pytest

from p2n2sim import explore as exploring
from p2n2sim.assemble import Setup
from p2n2sim.errors import DeadlockError, InputError
from p2n2sim.explore import Ending, OrderError, ProcessError, explore
from p2n2sim.gate import Recorded, first_difference
from p2n2sim.processes import processes
from p2n2sim.run import run
from p2n2sim.scenario.inline import inline
from p2n2sim.scenario.load import load, set_key
from p2n2sim.scenario.sections import Scenario
from p2n2sim.simulate import Outcome, simulate
from tests import tiny
from tests.tiny import Call

pytestmark = pytest.mark.usefixtures("without_pictures")

# Everything takes a second or no time, so that much happens at one instant.
LOCKSTEP = ("network.preset=ideal", 'network.latency="1 s"', "compute.preset=instant", "train.epochs=1")
CRASHES = (
    "fault=["
    + ", ".join(
        f"{{kind='crash', party='{party}', batch={batch}}}" for party, batch in (("A", 2), ("B", 3), ("B", 5))
    )
    + "]"
)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the tiny scenario."""
    inside = tiny.move_into(tmp_path, monkeypatch)
    tiny.write_scenario(inside)
    monkeypatch.delitem(sys.modules, "mine", raising=False)  # the user's own module, of another test
    return inside


def scenario(*overrides: str) -> Scenario:
    """The tiny scenario in lockstep."""
    return load("tiny.toml", [*LOCKSTEP, *overrides])


def spoil(monkeypatch: pytest.MonkeyPatch, batches: set[int]) -> None:
    """From schedule 3 on, runs with a fault in each of these batches end with wrong weights."""

    def wrongly(setup: Setup, outcome: Outcome) -> None:
        seed, faults = setup.scenario.schedule_seed, setup.scenario.fault
        healthy = dataclasses.replace(setup, scenario=msgspec.structs.replace(setup.scenario, fault=()))
        simulate(healthy, outcome)
        if seed is not None and seed >= 3 and batches <= {fault.batch for fault in faults}:
            setup.parts.theta.add_(1)

    monkeypatch.setattr(exploring, "simulate", wrongly)


@pytest.fixture
def spoilt(monkeypatch: pytest.MonkeyPatch) -> None:
    """From schedule 3 on, every run ends with wrong weights."""
    spoil(monkeypatch, set())


@pytest.fixture
def spoilt_by_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """From schedule 3 on, every run with a fault in batch 3 ends with wrong weights."""
    spoil(monkeypatch, {3})


# -- explore


@pytest.mark.parametrize(
    "protocol", ["algorithm1", "algorithm1-masked-once", "masked-sum", "plaintext", "secret_layers"]
)
def test_no_protocol_depends_on_the_order_of_equal_times(protocol: str) -> None:
    """Three holders in lockstep: the same weights, losses, logits and traffic under every schedule."""
    key = "secret_layers=2" if protocol == "secret_layers" else f"first_layer={protocol}"
    seen: list[int] = []
    endings = explore(
        scenario(f"protocol.{key}", "data.holders=3"), range(8), on_seed=lambda seed, _: seen.append(seed)
    )
    assert endings == {"right": 8}
    assert seen == list(range(8))


def test_the_order_of_a_schedule_is_another_one() -> None:
    """It is no empty exercise: messages are sent in other orders, and the results are bit-identical."""
    runs = [run(scenario(), threads=1), run(scenario("schedule_seed=5"), threads=1)]
    orders = [list(zip(r.ledger["sender"], r.ledger["receiver"], strict=True)) for r in runs]
    assert orders[0] != orders[1]
    assert sorted(orders[0]) == sorted(orders[1])
    assert runs[0].summary["weights_sha256"] == runs[1].summary["weights_sha256"]
    assert "schedule_seed" not in runs[0].summary
    assert runs[1].summary["schedule_seed"] == 5


def test_every_schedule_is_another_draw() -> None:
    """What jitter and faults are drawn from differs between schedules, and is the seed without one."""
    plain, *seeded = (scenario(*options) for options in ((), ("schedule_seed=0",), ("schedule_seed=1",)))
    assert plain.draw_seed == plain.train.seed
    assert len({case.draw_seed for case in (plain, *seeded)}) == 3
    assert seeded[0].draw_seed == scenario("schedule_seed=0").draw_seed
    assert seeded[0].draw_seed != scenario("schedule_seed=0", "train.seed=9").draw_seed


def test_jitter_is_drawn_anew_and_changes_no_result() -> None:
    """Every schedule has other delays, and the same weights and traffic."""
    jitter = 'network.jitter="1 ms"'
    assert explore(scenario(jitter), range(3)) == {"right": 3}
    ends = [
        run(scenario(jitter, f"schedule_seed={k}"), threads=1).summary["time"]["virtual_s"] for k in (0, 1)
    ]
    assert ends[0] != ends[1]


def test_lost_parties_are_typed_errors() -> None:
    """With faults a typed error is a good ending, and it is counted."""
    assert explore(scenario("fault=[{kind='crash',party='B',batch=2}]"), range(4)) == {"PartyLostError": 4}


@pytest.mark.usefixtures("spoilt")
def test_the_first_failing_schedule_is_told() -> None:
    """With what was expected and what was found; later schedules are not run."""
    seen: list[int] = []
    with pytest.raises(OrderError, match="schedule 3 ends otherwise than first come, first served") as failed:
        explore(scenario(), range(10), jobs=1, on_seed=lambda seed, _: seen.append(seed))
    assert seen == [0, 1, 2]
    (difference,) = failed.value.differences
    assert difference.startswith("weights_sha256: expected ")


@pytest.mark.usefixtures("spoilt_by_a_fault")
def test_the_failing_faults_are_shrunk() -> None:
    """Of three faults the one that is enough is left."""
    with pytest.raises(OrderError) as failed:
        explore(scenario(CRASHES), [4])
    assert [(fault.party, fault.batch) for fault in failed.value.faults] == [("B", 3)]


def test_an_error_of_a_schedule_is_a_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without faults in the scenario a run under a schedule must not fail, whatever the error."""

    def failing(setup: Setup, outcome: Outcome) -> None:
        if setup.scenario.schedule_seed == 1:
            raise ZeroDivisionError("by zero")
        simulate(setup, outcome)

    monkeypatch.setattr(exploring, "simulate", failing)
    with pytest.raises(OrderError, match="ZeroDivisionError: by zero") as failed:
        explore(scenario(), range(3))
    assert isinstance(failed.value.__cause__, ZeroDivisionError)


def test_a_scenario_that_fails_anyway_is_no_matter_of_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own error is raised."""

    def stuck(setup: Setup, outcome: Outcome) -> None:
        raise DeadlockError(0.0, ())

    monkeypatch.setattr(exploring, "simulate", stuck)
    with pytest.raises(DeadlockError):
        explore(scenario(), range(3))


def test_traffic_counts_unless_there_are_faults() -> None:
    """Faults may cost messages, an order may not."""
    right = Ending({}, {"A->B": (8, 1)})
    other = Ending({}, {"A->B": (16, 2), "B->A": (0, 1)})
    assert exploring._differences(right, other, ()) == [
        "A->B: expected 8 payload bytes in 1 messages, found 16 payload bytes in 2 messages",
        "B->A: expected 0 payload bytes in 0 messages, found 0 payload bytes in 1 messages",
    ]
    (fault,) = scenario("fault=[{kind='crash',party='B',batch=2}]").fault
    assert exploring._differences(right, other, [fault]) == []


# -- several processes

# The first schedules to fail are the third and the fourth, the latter in no time: it comes to its end first.
LATE_AND_EARLY = """\
import asyncio
from torch import nn
class Server(nn.Linear):
    def forward(self, x):
        schedule = getattr(asyncio._get_running_loop(), "schedule", None)  # there is no loop in the check
        if schedule == 3:
            raise ZeroDivisionError("at once")
        return super().forward(x) + (schedule == 2)
def make(n, q):
    return Server(n, q)
"""


def test_the_first_failing_schedule_does_not_depend_on_the_processes(
    here: Path,
) -> None:
    """The first in the order of the seeds is told, though a later one is known to fail before; so are its
    differences, and what passed before it."""
    (here / "mine.py").write_text(LATE_AND_EARLY)
    told = []
    for jobs in (1, 2):
        seen: list[tuple[int, str]] = []
        failing: list[int] = []
        with pytest.raises(OrderError) as failed:
            explore(
                scenario("model.server=mine:make"),
                range(1, 9),
                jobs=jobs,
                on_seed=lambda seed, kind, seen=seen: seen.append((seed, kind)),
                on_failure=failing.append,
            )
        told.append((seen, failing, failed.value.seed, failed.value.differences))
    assert told[0] == told[1]
    assert told[0][:3] == ([(1, "right")], [2], 2)
    assert not multiprocessing.active_children()


def test_processes_are_started_where_they_save_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not for a scenario that takes less time than their start; all schedules are run either way."""
    numbers: list[int] = []

    def started(number: int) -> concurrent.futures.Executor:
        numbers.append(number)
        return concurrent.futures.ThreadPoolExecutor(1)  # in place of processes, which take long to start

    monkeypatch.setattr(exploring, "processes", started)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    assert explore(scenario(), range(5)) == {"right": 5}
    assert not numbers
    monkeypatch.setattr(exploring, "START_S", -1e9)  # free of charge
    seen: list[int] = []
    assert explore(scenario(), range(30), on_seed=lambda seed, _: seen.append(seed)) == {"right": 30}
    assert (numbers, seen) == ([2], list(range(30)))
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    explore(scenario(), range(5))
    explore(scenario(), range(1), jobs=8)
    assert numbers == [2]


def test_what_only_another_process_finds_is_told(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server module that uses the hash of a text: nothing of it can be replayed."""
    (here / "mine.py").write_text(
        "from torch import nn\n"
        "class Server(nn.Linear):\n"
        "    def forward(self, x):\n"
        "        return super().forward(x) + hash('text') % 101\n"
        "def make(n, q):\n    return Server(n, q)\n"
    )
    here_seed = os.environ.get("PYTHONHASHSEED", "random")
    monkeypatch.setenv("PYTHONHASHSEED", "1" if here_seed != "1" else "2")
    monkeypatch.setattr(exploring, "processes", lambda number: processes(1))  # one is enough for that
    with pytest.raises(OrderError, match=r"but not when it is run again: explore --twice shows the first"):
        explore(scenario("model.server=mine:make"), range(3), jobs=2)


def test_a_process_that_dies_is_told(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server module that ends its process: an error that names the schedule, not a hang."""
    (here / "mine.py").write_text(
        LATE_AND_EARLY.replace('raise ZeroDivisionError("at once")', "import os; os._exit(1)").replace(
            "schedule == 2", "0"
        )
    )
    monkeypatch.setattr(exploring, "processes", lambda number: processes(1))
    with pytest.raises(ProcessError, match=r"^schedule \d: a process died, perhaps for want of memory"):
        explore(scenario("model.server=mine:make"), range(2, 4), jobs=2)
    assert not multiprocessing.active_children()


# -- the command line


def arguments(*more: str) -> list[str]:
    """`explore tiny.toml` in lockstep."""
    return ["explore", "tiny.toml", *more, *(part for o in LOCKSTEP for part in ("--set", o))]


def test_explore_says_that_nothing_changes(call: Call) -> None:
    """Exit code 0, progress on standard error, one line on standard output."""
    code, out, err = call(*arguments("--seeds", "4", "--first", "10"))
    assert code == 0
    assert out == "4 schedules from seed 10 on change no result: 4 right\n"
    assert err.splitlines()[-1] == "4/4 schedule 13: right"
    assert call(*arguments("--seeds", "1", "--quiet")) == (0, "", "")


@pytest.mark.usefixtures("spoilt")
def test_explore_shows_the_command_that_replays(here: Path, call: Call) -> None:
    """Exit code 1; the command runs the scenario under that schedule and leaves its seed in the folder."""
    code, out, err = call(*arguments("--seeds", "10", "--jobs", "1"))
    assert (code, out) == (1, "")
    lines = err.splitlines()
    (command,) = [
        line.removeprefix("replay it: p2n2sim ") for line in lines if line.startswith("replay it: ")
    ]
    assert lines[-2] == "error: schedule 3 ends otherwise than first come, first served"
    assert command.startswith("run tiny.toml --set network.preset=ideal --set 'network.latency=\"1 s\"'")
    assert command.endswith("--schedule-seed 3")
    assert call(*arguments("--schedule-seed", "3", "--quiet", "--out", "out"))[0] == 2  # not of explore
    assert call("run", *arguments("--schedule-seed", "3", "--quiet", "--out", "out")[1:]) == (0, "", "")
    assert tomllib.loads((here / "out" / "scenario.toml").read_text())["schedule_seed"] == 3
    assert json.loads((here / "out" / "summary.json").read_text())["schedule_seed"] == 3


@pytest.mark.usefixtures("spoilt_by_a_fault")
def test_explore_shows_the_faults_that_are_enough(call: Call) -> None:
    """As a --set that the command line reads."""
    code, _, err = call(*arguments("--seeds", "10", "--jobs", "1", "--set", CRASHES))
    assert code == 1
    assert "schedule 3 fails; looking for the faults that are enough\n" in err
    fault = '[{"kind" = "crash", "party" = "B", "batch" = 3}]'
    assert f"of 3 faults 1 are enough: {fault}\n" in err
    assert f"--schedule-seed 3 --set 'fault={fault}'" in err
    assert scenario(f"fault={fault}").fault[0].batch == 3


def test_bad_schedules_are_bad_input(call: Call) -> None:
    """A negative seed, no seeds, data that do not fit: exit code 2."""
    assert call("run", "tiny.toml", "--schedule-seed", "-1")[0] == 2
    assert call("explore", "tiny.toml", "--seeds", "0")[0] == 2
    for options in (["--seeds", "1"], ["--twice"]):
        code, _, err = call("explore", "tiny.toml", *options, "--set", "train.batch_size=5000")
        assert code == 2
        assert err.startswith("error: --set train.batch_size=5000: train.batch_size: ")


def wait_for_the_end_of(group: int) -> None:
    """Raises ProcessLookupError when it is gone; what counts semaphores ends a moment after the others."""
    for _ in range(200):
        os.killpg(group, 0)
        time.sleep(0.05)


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_ctrl_c_says_how_far_it_came(jobs: str) -> None:
    """Exit code 130, how many schedules passed, no traceback, no process left behind."""
    more = ("--seeds", "10", "--jobs", jobs, "--set", "train.epochs=60")
    process = subprocess.Popen(
        [sys.executable, "-m", "p2n2sim", *arguments(*more)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stderr is not None
    assert process.stderr.readline() == "1/10 schedule 0: right\n"
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    *_, last = err.splitlines()
    assert re.fullmatch(r"interrupted; the first \d+ schedules, from seed 0 on, change nothing", last)
    assert "Traceback" not in err
    with pytest.raises(ProcessLookupError):
        wait_for_the_end_of(process.pid)


@pytest.mark.usefixtures("spoilt_by_a_fault")
def test_ctrl_c_in_search_of_faults_tells_the_schedule(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 130; that a schedule fails is not lost, nor how to replay it."""

    def interrupted(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(exploring, "shrink", interrupted)
    code, out, err = call(*arguments("--seeds", "10", "--jobs", "1", "--set", CRASHES))
    assert (code, out) == (130, "")
    assert err.splitlines()[-2] == "interrupted; schedule 3 fails"
    assert err.splitlines()[-1].endswith("--schedule-seed 3")


# -- the gate


def recorded() -> Recorded:
    """A run of the tiny scenario."""
    done = run(scenario(), threads=1)
    events = {"batches": done.batches, "compute": done.compute, "ledger": done.ledger}
    return Recorded(events, done.metrics, done.summary["weights_sha256"])


def test_the_first_event_that_differs() -> None:
    """In virtual time, over messages, local work and batches; then the metrics, then the weights."""
    one, other = recorded(), recorded()
    assert first_difference(one, other) is None
    worse = dataclasses.replace(other, weights_sha256="0")
    assert (first_difference(one, worse) or "").startswith("the same events, but the weights: ")
    worse.metrics.loc[0, "auc"] = 0.123
    assert (first_difference(one, worse) or "").startswith("the same events, but the metrics of epoch 1:")
    worse.events["batches"].loc[2, "loss"] = 7.0
    assert (first_difference(one, worse) or "").startswith("batch 3, at t = ")
    ledger: pd.DataFrame = worse.events["ledger"]
    ledger.loc[[4, 9], "payload_bytes"] += 1
    told = first_difference(one, worse) or ""
    sent = ledger.loc[4, "sent_s"]
    assert told.startswith(f"message 5, at t = {sent:.9g} s:\n    first:  step ")
    assert f"payload_bytes {ledger.loc[4, 'payload_bytes']}" in told.splitlines()[2]


def test_an_event_that_is_missing() -> None:
    """One run that goes on where the other has ended differs there."""
    one, other = recorded(), recorded()
    last = len(one.events["ledger"])
    other.events["ledger"] = other.events["ledger"].iloc[: last - 1]
    told = first_difference(one, other) or ""
    assert told.startswith(f"message {last}, at t = ")
    assert told.endswith("second: nothing more")


def test_the_gate_finds_what_depends_on_the_hash_seed(here: Path, call: Call) -> None:
    """A server module that uses the hash of a text gives other losses in the second process: exit code 1."""
    (here / "mine.py").write_text(
        "from torch import nn\n"
        "class Server(nn.Linear):\n"
        "    def forward(self, x):\n"
        "        return super().forward(x) + hash('text') % 101\n"
        "def make(n, q):\n    return Server(n, q)\n"
    )
    code, out, err = call("explore", "tiny.toml", "--twice", "--set", "model.server=mine:make")
    assert (code, out) == (1, "")
    assert err.startswith("error: two runs of tiny differ\n  batch 1, at t = ")


# -- inline values


def test_inline_values_are_toml() -> None:
    """What `inline` writes reads back, without what is not set."""
    value = [{"a b": 1, "none": None, "c": ['x"y', 2.5, True]}, {}]
    assert tomllib.loads(f"value = {inline(value)}")["value"] == [{"a b": 1, "c": ['x"y', 2.5, True]}, {}]
    tree: dict[str, object] = {}
    set_key(tree, "fault", value, "test")
    with pytest.raises(InputError):
        load("tiny.toml", ["schedule_seed=-1"])
