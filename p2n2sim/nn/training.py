"""What every party that holds weights needs: the loss, products, operation counts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

REDUCTIONS = ("sum", "mean")

Floats = NDArray[np.float32]


def logistic_loss(logits: Tensor, y: Tensor, *, reduction: str) -> Tensor:
    """L(y, y_hat) of Eq. 5 for a binary label, summed or averaged over the m rows.

    Args:
        logits: (m,).
        y: (m,), 0.0 or 1.0.
        reduction: one of `REDUCTIONS`.
    """
    return functional.binary_cross_entropy_with_logits(logits, y, reduction=reduction)


def label_loss(logits: Tensor, y: Tensor, *, reduction: str) -> Tensor:
    """L(y, y_hat) of Eq. 5: by the logistic function for two classes, by softmax for more; 0 without rows.

    Eq. 2 leaves the last function, delta, to the prediction task.

    Args:
        logits: (m,), or (m, c) for c classes.
        y: (m,), 0.0 to c - 1.
        reduction: one of `REDUCTIONS`.
    """
    if not len(y):
        reduction = "sum"  # the mean of nothing is no number
    if logits.ndim == 1:
        return logistic_loss(logits, y, reduction=reduction)
    return functional.cross_entropy(logits, y.long(), reduction=reduction)


def product(a: Floats, b: Floats) -> Floats:
    """a (m, k) times b (k, n) in float32, without warnings: training that diverges shows in its loss."""
    with np.errstate(over="ignore", invalid="ignore"):
        c: Floats = np.dot(a, b)  # the same numbers as a @ b, a little sooner
    return c


def squared_norms(rows: Floats) -> Floats:
    """The squared Euclidean norm of every row of (m, n), (m,); without warnings, as above."""
    with np.errstate(over="ignore", invalid="ignore"):
        return (rows * rows) @ np.ones(rows.shape[1], np.float32)  # faster than a sum along rows


def forward_flops(module: nn.Module, rows: int) -> int:
    """Multiply and add for every weight and row: the count for stacks of linear layers.

    A module that uses its weights several times in a row says so in its attribute ``uses_of_a_weight``.
    """
    uses: int = getattr(module, "uses_of_a_weight", 1)
    return 2 * rows * uses * sum(parameter.numel() for parameter in module.parameters())
