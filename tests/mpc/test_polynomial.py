"""Polynomials that stand for activations: each kind is what its name says."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2n2sim.mpc.polynomial import Method, ScaledPolynomial, approximate

FUNCTIONS = {
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)),
    "tanh": math.tanh,
    "relu": lambda x: max(x, 0.0),
}
functions = st.sampled_from(sorted(FUNCTIONS))
degrees, spans = st.integers(1, 9), st.floats(0.5, 20)


def squared_error(polynomial: ScaledPolynomial, function: str, span: float) -> float:
    """The mean squared distance on the interval, by the midpoint rule."""
    x = (np.arange(20_000) + 0.5) / 10_000 * span - span
    exact = np.array([FUNCTIONS[function](v) for v in x.tolist()])
    return float(np.mean((polynomial(x) - exact) ** 2))


@pytest.mark.parametrize("function", sorted(FUNCTIONS))
@pytest.mark.parametrize("degree", [1, 3, 6])
@pytest.mark.parametrize("span", [1.0, 5.0])
def test_least_squares_is_the_least(function: str, degree: int, span: float) -> None:
    """Moving any coefficient either way increases the squared error, by as much both ways."""
    best = approximate(function, "least-squares", degree, span)
    error = squared_error(best, function, span)
    for i, sign in itertools.product(range(degree + 1), (1, -1)):
        moved = list(best.coefficients)
        moved[i] += sign * 0.02
        worse = squared_error(ScaledPolynomial(tuple(moved), best.scale_bits), function, span) - error
        unit = np.mean((np.linspace(-1, 1, 10_001) * span / 2**best.scale_bits) ** (2 * i)) * 0.02**2
        assert worse == pytest.approx(unit, rel=0.1), (i, sign)


@given(functions, degrees, spans)
def test_chebyshev_meets_the_function_at_its_nodes(function: str, degree: int, span: float) -> None:
    """At span cos((2 i + 1) pi / (2 d + 2)), i = 0 ... d, polynomial and function agree."""
    polynomial = approximate(function, "chebyshev", degree, span)
    for i in range(degree + 1):
        x = span * math.cos((2 * i + 1) * math.pi / (2 * degree + 2))
        assert polynomial(np.array([x]))[0] == pytest.approx(FUNCTIONS[function](x), abs=1e-10)


def exponential(sign: int, terms: int) -> list[Fraction]:
    """The series of e^(sign x)."""
    return [Fraction(sign**i, math.factorial(i)) for i in range(terms)]


def quotient(a: list[Fraction], b: list[Fraction]) -> list[Fraction]:
    """The series of a / b, term by term."""
    out: list[Fraction] = []
    for i, term in enumerate(a):
        out.append((term - sum(c * b[i - j] for j, c in enumerate(out))) / b[0])
    return out


def series(function: str, terms: int) -> list[Fraction]:
    """1 / (1 + e^-x), or (e^x - e^-x) / (e^x + e^-x), as quotients of exact series."""
    up, down = exponential(1, terms), exponential(-1, terms)
    if function == "sigmoid":
        one = [Fraction(not i) for i in range(terms)]
        return quotient(one, [o + d for o, d in zip(one, down, strict=True)])
    pairs = list(zip(up, down, strict=True))
    return quotient([u - d for u, d in pairs], [u + d for u, d in pairs])


@given(st.sampled_from(["sigmoid", "tanh"]), degrees, spans)
def test_taylor_has_the_derivatives_of_the_function(function: str, degree: int, span: float) -> None:
    """Its coefficients are the exact series', whatever the range, scaled to powers of x / 2^q."""
    polynomial = approximate(function, "taylor", degree, span)
    right = [float(c * 2 ** (polynomial.scale_bits * i)) for i, c in enumerate(series(function, degree + 1))]
    assert list(polynomial.coefficients) == pytest.approx(right, rel=1e-12, abs=1e-15)


def test_relu_has_no_taylor_series() -> None:
    """It has no derivative at 0."""
    with pytest.raises(ValueError, match="relu has no Taylor series"):
        approximate("relu", "taylor", 3, 5.0)


@given(functions, st.sampled_from(["least-squares", "chebyshev"]), degrees, spans)
@settings(max_examples=30)
def test_the_scale_reaches_the_end_of_the_range(
    function: str, method: Method, degree: int, span: float
) -> None:
    """2^q is the least power of two, from 1 on, that is at least the span; d + 1 coefficients."""
    polynomial = approximate(function, method, degree, span)
    q = polynomial.scale_bits
    assert span <= 2**q
    assert q == 0 or 2 ** (q - 1) < span
    assert polynomial.degree == degree == len(polynomial.coefficients) - 1


@given(functions, degrees, spans, st.floats(-1, 1))
@settings(max_examples=30)
def test_the_derivative_is_the_limit_of_differences(
    function: str, degree: int, span: float, at: float
) -> None:
    """P' is what the difference of two neighbouring values of P says, with P' in powers of the same u."""
    polynomial = approximate(function, "least-squares", degree, span)
    slope = polynomial.derivative()
    assert slope.scale_bits == polynomial.scale_bits
    x, h = at * span, 1e-5 * span
    left, right = polynomial(np.array([x - h, x + h]))
    assert slope(np.array([x]))[0] == pytest.approx((right - left) / (2 * h), abs=1e-5)


def test_even_and_odd_functions_keep_all_coefficients() -> None:
    """A leading coefficient that is 0 is kept, so that the degree is what was asked for."""
    assert approximate("tanh", "least-squares", 4, 5.0).degree == 4
    assert approximate("tanh", "chebyshev", 4, 5.0).degree == 4
