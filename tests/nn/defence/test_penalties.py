"""What a holder adds to the loss, by itself: gradients, optima, and going on from what was kept."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from p2n2sim.nn.defence.best_response import BestResponse
from p2n2sim.nn.defence.decoder import Decoder
from p2n2sim.nn.defence.distance import bounded, slope
from p2n2sim.nn.defence.nopeek import NoPeek, distance_correlation
from p2n2sim.nn.defence.penalty import Penalty

M, K, N = 40, 5, 3


def batch(seed: int = 0, rows: int = M) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Features (m, k), and an h1 (m, n) that is made of them and of others'."""
    random = np.random.default_rng(seed)
    X = random.normal(size=(rows, K)).astype(np.float32)
    h1 = X @ random.normal(size=(K, N)) + random.normal(size=(rows, N)) + 0.7
    return X, h1.astype(np.float32)


def decoder(**changes: object) -> Decoder:
    """A decoder of these sizes."""
    usual = {"weight": 2.0, "reduction": "mean", "reading": "minmax", "layers": (), "steps": 1}
    usual |= {"optimiser": "adam", "learning_rate": 0.01, "bound": None, "seed": 4}
    return Decoder(N, K, **(usual | changes))  # type: ignore[arg-type]


def best(**changes: object) -> BestResponse:
    """The best response of these sizes."""
    usual = {"weight": 2.0, "reduction": "mean", "ridge": 1e-3, "bound": None}
    return BestResponse(N, K, **(usual | changes))  # type: ignore[arg-type]


@given(st.floats(0, 1e6), st.floats(1e-3, 1e6))
def test_the_bounded_distance(d: float, bound: float) -> None:
    """It is never above d or its bound, and its slope is that of autograd; without a bound it is d."""
    value = torch.tensor(d, dtype=torch.float64, requires_grad=True)
    found = bounded(value, bound)
    (expected,) = torch.autograd.grad(found, value)
    assert found.item() <= min(d, bound) * (1 + 1e-12)
    assert slope(d, bound) == pytest.approx(expected.item(), rel=1e-9)
    assert (bounded(d, None), slope(d, None)) == (d, 1.0)


def ridge_objective(X: torch.Tensor, h1: torch.Tensor, W: torch.Tensor, ridge: float) -> torch.Tensor:
    """What the best response minimises, with W given, in float64."""
    Y, H = X - X.mean(0), h1 - h1.mean(0)
    return ((Y - H @ W) ** 2).mean() + ridge * (W**2).sum() / X.shape[1]


@pytest.mark.parametrize("bound", [None, 0.5])
@pytest.mark.parametrize("ridge", [1e-6, 1e-3, 1.0])
@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_the_envelope_gradient(ridge: float, bound: float | None, reduction: str) -> None:
    """With W held fixed it is the gradient through the whole solution for W, as autograd finds it."""
    X, h1 = batch()
    found = best(ridge=ridge, bound=bound, reduction=reduction).gradient(X, h1)
    x, h = torch.tensor(X).double(), torch.tensor(h1).double().requires_grad_()
    Y, H = x - x.mean(0), h - h.mean(0)
    W = torch.linalg.solve(H.T @ H + ridge * M * torch.eye(N, dtype=torch.float64), H.T @ Y)
    rows = M if reduction == "sum" else 1
    (expected,) = torch.autograd.grad(-2.0 * rows * bounded(ridge_objective(x, h, W, ridge), bound), h)
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-4, atol=1e-6 * rows)
    assert np.abs(found).max() > 1e-4


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6))
def test_no_linear_decoder_is_better(seed: int) -> None:
    """At W the distance is no larger than for another W, nor than a trained decoder's."""
    X, h1 = batch(seed)
    ridge = 1e-9
    response = best(ridge=ridge)
    response.gradient(X, h1)
    x, h = torch.tensor(X).double(), torch.tensor(h1).double()
    W = torch.tensor(np.random.default_rng(seed).normal(size=(N, K)))
    assert response.measured <= ridge_objective(x, h, W, 0.0).item()
    learned = decoder(steps=3, seed=seed)
    learned.gradient(X, h1)
    assert response.measured <= learned.measured


def test_a_trained_decoder_comes_near_the_best_response() -> None:
    """With many steps the min-max decoder reaches the distance and the gradient of the closed form."""
    X, h1 = batch()
    response, learned = best(ridge=1e-9), decoder(steps=300, learning_rate=0.05)
    expected, found = response.gradient(X, h1), learned.gradient(X, h1)
    assert learned.measured == pytest.approx(response.measured, rel=1e-3)
    np.testing.assert_allclose(found, expected, atol=0.02 * np.abs(expected).max())


def test_scaling_h1_hides_nothing_from_the_best_response() -> None:
    """Up to the ridge, the distance does not depend on an invertible linear image of h1."""
    X, h1 = batch()
    mix = np.random.default_rng(3).normal(size=(N, N)).astype(np.float32)
    one, other = best(ridge=1e-10), best(ridge=1e-10)
    one.gradient(X, h1), other.gradient(X, h1 @ mix + 2)
    assert one.measured == pytest.approx(other.measured, rel=1e-4)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6))
def test_what_no_theta_can_hide(seed: int) -> None:
    """h1 = X theta shows n directions of X: what is left over is at most the variance along all others."""
    random = np.random.default_rng(seed)
    X = (random.normal(size=(M, K)) @ random.normal(size=(K, K))).astype(np.float32)
    variances = np.linalg.eigvalsh(np.cov(X.T.astype(np.float64), bias=True))  # from the smallest
    response = best(ridge=1e-12)
    response.gradient(X, X @ random.normal(size=(K, N)).astype(np.float32))
    assert K * response.measured <= variances[N:].sum() * (1 + 1e-4)
    hiding = np.linalg.eigh(np.cov(X.T.astype(np.float64), bias=True))[1][:, :N]  # shows the least
    response.gradient(X, X @ hiding.astype(np.float32))
    assert K * response.measured == pytest.approx(variances[N:].sum(), rel=1e-3)


@pytest.mark.parametrize(("reading", "sign"), [("literal", 1), ("minmax", -1)])
def test_what_a_decoder_learns(reading: str, sign: int) -> None:
    """Read literally it goes away from the features, in the min-max reading towards them."""
    X, h1 = batch()
    learned = decoder(reading=reading, layers=(6,))
    distances = []
    for _ in range(20):
        learned.gradient(X, h1), learned.update(X, h1)
        distances.append(learned.measured)
    assert all(sign * (after - before) > 0 for before, after in itertools.pairwise(distances))


def test_the_literal_gradient_is_that_of_line_5() -> None:
    """It is taken with the decoder as it was before its step; in the min-max reading after it."""
    X, h1 = batch()
    for reading, same in (("literal", True), ("minmax", False)):
        now, later = decoder(reading=reading, steps=1), decoder(reading=reading, steps=9)
        assert np.array_equal(now.gradient(X, h1), later.gradient(X, h1)) is same


def test_a_bound_tames_the_literal_reading() -> None:
    """With gradient descent the unbounded distance explodes, the bounded one does not."""
    X, h1 = batch()
    ends = []
    for bound in (None, 1.0):
        learned = decoder(reading="literal", bound=bound, optimiser="sgd", learning_rate=0.5)
        for _ in range(60):
            gradient = learned.gradient(X, h1)
            learned.update(X, h1)
        ends.append((learned.measured, np.abs(gradient).max()))
    assert not ends[0][0] < 1e10
    assert ends[1][0] < 1e3
    assert ends[1][1] < 1.0


def plain_correlation(x: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
    """dCor by its definition, one pair after the other."""

    def centred(values: torch.Tensor) -> torch.Tensor:
        pairs = [
            [((a - b) ** 2).sum().sqrt() if i != j else torch.zeros(()) for j, b in enumerate(values)]
            for i, a in enumerate(values)
        ]
        d = torch.stack([torch.stack(row) for row in pairs]).double()
        return d - d.mean(0) - d.mean(1)[:, None] + d.mean()

    A, B = centred(x), centred(h)
    return ((A * B).mean() / ((A * A).mean() * (B * B).mean()).sqrt()).sqrt()


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_distance_correlation_by_its_definition(reduction: str) -> None:
    """Value and gradient are those of autograd through the definition."""
    X, h1 = batch(rows=9)
    penalty = NoPeek(N, K, weight=3.0, reduction=reduction)
    found = penalty.gradient(X, h1)
    h = torch.tensor(h1).double().requires_grad_()
    value = plain_correlation(torch.tensor(X).double(), h)
    rows = 9 if reduction == "sum" else 1
    (expected,) = torch.autograd.grad(3.0 * rows * value, h)
    assert penalty.measured == pytest.approx(value.item(), rel=1e-12)
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-5, atol=1e-7)


def test_laws_of_distance_correlation() -> None:
    """1 for a rotated, scaled and moved copy, small for something unrelated, 0 where nothing varies."""
    X, h1 = batch(rows=400)
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(K, K)))[0].astype(np.float32)
    assert distance_correlation(X, 3 * X @ turn + 5)[0] == pytest.approx(1.0, abs=1e-5)
    other = np.random.default_rng(9).normal(size=(400, 1)).astype(np.float32)
    assert distance_correlation(X, other)[0] < 0.3 < distance_correlation(X, h1)[0]
    constant, gradient = distance_correlation(X, np.ones((400, N), np.float32))
    assert (constant, gradient.any()) == (0.0, False)
    assert distance_correlation(X[:1], h1[:1])[0] == 0.0
    doubled = np.concatenate([h1, h1])  # rows that coincide have distances of 0
    assert np.isfinite(distance_correlation(np.concatenate([X, X]), doubled)[1]).all()


def test_descending_lowers_the_distance_correlation() -> None:
    """Small steps of h1 against the gradient make it smaller each time."""
    X, h1 = batch()
    values = []
    for _ in range(10):
        value, gradient = distance_correlation(X, h1)
        values.append(value)
        h1 = (h1 - 2 * gradient).astype(np.float32)
    assert values == sorted(values, reverse=True)


MAKES: dict[str, Callable[[], Penalty]] = {
    "literal, adam": lambda: decoder(reading="literal", layers=(4, 6), steps=2),
    "minmax, sgd": lambda: decoder(optimiser="sgd"),
    "best response": best,
    "nopeek": lambda: NoPeek(N, K, weight=1.0, reduction="sum"),
}


@pytest.mark.parametrize("name", MAKES)
def test_going_on_from_what_was_kept(name: str) -> None:
    """A new one that restores what another kept gives the same bits ever after; keeping takes copies."""
    make = MAKES[name]
    penalty, again = make(), make()
    for i in range(3):
        penalty.gradient(*batch(i)), penalty.update(*batch(i))
    kept = penalty.kept()
    for i in range(3, 6):
        penalty.gradient(*batch(i)), penalty.update(*batch(i))
    again.restore(kept)
    for i in range(3, 6):
        again.gradient(*batch(i)), again.update(*batch(i))
    assert again.gradient(*batch(6)).tobytes() == penalty.gradient(*batch(6)).tobytes()


def test_initial_weights_are_the_seeds() -> None:
    """They depend on the seed and on nothing drawn before; the global generator stays where it is."""
    torch.manual_seed(1)
    before = torch.get_rng_state()
    one = decoder(layers=(6,)).kept()
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    same, other = decoder(layers=(6,)).kept(), decoder(layers=(6,), seed=5).kept()
    assert all(torch.equal(one[key], same[key]) for key in one)
    assert not torch.equal(one["weights/0.weight"], other["weights/0.weight"])


def test_operation_counts() -> None:
    """The decoder's work is where it is done: with its steps before the gradient, or after it."""
    (minmax_first, minmax_after) = decoder(steps=3).flops(M)
    (literal_first, literal_after) = decoder(steps=3, reading="literal").flops(M)
    forward = 2 * M * (N * K + K) + 3 * M * K
    assert (minmax_first, minmax_after) == (11 * forward, 0)
    assert (literal_first, literal_after) == (2 * forward, 9 * forward)
    assert best().flops(M).gradient > 2 * M * N * (N + 3 * K)
    grown = [NoPeek(N, K, weight=1.0, reduction="sum").flops(m).gradient for m in (100, 200)]
    assert grown[1] == 4 * grown[0]
