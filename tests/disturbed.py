"""Small runs with checkpoints, faults, retries and authentication, and their captures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from p2n2sim import folder
from p2n2sim.net.replay import parties_of
from p2n2sim.report.tables import Recorded
from p2n2sim.run import run
from p2n2sim.scenario.load import load
from p2n2sim.scenario.topology import topology
from p2n2sim.trace.packets import segments
from p2n2sim.trace.pcapng import pcapng
from p2n2sim.trace.story import tell
from p2n2sim.trace.write import comments
from tests import tiny
from tests.capture_reader import Packet, read_capture
from tests.here import leave_out_pictures

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


def write_runs(home: Path, names: Iterable[str] = RUNS) -> Path:
    """A run folder for each of the runs named, in a folder."""
    path = tiny.write_scenario(home)
    with pytest.MonkeyPatch.context() as patch:
        leave_out_pictures(patch)
        for name in names:
            folder.save(run(load(path, ["train.epochs=1", *RUNS[name]]), threads=1), home / name)
    return home


def capture(
    run: Recorded, contents: Mapping[int, bytes] | None = None
) -> tuple[list[Packet], dict[int, str]]:
    """What a reader finds in a capture; with messages of zeros unless others are given."""
    return read_capture(capture_file(run, contents))


def capture_file(run: Recorded, contents: Mapping[int, bytes] | None = None) -> bytes:
    """The bytes of a capture."""
    parties, story = parties_of(run.events, run.ledger, run.compute), tell(run)
    if contents is None:
        contents = {flight.row: bytes(flight.size) for flight in story.flights}
    told = segments(story, topology(run.scenario), parties)
    return b"".join(pcapng(told, parties, comment="test", comments=comments(story), contents=contents))
