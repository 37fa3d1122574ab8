"""A Scenario -> a Run: prepare the data, simulate the protocol, train the plain network, sum up."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import functools
import hashlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pandas as pd
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from p2n2sim.assemble import Setup, assemble
from p2n2sim.baselines.plain import train_plain
from p2n2sim.checkpoint import Checkpoints
from p2n2sim.errors import FixedPointError
from p2n2sim.mpc import ring
from p2n2sim.nn.network import Parts, PlainNetwork
from p2n2sim.parties.passes import Pass
from p2n2sim.parties.schedule import Batch
from p2n2sim.recording import kept
from p2n2sim.scenario.sections import Scenario
from p2n2sim.simulate import Outcome, simulate
from p2n2sim.state import State, plain_optimiser
from p2n2sim.summary import batches_frame, metrics_frame, summarise


class Progress(Protocol):
    """Is told how far a run is."""

    def begin(self, setup: Setup) -> None:
        """The data are there, the simulation begins."""

    def batch(self, batch: Batch) -> None:
        """A batch begins."""

    def finished(self, done: Pass) -> None:
        """A pass over the training or the test rows is finished."""


class Silent:
    """A `Progress` that says nothing."""

    def begin(self, setup: Setup) -> None:
        """Says nothing."""

    def batch(self, batch: Batch) -> None:
        """Says nothing."""

    def finished(self, done: Pass) -> None:
        """Says nothing."""


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        scenario: the settings, with the fingerprint of the data filled in.
        summary: what `summary.json` holds.
        ledger: a row for every message; the columns are those of `p2n2sim.net.ledger.Entry`.
        metrics: a row for every epoch: losses and AUC of the protocol and of the plain network.
        batches: a row for every batch: epoch, stage, rows, loss, and when it began.
        compute: a row for every piece of local work: party, start_s, end_s, label.
        events: a row for everything that a task did, in order; the columns are those of
            `p2n2sim.net.journal.Record`.
        parts: the trained network.
        views: what the folder keeps of what parties saw: name of a file -> its arrays.
    """

    scenario: Scenario
    summary: dict[str, Any]
    ledger: pd.DataFrame
    metrics: pd.DataFrame
    batches: pd.DataFrame
    compute: pd.DataFrame
    events: pd.DataFrame
    parts: Parts
    views: dict[str, dict[str, NDArray[Any]]]


def run(
    scenario: Scenario,
    *,
    data_dir: Path | str | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
    encode_all: bool = False,
    outcome: Outcome | None = None,
    working: Path | None = None,
) -> Run:
    """Runs a scenario to the end. The result is a function of the scenario and the data alone.

    Args:
        scenario: what to run; its sweep, if it has one, is left aside.
        data_dir: where to look for data files first.
        threads: threads for real work, by default one a core; changes nothing but the wall time.
        progress: is told how far the run is.
        encode_all: encodes and decodes every message on its way; changes nothing but the wall time.
        outcome: is filled while the run goes on; who keeps it can look at an interrupted run.
        working: an existing folder for the checkpoints, if the scenario has any; what is there already is
            where the run goes on.

    Raises:
        InputError: the scenario and the data do not fit each other.
        FixedPointError: a feature or a weight outgrew the ring, or what is encrypted.
        DeadlockError: the protocol stood still.
    """
    if _inside_a_loop():  # in a notebook: virtual time needs a thread without a running loop
        with concurrent.futures.ThreadPoolExecutor(1) as aside:
            again = functools.partial(
                run, data_dir=data_dir, threads=threads, progress=progress, working=working
            )
            return aside.submit(again, scenario, encode_all=encode_all, outcome=outcome).result()
    began, cpu_began = time.perf_counter(), time.process_time()
    progress = progress or Silent()
    threads = threads or os.cpu_count() or 1
    with one_float_thread(), _pool(threads) as pool:
        setup = assemble(scenario, data_dir=data_dir)
        plain = PlainNetwork(setup.parts)
        outcome = Outcome() if outcome is None else outcome
        checkpoints = None if working is None else Checkpoints(working, setup, outcome)
        state = checkpoints.load() if checkpoints else None
        progress.begin(setup)
        for batch, _ in outcome.began:  # what was done before
            progress.batch(batch)
        _import_what_torch_imports_late()
        _choose_kernels_early(setup)
        simulation_began = time.process_time()
        with _telling_where(outcome):
            simulate(
                setup,
                outcome,
                pool=pool,
                threads=threads,
                encode_all=encode_all,
                on_batch=progress.batch,
                on_pass=progress.finished,
                state=state,
                on_checkpoint=_nothing if checkpoints is None else checkpoints.store,
            )
        plain_began = time.process_time()
        baseline = _train_plain(setup, plain)
        plain_ended = time.process_time()
    scenario = setup.scenario
    metrics = metrics_frame(outcome.passes, baseline, setup.dataset.y_test)
    summary = summarise(setup, outcome, metrics)
    summary["weights_sha256"] = weights_sha256(setup.parts)
    summary["time"] |= {
        "wall_s": time.perf_counter() - began,
        "processor_s": time.process_time() - cpu_began,
        "simulation_processor_s": plain_began - simulation_began,
        "plain_processor_s": plain_ended - plain_began,
    }
    if state is not None:
        summary["time"]["resumed_after_batches"] = state.step
    return Run(
        scenario=scenario,
        summary=summary,
        ledger=outcome.ledger.frame(),
        metrics=metrics,
        batches=batches_frame(outcome),
        compute=outcome.compute_frame(),
        events=outcome.events,
        parts=setup.parts,
        views=kept(setup, outcome),
    )


def _nothing(state: State) -> None:
    """Where nothing is stored."""


def weights_sha256(parts: Parts) -> str:
    """Hexadecimal SHA-256 over the trained weights: theta, theta_S, theta_y."""
    digest = hashlib.sha256()
    named = [("theta", parts.theta), *parts.server.state_dict().items(), *parts.head.state_dict().items()]
    for name, tensor in named:
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _train_plain(setup: Setup, plain: PlainNetwork) -> list[Pass]:
    train, data, layer = setup.scenario.train, setup.dataset, setup.layer
    with torch.random.fork_rng(devices=[]):  # as in the simulation: a module of the user may draw
        torch.manual_seed(train.seed)
        return train_plain(
            plain,
            setup.schedule,
            data.X_train,
            data.y_train,
            data.X_test,
            data.y_test,
            optimiser=plain_optimiser(train, plain, dict(zip(layer.holders, layer.widths, strict=True))),
            reduction=train.loss_reduction,
        )


def _choose_kernels_early(setup: Setup) -> None:
    """The fastest kernel for this shape is looked for once a process, which is no part of the protocol."""
    layer, rows = setup.layer, setup.schedule.batch_size
    for columns in (layer.features, 2 * layer.features):  # X theta, and [X | E] where X is masked once
        ring.fastest(ring.shape_class(rows, columns, layer.units))


def _inside_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


@contextlib.contextmanager
def _telling_where(outcome: Outcome) -> Iterator[None]:
    """Says of a number that outgrew the ring in which epoch it did, and what helps."""
    try:
        yield
    except FixedPointError as error:
        epoch = outcome.began[-1][0].epoch
        helps = "a smaller train.learning_rate, standardised features or fewer protocol.fractional_bits"
        raise type(error)(f"epoch {epoch}: {error}; {helps} would do") from error


def _import_what_torch_imports_late() -> None:
    """The first optimiser imports half of torch, which takes longer than many a simulation."""
    torch.optim.SGD([torch.zeros(1)], lr=1.0)


@contextlib.contextmanager
def one_float_thread() -> Iterator[None]:
    """Floating-point sums depend on how many threads share them; one thread makes them reproducible."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(before)


@contextlib.contextmanager
def _pool(threads: int) -> Iterator[concurrent.futures.Executor | None]:
    """Threads that overlap the parties' real work; none for a single thread."""
    if threads == 1:
        yield None
        return
    pool = concurrent.futures.ThreadPoolExecutor(
        threads, thread_name_prefix="p2n2sim", initializer=torch.set_num_threads, initargs=(1,)
    )
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
