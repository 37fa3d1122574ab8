"""Lower bounds on epsilon from what an adversary really saw: an audit of the claimed upper bound.

Canaries are rows about each of which a secret fair coin decided which of two values it has. Whoever
guesses the coins better than differential privacy allows disproves the claim, up to a chosen confidence.

Many runs, one canary each: true and false positives, each with its Clopper-Pearson bound (Nasr, Song,
Thakurta, Papernot & Carlini 2021). One run, many canaries: Steinke, Nasr & Jagielski 2023, "Privacy auditing
with one (1) training run"; guesses may be withheld.

A bound below the claim proves nothing; only one above it does. So an audit finds mistakes, and no more.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta, binom
from sklearn.linear_model import LogisticRegression

from p2n2sim.privacy.draws import Reals

Bits = NDArray[np.bool_]
MOST = 64.0
"""Epsilons are looked for up to here."""
SHARES = (1.0, 0.5, 0.25, 0.1)
"""Which part of the canaries is guessed, the surest ones; all are tried and the confidence is split."""


@dataclass(frozen=True, slots=True)
class Audit:
    """What an audit found.

    Attributes:
        lower: epsilon is at least this, with the confidence that was asked for.
        guesses: how many canaries were guessed.
        correct: how many of these rightly.
    """

    lower: float
    guesses: int
    correct: int


def clopper_pearson(successes: int, trials: int, *, confidence: float = 0.95) -> tuple[float, float]:
    """Two one-sided bounds on a probability, each right with the confidence.

    Args:
        successes: of the trials.
        trials: independent ones, at least one.
        confidence: of either bound alone.
    """
    if not 0 <= successes <= trials or trials < 1:
        raise ValueError(f"{successes} of {trials} trials cannot have succeeded")
    miss = 1 - confidence
    low = float(beta.ppf(miss, successes, trials - successes + 1)) if successes else 0.0
    high = float(beta.ppf(1 - miss, successes + 1, trials - successes)) if successes < trials else 1.0
    return low, high


def from_rates(
    true_positives: int,
    positives: int,
    false_positives: int,
    negatives: int,
    *,
    delta: float,
    confidence: float = 0.95,
) -> float:
    """Lower bound on epsilon from many runs with and without a canary.

    Any test has TPR <= e^epsilon FPR + delta, and the same of its complement (Kairouz, Oh & Viswanath 2015).

    Args:
        true_positives: runs with the canary in which it was found.
        positives: runs with the canary.
        false_positives: runs without it in which it was found all the same.
        negatives: runs without it.
        delta: of the claim.
        confidence: of the result; each of the two rates gets half of what may go wrong.
    """
    each = 1 - (1 - confidence) / 2
    tpr = clopper_pearson(true_positives, positives, confidence=each)
    fpr = clopper_pearson(false_positives, negatives, confidence=each)
    pairs = ((tpr[0], fpr[1]), (1 - fpr[1], 1 - tpr[0]))
    return max([0.0, *(math.log((a - delta) / b) for a, b in pairs if a > delta and b > 0)])


def p_value(*, canaries: int, guesses: int, correct: int, epsilon: float, delta: float) -> float:
    """Largest probability with which an (epsilon, delta)-private run allows so many right guesses.

    Args:
        canaries: m, those whose coins were unknown, guessed or not.
        guesses: r of them.
        correct: v of these, at least so many.
        epsilon: of the claim.
        delta: of the claim.
    """
    q = 1 / (1 + math.exp(-epsilon))
    likely = float(binom.sf(correct - 1, guesses, q))
    if not delta or not correct:
        return min(1.0, likely)
    i = np.arange(1, correct + 1)
    worst = float(np.max(np.cumsum(binom.pmf(correct - i, guesses, q)) / i))
    return min(1.0, likely + 2 * canaries * delta * worst)


def one_run(*, canaries: int, guesses: int, correct: int, delta: float, confidence: float = 0.95) -> float:
    """The largest epsilon that so many right guesses disprove; 0 if they disprove none.

    Arguments as of `p_value`.
    """
    if not 0 <= correct <= guesses <= canaries:
        raise ValueError(f"{correct} right of {guesses} guesses on {canaries} canaries is not possible")
    miss = 1 - confidence

    def disproved(epsilon: float) -> bool:
        told = p_value(canaries=canaries, guesses=guesses, correct=correct, epsilon=epsilon, delta=delta)
        return told < miss

    if not guesses or not disproved(0.0):
        return 0.0
    low, high = 0.0, MOST
    while high - low > 1e-4:
        middle = (low + high) / 2
        low, high = (middle, high) if disproved(middle) else (low, middle)
    return low


def by_scores(scores: Reals, coins: Bits, *, delta: float, confidence: float = 0.95) -> Audit:
    """The best bound of an adversary that guesses heads where its score is positive.

    Args:
        scores: (m,) of each canary; the further from 0, the surer.
        coins: (m,) what they really showed.
        delta: of the claim.
        confidence: of the result.
    """
    m = len(scores)
    surest = np.argsort(-np.abs(scores), kind="stable")
    right = (scores > 0) == coins
    each = 1 - (1 - confidence) / len(SHARES)
    found = []
    for share in SHARES:
        guesses = max(1, round(share * m))
        correct = int(np.count_nonzero(right[surest[:guesses]]))
        lower = one_run(canaries=m, guesses=guesses, correct=correct, delta=delta, confidence=each)
        found.append(Audit(lower, guesses, correct))
    return max(found, key=lambda audit: audit.lower)


def by_view(seen: Reals, coins: Bits, *, delta: float, confidence: float = 0.95, known: float = 0.5) -> Audit:
    """The bound of an adversary that knows some canaries' coins and learns from these to guess the rest.

    Coins are independent, so that knowing some is no help but by what the protocol gave away.

    Args:
        seen: (m, numbers) what the adversary saw of each canary.
        coins: (m,) what they really showed.
        delta: of the claim.
        confidence: of the result.
        known: share of the canaries, the first ones, whose coins it knows.
    """
    first = int(known * len(coins))
    if first < 2 or len(set(coins[:first].tolist())) < 2 or first == len(coins):
        return Audit(0.0, 0, 0)
    mean, deviation = seen[:first].mean(axis=0), seen[:first].std(axis=0)
    scaled = (seen - mean) / np.where(deviation > 0, deviation, 1.0)
    model = LogisticRegression(max_iter=1000).fit(scaled[:first], coins[:first])
    scores = model.decision_function(scaled[first:])
    return by_scores(scores, coins[first:], delta=delta, confidence=confidence)
