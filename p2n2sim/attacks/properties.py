"""Property inference: does what was seen of a row tell whether another column of it is large?

SPNN (Zhou et al., arXiv 2012.09364) asks whether the hidden layer reveals if a transaction's amount is above
the median. The attackers are those of input recovery, trained on leaked pairs of what was seen and the
property as -1 and 1, and logistic regression.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from p2n2sim.attacks import metrics
from p2n2sim.attacks.labels import classify
from p2n2sim.attacks.regress import LEARNERS, Learner
from p2n2sim.attacks.result import Finding, Score

Matrix = NDArray[np.float64]
PAIRS = "leaked pairs"


def above_median(values: Matrix) -> NDArray[np.int64]:
    """Whether each value is above the median, or, of a column with two values, is the larger one.

    Args:
        values: (m,).

    Returns:
        (m,) 0 and 1.
    """
    distinct = np.unique(values)
    threshold = distinct[0] if len(distinct) <= 2 else np.median(values)
    return (values > threshold).astype(np.int64)


def infer_property(
    observed: Matrix,
    prop: NDArray[np.int64],
    leaked: NDArray[np.intp],
    scored: NDArray[np.intp],
    *,
    seed: int,
    adversary: str,
    target: str,
    own: Matrix | None = None,
    learners: Mapping[str, Learner] = LEARNERS,
    on_attack: Callable[[str], object] = lambda name: None,
) -> Finding:
    """Runs every attacker and judges it on rows that were not leaked.

    Args:
        observed: (m, n) what the adversary saw of each row.
        prop: (m,) whether a row has the property, 0 or 1.
        leaked: numbers of the rows whose property is known.
        scored: numbers of the rows on which it is judged.
        seed: of everything that is drawn.
        adversary: who attacks, for the report.
        target: what is inferred from what, for the report.
        own: (m, l) what the adversary has of each row by itself.
        learners: attackers that learn from leaked pairs.
        on_attack: told of every attacker before it begins.
    """
    seen = observed if own is None else np.hstack([observed, own])
    wanted: Matrix = (2.0 * prop.astype(np.float64) - 1.0)[:, None]

    def judge(name: str, scores: Matrix, threshold: float = 0.0) -> Score:
        guess, truth = (scores[scored] > threshold).astype(np.int64), prop[scored]
        return Score(
            name,
            PAIRS,
            {
                "auc": metrics.auc(truth, scores[scored]),
                "accuracy": float(np.mean(guess == truth)),
                "balanced_accuracy": metrics.balanced_accuracy(truth, guess),
            },
        )

    scores = []
    for name, learn in learners.items():
        on_attack(name)
        scores.append(judge(name, learn(seen[leaked], wanted[leaked], seed)(seen)[:, 0]))
    on_attack("logistic regression")
    scores.append(judge("logistic regression", classify(seen, leaked, prop)))
    share = float(prop[scored].mean())
    commonest = {"auc": 0.5, "accuracy": max(share, 1 - share), "balanced_accuracy": 0.5}
    floors = [Score("commonest value", "how often it occurs", commonest)]
    if own is not None:
        floors.append(judge("own columns alone", classify(own, leaked, prop)))
    return Finding(
        kind="properties",
        adversary=adversary,
        target=target,
        measure="auc",
        lower_is_stronger=False,
        scores=tuple(scores),
        floors=tuple(floors),
        details={"rows_leaked": len(leaked), "rows_scored": len(scored), "share": share},
    )
