"""The defender within the protocol: the joint training of Eq. 5, by messages whose bytes are known."""

from __future__ import annotations

import concurrent.futures
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from p2n2sim.assemble import Setup
from p2n2sim.checkpoint import Checkpoints
from p2n2sim.defences import penalties_of
from p2n2sim.messages import SERVER, DefenceGradient, FirstHidden
from p2n2sim.parties.first_layer import traffic
from p2n2sim.parties.first_layer.family import MEMBERS
from p2n2sim.run import weights_sha256
from p2n2sim.simulate import Outcome, simulate
from p2n2sim.state import State
from p2n2sim.summary import metrics_frame, summarise
from tests.laws import batch_goes, declared_as_it_is, listen, waits_when_silent
from tests.parties.joint import Joint
from tests.small import small_setup

READINGS: dict[str, dict[str, Any]] = {
    "literal": {"defender.layers": [5], "defender.learning_rate": 0.01},
    "minmax": {"defender.layers": [5], "defender.learning_rate": 0.01, "defender.steps": 3},
    "best-response": {"defender.ridge": 0.05},
}
MEAN = {"train.loss_reduction": "mean", "train.learning_rate": 0.3, "train.momentum": 0.5}


def defended(reading: str, *, holders: int = 2, weight: float = 0.2, **overrides: Any) -> Setup:
    """A small run with a defender, of eight training batches in two epochs."""
    keys = {"defender.weight": weight, "defender.reading": reading, "train.epochs": 2}
    return small_setup(rows=24, holders=holders, overrides=keys | READINGS[reading] | overrides)


def follows_joint_training(setup: Setup, tolerance: float = 3e-5) -> None:
    """All weights, the decoders' included, equal those of one place that has everything."""
    before = setup.parts.copy()
    joint = Joint(setup)
    joint.train()
    states: list[State] = []
    simulate(setup, Outcome(), on_checkpoint=states.append)
    parts = setup.parts
    own = [parts.theta, *parts.server.parameters(), *parts.head.parameters()]
    theirs = [joint.theta, *joint.server.parameters(), *joint.head.parameters()]
    for mine, other in zip(own, theirs, strict=True):
        torch.testing.assert_close(mine, other.detach().float(), atol=tolerance, rtol=0, check_stride=False)
    for kept, decoder in zip(states[-1].defended.values(), joint.decoders, strict=bool(joint.decoders)):
        for name, value in decoder.state_dict().items():
            torch.testing.assert_close(
                kept[f"distance/weights/{name}"], value.float(), atol=tolerance, rtol=0
            )
    assert (before.theta - parts.theta).abs().max() > 1e-2


@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize("holders", [2, 3])
@pytest.mark.parametrize("train", [{}, MEAN], ids=["sum", "mean"])
@pytest.mark.parametrize("bound", [None, 0.7])
def test_joint_training(reading: str, holders: int, train: dict[str, Any], bound: float | None) -> None:
    """However it is read, the protocol trains what autograd on all data in one place trains."""
    keys = {"train.checkpoint_every": 100} | ({"defender.bound": bound} if bound else {})
    follows_joint_training(defended(reading, holders=holders, **train, **keys))


@pytest.mark.parametrize("first_layer", MEMBERS)
def test_every_first_layer_with_everything(first_layer: str) -> None:
    """With any first layer, decoders and NoPeek together, the same."""
    keys = {"protocol.first_layer": first_layer, "defence.nopeek": 0.3, "train.checkpoint_every": 100}
    keys |= {"protocol.crypto": "modelled", "defender.optimiser": "sgd"}
    follows_joint_training(defended("minmax", **keys), tolerance=2e-4 if first_layer == "ckks" else 3e-5)
