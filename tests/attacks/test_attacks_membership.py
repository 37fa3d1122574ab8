"""Membership inference: LiRA sees more than a loss threshold, and nobody sees what is not there."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import log_expit
from sklearn.linear_model import LogisticRegression

from p2n2sim.attacks import metrics
from p2n2sim.attacks.membership import (
    attack_membership,
    confidence,
    lira,
    losses,
    train_shadows,
)

Matrix = NDArray[np.float64]


def world(seed: int, rows: int, columns: int) -> tuple[Matrix, NDArray[np.int64]]:
    """Rows of which some are hard for every model, with labels that no model can know."""
    random = np.random.default_rng(seed)
    X = random.normal(size=(rows, columns))
    X[:, 0] += np.where(random.random(rows) < 0.5, 3.0, -3.0)
    y = (X[:, 0] + 1.5 * random.normal(size=rows) > 0).astype(np.int64)
    return X, y


def overfitted(X: Matrix, y: NDArray[np.int64], rows: NDArray[np.intp], number: int) -> Matrix:
    """A model with nearly as many weights as rows: logits of all rows."""
    logits: Matrix = LogisticRegression(C=10.0, max_iter=300).fit(X[rows], y[rows]).decision_function(X)
    return logits


def test_lira_beats_the_loss_threshold_on_an_overfitted_model() -> None:
    """Online and offline LiRA have a larger area, online also more true positives at 0.1 % false ones."""
    X, y = world(0, 1600, 250)
    rows = np.random.default_rng(1).permutation(1600)[:800]
    member = np.isin(np.arange(1600), rows)
    target = overfitted(X, y, rows, 0)

    def train(half: NDArray[np.intp], number: int) -> Matrix:
        return overfitted(X, y, half, number)

    shadows = train_shadows(np.arange(1600), 16, train, 0)
    finding = attack_membership(target, shadows, y, member, adversary="queries", description="rows")
    auc = {score.attack: score.metrics["auc"] for score in finding.scores}
    assert auc["LiRA, online"] > auc["loss threshold"] + 0.05
    assert auc["LiRA, offline"] > auc["loss threshold"]
    assert auc["loss threshold"] > 0.53
    rates = {score.attack: score.metrics["tpr_at_0.1%_fpr"] for score in finding.scores}
    assert max(rates["LiRA, online"], rates["LiRA, offline"]) > rates["loss threshold"]


def test_a_model_that_was_not_trained_gives_chance() -> None:
    """Logits that do not depend on who was trained on leave every attacker at one half."""
    X, y = world(2, 2000, 10)
    member = np.random.default_rng(3).random(2000) < 0.5

    def untrained(rows: NDArray[np.intp], number: int) -> Matrix:
        weights: Matrix = np.random.default_rng(number).normal(size=10)
        return X @ weights

    shadows = train_shadows(np.arange(2000), 8, untrained, 0)
    finding = attack_membership(
        untrained(np.arange(0), 99), shadows, y, member, adversary="queries", description="rows"
    )
    assert all(0.46 < score.metrics["auc"] < 0.54 for score in finding.scores)


def test_confidence_is_the_logit_of_the_true_class() -> None:
    """For two classes it is the signed logit; two columns of logits say the same; the loss follows."""
    logits, y = np.array([2.0, -1.0, 40.0]), np.array([1, 1, 0])
    assert np.allclose(confidence(logits, y), [2.0, -1.0, -40.0])
    wide = np.stack([np.zeros(3), logits], axis=1)
    assert np.allclose(confidence(wide, y), [2.0, -1.0, -40.0])
    assert np.allclose(losses(logits, y), -log_expit([2.0, -1.0, -40.0]))
    many = np.log(np.array([[0.7, 0.2, 0.1]]))
    assert np.allclose(confidence(many, np.array([0])), np.log(0.7 / 0.3))
    assert np.allclose(losses(many, np.array([0])), -np.log(0.7))


def test_lira_is_the_likelihood_ratio_of_planted_gaussians() -> None:
    """With members' confidences around 3 and others' around 0 the score divides them at the middle."""
    random = np.random.default_rng(4)
    inside = random.random((200, 50)) < 0.5
    logits = np.where(inside, 3.0, 0.0) + random.normal(size=(200, 50))
    shadows = train_shadows(np.arange(50), 2, lambda rows, number: np.zeros(50), 0)
    planted = type(shadows)(logits, inside)
    y = np.ones(50, np.int64)
    for value, sign in ((2.5, 1), (0.5, -1)):
        scores = lira(np.full(50, value), planted, y, online=True)
        assert np.all(np.sign(scores) == sign)
    offline = lira(np.full(50, 2.0), planted, y, online=False)
    assert np.allclose(offline, 2.0, atol=0.5)


def test_shadow_models_come_in_complementary_pairs() -> None:
    """Every row is in one model of each pair, so none is in all or in no model; a single model is refused."""
    shadows = train_shadows(np.arange(101), 6, lambda rows, number: np.zeros(101), 5)
    for first in (0, 2, 4):
        assert np.array_equal(shadows.inside[first], ~shadows.inside[first + 1])
    doubled = np.array([0, 1, 0, 3, 1, 5])
    again = train_shadows(doubled, 4, lambda rows, number: np.zeros(6), 5)
    assert np.array_equal(again.inside[:, [2, 4]], again.inside[:, [0, 1]])  # copies stay together
    with pytest.raises(ValueError, match="at least two"):
        train_shadows(np.arange(10), 1, lambda rows, number: np.zeros(10), 0)


def test_the_rate_at_a_bounded_false_positive_rate() -> None:
    """Of 2000 negatives two may lie above the threshold; the interval holds the rate; few resolve nothing."""
    negative = np.arange(2000.0)
    positive = np.array([1996.5, 1997.5, 2500.0, 3000.0])
    rate = metrics.rate_at(positive, negative)
    assert rate.rate == 0.75
    assert rate.low < 0.75 < rate.high
    assert rate.resolved
    few = metrics.rate_at(positive, negative[:100])
    assert (few.rate, few.resolved, few.high) == (1.0, False, 1.0)
    none = metrics.rate_at(np.zeros(10), np.ones(2000))
    assert (none.rate, none.low) == (0.0, 0.0)
    assert none.high == pytest.approx(0.3085, abs=1e-3)  # 1 - 0.025^(1/10)
