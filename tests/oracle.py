"""What the arithmetic should give, in the integers and fractions of Python: no array, no float computes here.

The functions that begin with ``wrong_`` are given values and results side by side and return those places at
which a result is none of the allowed ones; an empty list means that all is well.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Any

Ints = Sequence[int]
MANTISSA = {32: 24, 64: 53}
"""Significant bits of a float, by its width (IEEE 754, table 3.5)."""


def signed(x: int, width: int) -> int:
    """The representative of a ring element in [-2^(width-1), 2^(width-1))."""
    half = 1 << width - 1
    return (x + half) % (1 << width) - half


def adversarial(width: int) -> list[int]:
    """Ring elements at which arithmetic goes wrong: its ends, halves and quarters, runs of ones, around 0."""
    around = [0, 1 << width - 1, 1 << width - 2, 1 << width - 3, 1 << width // 2, 1 << 20, 1 << 13]
    patterns = [int(byte * (width // 8), 16) for byte in ("00", "FF", "55", "AA", "7F", "80", "01")]
    steps = [sign * at + step for at in around for sign in (1, -1) for step in (-2, -1, 0, 1, 2)]
    return sorted({signed(x, width) for x in (*steps, *patterns)})


# --- fixed point --------------------------------------------------------------------------------------------


def encode(x: float, fractional_bits: int) -> int:
    """The integer nearest to x 2^f; Python rounds a fraction's half to even."""
    return round(Fraction(x) * (1 << fractional_bits))


def decode(element: int, fractional_bits: int, mantissa: int) -> Fraction:
    """element / 2^f, rounded once to so many significant bits, halves to even."""
    unit = 1 << max(0, element.bit_length() - mantissa)
    return Fraction(round(Fraction(element, unit)) * unit, 1 << fractional_bits)


def wrong_encodings(values: Iterable[float], results: Ints, fractional_bits: int) -> list[Any]:
    """(value, right, found) of every wrong encoding."""
    right = [encode(x, fractional_bits) for x in values]
    return [row for row in zip(values, right, results, strict=True) if row[1] != row[2]]


def wrong_decodings(
    elements: Ints, results: Sequence[float], fractional_bits: int, mantissa: int
) -> list[Any]:
    """(element, right, found) of every wrong decoding."""
    right = [decode(x, fractional_bits, mantissa) for x in elements]
    return [
        (x, float(r), found)
        for x, r, found in zip(elements, right, results, strict=True)
        if r != Fraction(found)
    ]


# --- shares and products ------------------------------------------------------------------------------------


def reconstruct(shares: Sequence[Ints], width: int) -> list[int]:
    """The signed sums of shares."""
    return [signed(sum(column), width) for column in zip(*shares, strict=True)]


def product(a: Sequence[Ints], b: Sequence[Ints], width: int) -> list[list[int]]:
    """The signed matrix product in the ring."""
    columns = list(zip(*b, strict=True))
    return [[signed(sum(map(int.__mul__, row, column)), width) for column in columns] for row in a]


# --- truncation ---------------------------------------------------------------------------------------------


def truncations(x: int, bits: int) -> tuple[int, int]:
    """What dropping fractional bits may give: the floor, and one more if anything was dropped."""
    floor = x >> bits
    return floor, floor + (x != floor << bits)


def wrong_truncations(values: Ints, results: Ints, bits: int) -> list[Any]:
    """(value, allowed, found) of every result that is neither neighbour of value / 2^bits."""
    allowed = [truncations(x, bits) for x in values]
    return [row for row in zip(values, allowed, results, strict=True) if row[2] not in row[1]]


def truncation_bias(values: Ints, results: Ints, bits: int) -> float:
    """The sum of all rounding errors, in the standard deviations of an unbiased truncation.

    That one gives one more with the chance of the fraction dropped, and here about a standard normal number.
    """
    one = 1 << bits
    error = sum((Fraction(r) - Fraction(x, one) for x, r in zip(values, results, strict=True)), Fraction())
    dropped = [Fraction(x % one, one) for x in values]
    variance = sum((p * (1 - p) for p in dropped), Fraction())
    return float(error) / math.sqrt(variance) if variance else float(error) * math.inf if error else 0.0


def wraps(values: Ints, results: Ints, bits: int, width: int) -> int:
    """How many results are off by a whole turn of the ring, 2^(width - bits)."""
    turn = 1 << width - bits
    return sum(
        any(found in (x + turn, x - turn) for x in truncations(value, bits))
        for value, found in zip(values, results, strict=True)
    )


# --- comparison and activations -----------------------------------------------------------------------------


def wrong_comparisons(values: Ints, results: Ints, width: int, threshold: int = 0) -> list[Any]:
    """(value, right, found) of every wrong bit "value - threshold, in the ring, is at least 0"."""
    right = [int(signed(x - threshold, width) >= 0) for x in values]
    return [row for row in zip(values, right, results, strict=True) if row[1] != row[2]]


def relu(z: int) -> int:
    """max(0, z)."""
    return z if z > 0 else 0


def three_piece_sigmoid(z: int, fractional_bits: int) -> int:
    """SecureML, 2017, section 4.3: 0 below -1/2, z + 1/2 between, 1 above 1/2."""
    one = 1 << fractional_bits
    return 0 if 2 * z < -one else one if 2 * z > one else z + one // 2


def hard_tanh(z: int, fractional_bits: int) -> int:
    """-1 below -1, z between, 1 above 1."""
    one = 1 << fractional_bits
    return -one if z < -one else one if z > one else z


def square(z: int, fractional_bits: int) -> tuple[int, int]:
    """z^2 with f fractional bits: what is allowed."""
    return truncations(z * z, fractional_bits)


def polynomial(coefficients: Sequence[Fraction], u: Fraction) -> Fraction:
    """sum_i c_i u^i, by Horner's rule, exactly."""
    value = Fraction()
    for c in reversed(coefficients):
        value = value * u + c
    return value


def polynomial_error(
    coefficients: Sequence[Fraction], u: Fraction, fractional_bits: int, u_bits: int
) -> Fraction:
    """By how much the polynomial of a shared u may be off at most.

    Every truncation is off by less than one unit. u^i is a truncated product u^a u^b with a the largest power
    known before and b the rest, so its error is at most |u|^a e_b + |u|^b e_a + e_a e_b + one unit of
    2^-u_bits. A coefficient is off by half a unit of 2^-f, the result's truncation by one.
    """
    unit, half = Fraction(1, 1 << u_bits), Fraction(1, 2 << fractional_bits)
    size, errors = abs(u), [Fraction(), Fraction()]  # of u^0 and u^1
    known = 1
    while len(errors) < len(coefficients):
        for i in range(known + 1, min(2 * known, len(coefficients) - 1) + 1):
            a, b = known, i - known
            errors.append(size**a * errors[b] + size**b * errors[a] + errors[a] * errors[b] + unit)
        known *= 2
    total = 2 * half
    for i, c in enumerate(coefficients):
        total += abs(c) * errors[i] + half * (size**i + errors[i])
    return total
