"""Noise that is added to numbers: the Laplace and the Gaussian mechanism.

Laplace: Dwork, McSherry, Nissim & Smith 2006. Gaussian, classic: Dwork & Roth 2014, theorem A.1. Gaussian,
analytic: Balle & Wang 2018, theorem 8, which is exact: no smaller sigma would do.

The continuous mechanisms are exact for real numbers. In floating point their low bits can give a value away
(Mironov 2012); where a single released number matters, `discrete` on a grid does not have that weakness, and
neither do these mechanisms as `opendp_backend` has them.
"""

from __future__ import annotations

import math
from fractions import Fraction

import dp_accounting
import numpy as np
from numpy.typing import ArrayLike

from p2n2sim.privacy.draws import Draws, Reals


def laplace_scale(*, l1_sensitivity: float, epsilon: float) -> float:
    """b = sensitivity / epsilon, in the unit of the value.

    Raises:
        ValueError: a number is not above 0.
    """
    check_positive(l1_sensitivity=l1_sensitivity, epsilon=epsilon)
    return l1_sensitivity / epsilon


def laplace(draws: Draws, values: ArrayLike, *, l1_sensitivity: float, epsilon: float) -> Reals:
    """Values with Laplace noise: (epsilon, 0)-differentially private.

    Args:
        draws: randomness.
        values: of any shape.
        l1_sensitivity: how far all of them together can move in the L1 norm between neighbours.
        epsilon: above 0.

    Returns:
        float64 of the same shape.

    Raises:
        ValueError: a number is not above 0.
    """
    scale = laplace_scale(l1_sensitivity=l1_sensitivity, epsilon=epsilon)
    real = np.asarray(values, dtype=np.float64)
    centred = draws.uniform(real.size) - 0.5
    noise = -scale * np.sign(centred) * np.log1p(-2 * np.abs(centred))
    noisy: Reals = real + noise.reshape(real.shape)
    return noisy


def classic_sigma(*, l2_sensitivity: float, epsilon: float, delta: float) -> float:
    """sigma = sensitivity sqrt(2 log(1.25 / delta)) / epsilon.

    Raises:
        ValueError: a number is not above 0, delta is 1 or more, or epsilon is 1 or more, where the theorem
            says nothing.
    """
    check_positive(l2_sensitivity=l2_sensitivity, epsilon=epsilon, delta=delta)
    _probability(delta)
    if epsilon > 1:
        raise ValueError(f"the classic bound holds for an epsilon of at most 1, not for {epsilon:g}")
    return l2_sensitivity * math.sqrt(2 * math.log(1.25 / delta)) / epsilon


def analytic_sigma(*, l2_sensitivity: float, epsilon: float, delta: float) -> float:
    """The smallest sigma of Gaussian noise that is (epsilon, delta)-differentially private.

    Raises:
        ValueError: a number is not above 0, or delta is 1 or more.
    """
    check_positive(l2_sensitivity=l2_sensitivity, epsilon=epsilon, delta=delta)
    _probability(delta)
    return l2_sensitivity * float(dp_accounting.get_sigma_gaussian(epsilon, delta))


def gaussian_epsilon(*, noise_multiplier: float, delta: float) -> float:
    """epsilon of Gaussian noise whose sigma is `noise_multiplier` times the L2 sensitivity.

    Raises:
        ValueError: a number is not above 0, or delta is 1 or more.
    """
    check_positive(noise_multiplier=noise_multiplier, delta=delta)
    _probability(delta)
    return float(dp_accounting.get_epsilon_gaussian(noise_multiplier, delta))


def gaussian(draws: Draws, values: ArrayLike, *, sigma: float) -> Reals:
    """Values with Gaussian noise of standard deviation `sigma`, from one of the functions above.

    Returns:
        float64 of the same shape.

    Raises:
        ValueError: sigma is not above 0.
    """
    check_positive(sigma=sigma)
    real = np.asarray(values, dtype=np.float64)
    return real + sigma * draws.normal(real.size).reshape(real.shape)


def check_positive(**numbers: Fraction | float) -> None:
    """Raises a ValueError that names the first number which is not finite and above 0."""
    for name, number in numbers.items():
        if not (number > 0 and math.isfinite(number)):
            raise ValueError(f"{name.replace('_', ' ')} is a number above 0, not {float(number):g}")


def _probability(delta: float) -> None:
    if delta >= 1:
        raise ValueError(f"delta is below 1, not {delta:g}")
