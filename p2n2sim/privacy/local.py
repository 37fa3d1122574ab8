"""Noise on a person's own row before anybody else sees anything of it: local differential privacy.

A holder clips its features of every row to a norm, rounds them to a grid, and adds integer noise there, so
that no low bit gives anything away (Mironov 2012). Neighbours are any two values of one row (`replace`).

Discrete Laplace: (epsilon, 0) for an L1 sensitivity over epsilon (Ghosh, Roughgarden & Sundararajan 2009).
Discrete Gaussian: the Renyi divergence is that of the continuous one (Canonne, Kamath & Steinke 2020,
theorem 4), so that is how sigma is found; tails of the continuous one prove nothing for it.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from p2n2sim.privacy.accounting import GaussianSteps, PureSteps, Steps, calibrate
from p2n2sim.privacy.backends import Backend
from p2n2sim.privacy.draws import Reals
from p2n2sim.privacy.response import truth_probability

Floats = NDArray[np.float32]
Mechanism = Literal["laplace", "gaussian"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RowNoise:
    """What one holder does to its features of a row.

    Attributes:
        mechanism: ``laplace`` or ``gaussian``.
        clip: largest norm of the row, L1 or L2.
        epsilon: above 0.
        delta: in (0, 1) with ``gaussian``; not used with ``laplace``.
        bits: the grid's unit is 2^-bits.
    """

    mechanism: Mechanism
    clip: float
    epsilon: float
    delta: float = 0.0
    bits: int = 20

    def sensitivity(self, columns: int) -> float:
        """How far two clipped and rounded rows can be apart, in units of the grid."""
        rounding = columns if self.mechanism == "laplace" else math.sqrt(columns)
        return 2 * self.clip * 2.0**self.bits + rounding

    def scale(self, columns: int) -> int:
        """Of the noise, in units of the grid, rounded up: Laplace's b, or sigma."""
        if self.mechanism == "laplace":
            return math.ceil(self.sensitivity(columns) / self.epsilon)
        return math.ceil(self.sensitivity(columns) * gaussian_multiplier(self.epsilon, self.delta))

    @property
    def steps(self) -> Steps:
        """As the accountant composes it; of the Gaussian, as of neighbours a sensitivity of 1 apart."""
        if self.mechanism == "laplace":
            return PureSteps(epsilon=self.epsilon)
        return GaussianSteps(noise_multiplier=gaussian_multiplier(self.epsilon, self.delta), count=1)


@functools.cache
def gaussian_multiplier(epsilon: float, delta: float) -> float:
    """sigma over the L2 sensitivity, by Renyi divergences."""

    def make(noise: float) -> list[Steps]:
        return [GaussianSteps(noise_multiplier=noise, count=1)]

    return calibrate(make, target=epsilon, delta=delta, method="rdp")


def clip_rows(X: NDArray[np.floating], clip: float, *, order: Literal[1, 2]) -> Reals:
    """Rows scaled down to a norm of at most `clip`.

    Args:
        X: (m, k).
        clip: above 0.
        order: of the norm, L1 or L2.

    Returns:
        float64 (m, k).
    """
    real = np.asarray(X, dtype=np.float64)
    norms = np.linalg.norm(real, ord=order, axis=1, keepdims=True)
    with np.errstate(divide="ignore"):
        clipped: Reals = real * np.minimum(1.0, clip * (1 - 1e-12) / norms)  # 1e-12: for rounding
    return clipped


def perturb_rows(backend: Backend, X: Floats, noise: RowNoise) -> Floats:
    """Features as their holder uses them from now on.

    Args:
        backend: draws the noise; what it draws the holder alone knows.
        X: (m, k) float32.
        noise: what is added.

    Returns:
        float32 (m, k), multiples of 2^-bits as far as float32 goes.
    """
    grid = 2.0**noise.bits
    clipped = clip_rows(X, noise.clip, order=1 if noise.mechanism == "laplace" else 2)
    units = np.rint(clipped * grid).astype(np.int64)
    scale = noise.scale(X.shape[1])
    if noise.mechanism == "laplace":
        drawn = backend.discrete_laplace(scale, units.size)
    else:
        drawn = backend.discrete_gaussian(scale * scale, units.size)
    noisy: Floats = ((units + drawn.reshape(units.shape)) / grid).astype(np.float32)
    return noisy


def unbiased_labels(reported: NDArray[np.integer], *, epsilon: float) -> Floats:
    """(reported - q) / (p - q) for two classes: its expectation is the true label.

    The logistic loss is linear in the label, so the expected loss and gradient are those of the true labels
    (Natarajan et al. 2013, lemma 1). A label may then be below 0 or above 1, and a loss negative.

    Args:
        reported: (rows,) 0 or 1, by randomized response.
        epsilon: of the response.

    Returns:
        (rows,) float32.
    """
    p = truth_probability(epsilon=epsilon, classes=2)
    unbiased: Floats = ((reported - (1 - p)) / (2 * p - 1)).astype(np.float32)
    return unbiased
