"""What OpenDP's own privacy maps grant is what this package claims."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opendp import combinators

from p2n2sim.privacy import additive
from p2n2sim.privacy.local import RowNoise, gaussian_multiplier
from p2n2sim.privacy.opendp_backend import Measurements
from p2n2sim.privacy.response import truth_probability

OPENDP = Measurements()
AMOUNTS = st.floats(1e-4, 1e4)


def _granted(granted: float, claimed: float) -> None:
    """OpenDP's map gives what is claimed, up to how it rounds."""
    assert granted == pytest.approx(claimed, rel=1e-14)


@settings(max_examples=100, deadline=None)
@given(AMOUNTS, AMOUNTS)
def test_epsilon_is_what_opendp_grants(sensitivity: float, epsilon: float) -> None:
    """Laplace noise and choices: OpenDP's own map never exceeds the epsilon claimed, nor is it less."""
    measurements = (
        OPENDP.laplace(Fraction(sensitivity) / Fraction(epsilon)),
        OPENDP.permute_and_flip(epsilon=epsilon, sensitivity=sensitivity),
        OPENDP.permute_and_flip(epsilon=epsilon, sensitivity=sensitivity, monotonic=True),
    )
    for measurement in measurements:
        granted = measurement.map(sensitivity)
        _granted(granted, epsilon)
        assert granted <= epsilon


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 1 << 40), AMOUNTS)
def test_epsilon_of_discrete_laplace_is_what_opendp_grants(sensitivity: int, epsilon: float) -> None:
    """A whole sensitivity over epsilon as the scale grants epsilon."""
    granted = OPENDP.discrete_laplace(sensitivity / Fraction(epsilon)).map(sensitivity)
    _granted(granted, epsilon)
    assert granted <= epsilon


@settings(max_examples=100, deadline=None)
@given(AMOUNTS, AMOUNTS)
def test_rho_is_what_opendp_grants(sensitivity: float, amount: float) -> None:
    """rho = s^2 / (2 sigma^2) of Gaussian noise, and epsilon^2 / 8 of the exponential mechanism."""
    _granted(OPENDP.gaussian(amount).map(sensitivity), sensitivity**2 / (2 * amount**2))
    _granted(OPENDP.discrete_gaussian(amount).map(sensitivity), sensitivity**2 / (2 * amount))
    for monotonic in (False, True):
        choice = OPENDP.exponential(epsilon=amount, sensitivity=sensitivity, monotonic=monotonic)
        _granted(choice.map(sensitivity), amount**2 / 8)


@settings(max_examples=100, deadline=None)
@given(st.floats(1e-3, 36), st.integers(2, 50))
def test_epsilon_of_a_response_is_what_opendp_grants(epsilon: float, classes: int) -> None:
    """OpenDP's own map never exceeds epsilon, and falls short of it by what a float's p allows."""
    granted = OPENDP.randomized_response(epsilon=epsilon, classes=classes).map(1)
    slack = 2.0**-50 / (1 - truth_probability(epsilon=epsilon, classes=classes))
    assert epsilon - slack - 1e-13 * max(1, epsilon) <= granted <= epsilon


def test_a_response_beyond_floating_point() -> None:
    """Above 37 the truth is told a little less often than it might be; next to 0 there is no probability."""
    assert 36 < OPENDP.randomized_response(epsilon=60, classes=2).map(1) < 38
    with pytest.raises(ValueError, match="too small"):
        OPENDP.randomized_response(epsilon=1e-17, classes=7)


@pytest.mark.parametrize("sigma", [0.7, 2.0, 10.0])
def test_opendp_grants_no_more_than_is_claimed_of_a_gaussian(sigma: float) -> None:
    """The epsilon that OpenDP derives from rho is larger than the analytic one, by less than a third."""
    curve = combinators.make_zCDP_to_approxDP(OPENDP.gaussian(sigma)).map(1.0)  # type: ignore[arg-type]
    claimed = additive.gaussian_epsilon(noise_multiplier=sigma, delta=1e-6)
    assert claimed < curve.epsilon(1e-6) < 1.33 * claimed


def test_noise_on_rows_costs_what_a_holder_claims() -> None:
    """The whole scale of a holder's row grants its epsilon, its sigma the rho that epsilon was found by."""
    row = RowNoise(mechanism="laplace", clip=1.5, epsilon=0.7)
    assert 0.69 < OPENDP.discrete_laplace(row.scale(3)).map(math.floor(row.sensitivity(3))) <= 0.7
    gauss = RowNoise(mechanism="gaussian", clip=1.5, epsilon=0.7, delta=1e-6)
    rho = OPENDP.discrete_gaussian(gauss.scale(3) ** 2).map(gauss.sensitivity(3))
    assert rho == pytest.approx(1 / (2 * gaussian_multiplier(0.7, 1e-6) ** 2), rel=1e-5)
    assert rho <= 1 / (2 * gaussian_multiplier(0.7, 1e-6) ** 2)
