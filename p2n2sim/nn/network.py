"""The three parts of the network (theta of the holders, theta_S of the server, theta_y of the label owner).

h1 = X theta is computed by the holders; the server adds the first layer's bias and goes on from there,
so the whole is an ordinary multi-layer perceptron with a logit at the end, or one for each of many classes.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn


class Square(nn.Module):
    """x^2, which secret sharing computes without approximation."""

    def forward(self, x: Tensor) -> Tensor:
        """x^2, of the same shape."""
        return x * x


ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "sigmoid": nn.Sigmoid,
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "square": Square,
    "identity": nn.Identity,
}
INITIALISATIONS = ("glorot", "pytorch")
ServerFactory = Callable[[int, int], nn.Module]


class Bias(nn.Module):
    """Adds the bias of the first layer, whose product the holders have computed.

    Args:
        units: n, the width of the first layer.
    """

    def __init__(self, units: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(units))

    def forward(self, h1: Tensor) -> Tensor:
        """h1 + bias, (m, n)."""
        return h1 + self.bias


@dataclass(frozen=True)
class Parts:
    """The three parts of one network.

    Attributes:
        theta: weights of the first layer, (k, n) float32; the holders own its rows.
        server: theta_S, a module from h1 (m, n) to h_L (m, q).
        head: theta_y, from h_L (m, q) to the logit (m, 1), or for c classes to the logits (m, c).
        pattern: 0 where theta is held at 0 and 1 elsewhere, (k, n) float32; None where nothing is held.
    """

    theta: Tensor
    server: nn.Module
    head: nn.Linear
    pattern: Tensor | None = None

    def copy(self) -> Parts:
        """An independent copy with the same weights."""
        return Parts(self.theta.clone(), copy.deepcopy(self.server), copy.deepcopy(self.head), self.pattern)


class PlainNetwork(nn.Module):
    """The three parts joined again: the traditional network that P2N2 is compared with.

    Args:
        parts: copied, so training this network leaves them as they are.
    """

    def __init__(self, parts: Parts) -> None:
        super().__init__()
        own = parts.copy()
        self.theta = nn.Parameter(own.theta)
        self.server = own.server
        self.head = own.head
        self.pattern = own.pattern

    def forward(self, X: Tensor) -> Tensor:
        """The logits (m,), or (m, c), of the rows of X (m, k)."""
        logits: Tensor = self.head(self.server(X @ self.theta)).squeeze(1)
        return logits


def build(
    features: int,
    hidden: Sequence[int],
    activations: Sequence[str],
    *,
    initialisation: str = "glorot",
    seed: int = 0,
    server: ServerFactory | None = None,
    logits: int = 1,
    pattern: Tensor | None = None,
) -> Parts:
    """The network with its initial weights, a function of the arguments alone.

    Args:
        features: k, columns of X.
        hidden: widths of the hidden layers; the first is n, the last is q.
        activations: one name of `ACTIVATIONS` for each hidden layer.
        initialisation: ``glorot`` (uniform, zero biases) or ``pytorch`` (the default of nn.Linear).
        seed: of the initial weights.
        server: makes the server's module from (n, q) instead of the built-in perceptron. It may draw
            its weights from torch's global generator, which is seeded for it and put back after.
        logits: outputs of the head.
        pattern: 0 where theta is held at 0, (features, n).
    """
    generator = torch.Generator().manual_seed(seed)
    first, *rest = hidden
    theta = _weight(features, first, initialisation, generator)
    if pattern is not None:
        theta *= pattern
    if server is not None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            middle = server(first, hidden[-1])
    else:
        middle = _perceptron(first, rest, activations, initialisation, generator)
    return Parts(theta, middle, _linear(hidden[-1], logits, initialisation, generator), pattern)


def _perceptron(
    first: int,
    rest: Sequence[int],
    activations: Sequence[str],
    initialisation: str,
    generator: torch.Generator,
) -> nn.Module:
    """The server's hidden layers, Eq. 1 for l >= 1."""
    layers: list[nn.Module] = [Bias(first), ACTIVATIONS[activations[0]]()]
    width = first
    for units, name in zip(rest, activations[1:], strict=True):
        layers += [_linear(width, units, initialisation, generator), ACTIVATIONS[name]()]
        width = units
    return nn.Sequential(*layers)


def _weight(rows: int, columns: int, initialisation: str, generator: torch.Generator) -> Tensor:
    """A (rows, columns) matrix: Glorot & Bengio 2010 Eq. 16, or nn.Linear's uniform in +-1/sqrt(rows)."""
    bound = math.sqrt(6 / (rows + columns)) if initialisation == "glorot" else 1 / math.sqrt(rows)
    return torch.empty(rows, columns).uniform_(-bound, bound, generator=generator)


def _linear(inputs: int, outputs: int, initialisation: str, generator: torch.Generator) -> nn.Linear:
    # Made without memory first, so that no weights are drawn from torch's global generator.
    layer = nn.Linear(inputs, outputs, device="meta").to_empty(device="cpu")
    with torch.no_grad():
        layer.weight.copy_(_weight(inputs, outputs, initialisation, generator).T)
        if initialisation == "glorot":
            layer.bias.zero_()
        else:
            bound = 1 / math.sqrt(inputs)
            layer.bias.uniform_(-bound, bound, generator=generator)
    return layer


@dataclass(frozen=True)
class Cut:
    """A network cut after some of its layers.

    Attributes:
        weights: of the layers before the cut, (n_(l-1), n_l): views, writing to them trains the network.
        biases: of those layers whose activation lies before the cut, (n_l,): the network's own.
        rest: what a server does with what comes out of the last of them.
    """

    weights: list[Tensor]
    biases: list[Tensor]
    rest: nn.Module


def cut(parts: Parts, layers: int, *, activated: bool) -> Cut:
    """Cuts a built-in perceptron after its first layers, of which the label's head may be one.

    Args:
        parts: whose server part was made by `build` without a module of the user.
        layers: s, how many lie before the cut, at least 1.
        activated: whether the last one's bias and activation do, too; the head has no activation of its own.
    """
    assert isinstance(parts.server, nn.Sequential)  # a scenario with an own module is refused before
    modules = list(parts.server)  # Bias, activation, Linear, activation, ...
    linear = [module for module in [*modules, parts.head] if isinstance(module, nn.Linear)]
    weights = [parts.theta, *(module.weight.data.T for module in linear)][:layers]
    biased = [module for module in [*modules, parts.head] if isinstance(module, Bias | nn.Linear)]
    biases = [module.bias.data for module in biased]
    if layers > len(linear):  # the head is before the cut
        return Cut(weights, biases, nn.Identity())
    if activated:
        return Cut(weights, biases[:layers], nn.Sequential(*modules[2 * layers :]))
    bias = Bias(weights[-1].shape[1])
    bias.bias = biased[layers - 1].bias  # the same parameter: training it trains the network
    return Cut(weights, biases[: layers - 1], nn.Sequential(bias, *modules[2 * layers - 1 :]))
