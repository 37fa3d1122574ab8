"""Input recovery: from what was seen of the rows to the rows themselves, by every attacker there is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from p2n2sim.attacks import blind, linear, metrics
from p2n2sim.attacks.regress import LEARNERS, Learner
from p2n2sim.attacks.result import Finding, Score

Matrix = NDArray[np.float64]
PAIRS = "leaked pairs"


@dataclass(frozen=True)
class Material:
    """What a recovery attack has, and what it is judged by.

    Attributes:
        observed: (m, n) what the adversary saw of each row.
        X: (m, k) what it wants.
        y: (m,) classes, for the floor of who knows a row's class; None if there are none.
        leaked: numbers of the rows whose X it has, too.
        scored: numbers of the rows on which it is judged; none of them is leaked.
        own: (m, l) what it has of each row by itself; None for nothing.
        theta: (k, n) if what it saw is X theta, for the bounds; else None.
        image: height and width, if a row is an image.
    """

    observed: Matrix
    X: Matrix
    leaked: NDArray[np.intp]
    scored: NDArray[np.intp]
    y: NDArray[Any] | None = None
    own: Matrix | None = None
    theta: Matrix | None = None
    image: tuple[int, int] | None = None

    @property
    def seen(self) -> Matrix:
        """What was seen, and beside it what the adversary has by itself."""
        return self.observed if self.own is None else np.hstack([self.observed, self.own])


def recover(
    material: Material,
    *,
    seed: int,
    adversary: str,
    target: str,
    learners: Mapping[str, Learner] = LEARNERS,
    on_attack: Callable[[str], object] = lambda name: None,
    on_guess: Callable[[str, Matrix], object] = lambda name, guess: None,
) -> Finding:
    """Runs every attacker and judges it on rows that were not leaked.

    Args:
        material: what there is.
        seed: of everything that is drawn.
        adversary: who attacks, for the report.
        target: what is recovered from what, for the report.
        learners: attackers that learn from leaked pairs.
        on_attack: told of every attacker before it begins.
        on_guess: given the guesses of the scored rows, (m, k), of every attacker that learns from pairs.
    """
    X, leaked, scored = material.X, material.leaked, material.scored
    truth, judge = X[scored], _Judge(material)
    scores: list[Score] = []
    best: Matrix = np.empty(0)
    for name, learn in learners.items():
        on_attack(name)
        guess = learn(material.seen[leaked], X[leaked], seed)(material.seen[scored])
        on_guess(name, guess)
        score = judge(name, PAIRS, guess)
        if not scores or score.metrics["mse"] < min(other.metrics["mse"] for other in scores):
            best = guess
        scores.append(score)
    on_attack("no pairs")
    marginals = X[leaked]
    guess = blind.by_marginals(material.observed, marginals, seed)[scored]
    scores.append(judge("independent components", "the features' distributions, no pairs", guess))
    bounds = []
    if material.theta is not None:
        guess = linear.known_theta(
            material.observed[scored], material.theta, marginals.mean(axis=0), covariance(marginals)
        )
        scores.append(judge("known theta", "theta, mean and covariance of X, no pairs", guess))
        bounds = _bounds(truth, material.theta)
    return Finding(
        kind="recovery",
        adversary=adversary,
        target=target,
        measure="mse",
        lower_is_stronger=True,
        scores=tuple(scores),
        floors=tuple(_floors(material, judge, seed)),
        bounds=tuple(bounds),
        details={"rows_leaked": len(leaked), "rows_scored": len(scored), **_by_feature(truth, best)},
    )


def covariance(X: Matrix) -> Matrix:
    """(k, k), of the rows of X."""
    centred = X - X.mean(axis=0)
    out: Matrix = centred.T @ centred / len(X)
    return out


def _by_feature(truth: Matrix, guess: Matrix) -> dict[str, Any]:
    return {"r2_by_feature": [float(value) for value in metrics.explained(truth, guess)]}


def _floors(material: Material, judge: _Judge, seed: int) -> list[Score]:
    """Guesses that do not look at what was seen."""
    X, y, leaked, scored = material.X, material.y, material.leaked, material.scored
    mean = X[leaked].mean(axis=0)
    floors = [judge("mean", "the features' means", np.tile(mean, (len(scored), 1)))]
    if y is not None:
        by_class = {label: X[leaked][y[leaked] == label].mean(axis=0) for label in np.unique(y[leaked])}
        guess = np.stack([by_class.get(label, mean) for label in y[scored]])
        floors.append(judge("class mean", "every row's true class, the classes' means", guess))
    if material.own is not None:
        guess = LEARNERS["ridge regression"](material.own[leaked], X[leaked], seed)(material.own[scored])
        floors.append(judge("own columns", f"the adversary's own columns, {PAIRS}", guess))
    return floors


def _bounds(truth: Matrix, theta: Matrix) -> list[Score]:
    return [
        Score(
            "best linear estimate",
            "everything; no affine function of h1 = X theta does better on these rows",
            {"mse": linear.best_linear_error(truth, theta)},
        ),
        Score(
            "projection on theta",
            "theta alone: h1 times its pseudoinverse",
            {"mse": linear.projection_error(truth, theta)},
        ),
    ]


class _Judge:
    """Measures a guess of the scored rows.

    Args:
        material: with the truth.
    """

    def __init__(self, material: Material) -> None:
        self._truth = material.X[material.scored]
        self._image = material.image
        self._range = float(np.ptp(material.X)) or 1.0

    def __call__(self, name: str, assumes: str, guess: Matrix) -> Score:
        """The score of a guess, (m, k)."""
        truth = self._truth
        error = metrics.mean_squared_error(truth, guess)
        variance = float(np.mean((truth - truth.mean(axis=0)) ** 2))
        values = {"mse": error, "r2": 1 - error / variance if variance else float("nan")}
        if self._image is not None:
            values["psnr_db"] = metrics.psnr(truth, guess, self._range)
            values["ssim"] = metrics.ssim(truth, guess, self._image, self._range)
        return Score(name, assumes, values)


def copies(X: NDArray[Any]) -> NDArray[np.intp]:
    """For every row the number of the first one that is equal to it, (m,).

    Where rows were drawn again, or occur twice in a file, a copy of a leaked row is no held-out target: who
    has learned it by heart would seem to have recovered it.

    Args:
        X: (m, k).
    """
    flat = np.ascontiguousarray(X).view([("", X.dtype)] * X.shape[1])[:, 0]
    _, first, group = np.unique(flat, return_index=True, return_inverse=True)
    same: NDArray[np.intp] = first[group.reshape(-1)]
    return same


def leak(
    rows: int, fraction: float, seed: int, *, most: Sequence[int] = (10_000, 10_000)
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Which rows are leaked and which are judged: drawn at random, in the order of the rows.

    Args:
        rows: how many there are.
        fraction: share of them that is leaked.
        seed: of the draw.
        most: most rows that are leaked, and judged.
    """
    order = np.random.Generator(np.random.PCG64(seed)).permutation(rows)
    count = max(1, round(fraction * rows))
    return np.sort(order[:count][: most[0]]), np.sort(order[count:][: most[1]])
