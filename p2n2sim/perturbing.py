"""Who clips and perturbs gradients in a scenario."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from p2n2sim.assemble import Setup
from p2n2sim.budgeting import divisor, parts
from p2n2sim.messages import SERVER, GradientNoise, HeadNoise
from p2n2sim.mpc import fixed_point
from p2n2sim.mpc.prg import derive_key
from p2n2sim.net.endpoint import Endpoint
from p2n2sim.parties.perturbation.head import HeadPerturbation
from p2n2sim.parties.perturbation.holder import HolderPerturbation
from p2n2sim.parties.perturbation.owner import Perturbation
from p2n2sim.parties.perturbation.server import Other, ServerPerturbation
from p2n2sim.parties.perturbation.shares import SharedPerturbation
from p2n2sim.parties.secret_layers.network import Weights
from p2n2sim.state import HEAD


class Perturbing:
    """What every owner of a part of the network does to its gradients; nothing where none is clipped.

    Args:
        setup: what is run, its noise multiplier known.
        kept: the holders' shares of theta from before, where it stays under sharing.
    """

    def __init__(self, setup: Setup, kept: Mapping[str, Weights] | None = None) -> None:
        self._setup = setup
        self._kept = kept or {}
        self._shared: dict[str, SharedPerturbation] = {}

    def holder(self, me: Endpoint) -> HolderPerturbation | None:
        """A data holder's part of it."""
        does = self.of(me.name)
        if does is None:
            return None
        if self._setup.layer.weight_bits is not None:
            self._shared[me.name] = self._under_sharing(me, does)
            return self._shared[me.name]
        return HolderPerturbation(me, self._setup.layer, does, seed=self._setup.scenario.train.seed)

    def _under_sharing(self, me: Endpoint, does: Perturbation) -> SharedPerturbation:
        setup, train = self._setup, self._setup.scenario.train
        block = setup.blocks[setup.layer.holders.index(me.name)]
        kept = self._kept.get(me.name)
        return SharedPerturbation(
            me,
            setup.layer,
            does,
            theta=setup.parts.theta[block].numpy(),
            rate=train.learning_rate,
            input_key=derive_key(train.seed, "inputs", me.name),
            seed=train.seed,
            kept=None if kept is None else kept.W[0],
        )

    @property
    def shared(self) -> Mapping[str, SharedPerturbation]:
        """By holder, who has a share of theta, where it stays under sharing; nothing elsewhere."""
        return self._shared

    def shares(self) -> dict[str, Weights]:
        """The holders' shares of theta, to be kept; nothing where it is not under sharing."""
        return {name: Weights([part.share], [None]) for name, part in self._shared.items()}

    def write_weights(self) -> None:
        """Puts the shares of theta together in the set-up's network; no party of the protocol does that."""
        bits = self._setup.layer.weight_bits
        if bits is not None and self._shared:
            total = np.add.reduce([part.share for part in self._shared.values()])
            self._setup.parts.theta.copy_(torch.from_numpy(fixed_point.decode(total, bits)))

    def server(self, me: Endpoint) -> ServerPerturbation | None:
        """The server's part of it."""
        setup, does = self._setup, self.of(SERVER)
        if does is None:
            return None
        return ServerPerturbation(
            me,
            does,
            setup.layer.holders,
            setup.scenario.data.label_owner,
            rows=len(setup.dataset.y_train),
            fractional_bits=setup.layer.fractional_bits,
            others=self._others() if does.by_server else (),
        )

    def head(self, me: Endpoint) -> HeadPerturbation | None:
        """The label's owner's part of it."""
        does = self.of(HEAD)
        return None if does is None else HeadPerturbation(me, does)

    def of(self, part: str) -> Perturbation | None:
        """What is done to the gradients of a part: a holder's, the server's, or the head."""
        scenario, gradients = self._setup.scenario, self._setup.scenario.privacy.gradients
        if gradients.clip is None:
            return None
        assert gradients.noise_multiplier is not None  # it was found when the run was assembled
        return Perturbation(
            clip=gradients.clip,
            parts=parts(len(self._setup.layer.holders)),
            flat=gradients.clipping == "flat",
            deviation=gradients.noise_multiplier * gradients.clip,
            divisor=divisor(scenario),
            key=derive_key(scenario.train.seed, "perturbation", part),
            by_server=gradients.noise_by == "server",
        )

    def _others(self) -> list[Other]:
        """Whose noise the server draws when it draws all."""
        setup = self._setup
        owner, layer = setup.scenario.data.label_owner, setup.layer
        head = sum(parameter.numel() for parameter in setup.parts.head.parameters())
        out = []
        for name, width in zip(layer.holders, layer.widths, strict=True):
            does = self.of(name)
            out += [] if does is None else [Other(name, does, width * layer.units, GradientNoise)]
        does = self.of(HEAD)
        return out + ([] if does is None else [Other(owner, does, head, HeadNoise)])
