"""What the label's owner knows after a pass over the training or the test rows."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from p2n2sim.messages import Floats
from p2n2sim.parties.schedule import Stage


@dataclass(frozen=True, slots=True)
class Pass:
    """What the label's owner knows after one pass over the training or the test rows.

    Attributes:
        epoch: from 1.
        stage: ``train`` or ``predict``.
        losses: (batches,) cross-entropy averaged over the rows of each batch, before its update; NaN for a
            batch without rows.
        rows: (batches,) rows of each batch.
        logits: (rows,), or (rows, c) for c classes, of the test rows in their order; empty after training.
    """

    epoch: int
    stage: Stage
    losses: NDArray[np.float64]
    rows: NDArray[np.int64]
    logits: Floats

    @property
    def loss(self) -> float:
        """Cross-entropy averaged over all rows of the pass; NaN if there are none."""
        some = self.rows > 0
        if not some.any():
            return math.nan
        return float(np.average(self.losses[some], weights=self.rows[some]))
