"""The defender of Eq. 3 and 4: a perceptron that learns to recover X_i from h1, and what theta gains by it.

Two readings of the paper:

- ``literal``: as printed. theta_d *maximises* d (Eq. 3), and so does theta (the - lambda d of Eq. 5). Both
  use the recovered input of Algorithm 2 line 5: theta's gradient (line 11) is taken first, then theta_d steps
  (line 12).
- ``minmax``: what the text says, that the defender recovers the input "just as an attacker would do". theta_d
  *minimises* d, with its steps before theta's gradient is taken, so that more steps come nearer to the best
  response; theta maximises d.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import torch
from torch import nn

from p2n2sim.nn.defence.distance import bounded, distance
from p2n2sim.nn.defence.penalty import Floats, Flops, over_rows
from p2n2sim.nn.training import forward_flops


class Decoder:
    """A decoder that learns by gradient descent.

    Args:
        units: n, the width of h1.
        features: k_i.
        weight: lambda of Eq. 5.
        reduction: ``sum`` or ``mean`` of the rows' losses.
        reading: ``literal`` or ``minmax``.
        layers: widths of the hidden layers, with ReLU as in the paper's experiments; linear without any.
        steps: of the decoder in a batch.
        optimiser: ``sgd`` or ``adam``.
        learning_rate: of the decoder.
        bound: of the distance; None for none.
        seed: of the initial weights, Glorot's, with biases of 0.

    Attributes:
        name: ``distance``.
        measured: d on the last batch, without its bound; as line 5 of Algorithm 2 has it in the literal
            reading, else after the decoder's steps.
        module: f(., theta_d), from h1 (m, n) to the recovered X_i (m, k_i).
    """

    name = "distance"

    def __init__(
        self,
        units: int,
        features: int,
        *,
        weight: float,
        reduction: str,
        reading: str,
        layers: Sequence[int],
        steps: int,
        optimiser: str,
        learning_rate: float,
        bound: float | None,
        seed: int,
    ) -> None:
        self.measured = 0.0
        self.module = _perceptron((units, *layers, features), seed)
        self._features = features
        self._weight, self._reduction = weight, reduction
        self._first = reading == "minmax"
        self._steps = steps
        self._bound = bound
        kind = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[optimiser]
        self._optimiser: torch.optim.Optimizer = kind(
            self.module.parameters(), lr=learning_rate, maximize=reading == "literal"
        )

    def gradient(self, X: Floats, h1: Floats) -> Floats:
        """- lambda R dphi(d)/dh1, (m, n), with the decoder as it is, or after its steps; see the module."""
        if self._first:
            self._learn(X, h1)
        hidden, features = torch.tensor(h1).requires_grad_(), torch.tensor(X)
        d = distance(self.module(hidden), features)  # Algorithm 2 line 5
        self.measured = d.item()
        (slope,) = torch.autograd.grad(bounded(d, self._bound), hidden)
        gradient: Floats = (-self._weight * over_rows(self._reduction, len(X)) * slope).numpy()
        return gradient

    def update(self, X: Floats, h1: Floats) -> None:
        """Algorithm 2 line 12 as it is printed, after theta's gradient."""
        if not self._first:
            self._learn(X, h1)

    def _learn(self, X: Floats, h1: Floats) -> None:
        """Steps along the gradient of Eq. 3, which has neither lambda nor R."""
        hidden, features = torch.tensor(h1), torch.tensor(X)
        for _ in range(self._steps):
            self._optimiser.zero_grad()
            d = bounded(distance(self.module(hidden), features), self._bound)
            d.backward()  # type: ignore[no-untyped-call]
            self._optimiser.step()

    def flops(self, rows: int) -> Flops:
        """Forward, and backward to h1; a step takes three times the forward pass, as any training does."""
        forward = forward_flops(self.module, rows) + 3 * rows * self._features
        gradient, steps = 2 * forward, self._steps * 3 * forward
        return Flops(gradient + steps) if self._first else Flops(gradient, steps)

    def kept(self) -> dict[str, torch.Tensor]:
        """theta_d, and what its optimiser remembers."""
        out = {f"weights/{name}": value.clone() for name, value in self.module.state_dict().items()}
        for i, parameter in enumerate(self.module.parameters()):
            remembered = self._optimiser.state.get(parameter, {})
            out |= {
                f"optimiser/{i}/{name}": value.clone()
                for name, value in remembered.items()
                if isinstance(value, torch.Tensor)
            }
        return out

    def restore(self, kept: Mapping[str, torch.Tensor]) -> None:
        """Goes on from `kept`."""
        self.module.load_state_dict({name: kept[f"weights/{name}"] for name in self.module.state_dict()})
        parameters = list(self.module.parameters())
        for key, value in kept.items():
            what, *path = key.split("/")
            if what == "optimiser":
                number, name = path
                self._optimiser.state[parameters[int(number)]][name] = value.clone()


def _perceptron(widths: Sequence[int], seed: int) -> nn.Sequential:
    generator = torch.Generator().manual_seed(seed)
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(widths):
        # Made without memory first, so that no weights are drawn from the global generator.
        layer = nn.Linear(inputs, outputs, device="meta").to_empty(device="cpu")
        nn.init.xavier_uniform_(layer.weight, generator=generator)
        nn.init.zeros_(layer.bias)
        layers += [layer, nn.ReLU()]
    return nn.Sequential(*layers[:-1])
