"""NoPeek: the distance correlation between a holder's features and h1, as a term of the loss.

Of m rows, with a_kl the Euclidean distances between rows of X_i, b_kl those between rows of h1, and A and B
the same less their row and column means plus the overall mean,

    dCov^2(X, h) = sum A_kl B_kl / m^2,    dCor^2 = dCov^2(X, h) / sqrt(dCov^2(X, X) dCov^2(h, h)),

and dCor is the root. It lies between 0 and 1. The gradient is in closed form: the centring is a projection
and A and B are centred already, so with v = dCov^2

    d dCor^2 / db_kl = (A_kl - B_kl v(X, h) / v(h, h)) / (m^2 sqrt(v(X, X) v(h, h))),
    db_kl / dh_k = (h_k - h_l) / b_kl.

It takes m x m matrices, so its work and memory grow with the square of the batch.

Sources: Székely, Rizzo and Bakirov, "Measuring and testing dependence by correlation of distances", Annals of
Statistics 35(6), 2007, for the statistic; Vepakomma et al., "NoPeek: Information leakage reduction to share
activations in distributed deep learning", arXiv 2008.09161, for its use as a loss.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from p2n2sim.nn.defence.penalty import Floats, Flops, over_rows

Wide = NDArray[np.float64]


class NoPeek:
    """alpha R dCor(X_i, h1), added to the loss.

    Args:
        units: n.
        features: k_i.
        weight: alpha.
        reduction: ``sum`` or ``mean`` of the rows' losses.

    Attributes:
        name: ``distance_correlation``.
        measured: dCor on the last batch.
    """

    name = "distance_correlation"

    def __init__(self, units: int, features: int, *, weight: float, reduction: str) -> None:
        self.measured = 0.0
        self._units, self._features = units, features
        self._weight, self._reduction = weight, reduction

    def gradient(self, X: Floats, h1: Floats) -> Floats:
        """alpha R ddCor/dh1, (m, n); 0 where the rows of X_i or those of h1 are all alike."""
        correlation, gradient = distance_correlation(X, h1)
        self.measured = correlation
        return (self._weight * over_rows(self._reduction, len(X)) * gradient).astype(np.float32)

    def update(self, X: Floats, h1: Floats) -> None:
        """Nothing is learned."""

    def flops(self, rows: int) -> Flops:
        """Distances, centring, three sums of products, the gradient with respect to h1."""
        return Flops(rows * rows * (3 * (self._features + self._units) + 20 + 2 * self._units))

    def kept(self) -> dict[str, torch.Tensor]:
        """Nothing."""
        return {}

    def restore(self, kept: Mapping[str, torch.Tensor]) -> None:
        """There is nothing to go on from."""


def distance_correlation(X: Floats, h1: Floats) -> tuple[float, Wide]:
    """dCor and its gradient with respect to h1; both 0 where one of them does not vary.

    Args:
        X: (m, k).
        h1: (m, n).

    Returns:
        dCor, and float64 (m, n).
    """
    x, h = X.astype(np.float64), h1.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        b = cdist(h, h)  # (m, m)
        A, B = _centred(cdist(x, x)), _centred(b)
        v_xh, v_xx, v_hh = (float(np.vdot(one, two)) / A.size for one, two in ((A, B), (A, A), (B, B)))
        if v_xx * v_hh == 0 or v_xh <= 0:
            return 0.0, np.zeros_like(h)
        A -= (v_xh / v_hh) * B
        Q = np.divide(A, b, out=B, where=b != 0)  # rows that coincide have no direction
        Q[b == 0] = 0.0
        square = v_xh / math.sqrt(v_xx * v_hh)
        correlation = math.sqrt(square)
        slope = 2 * (Q.sum(axis=1)[:, None] * h - Q @ h)  # both b_kl and b_lk move with h_k
        scale = A.size * math.sqrt(v_xx * v_hh) * 2 * correlation
        return correlation, slope / scale


def _centred(distances: Wide) -> Wide:
    rows = distances.mean(axis=0)
    centred: Wide = distances - rows - rows[:, None]
    centred += rows.mean()
    return centred
