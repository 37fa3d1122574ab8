"""The parties of a scenario that puts several layers under secret sharing, and the weights they end with."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch

from p2n2sim.assemble import Setup
from p2n2sim.inputs import Inputs
from p2n2sim.messages import DEALER, SERVER, LayerGradient
from p2n2sim.mpc import fixed_point
from p2n2sim.mpc.polynomial import approximate
from p2n2sim.mpc.prg import derive_key
from p2n2sim.mpc.width import Ring, signed
from p2n2sim.net.cpu import Cost
from p2n2sim.net.endpoint import Endpoint
from p2n2sim.net.network import Network
from p2n2sim.nn.network import Cut, cut
from p2n2sim.parties.label_owner import label_owner
from p2n2sim.parties.passes import Pass
from p2n2sim.parties.schedule import Batch
from p2n2sim.parties.secret_layers import activations
from p2n2sim.parties.secret_layers.activations import Activation
from p2n2sim.parties.secret_layers.agreement import Agreement
from p2n2sim.parties.secret_layers.belongings import Own
from p2n2sim.parties.secret_layers.dealer import secret_dealer
from p2n2sim.parties.secret_layers.holder import secret_holder
from p2n2sim.parties.secret_layers.network import Design, Weights
from p2n2sim.parties.secret_layers.server import LayerServer
from p2n2sim.parties.secret_layers.session import Arithmetic, Session
from p2n2sim.parties.secret_layers.shadow import Shadow
from p2n2sim.parties.server import server
from p2n2sim.scenario.machines import machine
from p2n2sim.scenario.protocol import all_layers
from p2n2sim.scenario.sections import Scenario
from p2n2sim.state import HEAD, Descent, State

_PIECEWISE: dict[str, Activation] = {
    "sigmoid": activations.THREE_PIECE_SIGMOID,
    "tanh": activations.HARD_TANH,
    "relu": activations.RELU,
}


@dataclass
class UnderSharing:
    """What a simulation of several layers under sharing needs and leaves behind.

    Args:
        setup: what to run.
        state: what the parties have kept from before.

    Attributes:
        agreement: what all parties know.
        cut: the network before and after the opened layer.
        shadow: watches, if the scenario says so.
        shares: of the weights, by holder, once they are shared.
    """

    setup: Setup
    state: State | None = None
    agreement: Agreement = field(init=False)
    cut: Cut = field(init=False)
    shadow: Shadow | None = field(init=False)
    shares: dict[str, Weights] = field(default_factory=dict)

    def __post_init__(self) -> None:
        scenario = self.setup.scenario
        self.agreement = agreement_of(self.setup)
        self.cut = cut(
            self.setup.parts,
            scenario.protocol.layers_under_sharing,
            activated=scenario.protocol.opened == "activation",
        )
        arithmetic = self.agreement.arithmetic
        holders = len(self.agreement.layer.holders)
        self.shadow = Shadow(holders, arithmetic.width) if scenario.protocol.shadow else None

    def tasks(
        self,
        network: Network,
        batches_of: Callable[[str], Iterable[Batch]],
        *,
        descent: Descent,
        threads: int,
        on_batch: Callable[[Batch], object],
        on_pass: Callable[[Pass], object],
    ) -> dict[str, Coroutine[Any, Any, None]]:
        """The parties, joined to a network: task name -> coroutine.

        Args:
            network: an empty one.
            batches_of: the batches that a holder takes part in.
            descent: makes the optimisers.
            threads: over how many threads a product may be split.
            on_batch: told of every batch as it begins.
            on_pass: told of every finished pass.
        """
        scenario, agreed = self.setup.scenario, self.agreement
        holders = agreed.layer.holders
        join = {name: network.join(name, machine(scenario.compute, "holder")) for name in holders}
        inputs = Inputs(self.setup)
        tasks: dict[str, Coroutine[Any, Any, None]] = {
            name: _after(
                join[name],
                inputs.cost(name) + (inputs.label_cost() if name == agreed.label_owner else Cost()),
                secret_holder,
                agreed,
                self._own(name, inputs),
                Session(join[name], holders, agreed.arithmetic, threads=threads, shadow=self.shadow),
                batches_of(name),
                y_test=self.setup.dataset.y_test if agreed.whole and name == agreed.label_owner else None,
                on_batch=on_batch if name == holders[0] else lambda batch: None,
                on_pass=on_pass,
                on_weights=partial(self.shares.__setitem__, name),
            )
            for name in holders
        }
        if not agreed.whole:
            tasks |= self._server_tasks(network, join[agreed.label_owner], batches_of, descent, on_pass)
        tasks[DEALER] = secret_dealer(
            network.join(DEALER, machine(scenario.compute, "dealer")),
            agreed,
            [derive_key(scenario.train.seed, "triples", name) for name in holders],
            self.setup.schedule,
            threads=threads,
        )
        return tasks

    def _server_tasks(
        self,
        network: Network,
        owner: Endpoint,
        batches_of: Callable[[str], Iterable[Batch]],
        descent: Descent,
        on_pass: Callable[[Pass], object],
    ) -> dict[str, Coroutine[Any, Any, None]]:
        """The server, and the head at the label's owner, as in P2N2."""
        setup, train, agreed = self.setup, self.setup.scenario.train, self.agreement
        me = network.join(SERVER, machine(setup.scenario.compute, "server"))
        return {
            SERVER: server(
                me,
                setup.schedule,
                agreed.layer.holders,
                agreed.label_owner,
                LayerServer(me, agreed),
                self.cut.rest,
                descent.of(SERVER, self.cut.rest.parameters()),
                gradient=LayerGradient,
            ),
            f"{agreed.label_owner} (label)": label_owner(
                owner,
                batches_of(agreed.label_owner),
                Inputs(setup).labels(),
                setup.dataset.y_test,
                setup.parts.head,
                descent.of(HEAD, setup.parts.head.parameters()),
                reduction=train.loss_reduction,
                on_pass=on_pass,
            ),
        }

    def _own(self, name: str, inputs: Inputs) -> Own:
        """What a holder brings along; its keys are as if it had drawn them."""
        setup, agreed, seed = self.setup, self.agreement, self.setup.scenario.train.seed
        holders = agreed.layer.holders
        block = setup.blocks[holders.index(name)]
        X_train, X_test = inputs.features(name)
        further = [*(W.numpy() for W in self.cut.weights[1:]), *(b.numpy() for b in self.cut.biases)]
        return Own(
            name=name,
            X={"train": X_train, "predict": X_test},
            y=inputs.labels() if name == agreed.label_owner else None,
            theta=setup.parts.theta[block].numpy(),
            others=tuple(further) if name == holders[0] else (),
            kept=self._kept(name),
            seed=seed,
            key=derive_key(seed, "inputs", name),
        )

    def _kept(self, name: str) -> Weights | None:
        """A copy, because training changes it in place."""
        kept = self.state.shares.get(name) if self.state is not None else None
        return None if kept is None else Weights(list(kept.W), list(kept.b), list(kept.velocity))

    def write_weights(self) -> None:
        """Puts the holders' shares together in the set-up's network; no party of the protocol does that."""
        arithmetic = self.agreement.arithmetic

        def write(target: torch.Tensor, shares: Sequence[Ring]) -> None:
            total = signed(np.add.reduce(shares), arithmetic.width)
            target.copy_(torch.from_numpy(fixed_point.decode(total, arithmetic.fractional_bits)))

        for layer, weight in enumerate(self.cut.weights):
            write(weight, [weights.W[layer] for weights in self.shares.values()])
        for layer, bias in enumerate(self.cut.biases):
            write(bias, [b for weights in self.shares.values() if (b := weights.b[layer]) is not None])


async def _after(
    me: Endpoint, cost: Cost, then: Callable[..., Coroutine[Any, Any, None]], *own: Any, **further: Any
) -> None:
    """A party that has perturbed its own data before anything else; charged only where that is so."""
    if cost != Cost():
        await me.compute(lambda: None, cost, label="perturb own data")
    await then(me, *own, **further)


def agreement_of(setup: Setup) -> Agreement:
    """What the parties of a scenario agree on."""
    scenario = setup.scenario
    protocol, model, train = scenario.protocol, scenario.model, scenario.train
    layers = protocol.layers_under_sharing
    whole = layers == all_layers(scenario)
    names = [*model.activation_list, "sigmoid"][:layers]  # the head's is the label's logistic function
    chosen: list[Activation | None] = [activation(scenario, name) for name in names]
    if not whole and protocol.opened == "product":
        chosen[-1] = None
    return Agreement(
        layer=setup.layer,
        design=Design(
            widths=(setup.dataset.features, *[*model.hidden, 1][:layers]),
            activations=tuple(chosen),
            masked_once=protocol.first_layer == "algorithm1-masked-once",
            learning_rate=train.learning_rate,
            momentum=train.momentum,
            mean=train.loss_reduction == "mean",
        ),
        arithmetic=Arithmetic(
            fractional_bits=protocol.fractional_bits,
            width=protocol.ring_bits,
            local_truncation=protocol.truncation == "local",
        ),
        whole=whole,
        label_owner=scenario.data.label_owner,
        rows={"train": len(setup.dataset.y_train), "predict": len(setup.dataset.y_test)},
        from_seeds=protocol.first_layer != "algorithm1",
        first=setup.schedule.first,
        steps=setup.schedule.end,
        ahead=protocol.triples_ahead,
        full=protocol.triples == "dealer-full",
    )


def activation(scenario: Scenario, name: str) -> Activation:
    """What an activation becomes under secret sharing."""
    if name == "identity":
        return activations.Identity()
    if name == "square":
        return activations.Square()
    if scenario.protocol.activation == "piecewise":
        return _PIECEWISE[name]
    fit = scenario.protocol.polynomial
    return activations.PolynomialActivation(approximate(name, fit.method, fit.degree, fit.range))
