"""The label's owner in Algorithm 2: it owns y and theta_y, predicts, and starts the backward pass."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import partial
from itertools import groupby

import numpy as np
import torch
from torch import nn

from p2n2sim.messages import SERVER, Floats, LastHidden, LastHiddenGradient
from p2n2sim.net.cpu import Cost
from p2n2sim.net.endpoint import Endpoint
from p2n2sim.nn.training import forward_flops, label_loss
from p2n2sim.parties.passes import Pass
from p2n2sim.parties.perturbation.head import HeadPerturbation
from p2n2sim.parties.schedule import Batch


async def label_owner(
    me: Endpoint,
    batches: Iterable[Batch],
    y_train: Floats,
    y_test: Floats,
    head: nn.Linear,
    optimiser: torch.optim.Optimizer,
    *,
    reduction: str,
    on_pass: Callable[[Pass], object],
    perturbed: HeadPerturbation | None = None,
) -> None:
    """Trains theta_y in place.

    Args:
        me: the plug of the holder that owns the label.
        batches: the agreed schedule.
        y_train: labels of the training rows, (rows,) float32.
        y_test: labels of the test rows.
        head: theta_y, from h_L (m, q) to the logit (m, 1), or for c classes to the logits (m, c).
        optimiser: over the head's parameters.
        reduction: ``sum`` or ``mean`` of the rows' losses, whose gradient is taken.
        on_pass: told of every finished pass.
        perturbed: clips rows' gradients and adds noise, if anybody does.
    """
    for (epoch, stage), group in groupby(batches, key=lambda batch: (batch.epoch, batch.stage)):
        losses, rows, logits = [], [], []
        for batch in group:
            h_L = (await me.recv(SERVER, LastHidden)).h_L  # Algorithm 2 line 8, (m, q)
            y = torch.from_numpy((y_train if stage == "train" else y_test)[batch.rows])  # (m,)
            if stage == "train" and perturbed:
                loss = await perturbed.train(head, optimiser, h_L, y, batch.step)
            elif stage == "train":
                loss, d_L = await me.compute(
                    partial(_train, head, optimiser, h_L, y, reduction),
                    Cost(flops=3 * forward_flops(head, len(y)), messages=2),
                    label="predict, loss, gradient",
                )  # lines 9 and 11
                me.send(SERVER, LastHiddenGradient(batch.step, d_L))
            else:
                loss, prediction = await me.compute(
                    partial(_predict, head, h_L, y),
                    Cost(flops=forward_flops(head, len(y)), messages=1),
                    label="predict",
                )  # line 9
                logits.append(prediction)
            losses.append(loss / len(y) if len(y) else math.nan)
            rows.append(len(y))
        joined = np.concatenate(logits) if logits else np.empty(0, np.float32)
        on_pass(Pass(epoch, stage, np.array(losses), np.array(rows), joined))


def _train(
    head: nn.Linear, optimiser: torch.optim.Optimizer, h_L: Floats, y: torch.Tensor, reduction: str
) -> tuple[float, Floats]:
    """Eq. 2 and the loss of Eq. 5; steps theta_y; the batch's summed loss and dL/dh_L (m, q)."""
    hidden = torch.tensor(h_L).requires_grad_()
    loss = label_loss(head(hidden).squeeze(1), y, reduction=reduction)
    optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimiser.step()
    assert hidden.grad is not None  # it was just required
    summed = loss.item() * (1 if reduction == "sum" else len(y))
    return summed, hidden.grad.numpy()


def _predict(head: nn.Linear, h_L: Floats, y: torch.Tensor) -> tuple[float, Floats]:
    """Eq. 2: the batch's summed loss and its logits (m,), or (m, c)."""
    with torch.no_grad():
        logits = head(torch.tensor(h_L)).squeeze(1)
        return label_loss(logits, y, reduction="sum").item(), logits.numpy()
