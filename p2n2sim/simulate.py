"""The parties of a scenario, put on a network and run to the end in virtual time."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

import numpy as np
import pandas as pd
import torch

from p2n2sim.assemble import Setup
from p2n2sim.errors import DeadlockError, PartyLostError
from p2n2sim.messages import SERVER
from p2n2sim.net import simloop
from p2n2sim.net.ledger import Ledger
from p2n2sim.net.network import Network, Tap
from p2n2sim.net.simloop import SimLoop
from p2n2sim.nn.training import sgd
from p2n2sim.parties.data_holder import data_holder
from p2n2sim.parties.first_layer.family import MEMBERS
from p2n2sim.parties.label_owner import label_owner
from p2n2sim.parties.layer import Setting
from p2n2sim.parties.passes import Pass
from p2n2sim.parties.schedule import Batch
from p2n2sim.parties.secret_layers.shadow import Shadow
from p2n2sim.parties.server import server
from p2n2sim.parties.triples.supply import Order, Supply, Work
from p2n2sim.scenario.machines import machine
from p2n2sim.scenario.protocol import under_engine
from p2n2sim.scenario.topology import topology
from p2n2sim.under_sharing import UnderSharing

BATCH = "batch"
"""The mark in the journal at which the first holder begins a batch."""


@dataclass
class Outcome:
    """What a simulation leaves behind; filled while it runs, so an interrupted one leaves its part.

    Attributes:
        ledger: every message.
        passes: what the label's owner knew after each pass.
        began: virtual time in seconds at which the first holder began each batch.
        intervals: party -> (start, end, label) of its local work, in virtual seconds.
        parties: everybody who took part.
        shadow: what a shadow found, if one watched.
        events: what every task did, in order: a row for each `p2n2sim.net.journal.Record`.
        lost: who dropped out -> number of the batch, from 1, and virtual time in seconds.
        virtual_s: the clock at the end.
    """

    ledger: Ledger = field(default_factory=Ledger)
    passes: list[Pass] = field(default_factory=list)
    began: list[tuple[Batch, float]] = field(default_factory=list)
    intervals: dict[str, list[tuple[float, float, str]]] = field(default_factory=dict)
    parties: list[str] = field(default_factory=list)
    shadow: Shadow | None = None
    events: pd.DataFrame = field(default_factory=pd.DataFrame)
    lost: dict[str, tuple[int, float]] = field(default_factory=dict)
    virtual_s: float = 0.0

    def compute_frame(self) -> pd.DataFrame:
        """One row for every piece of local work: party, start_s, end_s, label."""
        return compute_frame(self.intervals)


def compute_frame(intervals: Mapping[str, Iterable[tuple[float, float, str]]]) -> pd.DataFrame:
    """One row for every piece of local work: party, start_s, end_s, label."""
    rows = [(party, *interval) for party, own in intervals.items() for interval in own]
    return pd.DataFrame(rows, columns=["party", "start_s", "end_s", "label"])


def simulate(
    setup: Setup,
    outcome: Outcome,
    *,
    pool: concurrent.futures.Executor | None = None,
    threads: int = 1,
    encode_all: bool = False,
    tap: Tap | None = None,
    on_batch: Callable[[Batch], object] = lambda batch: None,
    on_pass: Callable[[Pass], object] = lambda done: None,
) -> None:
    """Runs the protocol in virtual time; the weights of `setup.parts` are trained in place.

    Args:
        setup: what to run.
        outcome: is filled.
        pool: threads for the real work.
        threads: how many it has; what the parties leave over, large products are split among.
        encode_all: encodes and decodes every message on its way.
        tap: is shown sender, receiver and message of everything that is sent.
        on_batch: told of every batch as it begins.
        on_pass: told of every finished pass.

    Raises:
        PartyLostError: a holder dropped out, as the scenario has it.
        DeadlockError: nobody can go on.
    """

    several = UnderSharing(setup) if under_engine(setup.scenario) else None
    outcome.shadow = several.shadow if several else None

    async def main() -> None:
        loop = cast(SimLoop, asyncio.get_running_loop())
        network = Network(
            loop,
            topology(setup.scenario),
            pool=pool,
            encode_all=encode_all,
            ledger=outcome.ledger,
            tap=tap,
        )

        def begin(batch: Batch) -> None:
            outcome.began.append((batch, loop.time()))
            network.parties[setup.layer.holders[0]].note("mark", BATCH, batch.step)
            on_batch(batch)

        def finish(done: Pass) -> None:
            outcome.passes.append(done)
            on_pass(done)

        def crash(party: str, batch: int) -> None:
            outcome.lost.setdefault(party, (batch, loop.time()))

        tasks = tasks_of(
            setup,
            network,
            threads=threads,
            on_batch=begin,
            on_pass=finish,
            on_crash=crash,
            under_sharing=several,
        )
        try:
            await network.run(tasks)
        except DeadlockError as error:
            for party, (batch, time) in outcome.lost.items():
                raise PartyLostError(party, batch, time, error.waits) from error
            raise
        finally:
            outcome.virtual_s = loop.time()
            outcome.parties = list(network.parties)
            outcome.intervals = network.intervals()
            outcome.events = network.events()

    with torch.random.fork_rng(devices=[]):  # a server module of the user may draw, for dropout say
        torch.manual_seed(setup.scenario.train.seed)
        simloop.run(main(), schedule=setup.scenario.schedule_seed)
    if several:
        several.write_weights()


def tasks_of(
    setup: Setup,
    network: Network,
    *,
    threads: int = 1,
    on_batch: Callable[[Batch], object] = lambda batch: None,
    on_pass: Callable[[Pass], object] = lambda done: None,
    on_crash: Callable[[str, int], object] = lambda party, batch: None,
    under_sharing: UnderSharing | None = None,
) -> dict[str, Coroutine[Any, Any, None]]:
    """The parties of Algorithm 2, joined to a network: task name -> coroutine.

    The label's owner runs two tasks, its part as a holder and its head.

    Args:
        setup: what to run.
        network: an empty one.
        threads: as for `simulate`.
        on_batch: told of every batch as it begins.
        on_pass: told of every finished pass.
        on_crash: told of a holder that drops out, and of the number of the batch, from 1.
        under_sharing: several layers under secret sharing, if there are.
    """
    scenario, layer, data = setup.scenario, setup.layer, setup.dataset
    train = scenario.train
    share = max(1, threads // (len(layer.holders) + 1))  # all holders and the dealer may multiply at once
    if under_sharing is not None:
        return under_sharing.tasks(
            network,
            lambda name: _until_crash(setup, name, on_crash),
            threads=share,
            on_batch=on_batch,
            on_pass=on_pass,
        )
    member = MEMBERS[scenario.protocol.first_layer_in_use]
    compute, bits = scenario.compute, scenario.protocol.paillier_bits
    join = {
        name: network.join(name, machine(compute, "holder", paillier_bits=bits)) for name in layer.holders
    }
    join[SERVER] = network.join(SERVER, machine(compute, "server", paillier_bits=bits))
    supply = _supply(setup, network, share) if member.dealt else Supply()
    setting = _setting(setup, supply, share)
    tasks: dict[str, Coroutine[Any, Any, None]] = {}
    for name, block in zip(layer.holders, setup.blocks, strict=True):
        theta = setup.parts.theta[block]  # (k_i, n), a view: trained in place
        batches = partial(
            data_holder,
            join[name],
            _until_crash(setup, name, on_crash),
            np.ascontiguousarray(data.X_train[:, block]),
            np.ascontiguousarray(data.X_test[:, block]),
            theta,
            member.holder(join[name], setting),
            sgd([theta], learning_rate=train.learning_rate, momentum=train.momentum),
            on_batch=on_batch if name == layer.holders[0] else lambda batch: None,
        )
        tasks[name] = _with(f"{name} (offline)", supply.beside[name], batches) if supply.beside else batches()
    tasks[SERVER] = server(
        join[SERVER],
        setup.schedule,
        layer.holders,
        scenario.data.label_owner,
        member.server(join[SERVER], setting),
        setup.parts.server,
        sgd(setup.parts.server.parameters(), learning_rate=train.learning_rate, momentum=train.momentum),
    )
    tasks[f"{scenario.data.label_owner} (label)"] = label_owner(
        join[scenario.data.label_owner],
        _until_crash(setup, scenario.data.label_owner, on_crash),
        data.y_train,
        data.y_test,
        setup.parts.head,
        sgd(setup.parts.head.parameters(), learning_rate=train.learning_rate, momentum=train.momentum),
        reduction=train.loss_reduction,
        on_pass=on_pass,
    )
    return tasks | {name: work() for name, work in supply.tasks.items()}


async def _with(name: str, beside: Work, main: Work) -> None:
    """A party's main task and what it does beside; a party that is done, or gone, does neither."""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(beside(), name=name)
        await main()
        task.cancel()


def _supply(setup: Setup, network: Network, threads: int) -> Supply:
    """Where the triples of the scenario come from."""
    scenario = setup.scenario
    order = Order(
        layer=setup.layer,
        schedule=setup.schedule,
        seed=scenario.train.seed,
        triples=scenario.protocol.triples,
        rows_masked_once=MEMBERS[scenario.protocol.first_layer_in_use].rows_masked_once,
        ahead=scenario.protocol.triples_ahead,
        threads=threads,
    )
    compute, bits = scenario.compute, scenario.protocol.paillier_bits
    return order.supply(
        network,
        holder=machine(compute, "holder", paillier_bits=bits),
        dealer=machine(compute, "dealer", paillier_bits=bits),
    )


def _setting(setup: Setup, supply: Supply, threads: int) -> Setting:
    """What the first layer's protocol is told of the scenario."""
    protocol = setup.scenario.protocol
    return Setting(
        layer=setup.layer,
        schedule=setup.schedule,
        seed=setup.scenario.train.seed,
        sources=supply.sources,
        crypto=protocol.crypto,
        threads=threads,
    )


def _until_crash(setup: Setup, name: str, on_crash: Callable[[str, int], object]) -> Iterator[Batch]:
    """The batches that a holder takes part in: all, unless the scenario has it crash."""
    crash = min((fault.batch for fault in setup.scenario.fault if fault.party == name), default=None)
    for batch in setup.schedule:
        if batch.step + 1 == crash:
            on_crash(name, crash)
            return
        yield batch
