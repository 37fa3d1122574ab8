"""DP-SGD at a data holder: a row's gradient is x_i d^T, so its norm is |x_i| |d| and clipping is free."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch

from p2n2sim.messages import SERVER, Floats, GradientNoise
from p2n2sim.net.cpu import Cost
from p2n2sim.net.endpoint import Endpoint
from p2n2sim.nn.optimisers import update_flops
from p2n2sim.nn.training import product, squared_norms
from p2n2sim.parties.layer import FirstLayer
from p2n2sim.parties.perturbation.norms import send_norms
from p2n2sim.parties.perturbation.owner import Perturbation, clip_flops
from p2n2sim.parties.schedule import Batch
from p2n2sim.privacy import clipping


class HolderPerturbation:
    """A holder's part of it.

    Args:
        me: the holder's plug.
        layer: the first layer.
        perturbation: of its part.
        seed: of all keys.
    """

    def __init__(self, me: Endpoint, layer: FirstLayer, perturbation: Perturbation, *, seed: int) -> None:
        self._me = me
        self._layer = layer
        self._does = perturbation
        self._seed = seed
        self._limits: Floats = np.empty(0, np.float32)

    async def prepare(self, X_train: Floats) -> None:
        """Finds |x_i|^2 of all training rows, (rows, k_i); for flat clipping the server learns their sum."""
        squared = await self._me.compute(
            lambda: squared_norms(X_train), Cost(flops=2 * X_train.size), label="norms of rows"
        )
        if self._does.flat:
            await send_norms(self._me, self._layer, squared, self._seed)
        else:
            self._limits = await self._me.compute(
                lambda: self._does.limits(squared), Cost(flops=11 * len(squared)), label="limits of rows"
            )  # a root and a division

    async def update(
        self, theta: torch.Tensor, X: Floats, d_1: Floats, batch: Batch, optimiser: torch.optim.Optimizer
    ) -> None:
        """Algorithm 2 line 11 for theta_i, trained in place.

        Args:
            theta: (k_i, n).
            X: the batch's rows, (m, k_i).
            d_1: every row's gradient with respect to h1, (m, n); with flat clipping clipped by the server.
            batch: which it is.
            optimiser: over theta.
        """
        does, given = self._does, None
        cost = Cost(flops=2 * X.size * theta.shape[1] + update_flops(optimiser, theta.numel()), messages=1)
        cost += does.finish_cost(theta.numel())
        if not does.flat:
            cost += Cost(flops=clip_flops(*d_1.shape))
        if does.by_server:
            given = (await self._me.recv(SERVER, GradientNoise)).noise
            cost += Cost(messages=1)
        else:
            cost += does.noise_cost(theta.numel())
        await self._me.compute(
            partial(update, does, self._limits, theta, X, d_1, batch, given, optimiser),
            cost,
            label="update theta",
        )


def update(
    does: Perturbation,
    limits: Floats,
    theta: torch.Tensor,
    X: Floats,
    d_1: Floats,
    batch: Batch,
    given: Floats | None,
    optimiser: torch.optim.Optimizer,
) -> None:
    """One step of theta_i along its rows' gradients, clipped unless clipping is flat, and their noise.

    Args:
        does: what is done to the part.
        limits: how long d of every training row may be, from |x_i|; unused with flat clipping.
        theta: (k_i, n), trained in place.
        X: the batch's rows, (m, k_i).
        d_1: (m, n).
        batch: which it is.
        given: the noise, if somebody else has drawn it.
        optimiser: over theta.
    """
    if does.flat:
        total = product(X.T, d_1)  # (k_i, n)
    else:
        longest = limits.take(batch.rows, mode="clip")  # (m,); these rows exist, not checking is faster
        total = clipping.clipped_sum(X, d_1, longest)
    noise = does.draw(batch.step, theta.numel()) if given is None else given
    theta.grad = torch.from_numpy(does.finish(total, noise))
    optimiser.step()
