"""Comparison of shared numbers with constants: exact for every element of the ring."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2n2sim.mpc import bits, comparison
from p2n2sim.mpc.comparison import Tree
from p2n2sim.mpc.width import Ring, Width, signed
from tests import oracle
from tests.dealing import deal, elements, join, split, xor

WIDTHS: tuple[Width, ...] = (32, 64)
Bits = Callable[[Tree, bits.Planes, Ring, bool], bits.Planes]


@dataclass
class Compared:
    """What came out.

    Attributes:
        bits: [x >= threshold] for each threshold.
        products: (x - threshold) times the bit.
        levels: openings of the tree.
    """

    bits: list[list[int]]
    products: list[list[int]]
    levels: int


def honest(tree: Tree, top: bits.Planes, c: Ring, first: bool) -> bits.Planes:
    """The right result at the root of the tree."""
    return comparison.not_negative(tree, top, first=first)


def compare(
    values: list[int],
    thresholds: list[int],
    width: Width,
    *,
    parties: int = 2,
    full: bool = False,
    step: int = 0,
    at_root: Bits = honest,
) -> Compared:
    """All parties' part, with openings in between."""
    count, ways = len(values), len(thresholds)
    piece = partial(comparison.comparisons, count=count, ways=ways)
    _, held = deal(piece, parties, width, full=full, step=step)
    shares = split(elements(values), parties, step)
    opened = join([x + h.r for x, h in zip(shares, held, strict=True)], width)
    c = signed(opened - elements(thresholds)[:, None], width)
    grown = [comparison.leaves(c, h.bits, width, first=not i) for i, h in enumerate(held)]
    trees, tops = [tree for tree, _ in grown], [top for _, top in grown]
    for number in range(len(held[0].levels)):
        levels = [h.levels[number] for h in held]
        masked = [comparison.mask_level(t, level) for t, level in zip(trees, levels, strict=True)]
        d, e_g, e_p = (xor([m[i] for m in masked]) for i in range(3))
        trees = [
            comparison.join_level(t, level, (d, e_g, e_p), first=not i)
            for i, (t, level) in enumerate(zip(trees, levels, strict=True))
        ]
    roots = [at_root(t, top, c, not i) for i, (t, top) in enumerate(zip(trees, tops, strict=True))]
    e = comparison.unpack_ways(
        xor([comparison.masked_bits(b, h) for b, h in zip(roots, held, strict=True)]), count
    )
    b = [comparison.bits_to_ring(e, h.rho, first=not i) for i, h in enumerate(held)]
    products = [comparison.times_bit(c, e, own, h) for own, h in zip(b, held, strict=True)]
    return Compared(join(b, width).tolist(), join(products, width).tolist(), len(held[0].levels))


def wrong(values: list[int], thresholds: list[int], width: Width, found: Compared) -> list[object]:
    """What the oracle says of all thresholds and of the products."""
    out: list[object] = []
    for t, got, products in zip(thresholds, found.bits, found.products, strict=True):
        out += oracle.wrong_comparisons(values, got, width, t)
        right = [oracle.signed(x - t, width) * bit for x, bit in zip(values, got, strict=True)]
        out += [(x, t, p) for x, r, p in zip(values, right, products, strict=True) if r != p]
    return out


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("parties", [2, 3, 5])
@pytest.mark.parametrize("full", [False, True])
def test_every_hard_element(width: Width, parties: int, full: bool) -> None:
    """Ends of the ring, halves, runs of ones and all around 0: the bit and the product are right."""
    values = oracle.adversarial(width)
    assert -(1 << width - 1) in values
    for step in range(5):
        assert (
            wrong(values, [0], width, compare(values, [0], width, parties=parties, full=full, step=step))
            == []
        )


@pytest.mark.parametrize("width", WIDTHS)
@given(st.integers(2, 5), st.integers(0, 1000), st.data())
@settings(max_examples=60)
def test_any_element_and_any_thresholds(width: Width, parties: int, step: int, data: st.DataObject) -> None:
    """One masked opening serves any number of thresholds, each exact in the ring."""
    ring = st.one_of(
        st.integers(-(1 << width - 1), (1 << width - 1) - 1), st.sampled_from(oracle.adversarial(width))
    )
    values = data.draw(st.lists(ring, min_size=1, max_size=20))
    thresholds = data.draw(st.lists(ring, min_size=1, max_size=4))
    values += [oracle.signed(t + by, width) for t in thresholds for by in (-1, 0, 1)]
    assert (
        wrong(values, thresholds, width, compare(values, thresholds, width, parties=parties, step=step)) == []
    )


@pytest.mark.parametrize(("width", "levels", "bit_triples"), [(32, 5, 30), (64, 6, 62)])
def test_the_tree_joins_all_planes(width: Width, levels: int, bit_triples: int) -> None:
    """w - 1 planes become one in ceil(log2(w - 1)) levels, by w - 2 joins."""
    pairs = comparison.level_pairs(width)
    assert (len(pairs), sum(pairs)) == (levels, bit_triples)


@given(st.lists(st.integers(-(1 << 63), (1 << 63) - 1), min_size=1, max_size=20), st.sampled_from(WIDTHS))
def test_planes_are_the_bits(values: list[int], width: Width) -> None:
    """Plane i holds bit i of every element."""
    planes = bits.planes(elements(values), width)
    assert planes.shape == (width, bits.plane_bytes(len(values)))
    for i, plane in enumerate(planes):
        assert bits.unpack(plane, (len(values),)).tolist() == [x >> i & 1 for x in values]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("at", ["0", "the least element", "the greatest element"])
def test_a_comparison_wrong_at_one_value_only_is_reported(width: Width, at: str) -> None:
    """Planted: the bit is flipped at a single element of the ring; the same check finds that element."""
    half = 1 << width - 1
    bad = {"0": 0, "the least element": -half, "the greatest element": half - 1}[at]
    values = oracle.adversarial(width)

    def planted(tree: Tree, top: bits.Planes, c: Ring, first: bool) -> bits.Planes:
        right = comparison.not_negative(tree, top, first=first)
        flip = np.packbits(np.array(values) == bad, bitorder="little")
        return right ^ flip if first else right

    assert wrong(values, [0], width, compare(values, [0], width)) == []
    found = oracle.wrong_comparisons(values, compare(values, [0], width, at_root=planted).bits[0], width)
    assert found == [(bad, int(bad >= 0), int(bad < 0))]
