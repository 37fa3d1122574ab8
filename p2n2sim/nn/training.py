"""What every party that holds weights needs: the optimiser, the loss, operation counts."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

REDUCTIONS = ("sum", "mean")

Floats = NDArray[np.float32]


def sgd(parameters: Iterable[Tensor], *, learning_rate: float, momentum: float) -> torch.optim.SGD:
    """Gradient descent as in the paper's experiments, with optional momentum."""
    return torch.optim.SGD(parameters, lr=learning_rate, momentum=momentum)


def logistic_loss(logits: Tensor, y: Tensor, *, reduction: str) -> Tensor:
    """L(y, y_hat) of Eq. 5 for a binary label, summed or averaged over the m rows.

    Args:
        logits: (m,).
        y: (m,), 0.0 or 1.0.
        reduction: one of `REDUCTIONS`.
    """
    return functional.binary_cross_entropy_with_logits(logits, y, reduction=reduction)


def product(a: Floats, b: Floats) -> Floats:
    """a (m, k) times b (k, n) in float32, without warnings: training that diverges shows in its loss."""
    with np.errstate(over="ignore", invalid="ignore"):
        return a @ b


def forward_flops(module: nn.Module, rows: int) -> int:
    """Multiply and add for every weight and row: the count for stacks of linear layers."""
    return 2 * rows * sum(parameter.numel() for parameter in module.parameters())
