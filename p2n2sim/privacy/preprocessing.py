"""Statistics for scaling and a choice of features, both with differential privacy.

Neighbours differ in one row, which one of them lacks; the number of rows is public, as it is in the schedule
of a training. Columns are given as numbers in [-1, 1], by bounds that do not depend on the rows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from p2n2sim.privacy.backends import Backend
from p2n2sim.privacy.draws import Reals

Mechanism = Literal["permute-and-flip", "exponential"]


def moments_sensitivity(columns: int) -> float:
    """L2 sensitivity of the sums of u and u^2 of so many columns in [-1, 1]: each moves by at most 1."""
    return math.sqrt(2 * columns)


def moments(backend: Backend, u: Reals, *, noise_multiplier: float) -> tuple[Reals, Reals]:
    """Mean and standard deviation of columns by the Gaussian mechanism on the sums of u and of u^2.

    Args:
        backend: draws the noise.
        u: in [-1, 1], (rows, columns).
        noise_multiplier: sigma over the sensitivity of all sums together; 0 for no noise.

    Returns:
        Mean in [-1, 1] and deviation, (columns,) each; a deviation that drowns in the noise is that of the
        noise, so that nothing is divided by almost nothing.
    """
    rows, columns = u.shape
    sums = np.concatenate([u.sum(axis=0), np.square(u).sum(axis=0)])
    sigma = noise_multiplier * moments_sensitivity(columns)
    if sigma:
        sums = backend.gaussian(sums, sigma=sigma)
    mean: Reals = np.clip(sums[:columns] / rows, -1.0, 1.0)
    variance = sums[columns:] / rows - np.square(mean)
    return mean, np.sqrt(np.maximum(variance, max(sigma / rows, 1e-6)))


def rate(backend: Backend, y: Reals, *, epsilon: float) -> float:
    """Share of rows of class 1 by the Laplace mechanism on their count, in [0, 1].

    Args:
        backend: draws the noise.
        y: 0 and 1, (rows,).
        epsilon: infinite for no noise.
    """
    count = y.sum()
    if epsilon < math.inf:
        count = backend.laplace([count], l1_sensitivity=1.0, epsilon=epsilon)[0]
    return float(np.clip(count / len(y), 0.0, 1.0))


def association(z: Reals, y: Reals, *, positive: float) -> Reals:
    """How much each column goes with the label: |sum of z (y - p)|, of sensitivity 1.

    Args:
        z: centred, in [-1, 1], (rows, columns).
        y: 0 and 1, (rows,).
        positive: p in [0, 1], a public or released share of class 1.

    Returns:
        (columns,).
    """
    score: Reals = np.abs((y - positive) @ z)
    return score


def variation(z: Reals, binary: NDArray[np.bool_]) -> Reals:
    """How much each column differs from row to row, without a label: of sensitivity 1.

    Args:
        z: (rows, columns): of a column of 0 and 1 these; else centred numbers in [-1, 1].
        binary: which columns are of 0 and 1.

    Returns:
        (columns,): sum of z^2; of a binary column the number of rows in its rarer class.
    """
    ones = z.sum(axis=0)
    score: Reals = np.where(binary, np.minimum(ones, len(z) - ones), np.square(z).sum(axis=0))
    return score


def choose(
    backend: Backend, scores: Reals, *, keep: int, epsilon: float, mechanism: Mechanism = "permute-and-flip"
) -> NDArray[np.intp]:
    """So many candidates, one after the other: each choice is (epsilon, 0)-differentially private.

    Args:
        backend: draws the noise.
        scores: of sensitivity 1, (candidates,).
        keep: how many.
        epsilon: of each choice; infinite for the best ones.
        mechanism: by which each is chosen.

    Returns:
        (keep,) numbers of the candidates, ascending.
    """
    left = list(range(len(scores)))
    chosen = []
    pick = backend.permute_and_flip if mechanism == "permute-and-flip" else backend.exponential
    for _ in range(keep):
        own: Sequence[float] = [float(scores[candidate]) for candidate in left]
        position = int(np.argmax(own)) if epsilon == math.inf else pick(own, epsilon=epsilon, sensitivity=1.0)
        chosen.append(left.pop(position))
    return np.sort(np.array(chosen, dtype=np.intp))
