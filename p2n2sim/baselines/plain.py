"""The plain network: the same data, initial weights and batches in one place, without any protocol."""

from __future__ import annotations

import math
from itertools import groupby

import numpy as np
import torch

from p2n2sim.messages import Floats
from p2n2sim.nn.network import PlainNetwork
from p2n2sim.nn.training import label_loss
from p2n2sim.parties.passes import Pass
from p2n2sim.parties.schedule import Schedule


def train_plain(
    network: PlainNetwork,
    schedule: Schedule,
    X_train: Floats,
    y_train: Floats,
    X_test: Floats,
    y_test: Floats,
    *,
    optimiser: torch.optim.Optimizer,
    reduction: str,
) -> list[Pass]:
    """Trains the network in place with the schedule's batches.

    Args:
        network: the plain network.
        schedule: the same batches as the protocol's.
        X_train: (rows_train, k).
        y_train: (rows_train,).
        X_test: (rows_test, k).
        y_test: (rows_test,).
        optimiser: over the network's parameters.
        reduction: ``sum`` or ``mean`` of the rows' losses.

    Returns:
        The same passes as the label's owner would report.
    """
    passes = []
    for (epoch, stage), group in groupby(schedule, key=lambda batch: (batch.epoch, batch.stage)):
        losses, rows, logits = [], [], []
        for batch in group:
            if stage == "train":
                X, y = X_train[batch.rows], y_train[batch.rows]
                summed = train_step(network, optimiser, X, y, reduction=reduction)
            else:
                X, y = X_test[batch.rows], y_test[batch.rows]
                summed, prediction = _predict(network, X, y)
                logits.append(prediction)
            losses.append(summed / len(y) if len(y) else math.nan)
            rows.append(len(y))
        joined = np.concatenate(logits) if logits else np.empty(0, np.float32)
        passes.append(Pass(epoch, stage, np.array(losses), np.array(rows), joined))
    return passes


def train_step(
    network: PlainNetwork, optimiser: torch.optim.Optimizer, X: Floats, y: Floats, *, reduction: str
) -> float:
    """One gradient step on a batch (m, k), (m,); returns the loss before it, summed over the rows."""
    loss = label_loss(network.train()(torch.from_numpy(X)), torch.from_numpy(y), reduction=reduction)
    optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimiser.step()
    return loss.item() * (1 if reduction == "sum" else len(y))


def _predict(network: PlainNetwork, X: Floats, y: Floats) -> tuple[float, Floats]:
    """The loss summed over the rows, and the logits (m,), or (m, c)."""
    with torch.no_grad():
        logits = network.eval()(torch.from_numpy(X))
        summed = label_loss(logits, torch.from_numpy(y), reduction="sum").item()
    result: Floats = logits.numpy()
    return summed, result
