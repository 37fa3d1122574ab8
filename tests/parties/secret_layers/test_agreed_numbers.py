"""Numbers that holders bring into the ring: what they own, and public factors such as the learning rate."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2n2sim.errors import FixedPointError
from p2n2sim.mpc.width import Width
from p2n2sim.parties.secret_layers.belongings import encode
from p2n2sim.parties.secret_layers.network import as_fraction
from p2n2sim.parties.secret_layers.session import Arithmetic
from tests import oracle

WIDTHS = st.sampled_from([32, 64])


def arithmetic(width: Width, f: int) -> Arithmetic:
    """Of a ring."""
    return Arithmetic(fractional_bits=f, width=width, local_truncation=False)


@given(st.lists(st.floats(-(2.0**15), 2.0**15, width=32), max_size=8), st.integers(1, 14), WIDTHS)
def test_numbers_that_fit_are_encoded_as_the_oracle_does(values: list[float], f: int, width: Width) -> None:
    """In either ring, whatever stays below 2^(w-2)."""
    x = np.array(values, np.float32)
    assert oracle.wrong_encodings(x.tolist(), encode(x, arithmetic(width, f)).tolist(), f) == []


@pytest.mark.parametrize("sign", [1, -1])
def test_a_number_too_large_for_the_narrow_ring_is_refused(sign: int) -> None:
    """From 2^(32-2-f) on, with the magnitude, the ring and the fractional bits in the message."""
    below = np.nextafter(np.float32(2.0**20), np.float32(0))
    assert encode(np.array([sign * below]), arithmetic(32, 10)).tolist() == [sign * ((1 << 30) - 64)]
    with pytest.raises(FixedPointError) as caught:
        encode(np.array([0.5, sign * 2.0**20], np.float32), arithmetic(32, 10))
    assert str(caught.value) == (
        "a number of magnitude 1.04858e+06 does not fit a ring of 32 bits with 10 fractional bits"
    )


@given(st.floats(1e-9, 1e9), WIDTHS)
def test_a_public_factor_has_as_many_digits_as_the_ring_has_room_for(x: float, width: Width) -> None:
    """factor / 2^bits is within a unit of the last digit of the number, or the number is refused."""
    try:
        factor, bits = as_fraction(x, width)
    except FixedPointError:
        assert not 2.0 ** (8 - width + 3) < x < 2.0 ** (width - 4)
        return
    digits = 20 if width == 64 else 8
    assert abs(Fraction(factor, 1 << bits) - Fraction(x)) <= Fraction(x) / (1 << digits - 1) / 2
    assert 1 <= bits <= width - 3


@pytest.mark.parametrize(("x", "size"), [(1e-30, "small"), (1e30, "large"), (2.0**62, "large")])
def test_a_factor_beyond_the_ring_is_refused(x: float, size: str) -> None:
    """Too small to have digits, or too large to be a number of the ring."""
    with pytest.raises(FixedPointError, match=f"too {size} for a ring of 64 bits"):
        as_fraction(x, 64)
