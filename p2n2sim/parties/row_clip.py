"""Every holder clips its summand of h1, row by row, before anybody else sees anything of it.

Nobody knows the norm of a whole row of h1, but holder i owns X_i and theta_i and so knows that of its summand
x_i theta_i. It scales x_i by min(1, C / |x_i theta_i|) and uses that row from then on, in the product and in
the gradient. So replacing its features of a row by any others moves that row of h1 by at most 2 C in the L2
norm, whatever theta_i has become; no bound on |x_i| or on theta_i is needed. The norm of a row of h1 is at
most h C.

What is bounded is the row as it enters h1, on the grid of the fixed-point encoding: the clipping leaves room
for the rounding of x_i, of theta_i and of the product, and a row for which no room is left becomes zero.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from p2n2sim.messages import Floats
from p2n2sim.net.cpu import Cost


@dataclass(frozen=True, slots=True)
class RowClip:
    """A holder's clipping.

    Attributes:
        bound: C.
        fractional_bits: of the encoding of X and theta.
    """

    bound: float
    fractional_bits: int

    def __call__(self, X: Floats, theta: Floats) -> Floats:
        """Rows whose summand of h1 has an L2 norm of at most C.

        Args:
            X: (m, k_i) float32.
            theta: (k_i, n) float32.

        Returns:
            float32 (m, k_i); rows that are short enough stay as they are, bit for bit.
        """
        real = X.astype(np.float64)
        norms = np.linalg.norm(real @ theta, axis=1)  # (m,)
        room = self.bound - self._rounding(np.linalg.norm(real, axis=1), theta)
        with np.errstate(divide="ignore", invalid="ignore"):
            scale = np.where(norms <= room, 1.0, np.maximum(room, 0.0) / norms)
        scale[(norms == 0) & (room < 0)] = 0.0
        return np.where(scale[:, None] == 1.0, X, (real * scale[:, None]).astype(np.float32))

    def _rounding(self, lengths: NDArray[np.float64], theta: Floats) -> NDArray[np.float64]:
        """(m,) bound on how far x theta and what enters h1 are apart, in the L2 norm.

        With unit 2^-f an encoded number is off by u = 2^-(f + 1) at most. Of the product
        |x' theta' - x theta| <= |x' - x| |theta| + |x| |theta' - theta| + |x' - x| |theta' - theta|, in which
        |x' - x| <= u sqrt(k) and |theta' - theta| <= u sqrt(k n). A product in float32 is off by at most
        k 2^-23 |x| |theta|, scaling x included, and an encoded product by u sqrt(n).
        """
        k, n = theta.shape
        u, size = 2.0 ** -(self.fractional_bits + 1), float(np.linalg.norm(theta.astype(np.float64)))
        encoded = u * math.sqrt(k) * size + u * math.sqrt(k * n) * lengths + u * u * k * math.sqrt(n)
        bound: NDArray[np.float64] = encoded + k * 2.0**-23 * lengths * size + u * math.sqrt(n)
        return bound

    def cost(self, rows: int, theta: Floats) -> Cost:
        """Of the product, the norms, and scaling the rows."""
        k, n = theta.shape
        return Cost(flops=2 * rows * k * n + 2 * rows * n + 3 * rows * k, moved_bytes=16 * rows * k)
