"""Epsilons against figures of several independent accountants, and the laws of a budget.

Figures: dp-accounting 0.6.0 (PLD and RDP), which agree with prv-accountant 0.2.0 and Opacus 1.6.0 within
their stated errors; optimal composition and Renyi divergences from the definitions to 50 digits.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ive, logsumexp

from p2n2sim.errors import BudgetError
from p2n2sim.privacy import sensitivity
from p2n2sim.privacy.accounting import (
    GaussianSteps,
    LaplaceSteps,
    NoProtection,
    PureSteps,
    Steps,
    calibrate,
    epsilon,
    largest_count,
)
from p2n2sim.privacy.budget import Budget
from p2n2sim.privacy.skellam import poisson_sampled, skellam_epsilon, skellam_rdp, skellam_rdp_exact

FRAUD = 5_000 / 227_845
"""Sampling rate of a batch of 5000 of the fraud data's training rows."""


def _poisson(sigma: float, count: int, rate: float = FRAUD) -> list[Steps]:
    return [GaussianSteps(noise_multiplier=sigma, count=count, sampler="poisson", rate=rate)]


@pytest.mark.parametrize(
    ("rate", "sigma", "steps", "delta", "pld", "rdp"),
    [
        (0.01, 1.0, 1_000, 1e-5, 1.8282436455855091, 2.101366525420273),
        (FRAUD, 1.0, 460, 1e-6, 3.4095583146719592, 3.815232244331655),
        (FRAUD, 2.0, 4_600, 1e-6, 3.823936738431215, 4.102049494309525),
    ],
)
def test_dp_sgd(rate: float, sigma: float, steps: int, delta: float, pld: float, rdp: float) -> None:
    """Poisson-sampled Gaussian steps, by both accountants."""
    assert epsilon(_poisson(sigma, steps, rate), delta=delta) == pytest.approx(pld, rel=1e-6)
    assert epsilon(_poisson(sigma, steps, rate), delta=delta, method="rdp") == pytest.approx(rdp, rel=1e-6)


@pytest.mark.parametrize(
    ("epochs", "sigma", "fixed"),
    [
        (1, 1, 4.886554117462159),
        (1, 4, 1.0607018623282733),
        (10, 1, 19.423656474031056),
        (10, 4, 3.747217991426581),
        (100, 4, 14.45077696599136),
    ],
)
def test_shuffled_batches_are_not_amplified(epochs: int, sigma: float, fixed: float) -> None:
    """A row is used once an epoch: as many Gaussian releases as epochs."""
    steps = GaussianSteps(noise_multiplier=sigma, count=46 * epochs, sampler="shuffled", uses=epochs)
    assert epsilon([steps], delta=1e-6) == pytest.approx(fixed, rel=1e-6)


def test_replacing_a_row_costs_more_than_removing_it() -> None:
    """The same steps under both relations."""
    assert epsilon(_poisson(1, 460), delta=1e-6, relation="replace") == pytest.approx(
        5.025321975242242, rel=1e-6
    )


@pytest.mark.parametrize(("sigma", "total"), [(2, 6.16778192630117), (8, 1.1365732138306013)])
def test_who_knows_half_of_the_noise_faces_the_other_half(sigma: float, total: float) -> None:
    """Two holders add half of the variance each; the server and one of them see sigma / sqrt(2)."""
    assert epsilon(_poisson(sigma / math.sqrt(2), 4_600), delta=1e-6) == pytest.approx(total, rel=1e-6)


@pytest.mark.parametrize(
    ("each", "count", "delta", "total"),
    [(0.1, 10, 1e-6, 0.9989780937255881), (0.1, 100, 1e-5, 4.220347347219601)],
)
def test_laplace_composes_better_than_any_pure_mechanism(
    each: float, count: int, delta: float, total: float
) -> None:
    """Its own privacy-loss distribution is used."""
    laplace = epsilon([LaplaceSteps(epsilon=each, count=count)], delta=delta)
    assert laplace == pytest.approx(total, rel=1e-4)
    assert laplace < epsilon([PureSteps(epsilon=each, count=count)], delta=delta)


@pytest.mark.parametrize(
    ("count", "delta", "optimal"), [(30, 1e-6, 2.3458876930080366), (100, 1e-5, 4.306791372516507)]
)
def test_pure_steps_compose_optimally(count: int, delta: float, optimal: float) -> None:
    """Kairouz, Oh & Viswanath 2015; never below the exact value, and close to it."""
    found = epsilon([PureSteps(epsilon=0.1, count=count)], delta=delta)
    assert optimal <= found <= optimal * (1 + 1e-6)
    assert epsilon([PureSteps(epsilon=0.1, count=count)], delta=0) == pytest.approx(0.1 * count)
    assert epsilon([PureSteps(epsilon=0.1, count=count)], delta=delta, method="rdp") > optimal


def test_what_is_given_away_costs_everything() -> None:
    """Epsilon is infinite without noise, whatever else is done; and nothing costs nothing."""
    assert math.isinf(epsilon([*_poisson(1, 10), NoProtection()], delta=1e-6))
    assert math.isinf(epsilon(_poisson(0, 10), delta=1e-6))
    assert epsilon([], delta=1e-6) == 0


@pytest.mark.parametrize(("target", "sigma"), [(0.5, 3.9442075654864306), (3, 1.0641832157969475)])
def test_noise_is_calibrated_to_a_target(target: float, sigma: float) -> None:
    """The smallest noise multiplier that meets it, to the safe side."""
    found = calibrate(lambda noise: _poisson(noise, 460), target=target, delta=1e-6, tolerance=1e-3)
    assert sigma * (1 - 1e-6) <= found <= sigma * (1 + 2e-3)


def test_the_largest_number_of_steps_that_a_budget_covers() -> None:
    """One more would overspend."""

    def cost(count: int) -> float:
        return epsilon([PureSteps(epsilon=0.1, count=count)], delta=0)

    assert largest_count(cost, budget=1.05, most=100) == 10
    assert largest_count(cost, budget=0.05, most=100) == 0
    assert largest_count(cost, budget=1e9, most=100) == 100


@pytest.mark.parametrize(
    ("order", "shift", "mu", "exact", "bound"),
    [(2, 1, 10, 0.09965443845354252, 0.1225), (8, 2, 100, 0.159136016672902, 0.1618)],
)
def test_skellam_noise(order: int, shift: int, mu: float, exact: float, bound: float) -> None:
    """The theorem's bound lies above the divergence."""
    assert skellam_rdp(order, mu=mu, l2=shift, l1=shift) == pytest.approx(bound, rel=1e-12)
    assert skellam_rdp_exact(order, mu=mu, shift=shift) == pytest.approx(exact, rel=1e-9)


def test_fine_skellam_noise_costs_what_gaussian_noise_does() -> None:
    """On a fine grid the two agree: 10 releases at a noise multiplier of 4."""
    found = skellam_epsilon(mu=(4 * 2.0**20) ** 2, l2=2.0**20, l1=2.0**20 * 15, count=10, delta=1e-6)
    gaussian = [GaussianSteps(noise_multiplier=4, count=10)]
    assert found == pytest.approx(epsilon(gaussian, delta=1e-6, method="rdp"), rel=0.01)
    assert found >= epsilon(gaussian, delta=1e-6)


@settings(max_examples=30, deadline=None)
@given(order=st.integers(2, 40), rate=st.floats(1e-4, 0.9), mu=st.floats(10, 1e4))
def test_sampling_never_costs_more_than_taking_every_row(order: int, rate: float, mu: float) -> None:
    """The bound is at least 0 and falls with the rate, to the divergence itself at rate 1."""
    alone = np.array([skellam_rdp(j, mu=mu, l2=1, l1=1) for j in range(2, order + 1)])
    sampled = poisson_sampled(rate, alone)
    assert (sampled >= 0).all()
    assert (poisson_sampled(rate / 2, alone) <= sampled + 1e-12).all()
    assert (poisson_sampled(1.0, alone) == alone).all()


@pytest.mark.parametrize(("mu", "rate"), [(4.0, 0.3), (30.0, 0.05), (100.0, 0.9)])
def test_the_bound_for_sampled_rows_lies_above_the_divergence(mu: float, rate: float) -> None:
    """Of one number, with and without a row of value 1, summed over all outcomes, in both directions."""
    x = np.arange(-400, 401)
    without = np.log(np.maximum(ive(np.abs(x), mu), 1e-300))
    moved = np.log(np.maximum(ive(np.abs(x - 1), mu), 1e-300))
    mixed = np.logaddexp(math.log1p(-rate) + without, math.log(rate) + moved)
    bound = poisson_sampled(rate, np.array([skellam_rdp(j, mu=mu, l2=1, l1=1) for j in range(2, 33)]))
    for order, most in enumerate(bound, 2):
        for p, q in ((mixed, without), (without, mixed)):
            exact = float(logsumexp(order * p + (1 - order) * q)) / (order - 1)
            assert exact <= most + 1e-12


def test_a_budget_refuses_to_overspend() -> None:
    """What does not fit is refused and nothing is spent; what is left is known."""
    budget = Budget(epsilon=1.0, delta=1e-6, shares={"preprocessing": 0.25, "training": 0.75})
    budget.spend("preprocessing", "means", LaplaceSteps(epsilon=0.1))
    assert budget.left("preprocessing") == pytest.approx(0.15, abs=1e-3)
    with pytest.raises(BudgetError, match=r"may spend 0\.25 and has spent 0\.1"):
        budget.spend("preprocessing", "variances", LaplaceSteps(epsilon=0.2))
    assert budget.left("preprocessing") == pytest.approx(0.15, abs=1e-3)
    with pytest.raises(BudgetError, match="training"):
        budget.spend("training", "DP-SGD", _poisson(1, 460)[0])
    assert budget.statement()["preprocessing"]["on"] == ["means"]
    assert budget.spent == pytest.approx(0.1, abs=1e-3)


@pytest.mark.parametrize("wrong", [{"epsilon": -1.0}, {"delta": 1.0}, {"shares": {"a": 0.7, "b": 0.7}}])
def test_a_budget_of_impossible_numbers_is_refused(wrong: dict[str, object]) -> None:
    """Epsilon is positive, delta a probability, and shares are parts of one whole."""
    with pytest.raises(ValueError, match=r"epsilon|delta|shares"):
        Budget(**{"epsilon": 1.0, "delta": 1e-6} | wrong)  # type: ignore[arg-type]


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.floats(-10, 10), min_size=1, max_size=8),
    other=st.floats(-10, 10),
    bounds=st.tuples(st.floats(-5, 5), st.floats(-5, 5)).map(sorted),
)
def test_no_neighbour_is_further_away_than_the_sensitivity(
    rows: list[float], other: float, bounds: list[float]
) -> None:
    """Of clipped sums and means, under both relations."""
    low, high = bounds

    def clip(values: list[float]) -> list[float]:
        return [min(max(value, low), high) for value in values]

    replaced = sum(clip([other, *rows[1:]]))
    whole, without = sum(clip(rows)), sum(clip(rows[1:]))
    slack = 1e-9
    assert abs(whole - replaced) <= sensitivity.bounded_sum(low, high, relation="replace").l1 + slack
    assert abs(whole - without) <= sensitivity.bounded_sum(low, high).l1 + slack
    mean = sensitivity.bounded_mean(low, high, rows=len(rows)).l2
    assert abs(whole - replaced) / len(rows) <= mean + slack


def test_replacing_a_row_moves_two_counts_of_a_histogram() -> None:
    """And one when a row is removed."""
    assert sensitivity.histogram("replace").l1 == 2
    assert sensitivity.histogram("replace").l2 == pytest.approx(math.sqrt(2))
    assert sensitivity.histogram() == sensitivity.count()
    assert sensitivity.clipped_vector_sum(3, relation="replace") == 6
