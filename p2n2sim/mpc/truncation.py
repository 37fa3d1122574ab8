"""Dropping fractional bits of a shared fixed-point number after a product.

With a dealer's pair, for any number of parties (`pair`, `masked`, `truncate`): the parties open
c = x + 2^(w-2) + r with r uniform in the ring of w bits, and know shares of floor(r / 2^f) and of r's top
bit. For |x| < 2^(w-2) the sum x + 2^(w-2) lies in [0, 2^(w-1)); adding r overflows the ring exactly when r's
top bit is 1 and c's is 0, so the overflow is linear in what is shared. The result is floor(x / 2^f) or one
more, the latter with the probability of the dropped fraction: it is never wrong, and right on average.
Source: Escudero, Ghosh, Keller, Rachuri, Scholl, "Improved primitives for MPC over mixed arithmetic-binary
circuits", CRYPTO 2020, section 5.1; Dalskov, Escudero, Keller, "Secure evaluation of quantized neural
networks", PoPETs 2020, section 3.2.2.

Locally, for two parties only (`truncate_locally`): each shifts its share, without a message. The same
rounding, but with probability |x| / 2^w the two shares wrap around the ring and the result is off by
2^(w-f). Source: Mohassel and Zhang, "SecureML", 2017, section 4.1 and theorem 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from p2n2sim.mpc.correlated import Shape, Source
from p2n2sim.mpc.width import Ring, Width, signed, unsigned


@dataclass(frozen=True, slots=True)
class TruncationPair:
    """One party's shares of a mask and of what its truncation needs.

    Attributes:
        r: uniform mask.
        shifted: floor(r / 2^f), r taken as unsigned.
        top: the top bit of r, 0 or 1.
    """

    r: Ring
    shifted: Ring
    top: Ring


def pair(source: Source, shape: Shape, bits: int) -> TruncationPair:
    """A fresh pair for numbers of this shape that lose `bits` fractional bits."""
    width = source.width
    r = source.random(shape)
    shifted = source.share(shape, lambda: (unsigned(r, width) >> np.uint64(bits)).astype(np.int64))
    top = source.share(shape, lambda: (unsigned(r, width) >> np.uint64(width - 1)).astype(np.int64))
    return TruncationPair(r, shifted, top)


def masked(x: Ring, pair: TruncationPair, width: Width, *, first: bool) -> Ring:
    """A party's share of c, to be opened; the first party adds the constant."""
    c = x + pair.r
    if first:
        c += 1 << (width - 2)
    return c


def truncate(c: Ring, pair: TruncationPair, bits: int, width: Width, *, first: bool) -> Ring:
    """A party's share of x / 2^bits.

    Args:
        c: the opened sum of all parties' `masked`.
        pair: the one that masked x.
        bits: how many fractional bits are dropped, as they were when the pair was made.
        width: of the ring.
        first: whether this is the first party.
    """
    plain = unsigned(c, width)
    not_top = (1 - (plain >> np.uint64(width - 1)).astype(np.int64)) << (width - bits)
    y = pair.top * not_top
    y -= pair.shifted
    if first:
        y += (plain >> np.uint64(bits)).astype(np.int64) - (1 << (width - 2 - bits))
    return y


def truncate_locally(x: Ring, bits: int, width: Width, *, first: bool) -> Ring:
    """One of two parties' share of x / 2^bits, from its share of x alone."""
    own = signed(x, width)
    return own >> bits if first else -(-own >> bits)
