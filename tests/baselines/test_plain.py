"""The plain network on the schedule's batches."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from p2n2sim.baselines.plain import train_plain
from p2n2sim.nn.network import PlainNetwork
from p2n2sim.nn.optimisers import sgd
from p2n2sim.parties.passes import Pass
from tests.small import small_setup

SETUP = small_setup(rows=13, overrides={"train.epochs": 3, "train.predict_every": 2})


def trained(reduction: str = "sum", momentum: float = 0.0) -> tuple[PlainNetwork, list[Pass]]:
    """The plain network after the schedule, and its passes."""
    network = PlainNetwork(SETUP.parts)
    data = SETUP.dataset
    passes = train_plain(
        network,
        SETUP.schedule,
        data.X_train,
        data.y_train,
        data.X_test,
        data.y_test,
        optimiser=sgd(network.parameters(), learning_rate=0.05, momentum=momentum),
        reduction=reduction,
    )
    return network, passes


@pytest.mark.parametrize("reduction", ["sum", "mean"])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_it_is_textbook_gradient_descent(reduction: str, momentum: float) -> None:
    """An independent loop over the same batches, with autograd and the update written out, gives the same."""
    network, _ = trained(reduction, momentum)
    rival = PlainNetwork(SETUP.parts)
    parameters = list(rival.parameters())
    velocity = [torch.zeros_like(parameter) for parameter in parameters]
    for batch in SETUP.schedule:
        if batch.stage == "predict":
            continue
        X = torch.from_numpy(SETUP.dataset.X_train[batch.rows])
        y = torch.from_numpy(SETUP.dataset.y_train[batch.rows])
        loss = nn.BCEWithLogitsLoss(reduction=reduction)(rival(X), y)
        gradients = torch.autograd.grad(loss, parameters)
        with torch.no_grad():
            for parameter, v, gradient in zip(parameters, velocity, gradients, strict=True):
                v.mul_(momentum).add_(gradient)
                parameter.sub_(0.05 * v)
    for ours, theirs in zip(network.parameters(), parameters, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_passes_follow_the_schedule() -> None:
    """Each epoch is a training pass; the second and the last end with a prediction of all test rows."""
    _, passes = trained()
    assert [(done.epoch, done.stage) for done in passes] == [
        (1, "train"),
        (2, "train"),
        (2, "predict"),
        (3, "train"),
        (3, "predict"),
    ]
    for done in passes:
        rows = len(SETUP.dataset.y_train if done.stage == "train" else SETUP.dataset.y_test)
        assert done.rows.sum() == rows
        assert len(done.logits) == (rows if done.stage == "predict" else 0)


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_reported_losses_are_means_over_rows(reduction: str) -> None:
    """Whatever the gradient is taken of, the reported loss of a pass is the mean over its rows."""
    network, passes = trained(reduction)
    y = torch.from_numpy(SETUP.dataset.y_test)
    with torch.no_grad():
        logits = network(torch.from_numpy(SETUP.dataset.X_test))
    np.testing.assert_allclose(passes[-1].logits, logits.numpy(), rtol=1e-5)
    expected = nn.BCEWithLogitsLoss()(logits, y).item()
    assert passes[-1].loss == pytest.approx(expected, rel=1e-5)
