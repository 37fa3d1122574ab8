"""The parties of a scenario, put on a network and run to the end in virtual time."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import pandas as pd
import torch

from p2n2sim.assemble import Setup
from p2n2sim.messages import DEALER, SERVER
from p2n2sim.mpc.prg import derive_key
from p2n2sim.net import simloop
from p2n2sim.net.endpoint import Endpoint
from p2n2sim.net.ledger import Ledger
from p2n2sim.net.network import Network, Tap
from p2n2sim.net.simloop import SimLoop
from p2n2sim.nn.training import sgd
from p2n2sim.parties.algorithm1 import Algorithm1Holder, Algorithm1Server
from p2n2sim.parties.data_holder import FirstLayerHolder, data_holder
from p2n2sim.parties.dealer import dealer
from p2n2sim.parties.label_owner import Pass, label_owner
from p2n2sim.parties.plaintext import PlaintextHolder, PlaintextServer
from p2n2sim.parties.schedule import Batch
from p2n2sim.parties.server import FirstLayerServer, server
from p2n2sim.scenario.machines import machine
from p2n2sim.scenario.topology import topology


@dataclass
class Outcome:
    """What a simulation leaves behind; filled while it runs, so an interrupted one leaves its part.

    Attributes:
        ledger: every message.
        passes: what the label's owner knew after each pass.
        began: virtual time in seconds at which the first holder began each batch.
        intervals: party -> (start, end, label) of its local work, in virtual seconds.
        virtual_s: the clock at the end.
    """

    ledger: Ledger = field(default_factory=Ledger)
    passes: list[Pass] = field(default_factory=list)
    began: list[tuple[Batch, float]] = field(default_factory=list)
    intervals: dict[str, list[tuple[float, float, str]]] = field(default_factory=dict)
    virtual_s: float = 0.0

    def compute_frame(self) -> pd.DataFrame:
        """One row for every piece of local work: party, start_s, end_s, label."""
        rows = [(party, *interval) for party, intervals in self.intervals.items() for interval in intervals]
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
    """

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
            on_batch(batch)

        def finish(done: Pass) -> None:
            outcome.passes.append(done)
            on_pass(done)

        try:
            await network.run(tasks_of(setup, network, threads=threads, on_batch=begin, on_pass=finish))
        finally:
            outcome.virtual_s = loop.time()
            outcome.intervals = {name: end.cpu.intervals for name, end in network.parties.items()}

    with torch.random.fork_rng(devices=[]):  # a server module of the user may draw, for dropout say
        torch.manual_seed(setup.scenario.train.seed)
        simloop.run(main())


def tasks_of(
    setup: Setup,
    network: Network,
    *,
    threads: int = 1,
    on_batch: Callable[[Batch], object] = lambda batch: None,
    on_pass: Callable[[Pass], object] = lambda done: None,
) -> dict[str, Coroutine[Any, Any, None]]:
    """The parties of Algorithm 2, joined to a network: task name -> coroutine.

    The label's owner runs two tasks, its part as a holder and its head.

    Args:
        setup: what to run.
        network: an empty one.
        threads: as for `simulate`.
        on_batch: told of every batch as it begins.
        on_pass: told of every finished pass.
    """
    scenario, layer, data = setup.scenario, setup.layer, setup.dataset
    train = scenario.train
    share = max(1, threads // (len(layer.holders) + 1))  # all holders and the dealer may multiply at once
    join = {name: network.join(name, machine(scenario.compute, "holder")) for name in layer.holders}
    join[SERVER] = network.join(SERVER, machine(scenario.compute, "server"))
    tasks: dict[str, Coroutine[Any, Any, None]] = {}
    for name, block in zip(layer.holders, setup.blocks, strict=True):
        theta = setup.parts.theta[block]  # (k_i, n), a view: trained in place
        tasks[name] = data_holder(
            join[name],
            setup.schedule,
            np.ascontiguousarray(data.X_train[:, block]),
            np.ascontiguousarray(data.X_test[:, block]),
            theta,
            _first_layer_holder(setup, join[name], share),
            sgd([theta], learning_rate=train.learning_rate, momentum=train.momentum),
            on_batch=on_batch if name == layer.holders[0] else lambda batch: None,
        )
    tasks[SERVER] = server(
        join[SERVER],
        setup.schedule,
        layer.holders,
        scenario.data.label_owner,
        _first_layer_server(setup, join[SERVER]),
        setup.parts.server,
        sgd(setup.parts.server.parameters(), learning_rate=train.learning_rate, momentum=train.momentum),
    )
    tasks[f"{scenario.data.label_owner} (label)"] = label_owner(
        join[scenario.data.label_owner],
        setup.schedule,
        data.y_train,
        data.y_test,
        setup.parts.head,
        sgd(setup.parts.head.parameters(), learning_rate=train.learning_rate, momentum=train.momentum),
        reduction=train.loss_reduction,
        on_pass=on_pass,
    )
    if scenario.protocol.first_layer == "algorithm1":
        keys = [derive_key(train.seed, "triples", name) for name in layer.holders]
        tasks[DEALER] = dealer(
            network.join(DEALER, machine(scenario.compute, "dealer")),
            layer.holders,
            keys,
            (len(batch.rows) for batch in setup.schedule),
            layer.features,
            layer.units,
            threads=share,
        )
    return tasks


def _first_layer_holder(setup: Setup, me: Endpoint, threads: int) -> FirstLayerHolder:
    protocol = setup.scenario.protocol
    if protocol.first_layer == "plaintext":
        return PlaintextHolder(me)
    key = derive_key(setup.scenario.train.seed, "inputs", me.name)
    return Algorithm1Holder(
        me, setup.layer, key=key, steps=len(setup.schedule), ahead=protocol.triples_ahead, threads=threads
    )


def _first_layer_server(setup: Setup, me: Endpoint) -> FirstLayerServer:
    if setup.scenario.protocol.first_layer == "plaintext":
        return PlaintextServer(me, setup.layer.holders)
    return Algorithm1Server(me, setup.layer)
