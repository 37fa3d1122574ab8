"""What the parties of a simulation keep between two sessions, when nothing is on its way."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import torch

from p2n2sim.net.delivery import Counts
from p2n2sim.nn.network import Parts
from p2n2sim.nn.training import sgd
from p2n2sim.parties.secret_layers.network import Weights
from p2n2sim.scenario.sections import Train

Momenta = dict[str, list[torch.Tensor | None]]
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
        momenta: of each optimiser, by its owner, in the order of its parameters.
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
    momenta: Momenta = field(default_factory=dict)
    shares: dict[str, Weights] = field(default_factory=dict)
    defended: dict[str, Defended] = field(default_factory=dict)
    depths: dict[str, int] = field(default_factory=dict)
    counts: Counts = field(default_factory=Counts)
    happened: list[int] = field(default_factory=list)


class Descent:
    """Makes the optimisers of a session, with the momentum that was kept, and remembers them.

    Args:
        train: how to descend.
        momenta: kept from before.
    """

    def __init__(self, train: Train, momenta: Momenta | None = None) -> None:
        self._train = train
        self._kept = momenta or {}
        self._made: dict[str, torch.optim.SGD] = {}

    def of(self, name: str, parameters: Iterable[torch.Tensor]) -> torch.optim.SGD:
        """The optimiser of an owner."""
        train = self._train
        made = sgd(parameters, learning_rate=train.learning_rate, momentum=train.momentum)
        for parameter, kept in zip(_parameters(made), self._kept.get(name, ()), strict=False):
            if kept is not None:
                made.state[parameter]["momentum_buffer"] = kept.clone()
        self._made[name] = made
        return made

    def momenta(self) -> Momenta:
        """What to keep, as it is now."""
        return {
            name: [_momentum(optimiser, parameter) for parameter in _parameters(optimiser)]
            for name, optimiser in self._made.items()
        }


def _parameters(optimiser: torch.optim.SGD) -> list[torch.Tensor]:
    return [parameter for group in optimiser.param_groups for parameter in group["params"]]


def _momentum(optimiser: torch.optim.SGD, parameter: torch.Tensor) -> torch.Tensor | None:
    kept = optimiser.state[parameter].get("momentum_buffer") if parameter in optimiser.state else None
    return kept.clone() if isinstance(kept, torch.Tensor) else None
