"""What a holder may add to the loss in order that h1 says less about its features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

Floats = NDArray[np.float32]


class Flops(NamedTuple):
    """Floating-point operations for one batch.

    Attributes:
        gradient: of `Penalty.gradient`.
        update: of `Penalty.update`, 0 where it does nothing.
    """

    gradient: int
    update: int = 0


class Penalty(Protocol):
    """A term D_i(X_i, h1) that is added to the loss, at the holder of X_i.

    Attributes:
        name: what it measures, for a summary.
        measured: that, on the batch of the last `gradient`.
    """

    name: str
    measured: float

    def gradient(self, X: Floats, h1: Floats) -> Floats:
        """dD_i/dh1, (m, n), from X_i (m, k_i) and h1 (m, n), all float32."""

    def update(self, X: Floats, h1: Floats) -> None:
        """What the holder learns from the batch after that."""

    def flops(self, rows: int) -> Flops:
        """For a batch of m rows."""

    def kept(self) -> dict[str, torch.Tensor]:
        """Copies of all that decides how it goes on, by name."""

    def restore(self, kept: Mapping[str, torch.Tensor]) -> None:
        """Goes on from what was kept."""


def over_rows(reduction: str, rows: int) -> int:
    """R: by how much a term that is a mean over the rows counts beside the loss.

    The loss of a batch is the sum of its m rows' losses or their mean (``train.loss_reduction``). With R = m
    for the sum and 1 for the mean, either is the same multiple of mean loss plus mean penalty, so that a
    weight means the same under both.

    Args:
        reduction: ``sum`` or ``mean``.
        rows: m.
    """
    return rows if reduction == "sum" else 1
