"""Polynomials that stand for an activation, in powers of u = x / 2^q, where 2^q reaches the end of the range.

Under secret sharing u costs nothing (x with q more fractional bits), and its powers stay small.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.polynomial import Polynomial, chebyshev, legendre
from numpy.typing import NDArray
from scipy.special import expit

Method = Literal["least-squares", "chebyshev", "taylor"]
Floats = NDArray[np.float64]

_FUNCTIONS: dict[str, Callable[[Floats], Floats]] = {
    "sigmoid": expit,
    "tanh": np.tanh,
    "relu": lambda x: np.maximum(x, 0.0),
}
# y' as a polynomial in y, from which every derivative at 0 follows, and y(0).
_DERIVATIVES = {"sigmoid": (Polynomial([0, 1, -1]), 0.5), "tanh": (Polynomial([1, 0, -1]), 0.0)}
_NODES = 200  # Gauss-Legendre nodes: least squares on the whole interval, not on a sample of it


@dataclass(frozen=True)
class ScaledPolynomial:
    """sum_i c_i u^i with u = x / 2^scale_bits.

    Attributes:
        coefficients: c_0 to c_d.
        scale_bits: q.
    """

    coefficients: tuple[float, ...]
    scale_bits: int

    @property
    def degree(self) -> int:
        """d."""
        return len(self.coefficients) - 1

    def __call__(self, x: Floats) -> Floats:
        """Its value."""
        value: Floats = Polynomial(self.coefficients)(x / 2.0**self.scale_bits)
        return value

    def derivative(self) -> ScaledPolynomial:
        """Its derivative with respect to x."""
        slopes = np.asarray(Polynomial(self.coefficients).deriv().coef, np.float64) / 2.0**self.scale_bits
        return ScaledPolynomial(tuple(float(c) for c in slopes), self.scale_bits)


def approximate(function: str, method: Method, degree: int, span: float) -> ScaledPolynomial:
    """The polynomial of a degree that stands for a function on [-span, span].

    Args:
        function: ``sigmoid``, ``tanh`` or ``relu``.
        method: ``least-squares`` with equal weight on the interval, ``chebyshev``: interpolation at the
            Chebyshev nodes, or ``taylor`` around 0.
        degree: at least 1.
        span: above 0.

    Raises:
        ValueError: the function has no Taylor series at 0.
    """
    scale_bits = max(0, math.ceil(math.log2(span)))
    if method == "taylor":
        in_x = _taylor(function, degree)
        coefficients = in_x * 2.0 ** (scale_bits * np.arange(degree + 1))
    else:
        on_unit = _least_squares if method == "least-squares" else _chebyshev
        coefficients = on_unit(lambda t: _FUNCTIONS[function](span * t), degree)
        coefficients = coefficients * (2.0**scale_bits / span) ** np.arange(degree + 1)
    return ScaledPolynomial(tuple(float(c) for c in coefficients), scale_bits)


def _least_squares(function: Callable[[Floats], Floats], degree: int) -> Floats:
    """Coefficients in powers of t of the best polynomial on [-1, 1] in the mean square (Legendre series)."""
    t, weight = legendre.leggauss(_NODES)
    basis = legendre.legvander(t, degree)  # (nodes, degree + 1), orthogonal with squared norm 2 / (2 i + 1)
    series = (basis.T @ (weight * function(t))) * (2 * np.arange(degree + 1) + 1) / 2
    return _padded(np.asarray(legendre.leg2poly(series), np.float64), degree)


def _chebyshev(function: Callable[[Floats], Floats], degree: int) -> Floats:
    nodes = chebyshev.chebpts1(degree + 1)
    series = chebyshev.chebfit(nodes, function(nodes), degree)
    return _padded(np.asarray(chebyshev.cheb2poly(series), np.float64), degree)


def _taylor(function: str, degree: int) -> Floats:
    if function not in _DERIVATIVES:
        raise ValueError(f"{function} has no Taylor series at 0")
    slope, at_zero = _DERIVATIVES[function]
    term, out = Polynomial([0, 1]), []
    for i in range(degree + 1):  # the i-th derivative as a polynomial in y, by the chain rule
        out.append(float(term(at_zero)) / math.factorial(i))
        term = term.deriv() * slope
    return np.array(out)


def _padded(coefficients: Floats, degree: int) -> Floats:
    """leg2poly and cheb2poly drop leading zeros."""
    return np.pad(coefficients, (0, degree + 1 - len(coefficients)))
