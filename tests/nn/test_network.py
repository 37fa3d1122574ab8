"""The network and its three parts."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from p2n2sim.nn.network import ACTIVATIONS, Bias, PlainNetwork, build
from p2n2sim.nn.training import forward_flops, logistic_loss


def test_shapes_of_the_parts() -> None:
    """theta is (k, n), the server maps n to q through all hidden layers, the head maps q to one logit."""
    parts = build(28, (8, 6, 5), ("sigmoid", "relu", "tanh"), seed=1)
    assert parts.theta.shape == (28, 8)
    assert [type(layer) for layer in parts.server] == [  # type: ignore[arg-type]
        Bias,
        nn.Sigmoid,
        nn.Linear,
        nn.ReLU,
        nn.Linear,
        nn.Tanh,
    ]
    assert parts.server(torch.zeros(7, 8)).shape == (7, 5)
    assert parts.head(torch.zeros(7, 5)).shape == (7, 1)


def test_the_joined_network_is_the_product_of_its_parts() -> None:
    """PlainNetwork computes head(server(X theta)), as a perceptron with a bias in every layer would."""
    parts = build(5, (4, 3), ("sigmoid", "relu"), initialisation="pytorch", seed=1)
    X = torch.randn(6, 5, generator=torch.Generator().manual_seed(1))
    bias, hidden = parts.server[0].bias, parts.server[2]  # type: ignore[index]
    h1 = torch.sigmoid(X @ parts.theta + bias)
    expected = torch.relu(h1 @ hidden.weight.T + hidden.bias) @ parts.head.weight.T + parts.head.bias
    torch.testing.assert_close(PlainNetwork(parts)(X), expected.squeeze(1))


def test_equal_seeds_give_equal_weights() -> None:
    """The weights are a function of the arguments alone, not of what torch drew before."""
    first = build(5, (4,), ("relu",), seed=3)
    torch.rand(10)
    second, other = build(5, (4,), ("relu",), seed=3), build(5, (4,), ("relu",), seed=4)
    assert torch.equal(first.theta, second.theta)
    assert torch.equal(first.head.weight, second.head.weight)
    assert not torch.equal(first.theta, other.theta)


@pytest.mark.parametrize(
    ("initialisation", "bound"), [("glorot", math.sqrt(6 / (300 + 200))), ("pytorch", 1 / math.sqrt(300))]
)
def test_weights_fill_the_range_of_their_initialisation(initialisation: str, bound: float) -> None:
    """60,000 weights stay within the bound and come close to it, with the variance of a uniform law."""
    theta = build(300, (200,), ("relu",), initialisation=initialisation, seed=1).theta
    assert 0.999 * bound < theta.abs().max() <= bound
    assert theta.var().item() == pytest.approx(bound**2 / 3, rel=0.02)


def test_glorot_biases_are_zero() -> None:
    """Glorot's initialisation starts with biases of zero, PyTorch's does not."""
    glorot = build(5, (4, 3), ("relu", "relu"), initialisation="glorot", seed=1)
    pytorch = build(5, (4, 3), ("relu", "relu"), initialisation="pytorch", seed=1)
    assert not glorot.head.bias.any()
    assert not glorot.server[2].bias.any()  # type: ignore[index]
    assert pytorch.head.bias.any()
    assert pytorch.server[2].bias.any()  # type: ignore[index]


def test_the_plain_network_leaves_the_parts_alone() -> None:
    """Training the copy does not change what the protocol starts from."""
    parts = build(5, (4,), ("sigmoid",), seed=1)
    before = parts.theta.clone()
    network = PlainNetwork(parts)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(1.0)
    assert torch.equal(parts.theta, before)
    assert not parts.head.bias.any()


@pytest.mark.parametrize(
    ("name", "value"),
    [("sigmoid", 1 / (1 + math.e)), ("relu", 0.0), ("tanh", math.tanh(-1)), ("identity", -1.0)],
)
def test_activations(name: str, value: float) -> None:
    """Each name is the function of that name."""
    assert ACTIVATIONS[name]()(torch.tensor(-1.0)).item() == pytest.approx(value)


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_the_loss_is_the_negative_log_likelihood(reduction: str) -> None:
    """-log p(y) summed or averaged, p being the logistic function of the logit."""
    logits, y = torch.tensor([0.0, 2.0, -3.0]), torch.tensor([1.0, 0.0, 0.0])
    p = torch.sigmoid(logits)
    terms = -(y * p.log() + (1 - y) * (1 - p).log())
    expected = terms.sum() if reduction == "sum" else terms.mean()
    torch.testing.assert_close(logistic_loss(logits, y, reduction=reduction), expected)


def test_operation_counts() -> None:
    """A linear layer of (n + 1) q parameters takes two operations for each of them and each row."""
    assert forward_flops(nn.Linear(8, 5), 100) == 2 * 100 * (8 * 5 + 5)
