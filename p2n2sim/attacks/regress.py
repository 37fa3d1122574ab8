"""Attackers that learn from leaked pairs: from what was seen, (m, n), to what is wanted, (m, k).

All compute in float64 but the networks, and are a function of their arguments. Each is a function of the
leaked pairs that returns the trained attacker.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

Matrix = NDArray[np.float64]
Attacker = Callable[[Matrix], Matrix]
"""What was seen, (m, n) -> the guess, (m, k)."""
Learner = Callable[[Matrix, Matrix, int], Attacker]
"""Leaked (m, n) and (m, k), and a seed -> an attacker."""

FOLDS = 5
KERNEL_ROWS = 2_000
"""Most pairs that kernel ridge regression uses; its effort grows with their cube."""
_LAMBDAS = np.logspace(-12, 2, 29)  # shares of the mean eigenvalue


def ridge(H: Matrix, X: Matrix, seed: int) -> Attacker:
    """Ridge regression with an intercept, in closed form; lambda by cross-validation on the pairs.

    Hoerl and Kennard: Ridge Regression, 1970. Every column of H counts with its own scale.
    """
    errors = np.zeros(len(_LAMBDAS))
    for kept, out in _folds(len(H), seed):
        fitted = _RidgePath(H[kept], X[kept])
        for i, share in enumerate(_LAMBDAS):
            errors[i] += np.sum((fitted.at(share)(H[out]) - X[out]) ** 2)
    return _RidgePath(H, X).at(float(_LAMBDAS[int(np.argmin(errors))]))


class _RidgePath:
    """The ridge solutions of all lambdas from one decomposition.

    Args:
        H: (m, n).
        X: (m, k).
    """

    def __init__(self, H: Matrix, X: Matrix) -> None:
        self._mean_h, self._mean_x = H.mean(axis=0), X.mean(axis=0)
        eigenvalues, self._V = np.linalg.eigh((H - self._mean_h).T @ (H - self._mean_h))
        self._eigenvalues = np.maximum(eigenvalues, 0.0)
        self._products = self._V.T @ ((H - self._mean_h).T @ (X - self._mean_x))  # (n, k)

    def at(self, share: float) -> Attacker:
        """The solution at lambda = share times the mean eigenvalue of the scatter matrix."""
        weight = share * float(self._eigenvalues.mean()) or 1.0  # nothing varies: guess the mean
        B = self._V @ (self._products / (self._eigenvalues + weight)[:, None])  # (n, k)
        return lambda H: (H - self._mean_h) @ B + self._mean_x


def kernel_ridge(H: Matrix, X: Matrix, seed: int) -> Attacker:
    """Kernel ridge regression with a Gaussian kernel on whitened observations.

    The bandwidth is the median distance of two pairs (Gretton and others: A Kernel Two-Sample Test, 2012,
    section 8) times 1/2 to 8; factor and lambda by cross-validation. At most `KERNEL_ROWS` pairs are used.
    """
    if len(H) > KERNEL_ROWS:
        chosen = np.sort(np.random.Generator(np.random.PCG64(seed)).permutation(len(H))[:KERNEL_ROWS])
        H, X = H[chosen], X[chosen]
    white = whitening(H)
    Z = white(H)
    squares = _squared_distances(Z, Z)
    median = float(np.median(squares[np.triu_indices(len(Z), 1)])) if len(Z) > 1 else 1.0
    lambdas = np.logspace(-10, 0, 11)
    best = (math.inf, 1.0, 1.0)
    for factor in (0.5, 1.0, 2.0, 4.0, 8.0):
        kernel = np.exp(-squares / (2 * (median or 1.0) * factor**2))
        errors = np.zeros(len(lambdas))
        for kept, out in _folds(len(H), seed, folds=3):
            eigenvalues, U = np.linalg.eigh(kernel[np.ix_(kept, kept)])
            mean = X[kept].mean(axis=0)
            rotated, across = U.T @ (X[kept] - mean), kernel[np.ix_(out, kept)] @ U
            for i, weight in enumerate(lambdas):
                guess = across @ (rotated / (np.maximum(eigenvalues, 0) + weight * len(kept))[:, None]) + mean
                errors[i] += np.sum((guess - X[out]) ** 2)
        i = int(np.argmin(errors))
        best = min(best, (float(errors[i]), factor, float(lambdas[i])))
    scale, weight, mean = 2 * (median or 1.0) * best[1] ** 2, best[2] * len(H), X.mean(axis=0)
    kernel = np.exp(-squares / scale)
    coefficients = np.linalg.solve(kernel + weight * np.eye(len(H)), X - mean)  # (m, k)
    return lambda new: np.exp(-_squared_distances(white(new), Z) / scale) @ coefficients + mean


def whitening(H: Matrix) -> Attacker:
    """What makes observations uncorrelated with variance 1, none of them beyond 10.

    Directions that vary less than single precision can tell from rounding are left out; in those that barely
    vary among the pairs, a row that was not leaked may lie anywhere.
    """
    mean = H.mean(axis=0)
    _, s, Vt = np.linalg.svd(H - mean, full_matrices=False)
    kept = s > 1e-6 * max(float(s[0]), 1e-300)
    if not kept.any():  # nothing varies: a column that says so
        return lambda new: np.zeros((len(new), 1))
    scaled = Vt[kept].T * (math.sqrt(len(H)) / s[kept])  # (n, rank)
    return lambda new: np.clip((new - mean) @ scaled, -10.0, 10.0)


def paper_mlp(H: Matrix, X: Matrix, seed: int) -> Attacker:
    """The attacker of the P2N2 paper: a network of three layers with ReLU, Adam with rate 0.01.

    ("Effect of Defender". The widths of its hidden layers are not stated: 128 and 512 here, those of the
    network under attack in reverse.)
    """
    return _network(H, X, seed, rate=0.01)


def slower_mlp(H: Matrix, X: Matrix, seed: int) -> Attacker:
    """The same network with rate 0.001 and observations divided by their standard deviation, all by one.

    At rate 0.01 Adam may leave the network with nothing but the mean of X where H is wide.
    """
    scale = float(H.std()) or 1.0
    inner = _network(H / scale, X, seed, rate=0.001)
    return lambda new: inner(new / scale)


def whitened_mlp(H: Matrix, X: Matrix, seed: int) -> Attacker:
    """The same network on whitened observations and standardised targets, with rate 0.001."""
    white, mean = whitening(H), X.mean(axis=0)
    deviation = np.where(X.std(axis=0) > 0, X.std(axis=0), 1.0)
    inner = _network(white(H), (X - mean) / deviation, seed, rate=0.001)
    return lambda new: inner(white(new)) * deviation + mean


def _network(H: Matrix, X: Matrix, seed: int, *, rate: float) -> Attacker:
    """Trains until a tenth of the pairs, set aside, has not been guessed better for 30 epochs."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = nn.Sequential(
            nn.Linear(H.shape[1], 128), nn.ReLU(), nn.Linear(128, 512), nn.ReLU(), nn.Linear(512, X.shape[1])
        )
        order = np.random.Generator(np.random.PCG64(seed)).permutation(len(H))
        aside = max(1, len(H) // 10)
        seen, wanted = (torch.from_numpy(a[order].astype(np.float32)) for a in (H, X))
        _train(net, seen, wanted, aside, rate)

    def attack(new: Matrix) -> Matrix:
        with torch.no_grad():
            guess: Matrix = net(torch.from_numpy(new.astype(np.float32))).numpy().astype(np.float64)
        return guess

    return attack


def _train(net: nn.Module, seen: torch.Tensor, wanted: torch.Tensor, aside: int, rate: float) -> None:
    """Adam on all pairs but the first few, by which the best weights are chosen."""
    optimiser = torch.optim.Adam(net.parameters(), lr=rate)
    batch = min(256, len(seen))
    steps = math.ceil(len(seen) / batch)
    best, kept, waited = math.inf, net.state_dict(), 0
    for _ in range(max(20, min(300, 20_000 // steps))):
        order = aside + torch.randperm(len(seen) - aside)
        for start in range(0, len(order), batch):
            rows = order[start : start + batch]
            loss = nn.functional.mse_loss(net(seen[rows]), wanted[rows])
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        with torch.no_grad():
            error = float(nn.functional.mse_loss(net(seen[:aside]), wanted[:aside]))
        if error < best:
            best, waited = error, 0
            kept = {name: value.clone() for name, value in net.state_dict().items()}
        elif (waited := waited + 1) >= 30:
            break
    net.load_state_dict(kept)


LEARNERS: Mapping[str, Learner] = MappingProxyType(
    {
        "the paper's MLP": paper_mlp,
        "whitened MLP": whitened_mlp,
        "ridge regression": ridge,
        "kernel ridge regression": kernel_ridge,
    }
)
"""All of them by name, the paper's own first."""


def _folds(rows: int, seed: int, folds: int = FOLDS) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Rows to learn from and rows to be judged on; with a single row, the same."""
    order = np.random.Generator(np.random.PCG64(seed)).permutation(rows)
    for out in np.array_split(order, min(folds, rows)):
        kept = np.setdiff1d(order, out)
        yield (kept, out) if len(kept) else (out, out)


def _squared_distances(a: Matrix, b: Matrix) -> Any:
    return np.maximum((a**2).sum(1)[:, None] + (b**2).sum(1)[None, :] - 2 * a @ b.T, 0.0)
