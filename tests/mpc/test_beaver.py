"""Secret-shared matrix products, and their identity with Algorithm 1 line by line."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from p2n2sim.mpc import beaver, prg, ring, sharing
from p2n2sim.mpc.prg import Purpose

Matrix = NDArray[np.int64]


def uniform(label: str, *shape: int) -> Matrix:
    """Test data: uniform ring elements."""
    return prg.uniform(prg.derive_key(0, "data", label), 0, shape)


def keys_of(parties: int) -> list[bytes]:
    """The dealer's keys."""
    return [prg.derive_key(1, "dealer", j) for j in range(parties)]


def triples(parties: int, step: int, m: int, k: int, n: int) -> list[beaver.Triple]:
    """What the parties hold after the offline phase."""
    keys = keys_of(parties)
    sent = beaver.correction(keys, step, m, k, n)
    return [beaver.expand(key, step, m, k, n, correction=sent if key == keys[-1] else None) for key in keys]


def product_shares(Xs: list[Matrix], thetas: list[Matrix], held: list[beaver.Triple]) -> list[Matrix]:
    """The online phase: mask, open, combine."""
    masked = [beaver.mask(X, theta, t) for X, theta, t in zip(Xs, thetas, held, strict=True)]
    E, F = (sharing.reconstruct(parts) for parts in zip(*masked, strict=True))
    return [beaver.product_share(X, E, F, t) for X, t in zip(Xs, held, strict=True)]


@given(st.integers(2, 5), st.integers(0, 6), st.integers(0, 6), st.integers(0, 6), st.integers(0, 1000))
@settings(max_examples=80, deadline=None)
def test_shares_of_the_product_sum_to_it(parties, m, k, n, step):
    """The shares of 2 to 5 parties sum to X theta modulo 2^64, for every shape."""
    X, theta = uniform("X", m, k), uniform("theta", k, n)
    Xs = sharing.split(X, parties, prg.derive_key(2), step)
    thetas = sharing.split(theta, parties, prg.derive_key(3), step)
    shares = product_shares(Xs, thetas, triples(parties, step, m, k, n))
    np.testing.assert_array_equal(sharing.reconstruct(shares), X @ theta)


@pytest.mark.parametrize(("parties", "m", "k", "n"), [(2, 5000, 28, 8), (3, 1500, 30, 5), (2, 600, 120, 70)])
def test_the_law_holds_where_the_dealer_works_in_blocks(parties, m, k, n):
    """At training sizes, more rows than one block of the dealer, U V is the sum of the Z_j."""
    held = triples(parties, 4, m, k, n)
    U, V, Z = (sharing.reconstruct([getattr(t, name) for t in held]) for name in "UVZ")
    np.testing.assert_array_equal(ring.matmul(U, V), Z)
    assert (m, n) == Z.shape


def test_the_dealer_sends_one_matrix_and_the_rest_are_streams():
    """Everything but the last party's Z is a stream of the party's own key."""
    held = triples(3, 9, 7, 5, 2)
    for j, (key, t) in enumerate(zip(keys_of(3), held, strict=True)):
        np.testing.assert_array_equal(t.U, prg.uniform(key, 9, (7, 5), purpose=Purpose.TRIPLE_U))
        np.testing.assert_array_equal(t.V, prg.uniform(key, 9, (5, 2), purpose=Purpose.TRIPLE_V))
        own = prg.uniform(key, 9, (7, 2), purpose=Purpose.TRIPLE_Z)
        assert np.array_equal(t.Z, own) == (j < 2)


def test_algorithm_1_line_by_line_gives_bit_identical_shares():
    """Lines 5 to 9 as printed, with Beaver cross products on the same randomness, give the same shares.

    The literal version needs eight products, three of each party and two of the dealer; the form in use five.
    """
    m, k, n = 50, 28, 8
    X1, X2 = sharing.split(uniform("X", m, k), 2, prg.derive_key(2), 0)
    T1, T2 = sharing.split(uniform("theta", k, n), 2, prg.derive_key(3), 0)
    one, two = triples(2, 0, m, k, n)

    # What the dealer deals for the two cross products: W12 shares U_1 V_2, and W21 shares U_2 V_1. The pair
    # of each party sums to Z_j - U_j V_j; how it divides the sum is free.
    W12_1 = uniform("W12", m, n)
    W21_1 = one.Z - one.U @ one.V - W12_1
    W12_2 = one.U @ two.V - W12_1
    W21_2 = two.U @ one.V - W21_1
    np.testing.assert_array_equal(W12_2 + W21_2, two.Z - two.U @ two.V)

    # Line 7: X_1 theta_2 opens E_1 and F_2, X_2 theta_1 opens E_2 and F_1.
    E1, F1 = X1 - one.U, T1 - one.V
    E2, F2 = X2 - two.U, T2 - two.V
    X1T2_A, X1T2_B = X1 @ F2 + W12_1, E1 @ two.V + W12_2
    X2T1_A, X2T1_B = E2 @ one.V + W21_1, X2 @ F1 + W21_2
    np.testing.assert_array_equal(X1T2_A + X1T2_B, X1 @ T2)
    np.testing.assert_array_equal(X2T1_A + X2T1_B, X2 @ T1)

    # Lines 5, 6, 8 and 9.
    literal_A = X1 @ T1 + X1T2_A + X2T1_A
    literal_B = X2 @ T2 + X1T2_B + X2T1_B
    share_A, share_B = product_shares([X1, X2], [T1, T2], [one, two])
    np.testing.assert_array_equal(share_A, literal_A)
    np.testing.assert_array_equal(share_B, literal_B)


def test_threads_do_not_change_a_bit():
    """Dealer and party give the same bits with 1 and 3 threads."""
    keys = keys_of(2)
    one = beaver.correction(keys, 1, 3000, 100, 40)
    np.testing.assert_array_equal(one, beaver.correction(keys, 1, 3000, 100, 40, threads=3))
    t = beaver.expand(keys[1], 1, 3000, 100, 40, correction=one)
    X, E, F = uniform("X", 3000, 100), uniform("E", 3000, 100), uniform("F", 100, 40)
    np.testing.assert_array_equal(
        beaver.product_share(X, E, F, t), beaver.product_share(X, E, F, t, threads=3)
    )


def test_what_is_opened_and_sent_looks_uniform():
    """E of a constant X, and the dealer's correction, pass a chi-square test of their bytes."""
    keys = keys_of(2)
    t = beaver.expand(keys[0], 2, 5000, 14, 8)
    E, _ = beaver.mask(np.full((5000, 14), 1), np.full((14, 8), 1), t)
    for matrix in (E, beaver.correction(keys, 2, 5000, 14, 8)):
        counts = np.bincount(matrix.reshape(-1).view(np.uint8), minlength=256)
        chi_square = float(np.sum((counts - matrix.size / 32) ** 2) / (matrix.size / 32))
        assert abs(chi_square - 255) < 5 * (2 * 255) ** 0.5


def test_inputs_are_left_alone_and_may_be_read_only():
    """Opened matrices and corrections arrive as read-only views; nothing writes to them."""
    held = triples(2, 3, 20, 6, 4)
    X, theta = uniform("X", 20, 6), uniform("theta", 6, 4)
    for array in (X, theta, *(m for t in held for m in (t.U, t.V, t.Z))):
        array.flags.writeable = False
    E, F = beaver.mask(X, theta, held[1])
    E.flags.writeable = F.flags.writeable = False
    expected = X @ F + E @ held[1].V + held[1].Z
    np.testing.assert_array_equal(beaver.product_share(X, E, F, held[1]), expected)


def test_misfits_are_refused():
    """One party alone, and matrices of other shapes, are errors."""
    keys = keys_of(2)
    with pytest.raises(ValueError, match="at least 2"):
        beaver.correction(keys[:1], 0, 2, 2, 2)
    with pytest.raises(ValueError, match="correction has shape"):
        beaver.expand(keys[1], 0, 2, 2, 2, correction=np.zeros((2, 3), dtype=np.int64))
    t = beaver.expand(keys[0], 0, 3, 2, 4)
    with pytest.raises(ValueError, match="can not mask"):
        beaver.mask(np.zeros((1, 2), dtype=np.int64), t.V, t)


@pytest.mark.parametrize("parties", [2, 3])
def test_one_mask_for_all_rows(parties: int) -> None:
    """With X masked once, shares of any rows times any theta add up to the product, to the bit."""
    train, test, k, n = 9, 4, 3, 2
    keys = [prg.derive_key(5, "triples", party) for party in range(parties)]
    masks = [beaver.row_masks(key, train, test, k) for key in keys]
    for which, count in ((0, train), (1, test)):
        X = [prg.uniform(prg.derive_key(6, "X", j), which, (count, k)) for j in range(parties)]
        U = np.add.reduce([mask[which] for mask in masks])
        E = np.add.reduce(X) - U
        for step, rows in enumerate(([0, 2, 3], [3, 1], list(range(count)))):
            theta = [prg.uniform(prg.derive_key(7, "theta", j), step, (k, n)) for j in range(parties)]
            V = [beaver.expand_masks(key, step, 0, k, n).V for key in keys]
            F = np.add.reduce(theta) - np.add.reduce(V)
            Z = [beaver.product_stream(key, step, len(rows), n) for key in keys[:-1]]
            Z.append(beaver.correction_of_rows(keys, step, U[rows], n))
            shares = [
                beaver.product_share_of_rows(np.concatenate((X[j], E), axis=1)[rows], F, V[j], Z[j])
                for j in range(parties)
            ]
            same = [
                beaver.product_share(X[j][rows], E[rows], F, beaver.Triple(U[rows], V[j], Z[j]))
                for j in range(parties)
            ]
            assert np.array_equal(shares, same)
            expected = np.add.reduce(X)[rows].astype(object) @ np.add.reduce(theta).astype(object)
            assert ((np.add.reduce(shares).astype(object) - expected) % 2**64 == 0).all()


def test_masks_of_training_and_test_rows_are_different_streams() -> None:
    """The rows' masks of one key share no element between training, test and a batch's fresh masks."""
    key = prg.derive_key(5, "triples", 0)
    train, test = beaver.row_masks(key, 50, 50, 3)
    fresh = beaver.expand_masks(key, 0, 50, 3, 2)
    elements = np.concatenate([m.ravel() for m in (train, test, fresh.U, fresh.V)])
    assert len(np.unique(elements)) == elements.size


def test_correction_of_rows_needs_two_parties() -> None:
    """One party alone has nothing to share."""
    with pytest.raises(ValueError, match="at least 2 parties, not 1"):
        beaver.correction_of_rows([bytes(16)], 0, np.zeros((2, 2), np.int64), 1)
