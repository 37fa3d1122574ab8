"""Secret-shared matrix products with a dealer's correlated randomness (Beaver triples).

n parties hold additive shares of X (m, k) and theta (k, n). The dealer and party j share a key; from it both
expand U_j (m, k), V_j (k, n) and Z_j (m, n). Of the triple U = sum U_j, V = sum V_j, U V = sum Z_j only one
matrix is ever sent: the last party's Z_j, which no stream can give. With E = X - U and F = theta - V opened,
party j's share of the product is X_j F + E V_j + Z_j, for

    sum_j (X_j F + E V_j + Z_j) = X F + E V + U V = X F + (X - U) V + U V = X F + X V = X theta.

This replaces lines 5 to 9 of Algorithm 1. Printed line by line, party 1 computes X_1 theta_1 locally and the
cross products X_1 theta_2 and X_2 theta_1 with a Beaver product each. It masks X_1 by U_1 in one and theta_1
by V_1 in the other, so what it opens are the same E_1 and F_1, and its shares are X_1 F_2 + W and
E_2 V_1 + W', where W and W' are its shares of U_1 V_2 and U_2 V_1. In the ring
X_1 theta_1 = X_1 F_1 + E_1 V_1 + U_1 V_1, hence

    X_1 theta_1 + (X_1 F_2 + W) + (E_2 V_1 + W') = X_1 F + E V_1 + (U_1 V_1 + W + W'),

the same bits as above when the dealer's randomness is the same: W + W' = Z_1 - U_1 V_1. A party may combine
products that share a factor because its share stays bit-identical. The literal lines need three products of
each party and two of the dealer, eight in all; this form needs two of each party and one of the dealer.

Sources: Beaver, "Efficient multiparty protocols using circuit randomization", CRYPTO 1991; Mohassel and
Zhang, "SecureML", 2017, section 4.2 (a shared matrix is masked once, not once per product).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from p2n2sim.mpc import prg, ring
from p2n2sim.mpc.prg import Purpose

Matrix = NDArray[np.int64]

# The dealer's masks pass through blocks of rows: small enough for the second-level cache where k is small,
# and enough rows for a wide product to run at full speed.
_BLOCK_ELEMENTS = 1 << 15
_MIN_BLOCK_ROWS = 512


@dataclass(frozen=True, slots=True)
class Masks:
    """One party's shares of the masks of one product: all that is needed to open E and F.

    Attributes:
        U: mask of the left factor, int64 (m, k).
        V: mask of the right factor, int64 (k, n).
    """

    U: Matrix
    V: Matrix


@dataclass(frozen=True, slots=True)
class Triple(Masks):
    """One party's share of the correlated randomness of one product.

    Attributes:
        Z: share of the product of all masks, int64 (m, n).
    """

    Z: Matrix


def expand_masks(key: bytes, step: int, m: int, k: int, n: int) -> Masks:
    """The masks alone, which no party has to wait for; arguments and errors as for `expand`."""
    return Masks(
        prg.uniform(key, step, (m, k), purpose=Purpose.TRIPLE_U),
        prg.uniform(key, step, (k, n), purpose=Purpose.TRIPLE_V),
    )


def product_stream(key: bytes, step: int, m: int, n: int) -> Matrix:
    """Z_j, int64 (m, n), of every party but the last; arguments and errors as for `expand`."""
    return prg.uniform(key, step, (m, n), purpose=Purpose.TRIPLE_Z)


def expand(key: bytes, step: int, m: int, k: int, n: int, *, correction: Matrix | None = None) -> Triple:
    """A party's triple from its key with the dealer.

    Args:
        key: 16 bytes.
        step: step of the streams; every product of one key takes its own.
        m: rows of X.
        k: columns of X, rows of theta.
        n: columns of theta.
        correction: what the dealer sent, (m, n), at the last party; nothing elsewhere.

    Returns:
        The triple; its Z is the correction where one is given.

    Raises:
        ValueError: a correction of another shape, or a stream that does not exist.
    """
    if correction is not None and correction.shape != (m, n):
        raise ValueError(f"the correction has shape {correction.shape}, the product {(m, n)}")
    masks = expand_masks(key, step, m, k, n)
    Z = product_stream(key, step, m, n) if correction is None else correction
    return Triple(masks.U, masks.V, Z)


def correction(keys: Sequence[bytes], step: int, m: int, k: int, n: int, *, threads: int = 1) -> Matrix:
    """The dealer's message to the last party: Z_last = U V minus the other parties' Z_j.

    No mask exists as a whole: the streams are read and multiplied by blocks of rows.

    Args:
        keys: the dealer's key with each party, in the order of the parties, at least 2.
        step: step of the streams.
        m: rows of X.
        k: columns of X, rows of theta.
        n: columns of theta.
        threads: over how many threads the product may be split.

    Returns:
        int64 (m, n), uniform to whoever lacks the first party's key.

    Raises:
        ValueError: fewer than 2 keys, or a stream that does not exist.
    """
    if len(keys) < 2:
        raise ValueError(f"a product is shared among at least 2 parties, not {len(keys)}")
    V = sum(
        (prg.uniform(key, step, (k, n), purpose=Purpose.TRIPLE_V) for key in keys[1:]),
        start=prg.uniform(keys[0], step, (k, n), purpose=Purpose.TRIPLE_V),
    )  # (k, n)
    masks = [prg.Stream(key, step, purpose=Purpose.TRIPLE_U) for key in keys]
    others = [prg.Stream(key, step, purpose=Purpose.TRIPLE_Z) for key in keys[:-1]]
    Z = np.empty((m, n), dtype=np.int64)
    rows = min(m, max(_MIN_BLOCK_ROWS, _BLOCK_ELEMENTS // max(k, 1)))
    U, U_j = np.empty((rows, k), dtype=np.int64), np.empty((rows, k), dtype=np.int64)
    Z_j = np.empty((rows, n), dtype=np.int64)
    for first in range(0, m, max(rows, 1)):
        part = Z[first : first + rows]
        count = len(part)
        masks[0].fill(U[:count])
        for stream in masks[1:]:
            stream.fill(U_j[:count])
            np.add(U[:count], U_j[:count], out=U[:count])
        ring.matmul(U[:count], V, out=part, threads=threads)
        for stream in others:
            stream.fill(Z_j[:count])
            np.subtract(part, Z_j[:count], out=part)
    return Z


def row_masks(key: bytes, train: int, test: int, k: int) -> tuple[Matrix, Matrix]:
    """A party's masks of all rows of X, for products that take their rows from one X masked once.

    Args:
        key: 16 bytes.
        train: rows that are trained on.
        test: rows that are tested on.
        k: columns of X.

    Returns:
        U_j, int64 (train, k) and (test, k).
    """
    return (
        prg.uniform(key, 0, (train, k), purpose=Purpose.ROW_MASKS_TRAIN),
        prg.uniform(key, 0, (test, k), purpose=Purpose.ROW_MASKS_TEST),
    )


def correction_of_rows(keys: Sequence[bytes], step: int, U: Matrix, n: int, *, threads: int = 1) -> Matrix:
    """As `correction`, with the sum of all parties' left masks at hand.

    Args:
        keys: the dealer's key with each party, at least 2.
        step: step of the streams of V and Z.
        U: the rows' masks, summed over the parties, int64 (m, k).
        n: columns of theta.
        threads: over how many threads the product may be split.

    Returns:
        int64 (m, n), uniform to whoever lacks the first party's key.

    Raises:
        ValueError: fewer than 2 keys, or a stream that does not exist.
    """
    if len(keys) < 2:
        raise ValueError(f"a product is shared among at least 2 parties, not {len(keys)}")
    m, k = U.shape
    V = prg.uniform(keys[0], step, (k, n), purpose=Purpose.TRIPLE_V)
    for key in keys[1:]:
        np.add(V, prg.uniform(key, step, (k, n), purpose=Purpose.TRIPLE_V), out=V)
    Z = ring.matmul(U, V, threads=threads)
    Z_j = np.empty((m, n), dtype=np.int64)
    for key in keys[:-1]:
        np.subtract(Z, prg.uniform(key, step, (m, n), purpose=Purpose.TRIPLE_Z, out=Z_j), out=Z)
    return Z


def product_share_of_rows(X_and_E: Matrix, F: Matrix, V: Matrix, Z: Matrix, *, threads: int = 1) -> Matrix:
    """A party's share X_j F + E V_j + Z_j of X theta as one product, [X_j | E] [F ; V_j] + Z_j.

    Args:
        X_and_E: the party's share of X beside the opened E, int64 (m, 2 k).
        F: the opened sum of all parties' F_j, (k, n).
        V: the party's right mask, (k, n).
        Z: the party's share of U V, (m, n).
        threads: over how many threads the product may be split.

    Returns:
        A new int64 (m, n) array, the same bits as those of `product_share`.

    Raises:
        ValueError: shapes that do not fit.
    """
    share = ring.matmul(X_and_E, np.concatenate((F, V)), threads=threads)  # (m, n)
    share += Z
    return share


def mask(X: Matrix, theta: Matrix, masks: Masks) -> tuple[Matrix, Matrix]:
    """A party's shares of E = X - U and F = theta - V, to be opened.

    Args:
        X: the party's share of X, int64 (m, k).
        theta: the party's share of theta, int64 (k, n).
        masks: the party's masks; each may mask one X and one theta only.

    Returns:
        E_j (m, k) and F_j (k, n).

    Raises:
        ValueError: shapes other than the masks'.
    """
    if X.shape != masks.U.shape or theta.shape != masks.V.shape:
        raise ValueError(
            f"masks for {masks.U.shape} by {masks.V.shape} can not mask {X.shape} by {theta.shape}"
        )
    return X - masks.U, theta - masks.V


def product_share(X: Matrix, E: Matrix, F: Matrix, triple: Triple, *, threads: int = 1) -> Matrix:
    """A party's share X_j F + E V_j + Z_j of X theta.

    Args:
        X: the party's share of X, int64 (m, k).
        E: the opened sum of all parties' E_j, (m, k).
        F: the opened sum of all parties' F_j, (k, n).
        triple: the party's triple, the one that masked X.
        threads: over how many threads a product may be split.

    Returns:
        A new int64 (m, n) array.

    Raises:
        ValueError: shapes that do not fit.
    """
    share = ring.matmul(X, F, threads=threads)  # (m, n)
    share += ring.matmul(E, triple.V, threads=threads)
    share += triple.Z
    return share
