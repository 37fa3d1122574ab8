"""Label inference: from gradients that somebody was sent, or from what a party has of the model.

Li, Sun, Yang, Gao, Zhang, Xie, Wang: Label Leakage and Protection in Two-party Split Learning, 2021 (norm
and direction of the gradient of a row); Fu, Zhang, Ji, Chen, Wu, Guo, Zhou, Liu, Wang: Label Inference
Attacks Against Vertical Federated Learning, 2022 (completing one's own part of the model).

With one logit z the gradient of a row is (sigmoid(z) - y) times a vector that all rows of a batch have
nearly in common, or, before nonlinear layers, times vectors on one side of a plane: its direction tells the
label up to one global sign. With many classes the rows of a class point in similar directions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression

from p2n2sim.attacks import metrics
from p2n2sim.attacks.regress import whitening
from p2n2sim.attacks.result import Finding, Score

Matrix = NDArray[np.float64]
LEAKED = "leaked labels"
_CLUSTER_ROWS = 10_000


@dataclass(frozen=True)
class LabelMaterial:
    """What a label attack has, and what it is judged by.

    Attributes:
        gradients: what it is -> (m, n) gradients of the loss, a row for each row.
        features: what it is -> (m, n) outputs of the adversary's part of the model, or its own columns.
        y: (m,) classes, from 0.
        leaked: numbers of the rows whose labels are known.
        scored: numbers of the rows on which it is judged.
        floor: (m, l) columns that the adversary has anyway; None for nothing.
    """

    gradients: Mapping[str, Matrix]
    features: Mapping[str, Matrix]
    y: NDArray[np.int64]
    leaked: NDArray[np.intp]
    scored: NDArray[np.intp]
    floor: Matrix | None = None

    @property
    def classes(self) -> int:
        """How many classes there are."""
        return int(self.y.max()) + 1


def infer(
    material: LabelMaterial,
    *,
    seed: int,
    adversary: str,
    target: str,
    on_attack: Callable[[str], object] = lambda name: None,
) -> Finding:
    """Runs every attacker that the material allows and judges it on rows whose labels were not leaked.

    Args:
        material: what there is.
        seed: of everything that is drawn.
        adversary: who attacks, for the report.
        target: what is inferred from what, for the report.
        on_attack: told of every attacker before it begins.
    """
    judge, scores = _Judge(material), list[Score]()
    leaked, y = material.leaked, material.y
    for what, G in material.gradients.items():
        on_attack(f"gradients {what}")
        units = unit_rows(G)
        if material.classes == 2:
            scores.append(judge(f"direction of {what}", _ORIENTED, common_direction(units)))
            scores.append(judge(f"norm of {what}", _ORIENTED, np.linalg.norm(G, axis=1)))
            scores.append(judge(f"cosine to leaked of {what}", LEAKED, cosine_to(units, leaked, y)))
        else:
            scores.append(
                judge(f"clusters of {what}", f"{LEAKED} to name them", _clusters(units, material, seed))
            )
        scores.append(judge(f"classifier on {what}", LEAKED, classify(units, leaked, y)))
    for what, H in material.features.items():
        on_attack(f"model completion {what}")
        scores.append(judge(f"model completion on {what}", LEAKED, classify(H, leaked, y)))
    floors = [judge.always_the_commonest()]
    if material.floor is not None:
        guess = classify(material.floor, leaked, y)
        floors.append(judge("own columns alone", LEAKED, guess))
    return Finding(
        kind="labels",
        adversary=adversary,
        target=target,
        measure="auc",
        lower_is_stronger=False,
        scores=tuple(scores),
        floors=tuple(floors),
        details={"rows_leaked": len(leaked), "rows_scored": len(material.scored)},
    )


_ORIENTED = "the sign from leaked labels, or else from the rarer class being 1"


def unit_rows(G: Matrix) -> Matrix:
    """Rows scaled to length 1; zeros stay."""
    lengths = np.linalg.norm(G, axis=1, keepdims=True)
    units: Matrix = np.divide(G, lengths, out=np.zeros_like(G), where=lengths > 0)
    return units


def common_direction(units: Matrix) -> Matrix:
    """The cosine of each row with the direction that the rows have most in common, up to its sign.

    Args:
        units: (m, n) rows of length 1.

    Returns:
        (m,): the sign divides the rows in two, without any label.
    """
    _, vectors = np.linalg.eigh(units.T @ units)
    cosines: Matrix = units @ vectors[:, -1]
    return cosines


def cosine_to(units: Matrix, leaked: NDArray[np.intp], y: NDArray[np.int64]) -> Matrix:
    """The cosine of each row with the mean of the leaked rows of class 1, less that with the others'.

    Li and others 2021: the direction attack knows one positive row; here all leaked ones.
    """
    out = np.zeros(len(units))
    for label, sign in ((1, 1.0), (0, -1.0)):
        known = units[leaked[y[leaked] == label]]
        if len(known):
            out += sign * units @ unit_rows(known.mean(axis=0, keepdims=True))[0]
    return out


def classify(H: Matrix, leaked: NDArray[np.intp], y: NDArray[np.int64]) -> Matrix:
    """A head trained on the leaked rows: logistic regression on whitened columns.

    Returns:
        (m,) scores of class 1, or (m, classes); zeros where fewer than two classes were leaked.
    """
    classes = int(y.max()) + 1
    known = np.unique(y[leaked])
    if len(known) < 2:
        return np.zeros(len(H)) if classes == 2 else np.zeros((len(H), classes))
    white = whitening(H[leaked])
    head = LogisticRegression(max_iter=500).fit(white(H[leaked]), y[leaked])
    found: Matrix = head.decision_function(white(H))
    if classes == 2:
        return found
    scores = np.full((len(H), classes), -1e9)
    scores[:, known] = found.reshape(len(H), -1) if len(known) > 2 else np.stack([-found, found], axis=1)
    return scores


def _clusters(units: Matrix, material: LabelMaterial, seed: int) -> Matrix:
    """As many clusters of directions as classes, each named after a class by the leaked rows in it."""
    classes, leaked = material.classes, material.leaked
    fitted = KMeans(classes, n_init=4, random_state=seed).fit(units[:_CLUSTER_ROWS])
    cluster = fitted.predict(units)
    table = np.zeros((classes, classes))
    np.add.at(table, (cluster[leaked], material.y[leaked]), 1.0)
    _, named = linear_sum_assignment(-table)
    scores = np.zeros((len(units), classes))
    scores[:, named] = -fitted.transform(units)
    return scores


class _Judge:
    """Measures scores of all rows on the scored ones.

    Args:
        material: with the labels.
    """

    def __init__(self, material: LabelMaterial) -> None:
        self._material = material

    def __call__(self, name: str, assumes: str, scores: Matrix) -> Score:
        """Area under the curve and accuracy; of two classes the sign and threshold come from what is leaked.

        Args:
            name: of the attacker.
            assumes: what it needs.
            scores: (m,) or (m, classes).
        """
        m = self._material
        if scores.ndim == 2:
            guess = scores.argmax(axis=1)
        else:
            scores = scores * self._sign(scores)
            guess = (scores > self._threshold(scores)).astype(np.int64)
        truth = m.y[m.scored]
        return Score(
            name,
            assumes,
            {
                "auc": metrics.auc(truth, scores[m.scored]),
                "accuracy": float(np.mean(guess[m.scored] == truth)),
                "balanced_accuracy": metrics.balanced_accuracy(truth, guess[m.scored]),
            },
        )

    def _sign(self, scores: Matrix) -> float:
        """Which end is class 1: by the leaked labels; if these are of one class, the rarer end."""
        m = self._material
        by_leaked = metrics.auc(m.y[m.leaked], scores[m.leaked])
        if not np.isnan(by_leaked):
            return 1.0 if by_leaked >= 0.5 else -1.0
        return 1.0 if np.mean(scores > 0) <= 0.5 else -1.0

    def _threshold(self, scores: Matrix) -> float:
        """Above it a row counts as class 1: the best one for the leaked labels' balanced accuracy."""
        m = self._material
        known, y = scores[m.leaked], m.y[m.leaked]
        if not 0 < y.sum() < len(y):
            return 0.0
        order = np.argsort(known, kind="stable")
        below = np.cumsum(y[order] == 0) / np.count_nonzero(y == 0)
        missed = np.cumsum(y[order] == 1) / np.count_nonzero(y == 1)
        best = int(np.argmax(below - missed))
        following = known[order[min(best + 1, len(known) - 1)]]
        return float((known[order[best]] + following) / 2)

    def always_the_commonest(self) -> Score:
        """What nobody needs a view for."""
        m = self._material
        values, counts = np.unique(m.y[m.scored], return_counts=True)
        return Score(
            "commonest class",
            "how often each class occurs",
            {
                "auc": 0.5,
                "accuracy": float(counts.max() / counts.sum()),
                "balanced_accuracy": 1 / len(values),
            },
        )


def as_labels(y: NDArray[Any]) -> NDArray[np.int64]:
    """Labels as they are stored, 0.0, 1.0, ..., as whole numbers."""
    return y.astype(np.int64)
