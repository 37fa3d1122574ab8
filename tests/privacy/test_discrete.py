"""Integer noise follows its distribution and leaks nothing through rounding."""

from __future__ import annotations

from fractions import Fraction

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from p2n2sim.privacy.coins import flip
from p2n2sim.privacy.discrete import discrete_gaussian, discrete_laplace, poisson, skellam
from p2n2sim.privacy.draws import Draws

N = 40_000


def _fits(found: np.ndarray, pmf: np.ndarray, lowest: int) -> float:
    """p-value of a chi-square test over the classes that expect 10 or more, the rest put together."""
    expected = pmf * len(found)
    counts = np.bincount(np.clip(found - lowest, 0, len(pmf) - 1), minlength=len(pmf))
    large = expected >= 10
    observed = np.append(counts[large], len(found) - counts[large].sum())
    wanted = np.append(expected[large], len(found) - expected[large].sum())
    return float(stats.chisquare(observed, wanted).pvalue)


@pytest.mark.parametrize("scale", [Fraction(1, 3), 1, Fraction(7, 2), 10])
def test_discrete_laplace_has_its_probabilities(scale: Fraction | int) -> None:
    """P(x) = (1 - a) / (1 + a) a^|x| with a = exp(-1 / scale)."""
    x = np.arange(-200, 201)
    a = np.exp(-1 / float(scale))
    pmf = (1 - a) / (1 + a) * a ** np.abs(x)
    assert _fits(discrete_laplace(Draws.of_seed(1), scale, N), pmf, -200) > 1e-4


@pytest.mark.parametrize(
    ("epsilon", "p0", "variance"),
    [(0.1, 0.04995837495787998, 199.8334166336092), (1.0, 0.46211715726000974, 1.8413471884155848)],
)
def test_discrete_laplace_agrees_with_published_moments(epsilon: float, p0: float, variance: float) -> None:
    """P(0) and the variance, from the closed forms evaluated to 50 digits."""
    x = discrete_laplace(Draws.of_seed(2), 1 / Fraction(epsilon), N)
    assert np.mean(x == 0) == pytest.approx(p0, abs=5 * np.sqrt(p0 / N))
    assert np.var(x) == pytest.approx(variance, rel=0.06)


@pytest.mark.parametrize(
    ("sigma2", "p0", "variance"),
    [(0.25, 0.7865707070419479, 0.21501267508813848), (4.0, 0.19947114020071635, 4.0)],
)
def test_discrete_gaussian_agrees_with_published_moments(sigma2: float, p0: float, variance: float) -> None:
    """P(0) and the variance, which is not sigma^2 where sigma is small (Poisson summation)."""
    x = discrete_gaussian(Draws.of_seed(3), sigma2, N)
    assert np.mean(x == 0) == pytest.approx(p0, abs=5 * np.sqrt(p0 / N))
    assert np.var(x) == pytest.approx(variance, rel=0.05)


@pytest.mark.parametrize("sigma2", [0.25, 4.0, 150.0])
def test_discrete_gaussian_has_its_probabilities(sigma2: float) -> None:
    """P(x) is proportional to exp(-x^2 / (2 sigma^2))."""
    x = np.arange(-200, 201)
    weights = np.exp(-(x**2) / (2 * sigma2))
    assert _fits(discrete_gaussian(Draws.of_seed(4), sigma2, N), weights / weights.sum(), -200) > 1e-4


@pytest.mark.parametrize("mean", [0.3, 1.0, 3.0, 19.5, 20.0, 50.0, 700.0])
def test_poisson_has_its_probabilities(mean: float) -> None:
    """P(x) = mean^x exp(-mean) / x!, on both sides of where the two floating-point forms meet."""
    pmf = stats.poisson.pmf(np.arange(2_000), mean)
    assert _fits(poisson(Draws.of_seed(5), mean, N), pmf, 0) > 1e-4


@pytest.mark.parametrize("mean", [1e6, 2.0**40, 2.0**59])
def test_a_large_poisson_variable_is_nearly_normal(mean: float) -> None:
    """Mean and variance agree, and so does the shape, up to means near 2^60."""
    x = poisson(Draws.of_seed(6), mean, N)
    z = (x - mean) / np.sqrt(mean)
    assert abs(z.mean()) < 5 / np.sqrt(N)
    assert z.var() == pytest.approx(1, abs=0.04)
    assert stats.kstest(z, "norm").pvalue > 1e-4


@pytest.mark.parametrize("mu", [0.5, 10.0, 1000.0])
def test_skellam_has_its_probabilities(mu: float) -> None:
    """P(x) = exp(-mu) I_|x|(mu), of variance mu."""
    pmf = stats.skellam.pmf(np.arange(-500, 501), mu / 2, mu / 2)
    assert _fits(skellam(Draws.of_seed(7), mu, N), pmf, -500) > 1e-4


def test_skellam_shares_add_up_to_skellam_noise() -> None:
    """The sum of n variables of variance mu / n is distributed as one of variance mu."""
    draws = Draws.of_seed(8)
    total = np.sum([skellam(draws, Fraction(10, 4), N) for _ in range(4)], axis=0)
    assert _fits(total, stats.skellam.pmf(np.arange(-100, 101), 5, 5), -100) > 1e-4


def test_a_coin_is_decided_by_further_bits_where_the_first_leave_it_open() -> None:
    """p = 1/2 + 2^-70: a uniform that begins with the bits of 1/2 needs the bits after the first 64."""
    half = np.uint64(1 << 63)

    def coin(rest: int) -> bool:
        words = iter([half, np.uint64(rest)])
        draws = Draws(lambda n: np.array([next(words) for _ in range(n)], dtype=np.uint64))
        return bool(
            flip(draws, np.log([0.5]), lambda _: mpmath.log(mpmath.mpf(1) / 2 + mpmath.mpf(2) ** -70))[0]
        )

    assert coin((1 << 57) - 1)  # 2^-70 is bit 6 of the second word, counted from its top
    assert not coin((1 << 58) + 100)


@settings(max_examples=25, deadline=None)
@given(bound=st.integers(1, 1 << 62), seed=st.integers(0, 1 << 32))
def test_integers_below_a_bound_stay_below_it(bound: int, seed: int) -> None:
    """0 <= x < bound, whatever the bound."""
    x = Draws.of_seed(seed).below(bound, 50)
    assert len(x) == 50
    assert x.min() >= 0
    assert x.max() < bound


def test_a_stream_gives_the_same_noise_again() -> None:
    """Noise is a function of its stream."""
    one, two = (skellam(Draws.of_seed(9), 77.5, 100) for _ in range(2))
    assert np.array_equal(one, two)


@pytest.mark.parametrize(
    "draw",
    [
        lambda d: discrete_laplace(d, 0, 1),
        lambda d: discrete_gaussian(d, 0, 1),
        lambda d: poisson(d, 0, 1),
        lambda d: skellam(d, 2.0**63, 1),
    ],
)
def test_a_number_out_of_range_is_refused(draw: object) -> None:
    """Scales and variances are above 0 and fit the integers."""
    with pytest.raises(ValueError, match=r"above 0"):
        draw(Draws.of_seed(1))  # type: ignore[operator]
