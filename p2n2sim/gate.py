"""The determinism gate: a scenario run twice under different conditions, and the first event that differs."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pandas as pd

from p2n2sim.errors import P2N2SimError
from p2n2sim.folder import SUMMARY
from p2n2sim.scenario.load import to_toml
from p2n2sim.scenario.sections import Scenario

# What must make no difference: the hash seed of the interpreter and the number of threads.
_CONDITIONS = (("1", "1"), ("2", "4"))
_TABLES = {"batches": "began_s", "compute": "start_s", "ledger": "sent_s"}


class GateError(P2N2SimError):
    """Two runs of one scenario differ, or one of them failed."""


@dataclass(frozen=True)
class Recorded:
    """A finished run, as far as it must repeat.

    Attributes:
        events: name of a table -> its rows in their order: ``batches``, ``compute`` and ``ledger``.
        metrics: a row for every epoch.
        weights_sha256: of the trained weights.
    """

    events: dict[str, pd.DataFrame]
    metrics: pd.DataFrame
    weights_sha256: str

    @classmethod
    def read(cls, folder: Path) -> Recorded:
        """The run of a folder."""
        summary = msgspec.json.decode((folder / SUMMARY).read_bytes())
        return cls(
            {name: pd.read_parquet(folder / f"{name}.parquet") for name in _TABLES},
            pd.read_parquet(folder / "metrics.parquet"),
            summary["weights_sha256"],
        )


def run_twice(scenario: Scenario, *, data_dir: Path | None = None) -> str:
    """Runs a scenario in two processes with different hash seeds and numbers of threads.

    Returns:
        The hash of the weights, which is that of both.

    Raises:
        GateError: the runs differ, or one failed.
    """
    with tempfile.TemporaryDirectory() as place, contextlib.ExitStack() as started:
        path = Path(place) / "scenario.toml"
        path.write_text(to_toml(scenario), "utf-8")
        folders = [Path(place) / f"run-{number}" for number in range(len(_CONDITIONS))]
        processes = [
            started.enter_context(_process(path, out, hash_seed, threads, data_dir))
            for out, (hash_seed, threads) in zip(folders, _CONDITIONS, strict=True)
        ]
        for process in processes:
            _, err = process.communicate()
            if process.returncode:
                raise GateError(err.strip().removeprefix("error: ").replace(f"{path}: ", ""))
        runs = [Recorded.read(out) for out in folders]
    if difference := first_difference(*runs):
        raise GateError(f"two runs of {scenario.name} differ\n  {difference}")
    return runs[0].weights_sha256


@contextlib.contextmanager
def _process(
    path: Path, out: Path, hash_seed: str, threads: str, data_dir: Path | None
) -> Iterator[subprocess.Popen[str]]:
    """A run in a process of its own, which does not outlive this context."""
    command = [sys.executable, "-m", "p2n2sim", "run", str(path), "--quiet"]
    command += ["--out", str(out), "--threads", threads]
    command += [] if data_dir is None else ["--data", str(data_dir)]
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def first_difference(one: Recorded, other: Recorded) -> str | None:
    """The first event in virtual time that two runs do not share, as a sentence; None if they are equal."""
    found = []
    for table, when in _TABLES.items():
        if (row := _first_row(one.events[table], other.events[table])) is not None:
            sides = [run.events[table].iloc[row : row + 1] for run in (one, other)]
            time = min(side[when].iloc[0] for side in sides if len(side))
            found.append((time, table, row, [_told(side) for side in sides]))
    if found:
        time, table, row, (first, second) = min(found)
        name = {"batches": "batch", "compute": "piece of work", "ledger": "message"}[table]
        return f"{name} {row + 1}, at t = {time:.9g} s:\n    first:  {first}\n    second: {second}"
    if (row := _first_row(one.metrics, other.metrics)) is not None:
        first, second = (_told(run.metrics.iloc[row : row + 1]) for run in (one, other))
        return f"the same events, but the metrics of epoch {row + 1}:\n    {first}\n    {second}"
    if one.weights_sha256 != other.weights_sha256:
        return f"the same events, but the weights: {one.weights_sha256}, {other.weights_sha256}"
    return None


def _first_row(one: pd.DataFrame, other: pd.DataFrame) -> int | None:
    """Number of the first row that differs."""
    both = min(len(one), len(other))
    left, right = one.iloc[:both].reset_index(drop=True), other.iloc[:both].reset_index(drop=True)
    same = (left == right) | (left.isna() & right.isna())
    bad = ~same.all(axis=1)
    if bad.any():
        return int(bad.to_numpy().argmax())
    return both if len(one) != len(other) else None


def _told(row: pd.DataFrame) -> str:
    if not len(row):
        return "nothing more"
    return ", ".join(f"{name} {value}" for name, value in row.iloc[0].items())
