"""What checkpoints, faults, schedules, transports and re-timing make of each other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pandas as pd
import pytest

from p2n2sim.errors import InputError, MessageLostError
from p2n2sim.explore import explore
from p2n2sim.net.journal import Record, joined
from p2n2sim.retime import on_network, retime
from p2n2sim.run import Run, run
from p2n2sim.scenario.load import load
from p2n2sim.simulate import BATCH
from p2n2sim.sweep import sweep
from tests import tiny

pytestmark = pytest.mark.usefixtures("without_pictures")

DROPS = 'fault=[{kind="drop",probability=0.1}]'
RETRY = "network.retry=true"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the tiny scenario."""
    inside = tiny.move_into(tmp_path, monkeypatch)
    tiny.write_scenario(inside)
    return inside


def tiny_run(*overrides: str) -> Run:
    """The tiny scenario with some overrides."""
    return run(load("tiny.toml", overrides), threads=1)


@pytest.mark.parametrize("triples", ["dealer", "ot"])
def test_events_go_on_over_checkpoints(triples: str) -> None:
    """Tasks, work and handovers are numbered on, work as in the table of work; every batch has its mark."""
    result = tiny_run("train.checkpoint_every=3", f"protocol.triples={triples}")
    events, kept = result.events, result.compute
    work = events[events["kind"] == "compute"]
    for plug, rows in work.groupby("plug"):
        own = kept[kept["party"] == plug]
        assert list(rows["number"]) == list(range(len(own)))
        assert list(rows["what"]) == list(own["label"])
    marks = events[(events["kind"] == "mark") & (events["what"] == BATCH)]
    assert list(marks["number"]) == list(result.batches["step"])
    assert (events.groupby("task")["plug"].nunique() <= 2).all()
    assert len(events[events["kind"] == "send"]) == len(result.ledger)
    handed = events[events["kind"] == "give"].groupby("number")["plug"].unique()
    assert all(len({plug.split(" (")[0] for plug in plugs}) == 1 for plugs in handed)


@pytest.mark.parametrize("schedule", [None, 3])
def test_crashes_and_losses_change_no_weight_under_any_schedule(schedule: int | None) -> None:
    """With restarts, checkpoints and retries a run ends with the bits of an undisturbed one."""
    seeds = [] if schedule is None else [f"schedule_seed={schedule}"]
    faults = 'fault=[{kind="drop",probability=0.1},{kind="crash",party="B",number=20,restart="1 s"}]'
    disturbed = tiny_run("train.checkpoint_every=3", RETRY, faults, *seeds)
    assert disturbed.summary["weights_sha256"] == tiny_run().summary["weights_sha256"]
    assert disturbed.ledger["arrived_s"].isna().any()


def test_every_schedule_draws_other_faults() -> None:
    """Other messages are lost with another schedule's seed, the same ones with the same."""
    runs = [tiny_run(RETRY, DROPS, f"schedule_seed={seed}") for seed in (1, 1, 2)]
    lost = [tuple(result.ledger["arrived_s"].isna()) for result in runs]
    assert lost[0] == lost[1] != lost[2]


@pytest.mark.parametrize(
    ("override", "reason"),
    [
        (
            'fault=[{kind="delay",probability=0.1,by="1 ms"}]',
            r"which messages a fault hits, .*fault\.0, delay",
        ),
        ('fault=[{kind="crash",party="B",at="1 ms",restart="1 s"}]', r"what is done before .*fault\.0"),
        (RETRY, r"whether a message is sent again depends on when it is acknowledged \(network\.retry"),
    ],
)
def test_runs_that_depend_on_time_are_not_retimed(override: str, reason: str) -> None:
    """What happens in them depends on their links: one line says why."""
    recorded = tiny_run(override)
    with pytest.raises(InputError, match=f"cannot be re-timed: {reason}") as caught:
        retime(recorded, on_network(recorded.scenario, "latency=3 ms"), "run")
    assert "\n" not in str(caught.value)


def test_no_run_is_retimed_to_retries() -> None:
    """Nor is a run as it would be with retries."""
    recorded = tiny_run()
    with pytest.raises(InputError, match="whether a message is sent again"):
        retime(recorded, on_network(recorded.scenario, "retry=true"), "run")


def test_a_sweep_that_cannot_be_retimed_runs_nothing(here: Path) -> None:
    """It is refused before the first point."""
    scenario = load("tiny.toml", ['sweep={"network.latency"=["1 ms","2 ms"]}', RETRY])
    with pytest.raises(InputError, match="sweep without --retime"):
        sweep(scenario, here / "out", retimed=True, jobs=1)
    assert not (here / "out").exists()


OTHER_LINKS = (
    ("network.preset=star",),
    ("network.preset=star", "network.sharing=fcfs"),
    ("network.jitter=1 ms",),
    ("network.transport=tcp", "network.uplink=10 Mbit/s"),
    ('network.links."A-B".transport=grpc',),
)


@pytest.mark.parametrize("network", OTHER_LINKS, ids=" ".join)
def test_frames_over_other_links(network: tuple[str, ...]) -> None:
    """Over a transport, through shared bottlenecks or with jitter, losses change no weight either."""
    lossy = tiny_run(RETRY, "network.authenticate=true", DROPS, *network)
    assert lossy.summary["weights_sha256"] == tiny_run().summary["weights_sha256"]
    assert lossy.ledger["arrived_s"].isna().any()


@pytest.mark.parametrize("network", ["network.transport=tcp", "network.preset=star", "network.jitter=1 ms"])
def test_checkpoints_and_crashes_over_other_links(network: str) -> None:
    """Crashes that no message decides go over every link; so do checkpoints."""
    crash = 'fault=[{kind="crash",party="B",at="10 ms",restart="1 s"}]'
    result = tiny_run(network, "train.checkpoint_every=3", crash)
    assert result.summary["time"]["virtual_s"] > 1
    assert result.summary["weights_sha256"] == tiny_run().summary["weights_sha256"]


def test_jitter_is_drawn_anew_after_a_checkpoint() -> None:
    """What a link adds to its first message of a session differs from session to session."""
    result = tiny_run("network.preset=ideal", "network.jitter=1 ms", "train.checkpoint_every=1")
    sent = result.ledger
    delays = (sent["arrived_s"] - sent["start_s"]).groupby([sent["sender"], sent["receiver"]])
    assert all(own.nunique() > 0.9 * len(own) for _, own in delays)


def test_explore_accepts_errors_of_faults() -> None:
    """A message that is lost without retries is named under every schedule."""
    scenario: Any = load("tiny.toml", ['fault=[{kind="drop",numbers=[2]}]'])
    for seed in (0, 1):
        with pytest.raises(MessageLostError):
            run(msgspec.structs.replace(scenario, schedule_seed=seed), threads=1)


def test_a_table_of_no_events_has_its_columns() -> None:
    """Of a run that was stopped before anything happened."""
    assert tuple(joined([]).columns) == Record._fields
    assert isinstance(joined([]), pd.DataFrame)


STORM = """fault=[
    {kind="drop",probability=0.02}, {kind="corrupt",probability=0.02,bits=3},
    {kind="reorder",probability=0.05,by="300 ms"}, {kind="cut",group=["B"],after="1 s",until="2 s"},
    {kind="slow",party="server",factor=4.0}, {kind="crash",party="A",batch=8,restart="10 s"},
]"""


@pytest.mark.parametrize("transport", ["tcp", "grpc"])
def test_explore_with_faults_over_transports(transport: str) -> None:
    """Every schedule draws other faults and ends with the same weights."""
    overrides = [STORM, RETRY, "network.authenticate=true", "train.checkpoint_every=5", "network.preset=wan"]
    assert explore(load("tiny.toml", [*overrides, f"network.transport={transport}"]), range(4)) == {
        "right": 4
    }
