"""Additive sharing in Z_2^64."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2n2sim.mpc import prg, sharing

KEY = prg.derive_key(3, "sharing")
INT64 = st.integers(-(1 << 63), (1 << 63) - 1)


@given(st.lists(INT64, max_size=20), st.integers(2, 9), st.integers(0, 2**48 - 1), st.integers(0, 5))
@settings(max_examples=100)
def test_shares_sum_to_the_secret(values, n, step, purpose):
    """reconstruct(split(x, n)) is x for every n, by wrapping sums and by Python integers."""
    secret = np.array(values, dtype=np.int64)
    shares = sharing.split(secret, n, KEY, step, purpose=purpose)
    assert len(shares) == n
    np.testing.assert_array_equal(sharing.reconstruct(shares), secret)
    sums = [sum(column) % (1 << 64) for column in zip(*(s.tolist() for s in shares), strict=True)]
    assert sums == [value % (1 << 64) for value in values]


def test_all_but_the_last_share_are_the_stream():
    """The first n - 1 shares follow each other in one stream, so their receiver can be sent a key instead."""
    secret = np.arange(12, dtype=np.int64).reshape(3, 4)
    shares = sharing.split(secret, 4, KEY, 5, purpose=prg.Purpose.FEATURES)
    stream = prg.uniform(KEY, 5, (3, 3, 4), purpose=prg.Purpose.FEATURES)
    np.testing.assert_array_equal(np.stack(shares[:3]), stream)


def test_split_leaves_the_secret_alone_whatever_its_layout():
    """Splitting a transposed, read-only secret gives C-contiguous shares and does not touch it."""
    secret = np.arange(12, dtype=np.int64).reshape(3, 4)
    secret.flags.writeable = False
    shares = sharing.split(secret.T, 3, KEY, 0)
    assert all(share.flags.c_contiguous and share.shape == (4, 3) for share in shares)
    np.testing.assert_array_equal(sharing.reconstruct(shares), secret.T)


@pytest.mark.parametrize("which", range(3))
def test_each_share_alone_looks_uniform(which):
    """The bytes of any one share of a constant secret pass a chi-square test at a fixed seed."""
    share = sharing.split(np.full(1 << 16, 42), 3, KEY, 1)[which]
    counts = np.bincount(share.view(np.uint8), minlength=256)
    chi_square = float(np.sum((counts - (1 << 11)) ** 2) / (1 << 11))
    assert abs(chi_square - 255) < 5 * (2 * 255) ** 0.5


def test_too_few_shares_and_mixed_shapes_are_refused():
    """One share would be the secret itself; shapes must agree rather than broadcast."""
    secret = np.zeros((2, 3), dtype=np.int64)
    for n in (1, 0, -1):
        with pytest.raises(ValueError, match="at least 2"):
            sharing.split(secret, n, KEY, 0)
    with pytest.raises(ValueError, match="at least 2"):
        sharing.reconstruct([secret])
    with pytest.raises(ValueError, match="different shapes"):
        sharing.reconstruct([secret, secret[:1]])
