"""The neutral server in Algorithm 2: it owns theta_S and runs the hidden layers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Protocol

import torch
from torch import nn

from p2n2sim.messages import (
    FirstHidden,
    FirstHiddenGradient,
    Floats,
    LastHidden,
    LastHiddenGradient,
    LayerGradient,
)
from p2n2sim.net.cpu import Cost
from p2n2sim.net.endpoint import Endpoint
from p2n2sim.nn.per_example import Trace
from p2n2sim.nn.training import forward_flops
from p2n2sim.parties.perturbation.server import ServerPerturbation
from p2n2sim.parties.schedule import Batch


class FirstLayerServer(Protocol):
    """The server's side of a first-layer protocol."""

    async def prepare(self) -> None:
        """What has to be agreed before the first batch."""

    async def receive(self) -> Floats:
        """h1 of the next batch, (m, n) float32."""


async def server(
    me: Endpoint,
    batches: Iterable[Batch],
    holders: Sequence[str],
    label_owner: str,
    first_layer: FirstLayerServer,
    module: nn.Module,
    optimiser: torch.optim.Optimizer,
    *,
    gradient: type[FirstHiddenGradient] | type[LayerGradient] = FirstHiddenGradient,
    shows_h1: bool = False,
    perturbed: ServerPerturbation | None = None,
) -> None:
    """Trains theta_S in place.

    Args:
        me: the server's plug.
        batches: the agreed schedule.
        holders: who receives dL/dh1.
        label_owner: who receives h_L and returns dL/dh_L.
        first_layer: the protocol by which this server comes to know h1.
        module: theta_S, from h1 (m, n) to h_L (m, q).
        optimiser: over the module's parameters.
        gradient: the message that tells the holders the gradient.
        shows_h1: whether the holders are shown h1 of training batches, for their defenders.
        perturbed: clips rows' gradients and adds noise, if anybody does.
    """
    if perturbed:
        await perturbed.prepare()
    await first_layer.prepare()
    for batch in batches:
        if perturbed and batch.stage == "train":
            await perturbed.begin(batch)
        h1 = torch.from_numpy(await first_layer.receive())  # Algorithm 2 line 4, (m, n)
        training = batch.stage == "train"
        if training and shows_h1:
            await me.compute(lambda: None, Cost(messages=len(holders)), label="show h1")
            for holder in holders:
                me.send(holder, FirstHidden(batch.step, h1.numpy()))  # line 5
        flops = forward_flops(module, len(h1))
        traced, h_L = await me.compute(
            partial(_forward, module, h1, training, perturbed),
            Cost(flops=flops, messages=1),
            label="hidden layers forward",
        )  # line 6, (m, q)
        me.send(label_owner, LastHidden(batch.step, h_L.detach().numpy()))  # line 8
        if training:
            d_L = (await me.recv(label_owner, LastHiddenGradient)).d_L  # (m, q)
            if perturbed and traced:
                d_1 = await perturbed.backward(traced, d_L, optimiser, batch)
            else:
                d_1 = await me.compute(
                    partial(_backward, h1, h_L, d_L, optimiser),
                    Cost(flops=2 * flops, messages=1 + len(holders)),
                    label="hidden layers backward",
                )  # line 11, (m, n)
            for holder in holders:
                me.send(holder, gradient(batch.step, d_1))


def _forward(
    module: nn.Module, h1: torch.Tensor, training: bool, perturbed: ServerPerturbation | None
) -> tuple[Trace | None, torch.Tensor]:
    """Eq. 1 for all layers of the server; keeps the graph only when there will be a backward pass."""
    if training and perturbed:
        traced = perturbed.forward(module, h1)
        return traced, traced.output
    with torch.set_grad_enabled(training):
        h_L: torch.Tensor = module.train(training)(h1.requires_grad_(training))
    return None, h_L


def _backward(h1: torch.Tensor, h_L: torch.Tensor, d_L: Floats, optimiser: torch.optim.Optimizer) -> Floats:
    """Steps theta_S and returns dL/dh1, (m, n)."""
    optimiser.zero_grad()
    h_L.backward(torch.tensor(d_L))  # type: ignore[no-untyped-call]
    optimiser.step()
    assert h1.grad is not None  # h1 requires it in training
    gradient: Floats = h1.grad.numpy()
    return gradient
