"""The mechanisms as OpenDP has them, for a deployment: exact samplers, noise from the operating system.

The optional package is imported when `OpenDP` or `Measurements` is made, not before. To OpenDP these
measurements are `contrib`, their proofs not vetted to the end; that feature is then on for the process.

OpenDP takes its parameters as 64-bit floats, and its privacy map rounds to the safe side. Scales are rounded
up here and the probability of telling the truth down, so that the noise is never less than asked for:

=====================  =====================================  ======================================
mechanism              OpenDP's parameter                     its map at the sensitivity s
=====================  =====================================  ======================================
`discrete_laplace`     scale                                  epsilon = s / scale
`discrete_gaussian`    sqrt(sigma2)                           rho = s^2 / (2 sigma2)
`laplace`              s / epsilon                            epsilon
`gaussian`             sigma                                  rho = s^2 / (2 sigma^2)
`permute_and_flip`     2 s / epsilon; if monotonic half       epsilon
`exponential`          2 s / epsilon; if monotonic half       rho = epsilon^2 / 8
`randomized_response`  e^epsilon / (e^epsilon + classes - 1)  epsilon
=====================  =====================================  ======================================

That is what this package claims, with two differences. Of a Gaussian OpenDP proves zero-concentrated
differential privacy (rho), and the epsilon that follows from rho at a delta is larger than that of
`additive.gaussian_epsilon`. Of the exponential mechanism it proves rho as well (Cesar & Rogers 2020), which
does not imply an epsilon without a delta: that one is McSherry & Talwar's (2007).

Integers have 64 bits; noise beyond them is cut to the largest or the smallest.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from p2n2sim.errors import InputError
from p2n2sim.privacy.additive import check_positive
from p2n2sim.privacy.draws import Integers, Reals
from p2n2sim.privacy.response import check_labels, truth_probability
from p2n2sim.privacy.selection import check_scores


class Measurement(Protocol):
    """What is used of OpenDP's class of that name."""

    def __call__(self, arg: Any) -> Any:
        """A release."""
        ...

    def map(self, d_in: Any) -> Any:
        """The privacy loss between inputs that are so far apart."""
        ...


class Measurements:
    """OpenDP's measurements with the parameters of this package; `map(sensitivity)` of each is its price.

    Raises:
        InputError: opendp is not installed.
    """

    def __init__(self) -> None:
        self._dp = _load()

    def discrete_laplace(self, scale: Fraction | float) -> Measurement:
        """Of integers, by their distance in L1: epsilon. ValueError: the scale is not above 0."""
        domain = self._dp.vector_domain(self._dp.atom_domain(T="i64"))
        return _made(self._dp.m.make_laplace, domain, self._dp.l1_distance(T="i64"), _at_least(scale))

    def discrete_gaussian(self, sigma2: Fraction | float) -> Measurement:
        """Of integers, by their distance in L2: rho. ValueError: sigma2 is not above 0."""
        domain = self._dp.vector_domain(self._dp.atom_domain(T="i64"))
        return _made(self._dp.m.make_gaussian, domain, self._dp.l2_distance(T="f64"), _root_at_least(sigma2))

    def laplace(self, scale: Fraction | float) -> Measurement:
        """Of floats, by their distance in L1: epsilon. ValueError: the scale is not above 0."""
        return _made(self._dp.m.make_laplace, self._reals, self._dp.l1_distance(T="f64"), _at_least(scale))

    def gaussian(self, sigma: float) -> Measurement:
        """Of floats, by their distance in L2: rho. ValueError: sigma is not above 0."""
        return _made(self._dp.m.make_gaussian, self._reals, self._dp.l2_distance(T="f64"), _at_least(sigma))

    def exponential(self, *, epsilon: float, sensitivity: float, monotonic: bool = False) -> Measurement:
        """Of scores, by how far any of them moves: rho. Errors as of `selection.exponential`."""
        measure = self._dp.zero_concentrated_divergence()
        return self._choice(measure, epsilon, sensitivity, monotonic)

    def permute_and_flip(self, *, epsilon: float, sensitivity: float, monotonic: bool = False) -> Measurement:
        """Of scores, by how far any of them moves: epsilon. Errors as of `selection.permute_and_flip`."""
        return self._choice(self._dp.max_divergence(), epsilon, sensitivity, monotonic)

    def randomized_response(self, *, epsilon: float, classes: int) -> Measurement:
        """Of one label, for a distance of 1: epsilon.

        The truth is told with the first probability, from the one sought downwards, for which OpenDP's own
        map grants epsilon. As no float is between 1 - 2^-53 and 1, it is told no more often above about 37.

        Raises:
            ValueError: there is none, which happens where epsilon is below about 1e-15, or a number is out of
                range.
        """
        p = truth_probability(epsilon=epsilon, classes=classes)
        while Fraction(p) * classes >= 1:
            measurement = _made(self._dp.m.make_randomized_response, list(range(classes)), p)
            if measurement.map(1) <= epsilon:
                return measurement
            p = math.nextafter(p, 0.0)
        raise ValueError(f"an epsilon of {epsilon:g} is too small for a probability in floating point")

    @property
    def _reals(self) -> Any:
        return self._dp.vector_domain(self._dp.atom_domain(T="f64", nan=False))

    def _choice(self, measure: Any, epsilon: float, sensitivity: float, monotonic: bool) -> Measurement:
        """With exponential noise permute-and-flip, with Gumbel noise the exponential mechanism."""
        check_positive(epsilon=epsilon, sensitivity=sensitivity)
        distance = self._dp.linf_distance(T="f64", monotonic=monotonic)
        scale = _at_least((1 if monotonic else 2) * Fraction(sensitivity) / Fraction(epsilon))
        return _made(self._dp.m.make_noisy_max, self._reals, distance, measure, scale)


class OpenDP:
    """The back end whose noise OpenDP draws: a `p2n2sim.privacy.backends.Backend`.

    Its randomness comes from the operating system and takes no seed. A run of a scenario is a function of
    (scenario, seed), so no scenario can ask for it; it is for who releases something about real rows.

    Attributes:
        measurements: what is drawn from, each with OpenDP's own privacy map.

    Raises:
        InputError: opendp is not installed.
    """

    def __init__(self) -> None:
        self.measurements = Measurements()

    def discrete_laplace(self, scale: Fraction | int, size: int) -> Integers:
        """As `discrete.discrete_laplace`, of a scale rounded up to a float."""
        return np.array(self.measurements.discrete_laplace(scale)([0] * size), dtype=np.int64)

    def discrete_gaussian(self, sigma2: Fraction | float, size: int) -> Integers:
        """As `discrete.discrete_gaussian`, of a sigma rounded up to a float."""
        return np.array(self.measurements.discrete_gaussian(sigma2)([0] * size), dtype=np.int64)

    def laplace(self, values: ArrayLike, *, l1_sensitivity: float, epsilon: float) -> Reals:
        """As `additive.laplace`, of finite values, and without floating-point leaks.

        The sum of the value and of discrete noise on a grid of 2^-1074, that of all floats, is rounded once.
        """
        check_positive(l1_sensitivity=l1_sensitivity, epsilon=epsilon)
        return _noisy(self.measurements.laplace(Fraction(l1_sensitivity) / Fraction(epsilon)), values)

    def gaussian(self, values: ArrayLike, *, sigma: float) -> Reals:
        """As `additive.gaussian`, of finite values, and without floating-point leaks, as above."""
        return _noisy(self.measurements.gaussian(sigma), values)

    def exponential(
        self, scores: Sequence[float], *, epsilon: float, sensitivity: float, monotonic: bool = False
    ) -> int:
        """As `selection.exponential`."""
        real = check_scores(scores, epsilon=epsilon, sensitivity=sensitivity)
        choice = self.measurements.exponential(epsilon=epsilon, sensitivity=sensitivity, monotonic=monotonic)
        return int(choice(real.tolist()))

    def permute_and_flip(
        self, scores: Sequence[float], *, epsilon: float, sensitivity: float, monotonic: bool = False
    ) -> int:
        """As `selection.permute_and_flip`."""
        real = check_scores(scores, epsilon=epsilon, sensitivity=sensitivity)
        choice = self.measurements.permute_and_flip(
            epsilon=epsilon, sensitivity=sensitivity, monotonic=monotonic
        )
        return int(choice(real.tolist()))

    def randomized_response(self, labels: NDArray[np.integer], *, epsilon: float, classes: int) -> Integers:
        """As `response.randomized_response`, the truth told with a probability rounded down to a float."""
        true = check_labels(labels, epsilon=epsilon, classes=classes)
        respond = self.measurements.randomized_response(epsilon=epsilon, classes=classes)
        return np.array([respond(label) for label in true.tolist()], dtype=np.int64)


def _load() -> Any:
    try:
        opendp = importlib.import_module("opendp.prelude")
    except ModuleNotFoundError as missing:
        if (missing.name or "").partition(".")[0] != "opendp":
            raise
        raise InputError(
            "OpenDP", "the package opendp is not installed", "pip install 'p2n2sim[opendp]' installs it"
        ) from None
    opendp.enable_features("contrib")
    return opendp


def _made(make: Callable[..., Measurement], *arguments: Any) -> Measurement:
    return make(*arguments)


def _noisy(measurement: Measurement, values: ArrayLike) -> Reals:
    real = np.asarray(values, dtype=np.float64)
    if not np.isfinite(real).all():
        raise ValueError("values are finite numbers")
    return np.array(measurement(real.ravel().tolist()), dtype=np.float64).reshape(real.shape)


def _at_least(scale: Fraction | float) -> float:
    """The smallest float that is not below it."""
    check_positive(scale=scale)
    exact = Fraction(scale)
    near = float(exact)
    return near if Fraction(near) >= exact else math.nextafter(near, math.inf)


def _root_at_least(sigma2: Fraction | float) -> float:
    """The smallest float whose square is not below it."""
    check_positive(sigma2=sigma2)
    exact = Fraction(sigma2)
    near = math.sqrt(exact) * (1 - 2.0**-51)  # surely below, and a few floats away
    while Fraction(near) ** 2 < exact:
        near = math.nextafter(near, math.inf)
    return near
