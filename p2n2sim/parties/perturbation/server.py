"""DP-SGD at the server: theta_S by the rows' own gradients; for flat clipping the factors of all parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import nn

from p2n2sim.messages import SERVER, ClipFactors, Floats, GradientNoise, HeadNoise, HeadNorms
from p2n2sim.net.cpu import Cost
from p2n2sim.net.endpoint import Endpoint
from p2n2sim.nn.optimisers import update_flops
from p2n2sim.nn.per_example import Trace, is_stack, row_gradients, set_gradients, trace, trained
from p2n2sim.nn.training import forward_flops, squared_norms
from p2n2sim.parties.perturbation.norms import receive_norms
from p2n2sim.parties.perturbation.owner import Perturbation, clip_flops
from p2n2sim.parties.schedule import Batch
from p2n2sim.privacy import clipping


@dataclass(frozen=True, slots=True)
class Other:
    """A part whose noise the server draws.

    Attributes:
        owner: who gets it.
        does: what is done to the part.
        weights: how many it has.
        message: that brings the noise.
    """

    owner: str
    does: Perturbation
    weights: int
    message: type[GradientNoise] | type[HeadNoise]


class ServerPerturbation:
    """The server's part of it.

    Args:
        me: the server's plug.
        perturbation: of theta_S.
        holders: the data holders.
        label_owner: who owns the head.
        rows: of the training data.
        fractional_bits: of the fixed-point encoding.
        others: the parts whose noise the server draws, if it does, in the order in which it is sent.
    """

    def __init__(
        self,
        me: Endpoint,
        perturbation: Perturbation,
        holders: Sequence[str],
        label_owner: str,
        *,
        rows: int,
        fractional_bits: int,
        others: Sequence[Other] = (),
    ) -> None:
        self._me = me
        self._does = perturbation
        self._holders, self._label_owner = holders, label_owner
        self._rows, self._bits = rows, fractional_bits
        self._others = others
        self._squared: Floats = np.empty(0, np.float32)

    async def prepare(self) -> None:
        """For flat clipping learns |x|^2 of every training row."""
        if self._does.flat:
            self._squared = await receive_norms(self._me, self._holders, self._bits, self._rows)

    async def begin(self, batch: Batch) -> None:
        """A training batch begins: sends the others the noise of their parts, if the server draws it."""
        if not self._others:
            return
        drawn = await self._me.compute(
            lambda: [other.does.draw(batch.step, other.weights) for other in self._others],
            sum((o.does.noise_cost(o.weights) for o in self._others), Cost(messages=len(self._others))),
            label="draw noise",
        )
        for other, noise in zip(self._others, drawn, strict=True):
            self._me.send(other.owner, other.message(batch.step, noise))

    def forward(self, module: nn.Module, h1: torch.Tensor) -> Trace:
        """Algorithm 2 line 6 in training, with what the rows' gradients need."""
        return trace(module.train(), h1)

    async def backward(
        self, traced: Trace, d_L: Floats, optimiser: torch.optim.Optimizer, batch: Batch
    ) -> Floats:
        """Algorithm 2 line 11: steps theta_S.

        Returns:
            Every row's gradient with respect to h1, (m, n): clipped where clipping is flat.
        """
        me, does = self._me, self._does
        of_head = (await me.recv(self._label_owner, HeadNorms)).squared if does.flat else None
        d_1, f = await me.compute(
            partial(self._backward, traced, d_L, of_head, optimiser, batch),
            self._cost(traced, optimiser),
            label="hidden layers backward",
        )
        if does.flat:
            me.send(self._label_owner, ClipFactors(batch.step, f))
        return d_1

    def _backward(
        self,
        traced: Trace,
        d_L: Floats,
        of_head: Floats | None,
        optimiser: torch.optim.Optimizer,
        batch: Batch,
    ) -> tuple[Floats, Floats]:
        does = self._does
        rows = row_gradients(traced, torch.tensor(d_L))
        squared, d_1 = rows.squared.numpy(), rows.d_1.numpy()
        if of_head is not None:
            x2 = np.take(self._squared, batch.rows)  # (m,)
            squared = squared + of_head + x2 * squared_norms(d_1)
        f = does.factors(squared)
        sums = rows.weighted(torch.from_numpy(f))
        noise = does.draw(batch.step, sum(total.numel() for total in sums))
        optimiser.zero_grad()
        set_gradients(traced.module, does.finish_all(sums, noise))
        optimiser.step()
        return (clipping.scaled(d_1, f) if does.flat else d_1), f

    def _cost(self, traced: Trace, optimiser: torch.optim.Optimizer) -> Cost:
        """Backward passes, norms, noise; where the rows' gradients have to be made, their forward again."""
        does, rows = self._does, len(traced.h1)
        weights = sum(parameter.numel() for parameter in trained(traced.module))
        once = forward_flops(traced.module, rows)
        stack = is_stack(traced.module)
        width = sum(z.shape[1] for _, _, z in traced.layers or ()) if stack else weights
        return (
            Cost(
                flops=(2 if stack else 7) * once
                + clip_flops(rows, width)
                + (clip_flops(rows, traced.h1.shape[1]) if does.flat else 0)
                + update_flops(optimiser, weights),
                messages=1 + len(self._holders) + (2 if does.flat else 0),
            )
            + does.noise_cost(weights)
            + does.finish_cost(weights)
        )


def payload_by_link(
    widths: Mapping[str, int], units: int, label_owner: str, rows: int, head: int, *, flat: bool, noise: bool
) -> dict[str, int]:
    """Payload bytes that it adds to one training batch, by link.

    Args:
        widths: k_i of each holder.
        units: n.
        label_owner: who owns the head.
        rows: m.
        head: number of the head's weights.
        flat: whether norms and factors travel.
        noise: whether the server draws the others' noise.
    """
    out = {f"{SERVER}->{holder}": 4 * k * units if noise else 0 for holder, k in widths.items()}
    out[f"{SERVER}->{label_owner}"] += (4 * head if noise else 0) + (4 * rows if flat else 0)
    if flat:
        out[f"{label_owner}->{SERVER}"] = 4 * rows
    return {link: payload for link, payload in out.items() if payload}
