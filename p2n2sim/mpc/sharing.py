"""Additive secret sharing in Z_2^64 among n parties.

Source: Algorithm 1, lines 1 and 2, of the P2N2 paper; Mohassel and Zhang, "SecureML", 2017, section 2.2.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from p2n2sim.mpc import prg


def split(
    secret: NDArray[np.int64], n: int, key: bytes, step: int, *, purpose: int = prg.Purpose.GENERIC
) -> list[NDArray[np.int64]]:
    """Splits a secret into n shares whose sum it is (Algorithm 1, lines 1 and 2).

    The first n - 1 shares follow each other in one stream; the last is the secret minus their sum. Any n - 1
    of the shares are uniform and independent of the secret.

    Args:
        secret: int64 array of any shape.
        n: number of shares, at least 2.
        key: 16 bytes, known only to the owner of the secret.
        step: step of the stream; a (purpose, step) of one key must share one secret only.
        purpose: purpose of the stream.

    Returns:
        n int64 arrays of the shape of the secret.

    Raises:
        ValueError: n is less than 2, or the stream does not exist (see :func:`p2n2sim.mpc.prg.uniform`).
    """
    if n < 2:
        raise ValueError(f"a secret is split into at least 2 shares, not {n}")
    masks = prg.uniform(key, step, (n - 1, *secret.shape), purpose=purpose)
    last = np.subtract(secret, masks[0], order="C")
    for mask in masks[1:]:
        np.subtract(last, mask, out=last)
    return [*masks, last]


def reconstruct(shares: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """The secret of a complete set of shares: their sum modulo 2^64.

    Args:
        shares: at least 2 int64 arrays of one shape.

    Returns:
        A new int64 array.

    Raises:
        ValueError: fewer than 2 shares, or shares of different shapes.
    """
    if len(shares) < 2:
        raise ValueError(f"a secret has at least 2 shares, not {len(shares)}")
    if any(share.shape != shares[0].shape for share in shares):
        raise ValueError(f"shares of different shapes: {[share.shape for share in shares]}")
    total = np.add(shares[0], shares[1])
    for share in shares[2:]:
        np.add(total, share, out=total)
    return total
