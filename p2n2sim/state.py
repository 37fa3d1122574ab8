"""What the parties of a simulation keep between two sessions, when nothing is on its way."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import torch

from p2n2sim.messages import SERVER
from p2n2sim.mpc.prg import Purpose, derive_key, normal
from p2n2sim.net.delivery import Counts
from p2n2sim.nn.network import Parts, PlainNetwork
from p2n2sim.nn.optimisers import Draw, Langevin, adam, sgd
from p2n2sim.nn.sequences import hold_to
from p2n2sim.parties.secret_layers.network import Weights
from p2n2sim.scenario.sections import Train

HEAD = "head"
"""The owner, for an optimiser, of the label's head."""

Kept = dict[str, list[dict[str, torch.Tensor]]]
"""Owner -> for each of its parameters, in order, what its optimiser remembers of it, by name."""

Defended = dict[str, torch.Tensor]


@dataclass(kw_only=True)
class State:
    """Everything that decides how training goes on.

    A session begins with the set-up of its protocol (keys, seeds, masked rows) and ends with nothing on its
    way; in between, the parties keep this.

    Attributes:
        parts: the weights; of what is under secret sharing, what the shares add up to.
        random: state of torch's generator, from which a server module of the user may draw.
        step: batches that are done.
        time: virtual time in seconds.
        optimisers: what they remember: momentum, Adam's moments, numbers of updates.
        shares: of the weights under secret sharing, by holder.
        defended: each holder's decoder, its optimiser, and what was measured in the epoch.
        depths: of each plug, the longest chain of messages that it has received.
        counts: of the messages sent so far; not turned back when a session is repeated.
        happened: numbers of the faults that do not happen again; not turned back, either.
    """

    parts: Parts
    random: torch.Tensor
    step: int = 0
    time: float = 0.0
    optimisers: Kept = field(default_factory=dict)
    shares: dict[str, Weights] = field(default_factory=dict)
    defended: dict[str, Defended] = field(default_factory=dict)
    depths: dict[str, int] = field(default_factory=dict)
    counts: Counts = field(default_factory=Counts)
    happened: list[int] = field(default_factory=list)


class Descent:
    """Makes the optimisers of a session, with what they knew before, and remembers them.

    Args:
        train: how to descend.
        kept: from before.
    """

    def __init__(self, train: Train, kept: Kept | None = None) -> None:
        self._train = train
        self._kept = kept or {}
        self._made: dict[str, torch.optim.Optimizer] = {}

    def of(self, name: str, parameters: Iterable[torch.Tensor]) -> torch.optim.Optimizer:
        """The optimiser of an owner."""
        own = list(parameters)
        shapes = [parameter.shape for parameter in own]
        made = _optimiser(self._train, own, lambda step: noise(self._train.seed, name, step, shapes))
        for parameter, kept in zip(own, self._kept.get(name, ()), strict=False):
            if kept:
                made.state[parameter].update({key: value.clone() for key, value in kept.items()})
        self._made[name] = made
        return made

    def kept(self) -> Kept:
        """What to keep, as it is now."""
        return {
            name: [_remembered(made, parameter) for parameter in made.param_groups[0]["params"]]
            for name, made in self._made.items()
        }


def plain_optimiser(train: Train, network: PlainNetwork, holders: Mapping[str, int]) -> torch.optim.Optimizer:
    """The plain network's optimiser; its noise, if there is any, is what the owners of the parts would draw.

    Args:
        train: how to descend.
        network: whose parameters it is over.
        holders: number of columns of each, in order.
    """
    units = network.theta.shape[1]
    server, head = ([p.shape for p in module.parameters()] for module in (network.server, network.head))

    def draw(step: int) -> list[torch.Tensor]:
        parts = [noise(train.seed, name, step, [(width, units)])[0] for name, width in holders.items()]
        others = (noise(train.seed, name, step, of) for name, of in ((SERVER, server), (HEAD, head)))
        return [torch.cat(parts), *(eta for etas in others for eta in etas)]

    made = _optimiser(train, list(network.parameters()), draw)
    if network.pattern is not None:
        hold_to(made, network.theta, network.pattern)
    return made


def noise(seed: int, owner: str, step: int, shapes: Sequence[Sequence[int]]) -> list[torch.Tensor]:
    """What an owner of weights draws for an update: standard normal numbers, a function of the arguments.

    Args:
        seed: of the run.
        owner: a holder, the server or the head.
        step: number of its update, from 0.
        shapes: of its parameters.

    Returns:
        float32, one of each shape.
    """
    sizes = [math.prod(shape) for shape in shapes]
    drawn = normal(derive_key(seed, "langevin", owner), step, sum(sizes), purpose=Purpose.LANGEVIN)
    parts = torch.split(torch.from_numpy(drawn).float(), sizes)
    return [part.view(*shape) for part, shape in zip(parts, shapes, strict=True)]


def _optimiser(train: Train, parameters: list[torch.Tensor], draw: Draw) -> torch.optim.Optimizer:
    rate = train.learning_rate
    if train.optimiser == "adam":
        return adam(parameters, learning_rate=rate)
    if train.optimiser == "sgld":
        return Langevin(parameters, learning_rate=rate, temperature=train.temperature, draw=draw)
    return sgd(parameters, learning_rate=rate, momentum=train.momentum)


def _remembered(optimiser: torch.optim.Optimizer, parameter: torch.Tensor) -> dict[str, torch.Tensor]:
    state = optimiser.state.get(parameter, {})
    return {key: value.clone() for key, value in state.items() if isinstance(value, torch.Tensor)}
