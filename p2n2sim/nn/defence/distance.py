"""d of Eq. 3 to 5: the mean squared error between a holder's features and what a decoder makes of h1.

With a bound b, phi(d) = b d / (b + d) stands in its place wherever d occurs. It begins like d, grows with d
and stays below b, so a decoder that maximises it gains less and less: phi'(d) = (b / (b + d))^2. It is
applied to the mean over the batch and not row by row, so that whatever minimises d minimises phi(d), too.

Source: the mean squared error is that of the paper's experiments ("Effect of Defender"); the bound is ours,
    for
Eq. 3 as printed has no maximum without one.
"""

from __future__ import annotations

from typing import TypeVar

import torch
from torch.nn import functional

Number = TypeVar("Number", float, torch.Tensor)


def distance(recovered: torch.Tensor, X: torch.Tensor) -> torch.Tensor:
    """d: the squared error averaged over the m rows and k_i columns, a scalar."""
    return functional.mse_loss(recovered, X)


def bounded(d: Number, bound: float | None) -> Number:
    """phi(d), or d itself without a bound."""
    return d if bound is None else d * bound / (bound + d)


def slope(d: float, bound: float | None) -> float:
    """phi'(d)."""
    return 1.0 if bound is None else (bound / (bound + d)) ** 2
