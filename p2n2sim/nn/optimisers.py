"""The optimisers: plain gradient descent, Adam, and Langevin dynamics."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

Draw = Callable[[int], Sequence[Tensor]]
"""Number of the update, from 0 -> standard normal numbers of the shape of every parameter."""


def sgd(parameters: Iterable[Tensor], *, learning_rate: float, momentum: float = 0.0) -> torch.optim.SGD:
    """Gradient descent as in the paper's experiments, with optional momentum."""
    return torch.optim.SGD(parameters, lr=learning_rate, momentum=momentum)


def adam(parameters: Iterable[Tensor], *, learning_rate: float) -> torch.optim.Adam:
    """Adam with its authors' constants (Kingma and Ba, 2015, Algorithm 1); the paper's for MNIST."""
    return torch.optim.Adam(parameters, lr=learning_rate)


class Langevin(torch.optim.Optimizer):
    """Stochastic gradient Langevin dynamics: half a gradient step plus Gaussian noise.

    With learning rate a, temperature T and the gradient g of the loss, a weight moves by

        -a / 2 g + sqrt(T a) eta,    eta ~ N(0, 1).

    For T = 1, a constant step and a flat prior this is Equation 4 of Welling and Teh, "Bayesian learning via
    stochastic gradient Langevin dynamics", 2011. There g is the gradient of the loss of all training rows,
    estimated from a batch; here it is that of the scenario's loss, which is not scaled up to all rows: at
    T = 1 the noise outweighs the gradient by more than a sampler's would. SPNN (Zhou et al., arXiv
    2012.09364) proposes SGLD in place of gradient descent against what the hidden layers leak.

    Args:
        parameters: what is trained.
        learning_rate: a.
        temperature: T; 0 for no noise.
        draw: the noise of every update.
    """

    def __init__(
        self, parameters: Iterable[Tensor], *, learning_rate: float, temperature: float, draw: Draw
    ) -> None:
        super().__init__(parameters, {"lr": learning_rate, "temperature": temperature})
        self._draw = draw

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Moves every parameter that has a gradient; the number of updates is kept in its state."""
        assert closure is None  # nobody here asks for a second evaluation
        parameters = [parameter for group in self.param_groups for parameter in group["params"]]
        done = int(self.state[parameters[0]].setdefault("step", torch.zeros((), dtype=torch.int64)))
        noise = iter(self._draw(done))
        for group in self.param_groups:
            spread = math.sqrt(group["temperature"] * group["lr"])
            for parameter in group["params"]:
                eta = next(noise)
                if parameter.grad is not None:
                    parameter.add_(parameter.grad, alpha=-group["lr"] / 2).add_(eta, alpha=spread)
        self.state[parameters[0]]["step"] += 1


_FLOPS = {torch.optim.SGD: 4, torch.optim.Adam: 16, Langevin: 32}


def update_flops(optimiser: torch.optim.Optimizer, weights: int) -> int:
    """Operations of an update of so many weights, by the textbook formula, 10 for a root or a logarithm."""
    return _FLOPS[type(optimiser)] * weights
