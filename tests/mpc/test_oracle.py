"""Encoding, decoding, sharing and products against integers and fractions of Python."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2n2sim.mpc import correlated, fixed_point, ring, sharing
from p2n2sim.mpc.correlated import MaskOf, Source
from p2n2sim.mpc.width import Ring, Width, narrow, signed, unsigned, widen
from tests import oracle
from tests.dealing import deal, elements, join, split

WIDTHS: tuple[Width, ...] = (32, 64)
FLOATS: dict[int, Any] = {32: np.float32, 64: np.float64}
bits64 = st.one_of(st.integers(-(1 << 63), (1 << 63) - 1), st.sampled_from(oracle.adversarial(64)))


def ring_elements(width: int, count: int) -> st.SearchStrategy[list[int]]:
    """Random ones and those that hurt."""
    one = st.one_of(
        st.integers(-(1 << width - 1), (1 << width - 1) - 1), st.sampled_from(oracle.adversarial(width))
    )
    return st.lists(one, min_size=count, max_size=count)


@given(st.sampled_from([32, 64]), st.integers(0, 62), st.data())
@settings(max_examples=200)
def test_encode_is_the_nearest_integer(width: int, f: int, data: st.DataObject) -> None:
    """Random floats and halves of a unit become the nearest integer, halves the even one."""
    plain = st.floats(width=width, allow_nan=False, allow_infinity=False)  # type: ignore[arg-type]
    halves = st.integers(-(1 << 22), 1 << 22).map(lambda n: (2 * n + 1) / 2 ** (f + 1))
    values = data.draw(st.lists(st.one_of(plain, halves), max_size=12))
    x = np.array(values, FLOATS[width])
    x = x[[abs(Fraction(v)) * 2**f < 2**63 for v in x.tolist()]] if len(x) else x
    encoded = fixed_point.encode(x, f).tolist()
    assert oracle.wrong_encodings(x.tolist(), encoded, f) == []


@given(st.lists(bits64, max_size=12), st.integers(0, 124), st.sampled_from([32, 64]))
@settings(max_examples=200)
def test_decode_is_the_nearest_float(values: list[int], f: int, width: int) -> None:
    """Every ring element becomes the float nearest to it, for one and for two factors' fractional bits."""
    decoded = fixed_point.decode(np.array(values, np.int64), f, FLOATS[width]).tolist()
    assert oracle.wrong_decodings(values, decoded, f, oracle.MANTISSA[width]) == []


def test_a_decode_off_by_one_for_some_negatives_is_reported() -> None:
    """Planted: the integer part by floor division and the rest by truncation, which differ below 0.

    Negative numbers that are not whole come out exactly 1.0 too small; all others are right.
    """

    def planted(x: Ring, f: int) -> Any:
        whole, rest = x // (1 << f), np.fmod(x, 1 << f)
        return whole.astype(np.float64) + rest.astype(np.float64) / (1 << f)

    values = [sign * v for v in (0, 1, 1 << 20, (1 << 20) + 1, 5 << 19, 3) for sign in (1, -1)]
    x = np.array(values, np.int64)
    assert oracle.wrong_decodings(values, fixed_point.decode(x, 20, np.float64).tolist(), 20, 53) == []
    wrong = oracle.wrong_decodings(values, planted(x, 20).tolist(), 20, 53)
    assert [row[0] for row in wrong] == [v for v in values if v < 0 and v % (1 << 20)]
    assert all(found == right - 1.0 for _, right, found in wrong)


@given(st.sampled_from(WIDTHS), st.data())
def test_both_representatives_and_the_wire(width: Width, data: st.DataObject) -> None:
    """Signed, unsigned, and there and back over the wire are the representatives of the same element."""
    values = data.draw(ring_elements(64, 6))
    x = np.array(values, np.int64)
    assert signed(x, width).tolist() == [oracle.signed(v, width) for v in values]
    assert unsigned(x, width).tolist() == [v % (1 << width) for v in values]
    assert narrow(x, width).nbytes == len(values) * width // 8
    assert signed(widen(narrow(x, width)), width).tolist() == [oracle.signed(v, width) for v in values]


@given(st.sampled_from(WIDTHS), st.integers(2, 5), st.data())
def test_shares_add_up(width: Width, parties: int, data: st.DataObject) -> None:
    """Shares add up to the secret in the ring of 64 bits and in that of 32."""
    values = data.draw(ring_elements(width, 6))
    shares = split(elements(values), parties)
    assert oracle.reconstruct([s.tolist() for s in shares], width) == values
    assert join(shares, width).tolist() == values
    assert signed(sharing.reconstruct(shares), width).tolist() == values


def masked_product(
    a: list[Ring], b: list[Ring], shapes: tuple[tuple[int, int], tuple[int, int]], width: Width, full: bool
) -> list[Ring]:
    """Shares of a b: both are opened under masks, then each party goes on by itself."""

    def piece(source: Source) -> tuple[MaskOf, MaskOf, Ring, Source]:
        u, v = correlated.mask(source, shapes[0]), correlated.mask(source, shapes[1])
        return u, v, correlated.matrix_product(source, u, v), source

    _, held = deal(piece, len(a), width, full=full)
    E = join([x - u.within(s) for x, (u, _, _, s) in zip(a, held, strict=True)], width)
    F = join([x - v.within(s) for x, (_, v, _, s) in zip(b, held, strict=True)], width)
    return [
        ring.matmul(x, F) + ring.matmul(E, v.within(s)) + Z for x, (_, v, Z, s) in zip(a, held, strict=True)
    ]


@pytest.mark.parametrize("width", WIDTHS)
@given(st.integers(2, 5), st.tuples(*[st.integers(1, 4)] * 3), st.booleans(), st.data())
@settings(max_examples=60)
def test_matrix_product(
    width: Width, parties: int, sizes: tuple[int, int, int], full: bool, data: st.DataObject
) -> None:
    """The shares of a product add up to the product in the ring, however large the factors are."""
    m, k, n = sizes
    a, b = data.draw(ring_elements(width, m * k)), data.draw(ring_elements(width, k * n))
    A, B = elements(a).reshape(m, k), elements(b).reshape(k, n)
    shares = masked_product(split(A, parties), split(B, parties, 1), ((m, k), (k, n)), width, full)
    rows = [a[i * k : (i + 1) * k] for i in range(m)]
    columns = [b[i * n : (i + 1) * n] for i in range(k)]
    assert join(shares, width).tolist() == oracle.product(rows, columns, width)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("parties", [2, 3, 5])
def test_a_dealer_who_sends_everything_gives_the_same_shares(width: Width, parties: int) -> None:
    """Streams and one correction, or every share in a message: the same shares of values and bits."""

    def piece(source: Source) -> list[Any]:
        u, v = correlated.mask(source, (3, 4)), correlated.mask(source, (4, 2))
        bits = source.random_bits((5, 3))
        return [
            u.within(source),
            v.T.within(source),
            correlated.matrix_product(source, u, v),
            correlated.elementwise_product(source, u, u),
            bits,
            source.share_bits((5, 3), lambda: ~bits),
            source.random((2,)),
        ]

    totals, compressed = deal(piece, parties, width)
    _, full = deal(piece, parties, width, full=True)
    for number, total in enumerate(totals):
        few, all_ = ([party[number] for party in shares] for shares in (compressed, full))
        if total.dtype == np.uint8:
            np.testing.assert_array_equal(few, all_)
            np.testing.assert_array_equal(np.bitwise_xor.reduce(few), total)
        else:
            np.testing.assert_array_equal([signed(x, width) for x in few], [signed(x, width) for x in all_])
            np.testing.assert_array_equal(join(few, width), signed(total, width))
