"""Training in float64 by the textbook, with any activations: what the protocols are compared with."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from p2n2sim.assemble import Setup
from p2n2sim.nn.network import cut

Floats = NDArray[np.float64]
Function = Callable[[Floats], Floats]


def three_piece(x: Floats) -> Floats:
    """SecureML's sigmoid: 0, x + 1/2, 1."""
    return np.clip(x + 0.5, 0.0, 1.0)


PAIRS: dict[str, tuple[Function, Function]] = {
    "identity": (lambda x: x, np.ones_like),
    "square": (lambda x: x * x, lambda x: 2 * x),
    "relu": (lambda x: np.maximum(x, 0.0), lambda x: (x >= 0) * 1.0),
    "sigmoid": (expit, lambda x: expit(x) * (1 - expit(x))),
    "tanh": (np.tanh, lambda x: 1 - np.tanh(x) ** 2),
    "three-piece": (three_piece, lambda x: ((x >= -0.5) & (x < 0.5)) * 1.0),
    "hard-tanh": (lambda x: np.clip(x, -1.0, 1.0), lambda x: ((x >= -1) & (x < 1)) * 1.0),
}


def weights_of(setup: Setup) -> list[Floats]:
    """W_1, b_1, W_2, b_2, ... of the set-up's network, copied."""
    whole = cut(setup.parts, len(setup.scenario.model.hidden) + 1, activated=False)
    out = []
    for weight, bias in zip(whole.weights, whole.biases, strict=True):
        out += [weight.numpy().astype(np.float64), bias.numpy().astype(np.float64)]
    return out


def train(
    setup: Setup, activations: Sequence[tuple[Function, Function]], output: Function = expit
) -> list[Floats]:
    """The weights after the set-up's schedule, which is left as it is.

    Args:
        setup: what to train.
        activations: function and slope for each hidden layer.
        output: whose distance from the label is the gradient at the end.
    """
    scenario, data = setup.scenario.train, setup.dataset
    weights = weights_of(setup)
    velocity = [np.zeros_like(w) for w in weights]
    for batch in setup.schedule:
        if batch.stage == "train":
            X, y = data.X_train[batch.rows].astype(np.float64), data.y_train[batch.rows]
            gradients = _gradients(weights, activations, output, X, y)
            scale = 1 / len(y) if scenario.loss_reduction == "mean" else 1.0
            for i, gradient in enumerate(gradients):
                velocity[i] = scenario.momentum * velocity[i] + scale * gradient
                weights[i] = weights[i] - scenario.learning_rate * velocity[i]
    return weights


def _gradients(
    weights: Sequence[Floats],
    activations: Sequence[tuple[Function, Function]],
    output: Function,
    X: Floats,
    y: NDArray[np.float32],
) -> list[Floats]:
    inputs, before = [X], list[Floats]()
    for (f, _), W, b in zip(activations, weights[::2], weights[1::2], strict=False):
        before.append(inputs[-1] @ W + b)
        inputs.append(f(before[-1]))
    d = output(inputs[-1] @ weights[-2] + weights[-1]) - y[:, None]
    out = list[Floats]()
    for layer in reversed(range(len(inputs))):
        out = [inputs[layer].T @ d, d.sum(axis=0), *out]
        if layer:
            d = (d @ weights[2 * layer].T) * activations[layer - 1][1](before[layer - 1])
    return out
