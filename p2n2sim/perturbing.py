"""Who clips and perturbs gradients in a scenario."""

from __future__ import annotations

from p2n2sim.assemble import Setup
from p2n2sim.messages import SERVER, GradientNoise, HeadNoise
from p2n2sim.mpc.prg import derive_key
from p2n2sim.net.endpoint import Endpoint
from p2n2sim.parties.perturbation.head import HeadPerturbation
from p2n2sim.parties.perturbation.holder import HolderPerturbation
from p2n2sim.parties.perturbation.owner import Perturbation
from p2n2sim.parties.perturbation.server import Other, ServerPerturbation
from p2n2sim.state import HEAD


class Perturbing:
    """What every owner of a part of the network does to its gradients; nothing where none is clipped.

    Args:
        setup: what is run, its noise multiplier known.
    """

    def __init__(self, setup: Setup) -> None:
        self._setup = setup

    def holder(self, me: Endpoint) -> HolderPerturbation | None:
        """A data holder's part of it."""
        does = self.of(me.name)
        seed = self._setup.scenario.train.seed
        return None if does is None else HolderPerturbation(me, self._setup.layer, does, seed=seed)

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
            parts=parts(self._setup),
            flat=gradients.clipping == "flat",
            deviation=gradients.noise_multiplier * gradients.clip,
            divisor=scenario.train.batch_size if scenario.train.loss_reduction == "mean" else 1,
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


def parts(setup: Setup) -> int:
    """Into how many parts the network is cut: each holder's, the server's, and the head."""
    return len(setup.layer.holders) + 2
