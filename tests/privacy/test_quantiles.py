"""Private quantiles: the definition's probabilities, their privacy by enumeration, and how near they come."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from p2n2sim.privacy.draws import Draws
from p2n2sim.privacy.quantiles import Quantile
from p2n2sim.privacy.sensitivity import Relation

MEDIAN = Quantile(level=0.5, lower=0.0, upper=1.0, epsilon=1.0, bits=4)
VALUES = st.lists(st.floats(-0.5, 1.5), max_size=6)


def _defined(quantile: Quantile, values: list[float]) -> np.ndarray:
    """exp(-epsilon |rank - q n| / 2 Delta) of every cell, normalised: the exponential mechanism."""
    cells = 1 << quantile.bits
    rounded = [round(min(max(value, 0.0), 1.0) * cells) for value in values]
    delta = 1.0 if quantile.relation == "replace" else max(quantile.level, 1 - quantile.level)
    scores = [
        -abs(sum(value <= cell for value in rounded) - quantile.level * len(values)) for cell in range(cells)
    ]
    weights = np.exp(quantile.epsilon * np.array(scores) / (2 * delta))
    return weights / weights.sum()


@given(VALUES, st.floats(0, 1), st.floats(0.01, 20), st.sampled_from(["replace", "add-or-remove"]))
def test_cells_have_the_probabilities_of_the_exponential_mechanism(
    values: list[float], level: float, epsilon: float, relation: Relation
) -> None:
    """To choose intervals by length is to choose cells by rank, be values equal, outside or missing."""
    quantile = replace(MEDIAN, level=level, epsilon=epsilon, relation=relation)
    assert quantile.probabilities(values) == pytest.approx(_defined(quantile, values), rel=1e-9)


@given(VALUES, st.floats(-0.5, 1.5), st.floats(0, 1), st.floats(0.01, 20))
def test_a_row_more_moves_no_probability_by_more_than_epsilon(
    values: list[float], row: float, level: float, epsilon: float
) -> None:
    """All outputs of two neighbours of which one lacks a row."""
    quantile = replace(MEDIAN, level=level, epsilon=epsilon)
    one, two = quantile.probabilities(values), quantile.probabilities([*values, row])
    assert np.abs(np.log(one / two)).max() <= epsilon * (1 + 1e-9)


@given(VALUES, st.floats(-0.5, 1.5), st.floats(-0.5, 1.5), st.floats(0, 1), st.floats(0.01, 20))
def test_another_row_moves_no_probability_by_more_than_epsilon(
    values: list[float], row: float, other: float, level: float, epsilon: float
) -> None:
    """All outputs of two neighbours that differ in the value of a row."""
    quantile = replace(MEDIAN, level=level, epsilon=epsilon, relation="replace")
    one, two = quantile.probabilities([*values, row]), quantile.probabilities([*values, other])
    assert np.abs(np.log(one / two)).max() <= epsilon * (1 + 1e-9)


@pytest.mark.parametrize("relation", ["replace", "add-or-remove"])
def test_epsilon_is_used_up(relation: Relation) -> None:
    """Neighbours come within a twentieth of epsilon, so no smaller Delta would do."""
    quantile = replace(MEDIAN, relation=relation, epsilon=8.0, bits=3)
    moved = [0.0, 0.875, 0.875, 1.0] if relation == "replace" else [0.0, 0.875, 0.875]
    one, two = quantile.probabilities([0.0, 0.0, 0.875, 0.875]), quantile.probabilities(moved)
    assert np.abs(np.log(one / two)).max() > 0.95 * 8


@pytest.mark.parametrize("level", [0.1, 0.5, 0.9])
def test_draws_have_their_probabilities(level: float) -> None:
    """The middles of cells, as often as their probabilities say."""
    quantile = replace(MEDIAN, level=level, epsilon=3.0)
    values, draws = [0.2, 0.21, 0.5, 0.5, 0.55, 0.7, 0.9], Draws.of_seed(1)
    found = np.array([quantile.draw(draws, values) for _ in range(4_000)]) * 16 - 0.5
    expected = 4_000 * quantile.probabilities(values)
    large = expected >= 10
    counts = np.bincount(found.astype(int), minlength=16)
    observed = np.append(counts[large], counts[~large].sum())
    assert np.array_equal(found, np.rint(found))
    assert stats.chisquare(observed, np.append(expected[large], expected[~large].sum())).pvalue > 1e-4


@pytest.mark.parametrize("level", [0.01, 0.5, 0.99])
def test_ranks_are_as_near_as_the_theorem_says(level: float) -> None:
    """Off by more than 2 Delta (log of the number of cells + t) / epsilon with probability e^-t at most."""
    values = np.random.default_rng(1).lognormal(size=20_000)
    quantile = Quantile(level=level, lower=0.0, upper=100.0, epsilon=0.5, bits=16)
    allowed = 2 * float(quantile.sensitivity) * (16 * math.log(2) + 14) / 0.5
    for seed in range(50):
        found = quantile.draw(Draws.of_seed(seed), values)
        cell = round(100 / 2**16 * 20_000 * 0.7)  # values within a cell, at most: density below 0.7
        assert abs(np.count_nonzero(values <= found) - level * 20_000) <= allowed + cell


def test_bounds_for_clipping() -> None:
    """Two quantiles of many values are within a percent of the true ones, whatever the unit."""
    values = 1e6 * np.random.default_rng(2).normal(size=50_000)
    for level in (0.02, 0.98):
        quantile = Quantile(level=level, lower=-1e9, upper=1e9, epsilon=1.0, bits=30)
        found = quantile.draw(Draws.of_seed(3), values)
        assert found == pytest.approx(np.quantile(values, level), rel=0.01)


def test_without_values_every_cell_is_equally_likely() -> None:
    """Nothing is known, so nothing is told."""
    assert MEDIAN.probabilities([]) == pytest.approx(np.full(16, 1 / 16))


def test_the_least_likely_can_be_drawn() -> None:
    """A cell of probability e^-750 is reached by as many bits as that takes, not rounded away."""
    ones = np.uint64((1 << 64) - 1)
    quantile = Quantile(level=0.25, lower=0.0, upper=1.0, epsilon=0.75, relation="add-or-remove", bits=1)
    found = quantile.draw(Draws(lambda n: np.full(n, ones)), np.full(3_000, 0.5))
    assert found == 0.75  # 3,000 ranks there, 750 sought: a gap of 2,250 against 750


@pytest.mark.parametrize(
    "wrong",
    [
        {"level": 1.5},
        {"level": math.nan},
        {"lower": 1.0},
        {"upper": math.inf},
        {"epsilon": 0.0},
        {"epsilon": math.inf},
        {"bits": 0},
        {"bits": 41},
    ],
)
def test_a_number_out_of_range_is_refused(wrong: dict[str, float]) -> None:
    """Levels are shares, bounds ascend, epsilon is above 0 and the grid is one of integers."""
    with pytest.raises(ValueError, match=r"level|bounds|epsilon|grid"):
        replace(MEDIAN, **wrong)  # type: ignore[arg-type]


def test_a_value_that_is_none_is_refused() -> None:
    """It has no rank."""
    with pytest.raises(ValueError, match="numbers"):
        MEDIAN.draw(Draws.of_seed(1), [math.nan])
