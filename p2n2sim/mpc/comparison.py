"""Is a shared number at least 0? Exactly, for any number of parties, with a dealer's randomness.

The parties open c = x + r, r uniform in the ring of w bits, whose bits the dealer shares by XOR. Then
x = c - r, and the sign of x is the top bit of c, XOR that of r, XOR the borrow: whether the low w - 1 bits
of c, which are public, are a number below those of r. For each bit let g say that it decides for "below"
(c's bit 0, r's bit 1) and p that it does not decide (the bits are equal): both are linear in r's shared bit.
A tree joins neighbours,

    g = g_high XOR p_high AND g_low,   p = p_high AND p_low,

in ceil(log2(w - 1)) levels, each an opening of masked bits. The result, a shared bit b, becomes a ring
element with a shared random bit rho in both forms: e = b XOR rho is opened, and b = e + (1 - 2 e) rho. With
shares of r rho the product x b = c b - r b needs no further message.

Sources: comparison of a public number with shared bits by a tree: Catrina and de Hoogh, "Improved primitives
for secure multiparty integer computation", SCN 2010; masks known in both forms over a whole ring: Escudero,
Ghosh, Keller, Rachuri, Scholl, CRYPTO 2020 (edaBits), and Makri, Rotaru, Vercauteren, Wagh, "Rabbit",
FC 2021; random bits in both forms: Rotaru and Wood, "MArBled circuits", INDOCRYPT 2019 (daBits).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from p2n2sim.mpc.bits import Planes, plane_bytes, planes, unpack
from p2n2sim.mpc.correlated import Source
from p2n2sim.mpc.width import Ring, Width


@dataclass(frozen=True, slots=True)
class Level:
    """One party's shares of bit triples for one level of the tree: (ways, pairs, plane bytes) each.

    Attributes:
        a: mask of p_high.
        b_g: mask of g_low.
        b_p: mask of p_low; the lowest pair needs none, for nothing lies below it.
        ab_g: a AND b_g.
        ab_p: a AND b_p.
    """

    a: Planes
    b_g: Planes
    b_p: Planes
    ab_g: Planes
    ab_p: Planes


@dataclass(frozen=True, slots=True)
class Comparisons:
    """One party's shares of all that comparing `count` numbers with `ways` constants each takes.

    Attributes:
        r: mask of the numbers, (count,).
        bits: r's bits by XOR, (width, plane bytes).
        levels: of the tree, widest first.
        rho_bits: random bits by XOR, (ways, plane bytes).
        rho: the same as ring elements, (ways, count).
        r_rho: their products with r, (ways, count).
    """

    r: Ring
    bits: Planes
    levels: tuple[Level, ...]
    rho_bits: Planes
    rho: Ring
    r_rho: Ring


def level_pairs(width: Width) -> list[int]:
    """How many pairs of planes each level of the tree joins; an odd plane is carried over."""
    out, left = [], width - 1
    while left > 1:
        out.append(left // 2)
        left -= left // 2
    return out


def comparisons(source: Source, count: int, ways: int) -> Comparisons:
    """Fresh randomness for comparing `count` numbers with `ways` public constants each."""
    width = source.width
    row = plane_bytes(count)
    r = source.random((count,))
    bits = source.share_bits((width, row), lambda: planes(r, width))
    levels = tuple(_level(source, ways, pairs, row) for pairs in level_pairs(width))
    rho_bits = source.random_bits((ways, row))
    rho = source.share((ways, count), lambda: np.stack([unpack(plane, (count,)) for plane in rho_bits]))
    r_rho = source.share((ways, count), lambda: r * rho)
    return Comparisons(r, bits, levels, rho_bits, rho, r_rho)


def _level(source: Source, ways: int, pairs: int, row: int) -> Level:
    a = source.random_bits((ways, pairs, row))
    b_g = source.random_bits((ways, pairs, row))
    b_p = source.random_bits((ways, pairs - 1, row))
    ab_g = source.share_bits((ways, pairs, row), lambda: a & b_g)
    ab_p = source.share_bits((ways, pairs - 1, row), lambda: a[:, 1:] & b_p)
    return Level(a, b_g, b_p, ab_g, ab_p)


@dataclass(frozen=True, slots=True)
class Tree:
    """A party's shares of g and p, (ways, planes, plane bytes), lowest plane first, at some level."""

    g: Planes
    p: Planes


def leaves(c: Ring, bits: Planes, width: Width, *, first: bool) -> tuple[Tree, Planes]:
    """The bottom of the tree, and a share of the top bits of c XOR r.

    Args:
        c: opened, (ways, count): masked differences to each constant.
        bits: this party's shares of r's bits, (width, plane bytes).
        width: of the ring.
        first: whether this is the first party, who adds constants.

    Returns:
        The tree over the low width - 1 planes, and (ways, plane bytes).
    """
    public = np.stack([planes(row, width) for row in c])  # (ways, width, plane bytes)
    low, r = public[:, :-1], bits[:-1]
    g = ~low & r
    p = np.broadcast_to(r, low.shape) ^ ~low if first else np.broadcast_to(r, low.shape)
    top = np.broadcast_to(bits[-1], (len(c), bits.shape[1]))
    return Tree(g, p), (top ^ public[:, -1] if first else top)


def mask_level(tree: Tree, level: Level) -> tuple[Planes, Planes, Planes]:
    """A party's shares of the masked bits of one level, to be opened: p_high, g_low, p_low."""
    pairs = level.a.shape[1]
    low, high = slice(0, 2 * pairs, 2), slice(1, 2 * pairs, 2)
    return tree.p[:, high] ^ level.a, tree.g[:, low] ^ level.b_g, tree.p[:, low][:, 1:] ^ level.b_p


def join_level(tree: Tree, level: Level, opened: tuple[Planes, Planes, Planes], *, first: bool) -> Tree:
    """The next level of the tree, half as many planes.

    (d XOR a)(e XOR b) = d e XOR d b XOR e a XOR a b for masks a, b and opened d, e.
    """
    d, e_g, e_p = opened
    pairs = level.a.shape[1]
    g = tree.g[:, 1 : 2 * pairs : 2] ^ (d & level.b_g) ^ (e_g & level.a) ^ level.ab_g
    p = (d[:, 1:] & level.b_p) ^ (e_p & level.a[:, 1:]) ^ level.ab_p
    if first:
        g = g ^ (d & e_g)
        p = p ^ (d[:, 1:] & e_p)
    rest = slice(2 * pairs, None)  # an odd plane is carried over
    nothing = np.zeros_like(g[:, :1])  # of the lowest pair p is never asked for
    return Tree(
        np.concatenate([g, tree.g[:, rest]], axis=1), np.concatenate([nothing, p, tree.p[:, rest]], axis=1)
    )


def not_negative(tree: Tree, top: Planes, *, first: bool) -> Planes:
    """A party's shares of the bits "x is at least 0", (ways, plane bytes), at the root of the tree."""
    sign = tree.g[:, 0] ^ top
    return ~sign if first else sign


def bits_to_ring(e: NDArray[np.int64], rho: Ring, *, first: bool) -> Ring:
    """A party's share of b = e + (1 - 2 e) rho, from the opened e (ways, count) of 0 and 1."""
    b = (1 - 2 * e) * rho
    return b + e if first else b


def times_bit(c: Ring, e: Ring, b: Ring, randomness: Comparisons) -> Ring:
    """A party's share of x b = c b - r b, (ways, count), where x = c - r.

    Args:
        c: opened masked numbers, (ways, count).
        e: opened masked bits, (ways, count).
        b: this party's share of the bits.
        randomness: of the comparison.
    """
    r_b = e * randomness.r + (1 - 2 * e) * randomness.r_rho
    return c * b - r_b


def masked_bits(b: Planes, randomness: Comparisons) -> Planes:
    """A party's share of e = b XOR rho, to be opened."""
    return b ^ randomness.rho_bits


def unpack_ways(e: Planes, count: int) -> Ring:
    """Opened planes (ways, plane bytes) as ring elements 0 and 1, (ways, count)."""
    return np.stack([unpack(plane, (count,)) for plane in e])
