"""A data holder in Algorithm 2: it owns X_i and theta_i."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Protocol

import numpy as np
import torch

from p2n2sim.messages import SERVER, FirstHiddenGradient, Floats
from p2n2sim.net.cpu import Cost
from p2n2sim.net.endpoint import Endpoint
from p2n2sim.nn.optimisers import update_flops
from p2n2sim.nn.training import product
from p2n2sim.parties.defence import Defender
from p2n2sim.parties.perturbation.holder import HolderPerturbation
from p2n2sim.parties.row_clip import RowClip
from p2n2sim.parties.schedule import Batch


class FirstLayerHolder(Protocol):
    """A holder's side of a first-layer protocol: all of them give the server the same h1."""

    async def prepare(self, X_train: Floats, X_test: Floats) -> None:
        """What has to be agreed before the first batch; all rows of X_i, for who shares them once."""

    async def forward(self, X: Floats, theta: Floats, step: int) -> None:
        """One batch: X_i (m, k_i) and theta_i (k_i, n), both float32."""


async def data_holder(
    me: Endpoint,
    batches: Iterable[Batch],
    X_train: Floats,
    X_test: Floats,
    theta: torch.Tensor,
    first_layer: FirstLayerHolder,
    optimiser: torch.optim.Optimizer,
    *,
    defender: Defender | None = None,
    clip: RowClip | None = None,
    perturbed: HolderPerturbation | None = None,
    on_batch: Callable[[Batch], object] = lambda batch: None,
) -> None:
    """Trains theta_i in place.

    Args:
        me: the holder's plug.
        batches: the agreed schedule.
        X_train: this holder's columns of the training rows, (rows, k_i) float32.
        X_test: the same of the test rows.
        theta: its rows of the first layer's weights, (k_i, n) float32.
        first_layer: the protocol by which the server comes to know h1.
        optimiser: over theta alone.
        defender: what the holders add to the loss, if anything.
        clip: what bounds its summand of h1, if anything.
        perturbed: clips rows' gradients and adds noise, if anybody does.
        on_batch: told of every batch as it begins.
    """
    if perturbed:
        await perturbed.prepare(X_train)
    await first_layer.prepare(X_train, X_test)
    for batch in batches:
        on_batch(batch)
        training = batch.stage == "train"
        X = np.take(X_train if training else X_test, batch.rows, axis=0)  # (m, k_i); faster than X[rows]
        if clip is not None:
            weights = theta.numpy()
            X = await me.compute(partial(clip, X, weights), clip.cost(len(X), weights), label="clip rows")
        await first_layer.forward(X, theta.numpy(), batch.step)  # Algorithm 2 line 4
        if training:
            added = None
            if defender:
                added = await defender.gradient(X, theta.numpy(), batch)  # lines 5 and 12, (m, n)
            d_1 = (await me.recv(SERVER, FirstHiddenGradient)).d_1  # (m, n)
            if perturbed:
                await perturbed.update(theta, X, d_1, batch, optimiser)
                continue
            await me.compute(
                partial(update, theta, X, d_1, added, optimiser),
                Cost(
                    flops=2 * X.size * theta.shape[1]
                    + update_flops(optimiser, theta.numel())
                    + (0 if added is None else added.size),
                    messages=1,
                ),
                label="update theta",
            )  # line 11


def update(
    theta: torch.Tensor, X: Floats, d_1: Floats, added: Floats | None, optimiser: torch.optim.Optimizer
) -> None:
    """dL/dtheta_i = X_i^T dL/dh1, computed where X_i is, with what the defenders add to dL/dh1."""
    theta.grad = torch.from_numpy(product(X.T, d_1 if added is None else d_1 + added))  # (k_i, n)
    optimiser.step()
