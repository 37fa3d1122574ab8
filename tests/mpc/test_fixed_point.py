"""Fixed point against Python's exact fractions."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2n2sim.errors import FixedPointError
from p2n2sim.mpc import fixed_point

INT64 = st.integers(-(1 << 63), (1 << 63) - 1)
NEAR_ENDS = st.sampled_from(
    [-(1 << 63), (1 << 63) - 1, -1, 0, 1, (1 << 53) + 1, -(1 << 53) - 1, (1 << 24) + 1]
)


def exact_encode(x: float, fractional_bits: int) -> int:
    """The oracle: Python rounds fractions half to even."""
    return round(Fraction(x) * 2**fractional_bits)


@given(st.lists(st.floats(width=64, allow_nan=False, allow_infinity=False), max_size=8), st.integers(0, 62))
@settings(max_examples=300)
def test_encode_of_float64_is_the_nearest_integer(values, f):
    """encode(x) is x 2^f rounded half to even, for every float64 that fits."""
    values = [v for v in values if abs(Fraction(v)) * 2**f < 2**63]
    encoded = fixed_point.encode(np.array(values, dtype=np.float64), f)
    assert encoded.dtype == np.int64
    assert encoded.tolist() == [exact_encode(v, f) for v in values]


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), max_size=8), st.integers(0, 62))
@settings(max_examples=300)
def test_encode_of_float32_is_the_nearest_integer(values, f):
    """encode(x) is x 2^f rounded half to even, for every float32 that fits."""
    values = [v for v in values if abs(Fraction(v)) * 2**f < 2**63]
    assert fixed_point.encode(np.array(values, dtype=np.float32), f).tolist() == [
        exact_encode(v, f) for v in values
    ]


@given(st.integers(-(2**22), 2**22), st.integers(0, 20), st.sampled_from([np.float32, np.float64]))
def test_halves_go_to_even(integer, f, dtype):
    """A number halfway between two ring elements becomes the even one."""
    x = np.array([(2 * integer + 1) / 2 ** (f + 1)], dtype=dtype)
    if Fraction(float(x[0])) != Fraction(2 * integer + 1, 2 ** (f + 1)):
        x = x.astype(np.float64)  # does not fit float32
        x[0] = (2 * integer + 1) / 2 ** (f + 1)
    assert fixed_point.encode(x, f)[0] % 2 == 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("f", [0, 20, 62])
def test_the_largest_number_that_fits_is_exact_and_the_next_is_refused(dtype, f):
    """2^63 is the first magnitude that does not fit, on both sides."""
    limit = dtype(2.0 ** (63 - f))
    below = np.nextafter(limit, dtype(0))
    for sign in (1, -1):
        x = np.array([sign * below], dtype=dtype)
        assert fixed_point.encode(x, f).tolist() == [exact_encode(float(x[0]), f)]
        with pytest.raises(FixedPointError, match=r"index \[0\] reaches"):
            fixed_point.encode(np.array([sign * limit], dtype=dtype), f)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e30, -1e30])
@pytest.mark.parametrize("index", [(0, 0), (170, 99), (399, 120)])
def test_the_error_names_the_first_misfit_and_its_index(dtype, bad, index):
    """The message holds the value and the index of the first number that does not fit."""
    x = np.ones((400, 121), dtype=dtype)
    x[index] = bad
    x[399, 120] = bad
    with pytest.raises(FixedPointError) as caught:
        fixed_point.encode(x, 20)
    assert f"{x[index]!s} at index [{index[0]}, {index[1]}]" in str(caught.value)


def test_blocks_and_layouts_do_not_matter():
    """encode and decode give the same elements for large, transposed, empty and scalar arrays."""
    x = np.random.default_rng(1).normal(size=(300, 171))
    reference = np.rint(x * 2**20).astype(np.int64)
    out = np.empty(x.shape, dtype=np.int64)
    assert fixed_point.encode(x, 20, out=out) is out
    np.testing.assert_array_equal(out, reference)
    np.testing.assert_array_equal(fixed_point.encode(x.T, 20), reference.T)
    np.testing.assert_array_equal(fixed_point.decode(reference.T, 20), fixed_point.decode(reference, 20).T)
    assert fixed_point.encode(np.empty((0, 3)), 20).shape == (0, 3)
    assert fixed_point.decode(np.empty((3, 0), dtype=np.int64), 20).shape == (3, 0)
    assert fixed_point.encode(np.array(1.5), 20).tolist() == 3 << 19


def nearest(value: Fraction, dtype: type[np.floating]) -> float:
    """The float nearest to a fraction, ties to even, by exact comparison with its neighbours."""
    guess = dtype(float(value))
    candidates = [np.nextafter(guess, dtype(-np.inf)), guess, np.nextafter(guess, dtype(np.inf))]

    def rank(c: np.floating) -> tuple[Fraction, int]:
        mantissa = int(np.abs(c).view(np.uint32 if dtype is np.float32 else np.uint64))
        return abs(Fraction(float(c)) - value), mantissa & 1

    return float(min(candidates, key=rank))


@given(st.one_of(INT64, NEAR_ENDS), st.integers(0, 124), st.sampled_from([np.float32, np.float64]))
@settings(max_examples=500)
def test_decode_is_the_nearest_float(element, f, dtype):
    """decode rounds the signed integer divided by 2^f once, negatives and extremes included."""
    decoded = fixed_point.decode(np.array([element], dtype=np.int64), f, dtype)
    assert decoded.dtype == dtype
    assert float(decoded[0]) == nearest(Fraction(element, 2**f), dtype)


@given(st.lists(st.floats(-1000, 1000, width=32), max_size=5), st.integers(24, 50))
def test_decode_undoes_encode(values, f):
    """A round trip is off by at most half a unit of 2^-f."""
    x = np.array(values, dtype=np.float64)
    back = fixed_point.decode(fixed_point.encode(x, f), f, np.float64)
    assert np.all(np.abs(back - x) <= 2.0 ** -(f + 1))


def test_wrong_types_and_bits_are_refused():
    """Integers are not encoded, floats are not decoded, and the fractional bits have a range."""
    with pytest.raises(TypeError, match="int64"):
        fixed_point.encode(np.ones(1, dtype=np.int64), 20)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="int64"):
        fixed_point.decode(np.ones(1), 20)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="float16"):
        fixed_point.decode(np.ones(1, dtype=np.int64), 20, np.float16)
    for f in (-1, 63):
        with pytest.raises(ValueError, match="fractional_bits"):
            fixed_point.encode(np.ones(1), f)
    with pytest.raises(ValueError, match="fractional_bits"):
        fixed_point.decode(np.ones(1, dtype=np.int64), 125)
    with pytest.raises(ValueError, match="out must be"):
        fixed_point.encode(np.ones(2), 20, out=np.empty(3, dtype=np.int64))
