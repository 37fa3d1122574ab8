"""What the P2N2 paper reports, and how near a number must come to it.

Zheng et al., "Industrial Scale Privacy Preserving Deep Neural Network".
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, kw_only=True)
class Reported:
    """What the paper says of one data set.

    Attributes:
        title: what it is called here.
        auc_plain: Table 1, "NN".
        auc: Table 1, "P2N2".
        seconds_plain: Table 2, "NN".
        seconds: Table 2, "P2N2".
        rows: of the data.
        positives: of class 1 among them.
        test_fraction: share of the rows that the paper tests on.
    """

    title: str
    auc_plain: float
    auc: float
    seconds_plain: float
    seconds: float
    rows: int
    positives: int
    test_fraction: float

    @property
    def ratio(self) -> float:
        """How many times longer P2N2 took than the plain network."""
        return self.seconds / self.seconds_plain


PAPER: Final[Mapping[str, Reported]] = {
    "fraud": Reported(
        title="Fraud detection",
        auc_plain=0.9270,
        auc=0.9231,
        seconds_plain=21.52,
        seconds=1478.32,
        rows=284_807,
        positives=492,
        test_fraction=0.2,
    ),
    "distress": Reported(
        title="Financial distress",
        auc_plain=0.9379,
        auc=0.9314,
        seconds_plain=5.07,
        seconds=1196.67,
        rows=3_672,
        positives=136,
        test_fraction=0.3,
    ),
}

GUESSED_EPOCHS = 100
"""Behind Table 2: a guess that a figure of the follow-up (SPNN, arXiv 2012.09364) supports; nowhere "
"stated."""


def standard_error(auc: float, positives: int, negatives: int) -> float:
    """Standard error of an AUC on one test set: Hanley and McNeil (1982), equation 1.

    Args:
        auc: the AUC.
        positives: test rows of class 1.
        negatives: test rows of class 0.
    """
    q1, q2 = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    variance = auc * (1 - auc) + (positives - 1) * (q1 - auc**2) + (negatives - 1) * (q2 - auc**2)
    return math.sqrt(variance / (positives * negatives))


def tolerance(reported: Reported) -> float:
    """How far an AUC may be from the paper's: the standard error of the paper's own on one of its test "
    "sets."""
    positives = round(reported.positives * reported.test_fraction)
    negatives = round(reported.rows * reported.test_fraction) - positives
    return standard_error(reported.auc, positives, negatives)
