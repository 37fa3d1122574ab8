"""How well predicted probabilities hold: the Brier score and the expected calibration error."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

BINS = 10


def brier(y: NDArray[np.float32], logits: NDArray[np.float32]) -> float:
    """Mean squared distance of the predicted probability from the label (Brier, 1950, for two classes).

    Args:
        y: 0 and 1, (m,).
        logits: (m,).
    """
    return float(np.mean(np.square(expit(logits.astype(np.float64)) - y)))


def calibration_error(y: NDArray[np.float32], logits: NDArray[np.float32], *, bins: int = BINS) -> float:
    """Expected calibration error of the probability of class 1, over bins of equally many rows.

    The mean over the rows of the distance between a bin's mean prediction and its share of class 1 (Naeini,
    Cooper & Hauskrecht, 2015). Equally many rows, because predictions of rare events crowd near 0.

    Args:
        y: 0 and 1, (m,).
        logits: (m,).
        bins: how many.
    """
    p = expit(logits.astype(np.float64))
    order = np.argsort(p, kind="stable")
    parts = [part for part in np.array_split(order, bins) if len(part)]
    return float(sum(abs(p[part].sum() - y[part].sum()) for part in parts) / len(p))
