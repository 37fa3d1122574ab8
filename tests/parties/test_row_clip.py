"""Clipping summands of h1: no row and no weights break the bound, as it stands in the ring."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from p2n2sim.mpc import fixed_point
from p2n2sim.parties.row_clip import RowClip


@st.composite
def inputs(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, RowClip]:
    """X (3, k) and theta (k, n) of any magnitude that the ring holds, and a clipping."""
    k, n = draw(st.integers(1, 6)), draw(st.integers(1, 5))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    X = random.normal(size=(3, k)) * 10.0 ** draw(st.integers(-4, 3))
    theta = random.normal(size=(k, n)) * 10.0 ** draw(st.integers(-4, 2))
    clip = RowClip(10.0 ** draw(st.floats(-4, 3)), draw(st.integers(6, 20)))
    return X.astype(np.float32), theta.astype(np.float32), clip


@given(inputs())
def test_no_summand_in_the_ring_is_longer(given: tuple[np.ndarray, np.ndarray, RowClip]) -> None:
    """Encoded and multiplied as Algorithm 1 does it, and as a masked sum does, every row is within C."""
    X, theta, clip = given
    clipped = clip(X, theta)
    f = clip.fractional_bits
    shares = fixed_point.encode(clipped, f).astype(object) @ fixed_point.encode(theta, f).astype(object)
    for row in shares:  # exact: whole numbers of any size
        assert sum(int(x) ** 2 for x in row) <= (clip.bound * 4.0**f) ** 2 * (1 + 1e-12)
    summand = fixed_point.encode(clipped @ theta, f).astype(np.float64) * 2.0**-f
    assert np.linalg.norm(summand, axis=1).max() <= clip.bound * (1 + 1e-12)


@given(inputs())
def test_short_rows_are_not_touched(given: tuple[np.ndarray, np.ndarray, RowClip]) -> None:
    """A row keeps its bits or gets shorter; its direction stays."""
    X, theta, clip = given
    clipped = clip(X, theta)
    for before, after, h in zip(X, clipped, X.astype(np.float64) @ theta, strict=True):
        if np.array_equal(before, after):
            assert np.linalg.norm(h) <= clip.bound
        else:
            scale = float(np.abs(after).max() / np.abs(before).max())
            assert scale < 1
            np.testing.assert_allclose(after, before * scale, rtol=1e-5, atol=1e-30)


def test_it_takes_no_more_than_it_must() -> None:
    """A row whose summand is too long has one of norm C afterwards, up to the room left for rounding."""
    random = np.random.default_rng(1)
    X, theta = (random.normal(size=s).astype(np.float32) for s in ((50, 14), (14, 8)))
    lengths = np.linalg.norm(RowClip(1.0, 20)(X, theta).astype(np.float64) @ theta, axis=1)
    assert lengths.min() > 1 - 1e-3
    assert math.isclose(lengths.max(), 1.0, abs_tol=1e-3)


def test_without_room_a_row_is_zero() -> None:
    """Where rounding alone could break the bound nothing is given away."""
    X, theta = np.full((2, 3), 100.0, np.float32), np.full((3, 2), 100.0, np.float32)
    assert not RowClip(1e-4, 2)(X, theta).any()
