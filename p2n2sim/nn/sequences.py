"""Server networks for sequences: what is fed to each time step, convolved or remembered over the steps.

The n units of h1 are T steps of n / T channels. Which columns feed which step is a matter of the first layer:
a 0/1 pattern of its weights keeps a step's columns out of the other steps' units (`step_pattern`). It is
public, and setting a weight back to 0 after an update is post-processing of that update, which neither costs
nor gains privacy. The weights of the steps are not shared in the first layer, as every column has its own;
the convolution and the recurrent cell share theirs over the steps.

Both modules take rows one at a time as well as in batches, and are made of operations that have batching
rules, so that gradients of single rows can be taken by `torch.func`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from p2n2sim.nn.network import ACTIVATIONS, Bias


class Convolution(nn.Module):
    """A 1-D convolution over the steps, and the mean of its activations over them.

    Args:
        steps: T.
        units: n, a multiple of T.
        outputs: q.
        activation: a name of `ACTIVATIONS`, of the first layer and of the convolution.
        kernel: steps that the convolution sees at a time, an odd number.
    """

    def __init__(
        self, steps: int, units: int, outputs: int, *, activation: str = "relu", kernel: int = 3
    ) -> None:
        super().__init__()
        self._steps = self.uses_of_a_weight = steps
        self.first = Bias(units)
        self.convolution = nn.Conv1d(units // steps, outputs, kernel, padding=kernel // 2)
        self.activation = ACTIVATIONS[activation]()

    def forward(self, h1: Tensor) -> Tensor:
        """h_L (..., q) of h1 (..., n)."""
        steps = self.activation(self.first(h1)).unflatten(-1, (self._steps, -1))  # (..., T, c)
        seen: Tensor = self.activation(self.convolution(steps.transpose(-1, -2)))  # (..., q, T)
        return seen.mean(-1)


class Recurrence(nn.Module):
    """A gated recurrent unit that reads the steps from the earliest on; its last state is h_L.

    Cho et al., Learning phrase representations using RNN encoder-decoder for statistical machine
    translation, 2014, with the reset gate applied after the product as in `torch.nn.GRU`, in plain code.

    Args:
        steps: T.
        units: n, a multiple of T.
        outputs: q, the width of the state.
        activation: a name of `ACTIVATIONS`, of the first layer.
    """

    def __init__(self, steps: int, units: int, outputs: int, *, activation: str = "relu") -> None:
        super().__init__()
        self._steps, self._outputs = steps, outputs
        self.uses_of_a_weight = steps
        self.first = Bias(units)
        self.of_input = nn.Linear(units // steps, 3 * outputs)
        self.of_state = nn.Linear(outputs, 3 * outputs)
        self.activation = ACTIVATIONS[activation]()

    def forward(self, h1: Tensor) -> Tensor:
        """h_L (..., q) of h1 (..., n)."""
        steps = self.activation(self.first(h1)).unflatten(-1, (self._steps, -1))  # (..., T, c)
        inputs = self.of_input(steps)  # (..., T, 3q)
        state = torch.zeros_like(inputs[..., 0, : self._outputs])  # (..., q)
        for step in range(self._steps):
            reset_x, update_x, new_x = inputs[..., step, :].chunk(3, -1)
            reset_h, update_h, new_h = self.of_state(state).chunk(3, -1)
            update = torch.sigmoid(update_x + update_h)
            new = torch.tanh(new_x + torch.sigmoid(reset_x + reset_h) * new_h)
            state = (1 - update) * new + update * state
        return state


def step_pattern(features: int, steps: Sequence[Sequence[int]], units: int) -> Tensor:
    """Which weights of the first layer are not 0.

    Args:
        features: k.
        steps: for every step the numbers of the columns that feed it; T of them.
        units: n, a multiple of T.

    Returns:
        float32 of 0 and 1, shape (k, n): a column that is named feeds its steps' units, any other all.
    """
    pattern = torch.zeros(features, len(steps), units // len(steps))
    for step, columns in enumerate(steps):
        pattern[list(columns), step] = 1.0
    pattern[pattern.sum((1, 2)) == 0] = 1.0
    return pattern.reshape(features, units)


def hold_to(optimiser: torch.optim.Optimizer, weights: Tensor, pattern: Tensor) -> None:
    """Sets the weights outside a pattern back to 0 after every update.

    Args:
        optimiser: that moves the weights.
        weights: (k, n).
        pattern: 0 and 1 of the same shape.
    """

    def put_back(*_: object) -> None:
        with torch.no_grad():
            weights.mul_(pattern)

    optimiser.register_step_post_hook(put_back)
