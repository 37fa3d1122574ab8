"""Membership inference: was a row trained on? By whoever may query the trained network.

- Loss threshold: Yeom, Giacomelli, Fredrikson, Jha: Privacy Risk in Machine Learning, 2018.
- Shadow models: Shokri, Stronati, Song, Shmatikov: Membership Inference Attacks Against Machine Learning
  Models, 2017; here with a logistic regression for each class as the attack model.
- LiRA: Carlini, Chien, Nasr, Song, Terzis, Tramèr: Membership Inference Attacks From First Principles, 2022;
  online and offline, with one variance for all rows, as they advise for few shadow models.

Shadow models are trained on random halves of the rows, so each row is in about half of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm
from sklearn.linear_model import LogisticRegression

from p2n2sim.attacks import metrics
from p2n2sim.attacks.result import Finding, Score

Matrix = NDArray[np.float64]
Train = Callable[[NDArray[np.intp], int], Matrix]
"""Rows to train on, and which shadow model it is -> the logits of all rows, (N,) or (N, classes)."""


@dataclass(frozen=True)
class Shadows:
    """What models trained by the adversary say of all rows.

    Attributes:
        logits: (models, N) or (models, N, classes).
        inside: (models, N) whether a model was trained on a row.
    """

    logits: Matrix
    inside: NDArray[np.bool_]


def train_shadows(
    same: NDArray[np.intp],
    count: int,
    train: Train,
    seed: int,
    *,
    on_model: Callable[[int], object] = lambda number: None,
) -> Shadows:
    """Trains models on random halves of the rows; two at a time share nothing and together have all of them.

    Args:
        same: (N,) for every row which row it is a copy of, itself for most; copies stay together.
        count: how many models, at least 2.
        train: trains one.
        seed: of the halves.
        on_model: told of every model before it is trained.

    Raises:
        ValueError: fewer than two models.
    """
    if count < 2:
        raise ValueError(f"at least two shadow models are needed, not {count}")
    distinct = np.unique(same)
    inside = np.zeros((count, len(same)), dtype=np.bool_)
    for number in range(0, count, 2):
        order = np.random.Generator(np.random.PCG64([seed, number])).permutation(distinct)
        inside[number] = np.isin(same, order[: len(distinct) // 2])
        if number + 1 < count:
            inside[number + 1] = ~inside[number]
    logits = []
    for number in range(count):
        on_model(number)
        logits.append(train(np.flatnonzero(inside[number]), number))
    return Shadows(np.stack(logits), inside)


def confidence(logits: Matrix, y: NDArray[np.int64]) -> Matrix:
    """log(p / (1 - p)) of the probability p of a row's true class, from logits without rounding p.

    Carlini and others 2022, section IV.C: nearly Gaussian over models.

    Args:
        logits: (..., N) or (..., N, classes).
        y: (N,).

    Returns:
        (..., N).
    """
    if logits.shape[-1] == len(y) and (logits.ndim < 2 or logits.shape[-2] != len(y)):
        return np.where(y == 1, logits, -logits)
    index = np.broadcast_to(y[:, None], (*logits.shape[:-1], 1))
    own = np.take_along_axis(logits, index, axis=-1)[..., 0]
    others = np.where(np.arange(logits.shape[-1]) == y[:, None], -np.inf, logits)
    top = others.max(axis=-1)
    spread: Matrix = own - top - np.log(np.exp(others - top[..., None]).sum(axis=-1))
    return spread


def losses(logits: Matrix, y: NDArray[np.int64]) -> Matrix:
    """Cross-entropy of each row, (..., N), from its confidence: log(1 + exp(-confidence))."""
    return np.logaddexp(0.0, -confidence(logits, y))


def by_loss(target: Matrix) -> Matrix:
    """Scores of Yeom's attack, (N,): what the loss is below the mean of the training rows' is added after."""
    return -target


def by_shadow_models(target: Matrix, shadows: Shadows, y: NDArray[np.int64]) -> Matrix:
    """Scores of Shokri's attack, (N,): log-odds of membership by an attack model for each class.

    An attack model sees the sorted log-probabilities of a shadow model and the loss of the true class.

    Args:
        target: (N,) or (N, classes) logits of the attacked network.
        shadows: the adversary's models.
        y: (N,).
    """
    scores = np.zeros(len(y))
    for label in np.unique(y):
        rows = y == label
        seen = np.concatenate([_outputs(model, y)[rows] for model in shadows.logits])
        member = np.concatenate([inside[rows] for inside in shadows.inside])
        if member.all() or not member.any():
            continue
        mean, deviation = seen.mean(axis=0), seen.std(axis=0)
        scale = np.where(deviation > 0, deviation, 1.0)
        model = LogisticRegression(max_iter=500).fit((seen - mean) / scale, member)
        scores[rows] = model.decision_function((_outputs(target, y)[rows] - mean) / scale)
    return scores


def _outputs(logits: Matrix, y: NDArray[np.int64]) -> Matrix:
    """What an attack model sees of each row: the largest log-probabilities, the loss, and its square root."""
    wide = logits if logits.ndim == 2 else np.stack([np.zeros_like(logits), logits], axis=1)
    shifted = wide - wide.max(axis=1, keepdims=True)
    log_p = np.sort(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)), axis=1)[:, ::-1][:, :3]
    loss = losses(logits, y)
    return np.column_stack([np.maximum(log_p, -30.0), loss, np.sqrt(loss)])


def lira(target: Matrix, shadows: Shadows, y: NDArray[np.int64], *, online: bool) -> Matrix:
    """Scores of the likelihood ratio attack, (N,).

    Online, the log-likelihood of the row's confidence under models that were trained on it, less that under
    models that were not; offline, how far it is above the latter, in standard deviations.

    Args:
        target: (N,) or (N, classes) logits of the attacked network.
        shadows: the adversary's models.
        y: (N,).
        online: whether the adversary may train models on the row itself.
    """
    seen, own, inside = confidence(shadows.logits, y), confidence(target, y), shadows.inside
    mean_in, mean_out = _mean(seen, inside), _mean(seen, ~inside)
    sigma_out = _deviation(seen, ~inside, mean_out)
    if not online:
        away: Matrix = (own - mean_out) / sigma_out
        return away
    sigma_in = _deviation(seen, inside, mean_in)
    ratio: Matrix = norm.logpdf(own, mean_in, sigma_in) - norm.logpdf(own, mean_out, sigma_out)
    return ratio


def _mean(seen: Matrix, which: NDArray[np.bool_]) -> Matrix:
    """The mean of each row over some of the models; of all rows where there is none."""
    count = which.sum(axis=0)
    mean = (seen * which).sum(axis=0) / np.maximum(count, 1)
    return np.where(count > 0, mean, float((seen * which).sum() / max(1, which.sum())))


def _deviation(seen: Matrix, which: NDArray[np.bool_], mean: Matrix) -> float:
    """One standard deviation for all rows, of the models around each row's mean."""
    total, spent = int(which.sum()), int(np.count_nonzero(which.sum(axis=0) > 0))
    squares = float(np.sum(which * (seen - mean) ** 2))
    return max(1e-6, math.sqrt(squares / max(1, total - spent)))


def attack_membership(
    target: Matrix,
    shadows: Shadows | None,
    y: NDArray[Any],
    member: NDArray[np.bool_],
    *,
    adversary: str,
    description: str,
) -> Finding:
    """Runs every attacker on all rows.

    Args:
        target: (N,) or (N, classes) logits of the attacked network.
        shadows: the adversary's models; without any, only the loss is looked at.
        y: (N,) classes.
        member: (N,) who was trained on.
        adversary: who attacks, for the report.
        description: what is attacked, for the report.
    """
    labels = y.astype(np.int64)
    loss = losses(target, labels)
    queries = "queries, the mean training loss"
    scores = [_judged("loss threshold", queries, by_loss(loss) + float(loss[member].mean()), member)]
    if shadows is not None:
        some = f"queries, {len(shadows.logits)} shadow models on rows of the same kind"
        scores += [
            _judged("shadow models", some, by_shadow_models(target, shadows, labels), member),
            _judged("LiRA, offline", some, lira(target, shadows, labels, online=False), member),
            _judged(
                "LiRA, online", f"{some}, the rows in question among them",
                lira(target, shadows, labels, online=True), member,
            ),
        ]  # fmt: skip
    outsiders = int(np.count_nonzero(~member))
    rarest = max(scores, key=lambda score: score.metrics["tpr_at_0.1%_fpr"])
    found = f"{rarest.metrics['tpr_at_0.1%_fpr']:.2%} of the members are found at 0.1 % false alarms"
    strict = f"by {rarest.attack}, the strongest there, {found}"
    notes = (
        (strict,)
        if outsiders >= 1000
        else (
            strict,
            f"{outsiders} rows that were not trained on do not resolve 0.1 %: the rate is that at none",
        )
    )
    return Finding(
        kind="membership",
        adversary=adversary,
        target=description,
        measure="auc",
        lower_is_stronger=False,
        scores=tuple(scores),
        floors=(
            Score("guessing", "nothing", {"auc": 0.5, "tpr_at_0.1%_fpr": 0.001, "balanced_accuracy": 0.5}),
        ),
        notes=notes,
        details={"members": int(member.sum()), "non_members": outsiders},
    )


def _judged(name: str, assumes: str, scores: Matrix, member: NDArray[np.bool_]) -> Score:
    rate = metrics.rate_at(scores[member], scores[~member])
    guess = (scores > 0).astype(np.int64)
    return Score(
        name,
        assumes,
        {
            "auc": metrics.auc(member.astype(np.int64), scores),
            "tpr_at_0.1%_fpr": rate.rate,
            "tpr_low": rate.low,
            "tpr_high": rate.high,
            "balanced_accuracy": metrics.balanced_accuracy(member.astype(np.int64), guess),
        },
    )
