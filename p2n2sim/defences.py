"""What the holders of a scenario do against the recovery of their features, and what they keep of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from p2n2sim.assemble import Setup
from p2n2sim.mpc.prg import derive_key
from p2n2sim.net.endpoint import Endpoint
from p2n2sim.nn.defence.best_response import BestResponse
from p2n2sim.nn.defence.decoder import Decoder
from p2n2sim.nn.defence.nopeek import NoPeek
from p2n2sim.nn.defence.penalty import Penalty
from p2n2sim.parties.defence import Defender
from p2n2sim.parties.noise import Noise
from p2n2sim.parties.schedule import Batch
from p2n2sim.scenario.protocol import SHARED
from p2n2sim.scenario.sections import Scenario
from p2n2sim.state import Defended

_MEASURED = "measured/"


class Defences:
    """What all holders do in a session.

    Args:
        setup: what is run.
        kept: what they have kept from before, by holder.
    """

    def __init__(self, setup: Setup, kept: Mapping[str, Defended] | None = None) -> None:
        self._setup = setup
        self._penalties: dict[str, list[Penalty]] = {}
        self._measured: dict[str, dict[str, torch.Tensor]] = {}
        if not adds_to_the_loss(setup.scenario):
            return
        layer = setup.layer
        for name, width in zip(layer.holders, layer.widths, strict=True):
            self._penalties[name] = penalties_of(setup.scenario, layer.units, width, name)
            before = (kept or {}).get(name, {})
            for penalty in self._penalties[name] if before else ():
                prefix = f"{penalty.name}/"
                penalty.restore(
                    {k.removeprefix(prefix): v for k, v in before.items() if k.startswith(prefix)}
                )
            self._measured[name] = {
                key.removeprefix(_MEASURED): value.clone()
                for key, value in before.items()
                if key.startswith(_MEASURED)
            }

    def of(self, me: Endpoint) -> Defender | None:
        """A holder's defender, None where there is none."""
        if me.name not in self._penalties:
            return None
        measured = self._measured[me.name]

        def measure(batch: Batch, name: str, value: float) -> None:
            epoch, total, rows = measured.get(name, torch.zeros(3, dtype=torch.float64)).tolist()
            if epoch != batch.epoch:
                total, rows = 0.0, 0.0
            m = len(batch.rows)
            measured[name] = torch.tensor([batch.epoch, total + m * value, rows + m], dtype=torch.float64)

        scenario, layer = self._setup.scenario, self._setup.layer
        limit = math.inf  # the others look at what they encode, or encode nothing
        if scenario.protocol.first_layer_in_use in SHARED:
            limit = math.ldexp(1.0, 63 - layer.hidden_bits) / len(layer.holders)
        penalties = self._penalties[me.name]
        return Defender(me, layer.holders, penalties, limit=limit, on_measured=measure)

    def noise(self) -> dict[str, Noise]:
        """What each holder adds to its part of h1."""
        scenario, holders = self._setup.scenario, self._setup.layer.holders
        if not scenario.defence.noise:
            return {}
        return {
            name: Noise.part(scenario.defence.noise, len(holders), scenario.train.seed, name)
            for name in holders
        }

    def kept(self) -> dict[str, Defended]:
        """What to keep, as it is now, by holder: decoders, their optimisers, what was measured."""
        return {
            name: {
                f"{penalty.name}/{key}": value
                for penalty in penalties
                for key, value in penalty.kept().items()
            }
            | {f"{_MEASURED}{key}": value.clone() for key, value in self._measured[name].items()}
            for name, penalties in self._penalties.items()
        }


def adds_to_the_loss(scenario: Scenario) -> bool:
    """Whether holders add anything to the loss, for which they need h1 and each other's gradients."""
    return scenario.defender.weight > 0 or scenario.defence.nopeek > 0


def penalties_of(scenario: Scenario, units: int, features: int, name: str) -> list[Penalty]:
    """What one holder adds to the loss.

    Args:
        scenario: with a `weight` above 0 for each.
        units: n.
        features: k_i.
        name: the holder's, from which with the seed its decoder's initial weights are drawn.
    """
    defender, reduction = scenario.defender, scenario.train.loss_reduction
    out: list[Penalty] = []
    if defender.weight and defender.reading == "best-response":
        out.append(
            BestResponse(
                units,
                features,
                weight=defender.weight,
                reduction=reduction,
                ridge=defender.ridge,
                bound=defender.bound,
            )
        )
    elif defender.weight:
        key = derive_key(scenario.train.seed, "decoder", name)
        out.append(
            Decoder(
                units,
                features,
                weight=defender.weight,
                reduction=reduction,
                reading=defender.reading,
                layers=defender.layers,
                steps=defender.steps,
                optimiser=defender.optimiser,
                learning_rate=defender.learning_rate,
                bound=defender.bound,
                seed=int.from_bytes(key[:7], "big"),
            )
        )
    if scenario.defence.nopeek:
        out.append(NoPeek(units, features, weight=scenario.defence.nopeek, reduction=reduction))
    return out


def described(setup: Setup, kept: Mapping[str, Defended]) -> dict[str, Any]:
    """What a summary says of each holder: means over the last epoch's training batches, weighted by rows.

    Beside the distance stands its ``floor``: the mean squared error of who knows the means of the columns and
    nothing of h1.
    """
    out: dict[str, Any] = {}
    for name, values in kept.items():
        told = out[name] = {}
        for key, value in values.items():
            if key.startswith(_MEASURED):
                _, total, rows = value.tolist()
                told[key.removeprefix(_MEASURED)] = total / rows
        if "distance" in told:
            block = setup.layer.columns(name)
            told["floor"] = float(np.var(setup.dataset.X_train[:, block], axis=0, dtype=np.float64).mean())
    return out
