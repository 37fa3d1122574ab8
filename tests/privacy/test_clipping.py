"""Rows' gradients of the form x d^T, clipped without being formed."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from p2n2sim.nn.training import squared_norms
from p2n2sim.privacy import clipping
from p2n2sim.privacy.clipping import Floats

WIDTHS = (1, 2, 3, 8, clipping.SHORT, clipping.SHORT + 1)


@pytest.fixture(autouse=True)
def silent() -> Iterator[None]:
    """Warnings are errors."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def rows_of(m: int, n: int, k: int = 5, seed: int = 0) -> tuple[Floats, Floats]:
    """X (m, k) and d (m, n), of every length from far below to far above 1."""
    random = np.random.default_rng(seed)
    lengths = np.exp(random.uniform(-4, 4, (m, 1))).astype(np.float32)
    return random.standard_normal((m, k), np.float32), lengths * random.standard_normal((m, n), np.float32)


def clipped(X: Floats, d: Floats, clip: float = 1.0) -> Floats:
    """The sum over rows."""
    return clipping.clipped_sum(X, d, clipping.limits(squared_norms(X), clip))


@pytest.mark.parametrize("n", WIDTHS)
@pytest.mark.parametrize("m", [0, 1, 2, 7, 50])
def test_the_sum_is_that_of_every_row_clipped_by_itself(m: int, n: int) -> None:
    """In float64, row after row; of an odd and an even number of rows, one and none, narrow and wide."""
    X, d = rows_of(m, n)
    expected = np.zeros((5, n))
    factors = []
    for x, e in zip(X.astype(np.float64), d.astype(np.float64), strict=True):
        g = np.outer(x, e)
        factors.append(min(1.0, 1 / np.linalg.norm(g)))
        expected += factors[-1] * g
    if m == 50:
        assert min(factors) < 0.1
        assert max(factors) == 1
    for layout in (d, np.asfortranarray(d)):
        np.testing.assert_allclose(clipped(X, layout), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("n", WIDTHS)
@pytest.mark.parametrize("m", [0, 1, 2, 7, 50])
def test_a_scaled_row_is_its_factor_times_it_to_the_bit(m: int, n: int) -> None:
    """However the factors are spread over the row; and with a factor of 0 it is 0, infinite or not."""
    _, rows = rows_of(m, n)
    f = clipping.factors(squared_norms(rows), 1.0)
    np.testing.assert_array_equal(clipping.scaled(rows, f), rows * f[:, None])
    rows[::3, 0], f[::3] = np.inf, 0
    made = clipping.scaled(rows, f)
    assert not made[::3].any()
    np.testing.assert_array_equal(made[1::3], rows[1::3] * f[1::3, None])


@pytest.mark.parametrize("n", WIDTHS)
@pytest.mark.parametrize("where", ["d", "X"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e20, -3e38])
def test_a_row_that_is_not_finite_counts_for_nothing(bad: float, where: str, n: int) -> None:
    """Nor does one too long for its squared length; its neighbours count as without it."""
    X, d = rows_of(9, n)
    others = [r for r in range(9) if r != 4]
    expected = clipped(X[others], d[others])
    (d if where == "d" else X)[4, 0] = bad
    np.testing.assert_allclose(clipped(X, d), expected, rtol=1e-5, atol=1e-6)
    alone = clipped(X[4:5], d[4:5])
    assert not alone.any()


def test_rows_of_zeros_are_never_clipped() -> None:
    """No division by their lengths makes a number infinite: x = 0, d = 0, both, among others."""
    X, d = rows_of(8, 3)
    expected = clipped(X[:5], d[:5])
    X[5], d[6], X[7], d[7] = 0, 0, 0, 0
    np.testing.assert_allclose(clipped(X, d), expected, rtol=1e-5, atol=1e-6)


powers = st.floats(-140, 127)


@example(-50, 0, 100, 2, 0)
@example(60, 47, -40, 1, 0)
@example(60, 48, -40, 2, 3)
@example(60, 46, -40, 3, 4)
@given(powers, powers, st.floats(-40, 100), st.integers(1, 9), st.integers(0, 99))
def test_no_row_is_longer_than_the_clipping_norm(x: float, d: float, c: float, n: int, seed: int) -> None:
    """Whatever the lengths of x, d and C are, from numbers without all their digits to overflowing ones."""
    X, e = rows_of(1, n, seed=seed)
    clip = float(np.float32(2.0**c))
    X, e = (np.ldexp(a / np.abs(a).max(), round(p)).astype(np.float32) for a, p in ((X, x), (e, d)))
    made = clipped(X, e, clip).astype(np.float64)
    whole = np.linalg.norm(X.astype(np.float64)) * np.linalg.norm(e.astype(np.float64))
    assert np.linalg.norm(made) <= clip * (1 + 1e-5) + 1e-44
    if whole < clip / 2 and abs(x) < 60 and abs(d) < 60 and 2.0**x < clip * 2.0**60:
        np.testing.assert_allclose(made, X.T.astype(np.float64) @ e, rtol=1e-5, atol=1e-44)
