"""Two sources of the same mechanisms: a stream that a seed determines, or OpenDP.

A scenario's run is a function of (scenario, seed), so it takes `Streamed`. Who releases something about real
rows takes `p2n2sim.privacy.opendp_backend.OpenDP`, whose noise comes from the operating system and cannot be
drawn again. What is written for a `Backend` takes either:

    perturb_rows(Streamed(Draws.of_seed(7)), X, noise)
    perturb_rows(OpenDP(), X, noise)

Skellam noise has no counterpart in OpenDP and is drawn from a stream alone (`discrete.skellam`).
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from p2n2sim.privacy import additive, discrete, response, selection
from p2n2sim.privacy.draws import Draws, Integers, Reals


class Backend(Protocol):
    """The mechanisms that every source offers.

    Arguments, results and errors of each are those of the function of the same name in `discrete`,
    `additive`, `selection` and `response`, less the stream.
    """

    def discrete_laplace(self, scale: Fraction | int, size: int) -> Integers:
        """Integers with P(x) proportional to exp(-|x| / scale)."""
        ...

    def discrete_gaussian(self, sigma2: Fraction | float, size: int) -> Integers:
        """Integers with P(x) proportional to exp(-x^2 / (2 sigma2))."""
        ...

    def laplace(self, values: ArrayLike, *, l1_sensitivity: float, epsilon: float) -> Reals:
        """Values with Laplace noise of scale sensitivity / epsilon."""
        ...

    def gaussian(self, values: ArrayLike, *, sigma: float) -> Reals:
        """Values with Gaussian noise of standard deviation sigma."""
        ...

    def exponential(
        self, scores: Sequence[float], *, epsilon: float, sensitivity: float, monotonic: bool = False
    ) -> int:
        """Index of a candidate by the exponential mechanism."""
        ...

    def permute_and_flip(
        self, scores: Sequence[float], *, epsilon: float, sensitivity: float, monotonic: bool = False
    ) -> int:
        """Index of a candidate by permute-and-flip."""
        ...

    def randomized_response(self, labels: NDArray[np.integer], *, epsilon: float, classes: int) -> Integers:
        """Labels of which some are not true."""
        ...


class Streamed:
    """The mechanisms of this package over one stream, and so a function of it.

    Args:
        draws: randomness; every call goes on where the last one stopped.
    """

    def __init__(self, draws: Draws) -> None:
        self.draws = draws

    def discrete_laplace(self, scale: Fraction | int, size: int) -> Integers:
        """`discrete.discrete_laplace`."""
        return discrete.discrete_laplace(self.draws, scale, size)

    def discrete_gaussian(self, sigma2: Fraction | float, size: int) -> Integers:
        """`discrete.discrete_gaussian`."""
        return discrete.discrete_gaussian(self.draws, sigma2, size)

    def laplace(self, values: ArrayLike, *, l1_sensitivity: float, epsilon: float) -> Reals:
        """`additive.laplace`."""
        return additive.laplace(self.draws, values, l1_sensitivity=l1_sensitivity, epsilon=epsilon)

    def gaussian(self, values: ArrayLike, *, sigma: float) -> Reals:
        """`additive.gaussian`."""
        return additive.gaussian(self.draws, values, sigma=sigma)

    def exponential(
        self, scores: Sequence[float], *, epsilon: float, sensitivity: float, monotonic: bool = False
    ) -> int:
        """`selection.exponential`."""
        return selection.exponential(
            self.draws, scores, epsilon=epsilon, sensitivity=sensitivity, monotonic=monotonic
        )

    def permute_and_flip(
        self, scores: Sequence[float], *, epsilon: float, sensitivity: float, monotonic: bool = False
    ) -> int:
        """`selection.permute_and_flip`."""
        return selection.permute_and_flip(
            self.draws, scores, epsilon=epsilon, sensitivity=sensitivity, monotonic=monotonic
        )

    def randomized_response(self, labels: NDArray[np.integer], *, epsilon: float, classes: int) -> Integers:
        """`response.randomized_response`."""
        return response.randomized_response(self.draws, labels, epsilon=epsilon, classes=classes)
