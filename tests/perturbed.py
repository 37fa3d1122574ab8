"""Small runs with DP-SGD, and what they come to in one place, from per-row gradients by torch.func."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.func import functional_call, grad, vmap

from p2n2sim.assemble import Setup
from p2n2sim.nn.network import PlainNetwork
from p2n2sim.nn.training import label_loss
from tests.small import small_setup

CLIP = 0.05
"""Far below the norm of most rows' gradients here, and above that of some."""


def perturbed(*, holders: int = 3, rows: int = 18, noise: float = 0.0, **overrides: Any) -> Setup:
    """A small run with DP-SGD, of six training batches in two epochs."""
    keys = {
        "privacy.gradients.clip": CLIP,
        "privacy.gradients.noise_multiplier": noise,
        "privacy.delta": 1e-3,
        "train.epochs": 2,
        "train.learning_rate": 0.5,
        "protocol.crypto": "modelled",
    }
    features = overrides.pop("features", 7)
    return small_setup(rows=rows, features=features, holders=holders, overrides=keys | overrides)


def weights(setup: Setup) -> torch.Tensor:
    """All of them, one after the other."""
    parts = [setup.parts.theta, *setup.parts.server.parameters(), *setup.parts.head.parameters()]
    return torch.cat([part.detach().reshape(-1) for part in parts])


def of_rows(network: PlainNetwork, X: torch.Tensor, y: torch.Tensor) -> dict[str, torch.Tensor]:
    """The gradient of every row's own loss by torch.func: name -> (m, ...)."""

    def loss(own: dict[str, torch.Tensor], row: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        logits = functional_call(network, own, (row[None],))
        return label_loss(logits, label[None], reduction="sum")

    own = {name: parameter.detach() for name, parameter in network.named_parameters()}
    made: dict[str, torch.Tensor] = vmap(grad(loss), in_dims=(None, 0, 0))(own, X, y)
    return made


def parts_of(setup: Setup, gradients: dict[str, torch.Tensor]) -> list[list[torch.Tensor]]:
    """The parts of the network, each a list of views of its rows' gradients."""
    theta = [[gradients["theta"][:, block]] for block in setup.blocks]
    named = [[g for name, g in gradients.items() if name.startswith(of)] for of in ("server", "head")]
    return theta + named


def by_hand(setup: Setup) -> torch.Tensor:
    """The weights after DP-SGD without noise in one place, from per-row gradients."""
    train, gradients = setup.scenario.train, setup.scenario.privacy.gradients
    network, data = PlainNetwork(setup.parts), setup.dataset
    assert gradients.clip is not None
    for batch in setup.schedule:
        if batch.stage == "predict" or not len(batch.rows):
            continue
        X, y = (torch.from_numpy(array[batch.rows]) for array in (data.X_train, data.y_train))
        made = of_rows(network, X, y)
        parts = parts_of(setup, made)
        groups = [[g for part in parts for g in part]] if gradients.clipping == "flat" else parts
        clip = gradients.clip / math.sqrt(len(groups))
        for group in groups:
            norm = sum(g.flatten(1).square().sum(1) for g in group).sqrt()  # (m,)
            f = torch.clamp(clip / norm, max=1.0)
            for g in group:
                g.mul_(f.view(-1, *[1] * (g.ndim - 1)))
        divisor = train.batch_size if train.loss_reduction == "mean" else 1
        with torch.no_grad():
            for name, parameter in network.named_parameters():
                parameter -= train.learning_rate * made[name].sum(0) / divisor
    return torch.cat([parameter.detach().reshape(-1) for parameter in network.parameters()])
