"""DP-SGD at the label's owner: the gradient of one row is (dL/dlogits) (h_L, 1)^T, as of any linear layer."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import nn

from p2n2sim.messages import SERVER, ClipFactors, Floats, HeadNoise, HeadNorms, LastHiddenGradient
from p2n2sim.net.cpu import Cost
from p2n2sim.net.endpoint import Endpoint
from p2n2sim.nn.optimisers import update_flops
from p2n2sim.nn.training import forward_flops, label_loss, product, squared_norms
from p2n2sim.parties.perturbation.owner import Perturbation, clip_flops
from p2n2sim.privacy import clipping


@dataclass(frozen=True)
class _Rows:
    """What is known of a batch's rows.

    Attributes:
        hidden: h_L, (m, q).
        d: of every row's own loss with respect to its logits, (m, logits).
        squared: squared norm of its gradient, (m,).
    """

    hidden: Floats
    d: Floats
    squared: Floats


class HeadPerturbation:
    """The label's owner's part of it.

    Args:
        me: its plug.
        perturbation: of theta_y.
    """

    def __init__(self, me: Endpoint, perturbation: Perturbation) -> None:
        self._me = me
        self._does = perturbation

    async def train(
        self, head: nn.Linear, optimiser: torch.optim.Optimizer, h_L: Floats, y: torch.Tensor, step: int
    ) -> float:
        """Algorithm 2 lines 9 and 11: sends dL/dh_L, steps theta_y.

        Args:
            head: theta_y, trained in place.
            optimiser: over its parameters.
            h_L: (m, q).
            y: (m,).
            step: number of the batch.

        Returns:
            The batch's summed loss, before the step.
        """
        me, does = self._me, self._does
        weights = head.weight.numel() + head.bias.numel()
        forward = forward_flops(head, len(y))
        loss, d_L, rows = await me.compute(
            partial(_gradients, head, h_L, y),
            Cost(
                flops=2 * forward + clip_flops(len(y), head.in_features + head.out_features),
                messages=3 if does.flat else 2,
            ),
            label="predict, loss, gradient",
        )
        me.send(SERVER, LastHiddenGradient(step, d_L))
        cost = Cost(flops=forward + update_flops(optimiser, weights)) + does.finish_cost(weights)
        if does.flat:
            me.send(SERVER, HeadNorms(step, rows.squared))
            f = (await me.recv(SERVER, ClipFactors)).f
            cost += Cost(messages=1)
        else:
            f = does.factors(rows.squared)
        given = (await me.recv(SERVER, HeadNoise)).noise if does.by_server else None
        cost += Cost(messages=1) if does.by_server else does.noise_cost(weights)
        await me.compute(
            partial(self._update, head, optimiser, rows, f, given, step), cost, label="update the head"
        )
        return loss

    def _update(
        self,
        head: nn.Linear,
        optimiser: torch.optim.Optimizer,
        rows: _Rows,
        f: Floats,
        given: Floats | None,
        step: int,
    ) -> None:
        fd = clipping.scaled(rows.d, f)  # (m, logits)
        sums = [torch.from_numpy(product(fd.T, rows.hidden)), torch.from_numpy(fd.sum(0))]
        noise = self._does.draw(step, sum(total.numel() for total in sums)) if given is None else given
        optimiser.zero_grad()
        head.weight.grad, head.bias.grad = self._does.finish_all(sums, noise)
        optimiser.step()


def _gradients(head: nn.Linear, h_L: Floats, y: torch.Tensor) -> tuple[float, Floats, _Rows]:
    """The summed loss, dL/dh_L (m, q) of every row's own loss, and what the head's gradients need."""
    with torch.no_grad():
        logits = head(torch.tensor(h_L))
    logits.requires_grad_()
    loss = label_loss(logits.squeeze(1), y, reduction="sum")
    (d,) = torch.autograd.grad(loss, logits)
    own = d.numpy()
    with np.errstate(over="ignore", invalid="ignore"):
        squared = squared_norms(own) * (squared_norms(h_L) + np.float32(1))
    return loss.item(), product(own, head.weight.detach().numpy()), _Rows(h_L, own, squared)
