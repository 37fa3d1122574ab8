"""A run's state on disk: what a simulation has stored at its checkpoints, so that it can go on from there.

A working folder holds ``scenario.toml`` and a folder for each checkpoint, named after the number of batches
done. A checkpoint has the rows of the ledger, of the local work and of the events since the one before, and
the whole of the rest. It is written under another name and renamed, so what stands under its name is
complete, whenever the process ends. Nothing is pickled.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from p2n2sim.assemble import Setup
from p2n2sim.messages import VOCABULARY
from p2n2sim.net.delivery import Counts
from p2n2sim.net.journal import joined
from p2n2sim.net.ledger import Entry
from p2n2sim.nn.network import Parts
from p2n2sim.parties.passes import Pass
from p2n2sim.parties.secret_layers.network import Weights
from p2n2sim.scenario.kept import to_file
from p2n2sim.scenario.sections import Scenario
from p2n2sim.simulate import Outcome
from p2n2sim.state import State
from p2n2sim.views import Sights, Source
from p2n2sim.wire import Message

SCENARIO = "scenario.toml"
SEEN = "seen.npz"
Arrays = dict[str, NDArray[Any]]
_KINDS: Mapping[str, type[Message]] = MappingProxyType({kind.__name__: kind for kind in VOCABULARY})


def write_scenario(folder: Path, scenario: Scenario) -> None:
    """Puts the scenario into a working folder, whole or not at all."""
    unfinished = folder / f".{SCENARIO}"
    unfinished.write_bytes(to_file(scenario))
    unfinished.replace(folder / SCENARIO)


def holds_any(folder: Path) -> bool:
    """Whether there is a checkpoint in a working folder."""
    return bool(_all(folder))


def _all(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.name.isdigit())


class _Written(NamedTuple):
    """How much of an outcome the checkpoints before have."""

    rows: int
    passes: int  # without the last one, which may go on
    intervals: Mapping[str, int]
    journals: int
    step: int


class Checkpoints:
    """The checkpoints of one run.

    Args:
        folder: the working folder; it exists.
        setup: what is run.
        outcome: what is filled.
    """

    def __init__(self, folder: Path, setup: Setup, outcome: Outcome) -> None:
        self._folder, self._setup, self._outcome = folder, setup, outcome
        self._written = _Written(0, 0, {}, 0, 0)

    def store(self, state: State) -> None:
        """Writes a checkpoint, whole or not at all."""
        done = self._folder / f"{state.step:08}"
        unfinished = self._folder / f".{done.name}"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir()
        outcome, written = self._outcome, self._written
        pd.DataFrame(outcome.ledger.rows[written.rows :], columns=list(Entry._fields)).to_parquet(
            unfinished / "ledger.parquet", index=False
        )
        rows = [
            (party, *interval)
            for party, intervals in outcome.intervals.items()
            for interval in intervals[written.intervals.get(party, 0) :]
        ]
        pd.DataFrame(rows, columns=["party", "start_s", "end_s", "label"]).to_parquet(
            unfinished / "compute.parquet", index=False
        )
        joined(outcome.journals[written.journals :]).to_parquet(unfinished / "events.parquet", index=False)
        arrays: Any = _arrays(state) | _passes(outcome.passes[written.passes :])
        np.savez(unfinished / "arrays.npz", **arrays)
        seen: Any = _seen(outcome.sights, written.step)
        np.savez(unfinished / SEEN, **seen)
        described = _described(state, outcome) | {"passes_before": written.passes}
        (unfinished / "state.json").write_text(json.dumps(described), "utf-8")
        unfinished.replace(done)
        self._note(state.step)

    def load(self) -> State | None:
        """Fills the outcome up to the last checkpoint; what to go on from, if there is any."""
        write_scenario(self._folder, self._setup.scenario)  # which knows its data by now
        state = None
        for done in _all(self._folder):
            state = self._read(done)
        self._note(state.step if state else 0)
        return state

    def _note(self, step: int) -> None:
        outcome = self._outcome
        intervals = {party: len(intervals) for party, intervals in outcome.intervals.items()}
        self._written = _Written(
            len(outcome.ledger.rows), max(0, len(outcome.passes) - 1), intervals, len(outcome.journals), step
        )

    def _read(self, done: Path) -> State:
        outcome = self._outcome
        told = json.loads((done / "state.json").read_text("utf-8"))
        with np.load(done / "arrays.npz", allow_pickle=False) as archive:
            arrays = dict(archive)
        with np.load(done / SEEN, allow_pickle=False) as archive:
            for name, value in archive.items():
                step, *source = name.split("|")
                outcome.sights.setdefault(Source(*source), {})[int(step)] = value
        outcome.ledger.rows += _rows(pd.read_parquet(done / "ledger.parquet"))
        outcome.journals.append(pd.read_parquet(done / "events.parquet"))
        for party in told["plugs"]:
            outcome.intervals.setdefault(party, [])
        for party, *interval in _rows(pd.read_parquet(done / "compute.parquet")):
            outcome.intervals[party].append(tuple(interval))
        outcome.ledger.restore(
            {(sender, receiver, _KINDS[kind]): seen for sender, receiver, kind, seen in told["seen"]}
        )
        outcome.passes[told["passes_before"] :] = list(_passes_from(arrays))
        batches = {batch.step: batch for batch in self._setup.schedule.part(0, told["step"])}
        outcome.began = [(batches[step], time) for step, time in told["began"]]
        outcome.parties, outcome.virtual_s = told["parties"], told["time"]
        return State(
            parts=_parts(self._setup.parts, arrays),
            random=torch.from_numpy(arrays["random"]),
            step=told["step"],
            time=told["time"],
            optimisers={
                name: [
                    {key: torch.from_numpy(arrays[f"optimiser/{name}/{i}/{key}"]) for key in keys}
                    for i, keys in enumerate(remembered)
                ]
                for name, remembered in told["optimisers"]
            },
            shares={name: _share(arrays, name, layers) for name, layers in told["shares"]},
            defended={name: _below(arrays, f"defended/{name}/") for name in told["defended"]},
            depths=told["depths"],
            counts=Counts({(a, b): count for a, b, count in told["links"]}, told["senders"]),
            happened=told["happened"],
        )


def _described(state: State, outcome: Outcome) -> dict[str, Any]:
    """What is no array."""
    return {
        "step": state.step,
        "time": state.time,
        "depths": state.depths,
        "happened": state.happened,
        "links": [(*link, count) for link, count in state.counts.links.items()],
        "senders": state.counts.parties,
        "optimisers": [(name, [list(of) for of in kept]) for name, kept in state.optimisers.items()],
        "shares": [(name, len(share.W)) for name, share in state.shares.items()],
        "defended": list(state.defended),
        "parties": outcome.parties,
        "plugs": list(outcome.intervals),
        "began": [(batch.step, time) for batch, time in outcome.began],
        "seen": [(a, b, kind.__name__, seen) for (a, b, kind), seen in outcome.ledger.seen.items()],
    }


def _arrays(state: State) -> Arrays:
    parts, out = state.parts, dict[str, NDArray[Any]]()
    out["theta"], out["random"] = parts.theta.numpy(), state.random.numpy()
    for name, module in (("server", parts.server), ("head", parts.head)):
        out |= {f"{name}/{key}": value.numpy() for key, value in module.state_dict().items()}
    for name, kept in state.optimisers.items():
        for i, remembered in enumerate(kept):
            out |= {f"optimiser/{name}/{i}/{key}": value.numpy() for key, value in remembered.items()}
    for name, defended in state.defended.items():
        out |= {f"defended/{name}/{key}": value.numpy() for key, value in defended.items()}
    for name, share in state.shares.items():
        out |= {f"share/{name}/W/{i}": W for i, W in enumerate(share.W)}
        out |= {f"share/{name}/b/{i}": b for i, b in enumerate(share.b) if b is not None}
        out |= {f"share/{name}/velocity/{i}": v for i, v in enumerate(share.velocity)}
    return out


def _seen(sights: Sights, first: int) -> Arrays:
    """What was seen from a batch on."""
    return {
        "|".join((str(step), *source)): value
        for source, by_step in sights.items()
        for step, value in by_step.items()
        if step >= first
    }


def _parts(like: Parts, arrays: Arrays) -> Parts:
    parts = like.copy()
    parts.theta.copy_(torch.from_numpy(arrays["theta"]))
    for name, module in (("server", parts.server), ("head", parts.head)):
        module.load_state_dict(
            {key: torch.from_numpy(arrays[f"{name}/{key}"]) for key in module.state_dict()}
        )
    return parts


def _below(arrays: Arrays, prefix: str) -> dict[str, torch.Tensor]:
    return {
        key.removeprefix(prefix): torch.from_numpy(value)
        for key, value in arrays.items()
        if key.startswith(prefix)
    }


def _share(arrays: Arrays, name: str, layers: int) -> Weights:
    prefix = f"share/{name}"
    velocity = sum(key.startswith(f"{prefix}/velocity/") for key in arrays)
    return Weights(
        [arrays[f"{prefix}/W/{i}"] for i in range(layers)],
        [arrays.get(f"{prefix}/b/{i}") for i in range(layers)],
        [arrays[f"{prefix}/velocity/{i}"] for i in range(velocity)],
    )


def _passes(passes: list[Pass]) -> Arrays:
    out: Arrays = {}
    for i, done in enumerate(passes):
        fields = dataclasses.asdict(done) | {"stage": int(done.stage == "train")}
        out |= {f"pass/{i}/{key}": np.asarray(value) for key, value in fields.items()}
    return out


def _passes_from(arrays: Arrays) -> Iterator[Pass]:
    number = 0
    while (prefix := f"pass/{number}/") + "epoch" in arrays:
        epoch, stage, losses, rows, logits = (arrays[prefix + item.name] for item in dataclasses.fields(Pass))
        yield Pass(int(epoch), "train" if stage else "predict", losses, rows, logits)
        number += 1


def _rows(frame: pd.DataFrame) -> list[Any]:
    return list(frame.itertuples(index=False, name=None))
