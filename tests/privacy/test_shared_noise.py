"""What noise in the ring costs: never less than the same noise in one piece, on a fine grid hardly more."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2n2sim.privacy.accounting import GaussianSteps, LaplaceSteps, calibrate, epsilon, largest_count
from p2n2sim.privacy.shared_noise import Grid, SharedSteps

DELTA = 1e-6
FINE = Grid(unit=1e7, numbers=100, shared=math.sqrt(0.5), rest=math.sqrt(0.5))


def steps(noise: float = 2.0, count: int = 10, *, grid: Grid = FINE, rate: float = 1.0) -> SharedSteps:
    """So many steps, sampled where the rate is below 1."""
    return SharedSteps(noise_multiplier=noise, count=count, poisson=rate < 1, rate=rate, grid=grid)


@settings(max_examples=20, deadline=None)
@given(noise=st.floats(4.0, 20.0), count=st.integers(1, 30), shared=st.floats(0.0, 1.0))
def test_on_a_fine_grid_it_costs_what_gaussian_noise_does(noise: float, count: int, shared: float) -> None:
    """However a row's gradient is divided among theta and the rest, its whole norm decides."""
    grid = dataclasses.replace(FINE, shared=shared, rest=math.sqrt(1 - shared**2))
    found = epsilon([steps(noise, count, grid=grid)], delta=DELTA)
    gaussian = GaussianSteps(noise_multiplier=noise, count=count)
    assert epsilon([gaussian], delta=DELTA) <= found
    assert found == pytest.approx(epsilon([gaussian], delta=DELTA, method="rdp"), rel=0.05)


@pytest.mark.parametrize("relation", ["add-or-remove", "replace"])
@pytest.mark.parametrize("rate", [0.02, 0.3])
def test_sampled_it_costs_at_least_what_sampled_gaussian_noise_does(relation: str, rate: float) -> None:
    """And less than without sampling, which is what sampling is for."""
    found = epsilon([steps(rate=rate, count=50)], delta=DELTA, relation=relation)  # type: ignore[arg-type]
    gaussian = GaussianSteps(noise_multiplier=2.0, count=50, sampler="poisson", rate=rate)
    assert epsilon([gaussian], delta=DELTA, relation=relation) <= found  # type: ignore[arg-type]
    assert found < epsilon([steps(count=50)], delta=DELTA, relation=relation)  # type: ignore[arg-type]


def test_a_coarser_grid_costs_more() -> None:
    """Rounding moves a row's gradient, too: by half a unit in every number of theta."""
    costs = [epsilon([steps(grid=dataclasses.replace(FINE, unit=10.0**n))], delta=DELTA) for n in range(1, 7)]
    assert costs == sorted(costs, reverse=True)
    assert costs[0] > 2 * costs[-1]


def test_who_knows_a_part_of_the_noise_is_held_off_by_the_rest() -> None:
    """Where only theta moves, a quarter of the variance is half the multiplier; without any all is lost."""
    alone = dataclasses.replace(FINE, shared=1.0, rest=0.0)
    known = dataclasses.replace(steps(8.0, grid=alone), known=0.75)
    assert epsilon([known], delta=DELTA) == pytest.approx(
        epsilon([steps(4.0, grid=alone)], delta=DELTA), rel=1e-3
    )
    assert epsilon([dataclasses.replace(known, known=1.0)], delta=DELTA) == math.inf


def test_a_replaced_row_costs_what_twice_the_movement_does() -> None:
    """Without sampling; with it the bound by one removed and one added row is never below that of one."""
    twice = dataclasses.replace(FINE, unit=FINE.unit / 2, shared=2 * FINE.shared, rest=2 * FINE.rest)
    replaced = epsilon([steps(4.0)], delta=DELTA, relation="replace")
    # half the unit with the same noise multiplier is half the noise, so that it is doubled as well
    assert replaced == pytest.approx(
        epsilon([steps(4.0, grid=dataclasses.replace(twice, unit=FINE.unit))], delta=DELTA), rel=1e-6
    )
    sampled = steps(rate=0.1)
    assert (sampled.divergences("replace") >= sampled.divergences("add-or-remove")).all()


@pytest.mark.parametrize(("rate", "more"), [(0.02, 0.16), (0.05, 0.25), (0.1, 0.50)])
def test_how_much_more_noise_its_looser_bound_asks_for(rate: float, more: float) -> None:
    """For epsilon 3 in six epochs, beside the PLD of Gaussian noise: the figures of docs/privacy.md."""
    count, target, delta = round(6 / rate), 3.0, 1e-5

    def gaussian(sigma: float) -> list[GaussianSteps]:
        return [GaussianSteps(noise_multiplier=sigma, count=count, sampler="poisson", rate=rate)]

    one = calibrate(gaussian, target=target, delta=delta)
    found = calibrate(lambda sigma: [steps(sigma, count, rate=rate)], target=target, delta=delta)
    assert found / one - 1 == pytest.approx(more, abs=0.005)


def test_several_batches_of_steps_add_up() -> None:
    """Two lots of steps cost what all of them together do."""
    both = epsilon([steps(count=4), steps(count=6)], delta=DELTA)
    assert both == pytest.approx(epsilon([steps(count=10)], delta=DELTA), rel=1e-12)


def test_no_noise_and_no_delta_protect_nothing() -> None:
    """Renyi divergences give no pure epsilon."""
    assert epsilon([steps(0.0)], delta=DELTA) == math.inf
    assert epsilon([steps()], delta=0.0) == math.inf
    assert np.isinf(steps(0.0).divergences("add-or-remove")).all()


def test_they_are_not_composed_with_other_steps() -> None:
    """Which would need divergences of the same orders of everything."""
    with pytest.raises(ValueError, match="composed with each other only"):
        epsilon([steps(), LaplaceSteps(epsilon=1.0)], delta=DELTA)


def test_noise_is_found_for_a_budget_and_steps_are_counted() -> None:
    """The searches that serve Gaussian steps serve these."""
    noise = calibrate(lambda sigma: [steps(sigma, 100, rate=0.05)], target=2.0, delta=DELTA)
    assert 1.98 < epsilon([steps(noise, 100, rate=0.05)], delta=DELTA) <= 2.0
    most = largest_count(
        lambda count: epsilon([steps(noise, count, rate=0.05)], delta=DELTA), budget=1.0, most=100
    )
    assert epsilon([steps(noise, most, rate=0.05)], delta=DELTA) <= 1.0
    assert epsilon([steps(noise, most + 1, rate=0.05)], delta=DELTA) > 1.0
