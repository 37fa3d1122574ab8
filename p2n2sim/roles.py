"""The parties of a scenario, joined to a network: one layer under secret sharing, none, or several."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from p2n2sim.assemble import Setup
from p2n2sim.defences import Defences, adds_to_the_loss
from p2n2sim.inputs import Inputs
from p2n2sim.messages import SERVER, Floats
from p2n2sim.net.cpu import Cost
from p2n2sim.net.endpoint import Endpoint
from p2n2sim.net.network import Network
from p2n2sim.nn.sequences import hold_to
from p2n2sim.parties.data_holder import data_holder
from p2n2sim.parties.first_layer.family import MEMBERS, Member
from p2n2sim.parties.label_owner import label_owner
from p2n2sim.parties.layer import Setting
from p2n2sim.parties.noise import Noise
from p2n2sim.parties.noisy_server import NoisyServer
from p2n2sim.parties.passes import Pass
from p2n2sim.parties.perturbation.holder import HolderPerturbation
from p2n2sim.parties.schedule import Batch
from p2n2sim.parties.server import FirstLayerServer, server
from p2n2sim.parties.triples.supply import Order, Supply, Work
from p2n2sim.perturbing import Perturbing
from p2n2sim.scenario.machines import machine
from p2n2sim.state import HEAD, Descent
from p2n2sim.under_sharing import UnderSharing

T = TypeVar("T")
OnCrash = Callable[[int], object]
"""Told of a fault's number when a data holder is about to crash."""


def tasks_of(
    setup: Setup,
    network: Network,
    *,
    threads: int = 1,
    on_batch: Callable[[Batch], object] = lambda batch: None,
    on_pass: Callable[[Pass], object] = lambda done: None,
    on_crash: OnCrash = lambda fault: None,
    happened: Sequence[int] = (),
    descent: Descent | None = None,
    defences: Defences | None = None,
    perturbing: Perturbing | None = None,
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
        on_crash: told of a holder that drops out.
        happened: faults that do not happen again.
        descent: makes the optimisers.
        defences: what the holders do against the recovery of their features.
        perturbing: what the owners of the network's parts do to gradients.
        under_sharing: several layers under secret sharing, if there are.
    """
    descent = descent or Descent(setup.scenario.train)
    share = max(
        1, threads // (len(setup.layer.holders) + 1)
    )  # all holders and the dealer may multiply at once
    if under_sharing is not None:
        return under_sharing.tasks(
            network,
            lambda name: _until_crash(setup, name, on_crash, happened),
            descent=descent,
            threads=share,
            on_batch=on_batch,
            on_pass=on_pass,
        )
    compute, bits = setup.scenario.compute, setup.scenario.protocol.paillier_bits
    cast = _Cast(
        setup=setup,
        member=MEMBERS[setup.scenario.protocol.first_layer_in_use],
        join={
            name: network.join(name, machine(compute, "holder", paillier_bits=bits))
            for name in setup.layer.holders
        }
        | {SERVER: network.join(SERVER, machine(compute, "server", paillier_bits=bits))},
        inputs=Inputs(setup),
        defences=defences or Defences(setup),
        perturbing=perturbing or Perturbing(setup),
        descent=descent,
        batches=lambda name: _until_crash(setup, name, on_crash, happened),
        on_batch=on_batch,
        on_pass=on_pass,
    )
    return cast.tasks(network, share)


@dataclass(frozen=True, kw_only=True)
class _Cast:
    """Everybody who takes part when one layer, or none, is under secret sharing; arguments of `tasks_of`.

    Attributes:
        member: the first layer's protocol.
        join: name -> plug, of the holders and the server.
        batches: name of a holder -> the batches that it takes part in.
    """

    setup: Setup
    member: Member
    join: Mapping[str, Endpoint]
    inputs: Inputs
    defences: Defences
    perturbing: Perturbing
    descent: Descent
    batches: Callable[[str], Iterator[Batch]]
    on_batch: Callable[[Batch], object]
    on_pass: Callable[[Pass], object]

    def tasks(self, network: Network, threads: int) -> dict[str, Coroutine[Any, Any, None]]:
        """Task name -> coroutine, in the order in which they start."""
        supply = _supply(self.setup, network, threads) if self.member.dealt else Supply()
        owner, holders = self.setup.scenario.data.label_owner, self.setup.layer.holders
        perturbed = {name: self.perturbing.holder(self.join[name]) for name in holders}
        setting = self._setting(supply, threads)
        tasks: dict[str, Coroutine[Any, Any, None]] = {}
        for name in holders:
            main = self._holder(name, setting, perturbed[name])
            tasks[name] = _with(f"{name} (offline)", supply.beside[name], main) if supply.beside else main()
        tasks[SERVER] = self._server(setting)
        tasks[f"{owner} (label)"] = self._label_owner(self.join[owner])
        return tasks | {name: work() for name, work in supply.tasks.items()}

    def _holder(self, name: str, setting: Setting, perturbed: HolderPerturbation | None) -> Work:
        setup, me = self.setup, self.join[name]
        block = setup.blocks[setup.layer.holders.index(name)]
        theta = setup.parts.theta[block]  # (k_i, n), a view: trained in place
        optimiser = self.descent.of(name, [theta])
        if setup.parts.pattern is not None:
            hold_to(optimiser, theta, setup.parts.pattern[block])
        return partial(
            _data_holder,
            me,
            self.inputs,
            partial(data_holder, me, self.batches(name)),
            theta=theta,
            first_layer=self.member.holder(me, setting),
            optimiser=optimiser,
            defender=self.defences.of(me),
            clip=self.inputs.clip(),
            perturbed=perturbed,
            on_batch=self.on_batch if name == setup.layer.holders[0] else lambda batch: None,
        )

    def _server(self, setting: Setting) -> Coroutine[Any, Any, None]:
        setup, me = self.setup, self.join[SERVER]
        return server(
            me,
            setup.schedule,
            setup.layer.holders,
            setup.scenario.data.label_owner,
            _noisy(self.member.server(me, setting), me, setup, self.inputs.server_noise()),
            setup.parts.server,
            self.descent.of(SERVER, setup.parts.server.parameters()),
            shows_h1=adds_to_the_loss(setup.scenario),
            perturbed=self.perturbing.server(me),
        )

    def _label_owner(self, me: Endpoint) -> Coroutine[Any, Any, None]:
        setup = self.setup
        return _label_owner(
            me,
            self.inputs,
            partial(label_owner, me, self.batches(me.name)),
            y_test=setup.dataset.y_test,
            head=setup.parts.head,
            optimiser=self.descent.of(HEAD, setup.parts.head.parameters()),
            reduction=setup.scenario.train.loss_reduction,
            on_pass=self.on_pass,
            perturbed=self.perturbing.head(me),
        )

    def _setting(self, supply: Supply, threads: int) -> Setting:
        """What the first layer's protocol is told of the scenario."""
        scenario = self.setup.scenario
        return Setting(
            layer=self.setup.layer,
            schedule=self.setup.schedule,
            seed=scenario.train.seed,
            sources=supply.sources,
            crypto=scenario.protocol.crypto,
            threads=threads,
            noise={**self.defences.noise(), **self.inputs.noise()},
            weights=self.perturbing.shared,
        )


async def _data_holder(
    me: Endpoint, inputs: Inputs, then: Callable[..., Coroutine[Any, Any, None]], **further: Any
) -> None:
    """A data holder that perturbs its features before anything else, if it does at all."""
    X_train, X_test = await _first(me, partial(inputs.features, me.name), inputs.cost(me.name))
    await then(X_train, X_test, **further)


async def _label_owner(
    me: Endpoint, inputs: Inputs, then: Callable[..., Coroutine[Any, Any, None]], **further: Any
) -> None:
    """The label's owner, the same of its labels."""
    y_train: Floats = await _first(me, inputs.labels, inputs.label_cost())
    await then(y_train, **further)


async def _first(me: Endpoint, made: Callable[[], T], cost: Cost) -> T:
    """What is made of a party's own data, which takes no time where nothing is done to them."""
    return made() if cost == Cost() else await me.compute(made, cost, label="perturb own data")


def _noisy(inner: FirstLayerServer, me: Endpoint, setup: Setup, noise: Noise | None) -> FirstLayerServer:
    """A server's side of the first layer, with what the server adds to h1."""
    return inner if noise is None else NoisyServer(me, inner, noise, (b.step for b in setup.schedule))


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


def _until_crash(setup: Setup, name: str, on_crash: OnCrash, happened: Sequence[int]) -> Iterator[Batch]:
    """The batches that a holder takes part in: all, unless the scenario has it crash."""
    crashes = {
        fault.batch: number
        for number, fault in reversed(list(enumerate(setup.scenario.fault)))
        if fault.party == name and fault.batch is not None and number not in happened
    }
    for batch in setup.schedule:
        if batch.step + 1 in crashes:
            on_crash(crashes[batch.step + 1])
            return
        yield batch
