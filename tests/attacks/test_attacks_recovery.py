"""Input recovery: what a linear cut gives away is recovered, what is not there is not."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from p2n2sim.attacks import blind, linear, metrics
from p2n2sim.attacks.recovery import Material, copies, leak, recover
from p2n2sim.attacks.regress import LEARNERS, kernel_ridge, ridge, whitening
from p2n2sim.attacks.result import Finding, Score

Matrix = NDArray[np.float64]
FAST = {name: LEARNERS[name] for name in ("ridge regression", "kernel ridge regression")}


@cache
def digits() -> tuple[Matrix, NDArray[np.int64]]:
    """Images of 8 x 8 pixels in [0, 1], and what they show."""
    data = load_digits()
    return data.data / 16.0, data.target


def cut(n: int, seed: int = 0) -> Matrix:
    """A random first layer for digits, (64, n)."""
    theta: Matrix = np.random.default_rng(seed).normal(size=(64, n)) / 8
    return theta


def attacked(observed: Matrix, *, theta: Matrix | None = None, fraction: float = 0.3) -> Finding:
    """The fast attackers on digits."""
    X, y = digits()
    leaked, scored = leak(len(X), fraction, 0)
    material = Material(observed, X, leaked, scored, y=y, theta=theta, image=(8, 8))
    return recover(material, seed=0, adversary="server", target="digits", learners=FAST)


def floor(finding: Finding, name: str) -> float:
    """The mean squared error of a floor."""
    return next(score.metrics["mse"] for score in finding.floors if score.attack == name)


@given(st.integers(0, 2**32 - 1), st.integers(2, 8), st.integers(0, 4))
@settings(max_examples=25)
def test_a_wide_linear_cut_is_recovered_exactly(seed: int, k: int, more: int) -> None:
    """With n >= k independent columns of theta ridge regression finds X to rounding."""
    random = np.random.default_rng(seed)
    X = random.normal(size=(80, k))
    theta = np.linalg.qr(random.normal(size=(k + more, k)))[0].T  # (k, n) with orthonormal rows
    guess = ridge(X[:40] @ theta, X[:40], 0)((X @ theta)[40:])
    assert metrics.mean_squared_error(X[40:], guess) < 1e-12
    assert linear.best_linear_error(X, theta) < 1e-20
    assert linear.projection_error(X, theta) < 1e-20


def test_an_undefended_wide_cut_is_recovered() -> None:
    """Digits behind a cut as wide as the image are recovered far below the floors."""
    X, _ = digits()
    finding = attacked((X @ cut(64)).astype(np.float32).astype(np.float64), theta=cut(64))
    assert finding.headline.metrics["mse"] < 1e-3
    assert finding.headline.metrics["psnr_db"] > 30
    assert finding.headline.metrics["ssim"] > 0.99
    assert floor(finding, "mean") == pytest.approx(0.074, abs=2e-3)  # the floors of the reference
    assert floor(finding, "class mean") == pytest.approx(0.046, abs=4e-3)


def test_noise_gives_the_floor() -> None:
    """What has nothing to do with X helps nobody: no attacker beats the mean image beyond chance."""
    X, _ = digits()
    finding = attacked(np.random.default_rng(1).normal(size=(len(X), 16)))
    for score in finding.scores:
        assert score.metrics["mse"] > 0.98 * floor(finding, "mean"), score.attack


def test_noise_on_h1_sets_the_error() -> None:
    """With orthonormal theta and noise of variance s^2 no line does better than tr(C s^2/(C+s^2))/k."""
    random = np.random.default_rng(2)
    deviations = np.array([2.0, 1.0, 0.5, 0.25])
    X = random.normal(size=(20_000, 4)) * deviations
    theta = np.linalg.qr(random.normal(size=(4, 4)))[0]
    h1 = X @ theta + random.normal(size=(20_000, 4)) * 0.5
    guess = ridge(h1[:10_000], X[:10_000], 0)(h1[10_000:])
    C = deviations**2
    best = float(np.mean(C * 0.25 / (C + 0.25)))
    assert metrics.mean_squared_error(X[10_000:], guess) == pytest.approx(best, rel=0.03)


@pytest.mark.parametrize("n", [4, 16, 48])
def test_the_linear_bound_holds_and_is_met(n: int) -> None:
    """Ridge and who knows theta come close to the bound from above; on the fitted rows it is attained."""
    X, _ = digits()
    h1, theta = X @ cut(n), cut(n)
    finding = attacked(h1, theta=theta)
    by_name = {score.attack: score.metrics["mse"] for score in (*finding.scores, *finding.bounds)}
    bound = by_name["best linear estimate"]
    for name in ("ridge regression", "known theta"):
        assert bound <= by_name[name] < 1.35 * bound + 1e-6
    own = linear.known_theta(h1, theta, X.mean(axis=0), np.cov(X.T, bias=True))
    assert metrics.mean_squared_error(X, own) == pytest.approx(linear.best_linear_error(X, theta), rel=1e-6)
    assert by_name["projection on theta"] >= bound


def test_what_fools_networks_only_has_ridge_as_its_headline() -> None:
    """A cut with its informative directions scaled down 10^5-fold misleads the paper's network, not ridge."""
    X, y = digits()
    noise = np.random.default_rng(3).normal(size=(len(X), 8))
    h1 = np.hstack([1e-3 * X @ cut(64), 100 * noise])
    leaked, scored = leak(len(X), 0.1, 0)
    chosen = {name: LEARNERS[name] for name in ("the paper's MLP", "ridge regression")}
    finding = recover(
        Material(h1, X, leaked, scored[:300], y=y), seed=0, adversary="server", target="x", learners=chosen
    )
    scores = {score.attack: score.metrics["mse"] for score in finding.scores}
    assert scores["the paper's MLP"] > floor(finding, "class mean")
    assert finding.headline.attack == "ridge regression"
    assert finding.headline.metrics["mse"] < 2e-3


def test_kernel_ridge_bends_where_ridge_cannot() -> None:
    """Of |x| seen and cos 3x wanted the kernel finds what no line does."""
    x = np.random.default_rng(4).uniform(-2, 2, size=(600, 1))
    seen, wanted = np.abs(x), np.cos(3 * x)
    errors = [
        metrics.mean_squared_error(wanted[400:], learn(seen[:400], wanted[:400], 0)(seen[400:]))
        for learn in (ridge, kernel_ridge)
    ]
    assert errors[1] < 1e-3 * errors[0]


def test_networks_learn_a_linear_cut() -> None:
    """Both networks get far below the class means on an undefended cut, and are functions of the seed."""
    X, _ = digits()
    h1 = X @ cut(32)
    for name in ("the paper's MLP", "whitened MLP"):
        guesses = [LEARNERS[name](h1[:200], X[:200], 5)(h1[400:700]) for _ in range(2)]
        assert np.array_equal(*guesses)
        assert metrics.mean_squared_error(X[400:700], guesses[0]) < 0.04


def test_without_pairs_independent_features_are_unmixed() -> None:
    """Skewed independent features behind a square cut are found by their distributions alone."""
    random = np.random.default_rng(6)
    X = np.column_stack([random.exponential(size=4000) ** p for p in (0.6, 1.0, 1.6)])
    sample = np.column_stack([random.exponential(size=4000) ** p for p in (0.6, 1.0, 1.6)])
    guess = blind.by_marginals(X @ random.normal(size=(3, 3)), sample, 0)
    assert np.all(metrics.explained(X, guess) > 0.9)


def test_without_pairs_and_without_anything_seen_the_guess_is_the_mean() -> None:
    """A constant h1 leaves the features' means."""
    sample = np.random.default_rng(7).normal(size=(50, 3))
    guess = blind.by_marginals(np.ones((20, 4)), sample, 0)
    assert np.allclose(guess, sample.mean(axis=0))


def test_own_columns_are_a_floor_of_their_own() -> None:
    """A holder's own columns that tell of the others' are a floor, not a success of the attack."""
    random = np.random.default_rng(8)
    own = random.normal(size=(500, 2))
    X = own @ random.normal(size=(2, 3))
    leaked, scored = leak(500, 0.3, 0)
    finding = recover(
        Material(random.normal(size=(500, 2)), X, leaked, scored, own=own),
        seed=0,
        adversary="B",
        target="x",
        learners=FAST,
    )
    assert floor(finding, "own columns") < 1e-9


def test_leaked_rows_are_never_judged() -> None:
    """Leaked and judged rows share nothing; the caps hold."""
    leaked, scored = leak(1000, 0.25, 3, most=(100, 200))
    assert len(leaked) == 100
    assert len(scored) == 200
    assert not set(leaked) & set(scored)


def test_copies_are_told() -> None:
    """Every row is assigned the first one that equals it."""
    X = np.array([[1, 2], [3, 4], [1, 2], [5, 6], [3, 4]], np.float32)
    assert list(copies(X)) == [0, 1, 0, 3, 1]


def test_the_strongest_is_the_headline_whichever_way_is_strong() -> None:
    """The smallest error or the largest area; NaN never."""
    scores = tuple(
        Score(name, "", {"m": value}) for name, value in (("a", float("nan")), ("b", 1.0), ("c", 2.0))
    )
    for lower, name in ((True, "b"), (False, "c")):
        finding = Finding("recovery", "server", "", "m", lower, scores, ())
        assert finding.headline.attack == name


def test_whitened_columns_are_uncorrelated() -> None:
    """Whitened observations have the identity as their covariance; constant directions are dropped."""
    H = np.random.default_rng(9).normal(size=(300, 3)) @ np.random.default_rng(10).normal(size=(3, 5))
    Z = whitening(H)(H)
    assert Z.shape == (300, 3)
    assert np.allclose(np.cov(Z.T, bias=True), np.eye(3), atol=1e-8)


# -- measures


def test_ssim_of_equal_images_is_one_and_falls_with_noise() -> None:
    """1 for the same image, less for more noise, near 0 for an unrelated one."""
    X = digits()[0][:50]
    noise = np.random.default_rng(11).normal(size=X.shape)
    values = [metrics.ssim(X, X + s * noise, (8, 8), 1.0) for s in (0.0, 0.1, 0.5)]
    assert values[0] == pytest.approx(1.0)
    assert values[0] > values[1] > values[2]


def test_ssim_of_constant_images_is_the_formula() -> None:
    """Of two constant images only the luminance term is left: (2ab + c1) / (a^2 + b^2 + c1)."""
    a, b, c1 = 0.2, 0.7, 0.01**2
    found = metrics.ssim(np.full((1, 64), a), np.full((1, 64), b), (8, 8), 1.0)
    assert found == pytest.approx((2 * a * b + c1) / (a * a + b * b + c1), rel=1e-9)


def test_psnr_of_a_known_error() -> None:
    """An error of 0.1 everywhere in a range of 1 is 20 dB; no error is infinite."""
    X = np.zeros((3, 4))
    assert metrics.psnr(X, X + 0.1, 1.0) == pytest.approx(20.0)
    assert metrics.psnr(X, X, 1.0) == float("inf")


def test_r2_is_zero_for_the_mean_and_one_for_the_truth() -> None:
    """And not a number for a constant column."""
    X = np.array([[1.0, 5.0, 2.0], [3.0, 5.0, 4.0]])
    guess = np.array([[2.0, 5.0, 2.0], [2.0, 5.0, 4.0]])
    found = metrics.explained(X, guess)
    assert found[0] == 0.0
    assert np.isnan(found[1])
    assert found[2] == 1.0
