"""The defender that answers at once: the best linear decoder of a batch in closed form.

With H = h1 and Y = X_i, each less the mean of its columns, the decoder is the ridge regression

    W = (H^T H + rho m I)^-1 H^T Y,    d = ||Y - H W||^2 / (m k_i) + rho ||W||^2 / k_i    at its minimum over
    W.

W is where d is least, so that a change of W changes d in no first order (the envelope theorem), and

    dd/dh1 = - 2 (Y - H W) W^T / (m k_i),

the gradient with W held fixed. Nothing is learned from one batch to the next. No attack that is linear in h1
does better on this batch, up to rho; one that is not linear may.

rho is in the units of h1's variance. Where it is not small beside that, theta can raise d by making h1 small,
which an attacker undoes; where a batch has hardly more rows than h1 has columns, a small rho lets W fit them
all.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from p2n2sim.nn.defence.distance import slope
from p2n2sim.nn.defence.penalty import Floats, Flops, over_rows


class BestResponse:
    """The best linear decoder.

    Args:
        units: n.
        features: k_i.
        weight: lambda of Eq. 5.
        reduction: ``sum`` or ``mean`` of the rows' losses.
        ridge: rho, above 0.
        bound: of the distance; None for none.

    Attributes:
        name: ``distance``.
        measured: the mean squared error on the last batch, without rho's part.
    """

    name = "distance"

    def __init__(
        self, units: int, features: int, *, weight: float, reduction: str, ridge: float, bound: float | None
    ) -> None:
        self.measured = 0.0
        self._units, self._features = units, features
        self._weight, self._reduction = weight, reduction
        self._ridge, self._bound = ridge, bound

    def gradient(self, X: Floats, h1: Floats) -> Floats:
        """- lambda R phi'(d) dd/dh1, (m, n); see the module."""
        H, Y = _centred(h1), _centred(X)
        with np.errstate(over="ignore", invalid="ignore"):  # training that diverges shows in its loss
            W = np.linalg.solve(H.T @ H + self._ridge * len(H) * np.eye(self._units), H.T @ Y)  # (n, k_i)
            residual = Y - H @ W  # (m, k_i)
            self.measured = float(np.mean(residual**2))
            d = self.measured + self._ridge * float(np.sum(W**2)) / self._features
            factor = 2 * self._weight * over_rows(self._reduction, len(H)) / residual.size
            gradient: Floats = (factor * slope(d, self._bound) * residual @ W.T).astype(np.float32)
        return gradient

    def update(self, X: Floats, h1: Floats) -> None:
        """Nothing: the next batch has a decoder of its own."""

    def flops(self, rows: int) -> Flops:
        """Two products for W, the solution, two for the residual and the gradient."""
        n, k = self._units, self._features
        return Flops(2 * rows * n * n + 6 * rows * n * k + n**3 + 2 * n * n * k)

    def kept(self) -> dict[str, torch.Tensor]:
        """Nothing."""
        return {}

    def restore(self, kept: Mapping[str, torch.Tensor]) -> None:
        """There is nothing to go on from."""


def _centred(values: Floats) -> NDArray[np.float64]:
    wide = values.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        centred: NDArray[np.float64] = wide - wide.mean(axis=0)
    return centred
