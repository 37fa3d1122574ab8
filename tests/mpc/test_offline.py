"""The counts of the offline phase without a dealer, held to executions and to published numbers."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from p2n2sim.mpc import offline, prg
from p2n2sim.mpc.offline import RING_BITS, SECURITY_BITS, STATISTICAL_BITS

Matrix = NDArray[np.int64]
Shape = tuple[int, int, int]

dimensions = st.integers(1, 400)
SMALL: list[Shape] = [(1, 1, 1), (2, 3, 4), (4, 3, 2), (3, 1, 3), (5, 2, 1), (1, 2, 5)]


def uniform(label: str, *shape: int) -> Matrix:
    """Test data: uniform ring elements."""
    return prg.uniform(prg.derive_key(0, "data", label), 0, shape)


def unsigned(matrix: Matrix) -> list[list[int]]:
    """The ring elements as numbers from 0 to 2^64 - 1."""
    return [[int(x) % 2**RING_BITS for x in row] for row in matrix]


@dataclass
class Party:
    """What one side of an executed protocol sent and did."""

    sent: int = 0
    done: Counter[str] = field(default_factory=Counter)


def ring_matrix(numbers: list[list[int]]) -> Matrix:
    """Numbers from 0 to 2^64 - 1 as ring elements."""
    return np.array(numbers, dtype=np.uint64).view(np.int64)


def stream(seed: bytes, label: int, bits: int) -> int:
    """A pseudorandom number of so many bits."""
    size = -(-bits // 8)
    number = int.from_bytes(hashlib.shake_128(seed + label.to_bytes(8)).digest(size))
    return number >> (8 * size - bits)


def gilboa(U: Matrix, V: Matrix) -> tuple[Matrix, Matrix, Party, Party]:
    """An execution: the holders' shares of U V, and what the holder of U and the holder of V did.

    Transposing turns choosing elements of V into choosing rows: U V = (V^T U^T)^T.
    """
    chooses_left = U.size <= V.size
    chosen, offered = (U, V) if chooses_left else (V.T, U.T)  # (rows, k), (k, width)
    bits = [
        (r, c, i, (x >> i) & 1)
        for r, row in enumerate(unsigned(chosen))
        for c, x in enumerate(row)
        for i in range(RING_BITS)
    ]
    count = len(bits)
    chooser, sender = Party(), Party()

    # The extension: bit t of a column belongs to transfer t. The sender has seeds[j][s_j] of each pair.
    seeds = [(b"zero%d" % j, b"one%d" % j) for j in range(SECURITY_BITS)]
    s = stream(b"s", 0, SECURITY_BITS)
    choices = sum(b << t for t, (_, _, _, b) in enumerate(bits))
    T, Q = [], []
    for j, (zero, one) in enumerate(seeds):
        T.append(stream(zero, 0, count))
        u = T[-1] ^ stream(one, 0, count) ^ choices
        chooser.done["random bytes"] += 2 * count // 8
        chooser.sent += -(-count // 8)  # u
        s_j = (s >> j) & 1
        Q.append(stream(seeds[j][s_j], 0, count) ^ (u if s_j else 0))
        sender.done["random bytes"] += count // 8

    width = offered.shape[1]
    got = [[0] * width for _ in chosen]
    kept = [[0] * width for _ in chosen]
    sent_bits = chooser_bits = sender_bits = 0
    values = unsigned(offered)
    for t, (r, c, i, b) in enumerate(bits):
        row_t = sum(((T[j] >> t) & 1) << j for j in range(SECURITY_BITS))
        row_q = sum(((Q[j] >> t) & 1) << j for j in range(SECURITY_BITS))
        left = RING_BITS - i
        size = width * left

        def numbers(row: int, t: int = t, size: int = size, left: int = left) -> list[int]:
            packed = stream(row.to_bytes(SECURITY_BITS // 8), t, size)
            return [(packed >> (left * q)) % 2**left for q in range(width)]

        x, pad = numbers(row_q), numbers(row_q ^ s)
        sender_bits += 2 * size
        correction = [(x[q] + values[c][q] - pad[q]) % 2**left for q in range(width)]
        sent_bits += size
        sender.done["ring add"] += 3 * width
        own = numbers(row_t)
        chooser_bits += size
        chooser.done["ring add"] += 2 * width
        for q in range(width):
            kept[r][q] = (kept[r][q] - (x[q] << i)) % 2**RING_BITS
            got[r][q] = (got[r][q] + ((own[q] + b * correction[q]) << i)) % 2**RING_BITS
        chooser.done["ot extension"] += 1
        sender.done["ot extension"] += 1
    sender.sent += -(-sent_bits // 8)
    chooser.done["random bytes"] += chooser_bits // 8
    sender.done["random bytes"] += sender_bits // 8

    if chooses_left:
        return ring_matrix(got), ring_matrix(kept), chooser, sender
    return ring_matrix(kept).T, ring_matrix(got).T, sender, chooser


class Paillier:
    """Paillier's encryption under a key of 512 bits, counting what its users do."""

    p = 2**256 - 2**32 - 977  # field and group order of the curve secp256k1: two primes of 256 bits
    q = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141
    key_bits = 512

    def __init__(self) -> None:
        self.N = self.p * self.q
        self.phi = (self.p - 1) * (self.q - 1)
        self.drawn = 0

    def encrypt(self, x: int, party: Party) -> int:
        """(1 + N)^x r^N modulo N^2."""
        party.done["paillier encrypt"] += 1
        self.drawn += 1
        r = stream(b"r", self.drawn, self.key_bits - 1)
        return (1 + x * self.N) * pow(r, self.N, self.N**2) % self.N**2

    def decrypt(self, c: int, party: Party) -> int:
        """The plaintext, from phi(N)."""
        party.done["paillier decrypt"] += 1
        return (pow(c, self.phi, self.N**2) - 1) // self.N * pow(self.phi, -1, self.N) % self.N

    def scale(self, c: int, x: int, party: Party) -> int:
        """A ciphertext of x times the plaintext."""
        assert 0 <= x < 2**RING_BITS
        party.done["paillier scale"] += 1
        return pow(c, x, self.N**2)

    def add(self, c: int, d: int, party: Party) -> int:
        """A ciphertext of the sum of the plaintexts."""
        party.done["paillier add"] += 1
        return c * d % self.N**2

    def send(self, c: int, party: Party) -> int:
        """Counts the bytes of a ciphertext as sent."""
        party.sent += len(c.to_bytes(2 * self.key_bits // 8))
        return c


def homomorphic(U: Matrix, V: Matrix) -> tuple[Matrix, Matrix, Party, Party]:
    """An execution of SecureML's product under encryption with packed replies; results as of `gilboa`."""
    he, encryptor, peer = Paillier(), Party(), Party()
    left = U.size <= V.size
    secret, clear = (unsigned(U), unsigned(V)) if left else (unsigned(V.T), unsigned(U.T))
    k = len(clear)
    slot, slots = offline.he_slots(k, he.key_bits)
    encrypted = [[he.send(he.encrypt(x, encryptor), encryptor) for x in row] for row in secret]

    results = []
    for row in encrypted:
        for q in range(len(clear[0])):
            total = he.scale(row[0], clear[0][q], peer)
            for c in range(1, k):
                total = he.add(total, he.scale(row[c], clear[c][q], peer), peer)
            results.append(total)
    got, kept = [], []
    for first in range(0, len(results), slots):
        part = results[first : first + slots]
        packed = part[-1]
        for c in reversed(part[:-1]):
            for _ in range(slot):
                packed = he.add(packed, packed, peer)
            packed = he.add(packed, c, peer)
        masks = [stream(b"mask", first + a, slot - 1) for a in range(len(part))]
        mask = sum(r << (slot * a) for a, r in enumerate(masks))
        reply = he.send(he.add(packed, he.encrypt(mask, peer), peer), peer)
        opened = he.decrypt(reply, encryptor)
        got += [(opened >> (slot * a)) % 2**slot % 2**RING_BITS for a in range(len(part))]
        kept += [-r % 2**RING_BITS for r in masks]

    shape = (len(secret), len(clear[0]))
    opened_share, kept_share = ring_matrix([got]).reshape(shape), ring_matrix([kept]).reshape(shape)
    if left:
        return opened_share, kept_share, encryptor, peer
    return kept_share.T, opened_share.T, peer, encryptor


def agree(cost: offline.PairCost, holder_of_U: Party, holder_of_V: Party) -> None:
    """Bytes and operations of an execution are those counted."""
    assert (cost.to_second, cost.to_first) == (holder_of_U.sent, holder_of_V.sent)
    assert dict(cost.first) == dict(+holder_of_U.done)
    assert {name: count for name, count in cost.second.items() if count} == dict(+holder_of_V.done)


@pytest.mark.parametrize("shape", SMALL)
def test_transfers_executed_send_and_do_what_is_counted(shape):
    """Gilboa's product over an executed extension is right; its bytes and operations are the formula's."""
    m, k, n = shape
    U, V = uniform("U", m, k), uniform("V", k, n)
    one, two, holder_of_U, holder_of_V = gilboa(U, V)
    np.testing.assert_array_equal(one + two, U @ V)
    agree(offline.ot_triple(m, k, n), holder_of_U, holder_of_V)


@pytest.mark.parametrize("shape", SMALL)
def test_encryption_executed_sends_and_does_what_is_counted(shape):
    """The product under Paillier's encryption is right, and its bytes and operations are the formula's."""
    m, k, n = shape
    U, V = uniform("U", m, k), uniform("V", k, n)
    one, two, holder_of_U, holder_of_V = homomorphic(U, V)
    np.testing.assert_array_equal(one + two, U @ V)
    agree(offline.he_triple(m, k, n, Paillier.key_bits), holder_of_U, holder_of_V)


def test_the_largest_numbers_fit_their_slots():
    """Where every element is 2^64 - 1, packed sums under the largest masks do not run into each other."""
    for k in (1, 2, 3, 4, 5, 556, 1024):
        slot, slots = offline.he_slots(k)
        largest = k * (2**RING_BITS - 1) ** 2 + 2 ** (slot - 1) - 1
        assert largest < 2**slot
        assert sum(largest << (slot * a) for a in range(slots)) < 2**2047
        assert 2 ** (slot - 1) >= k * (2**RING_BITS - 1) ** 2 * 2**STATISTICAL_BITS


def test_one_scalar_triple_of_two_parties():
    """l (2 kappa + l + 1) bits, 2,568 bytes: 128 transfers of 128 bits, and 64 + 63 + ... + 1 bits twice."""
    bits = 8 * offline.ot_triple(1, 1, 1).both_ways().total_bytes
    assert bits == 64 * (2 * 128 + 64 + 1) == 128 * 128 + 2 * sum(range(65)) == 8 * 2568


@given(st.integers(1, 1000))
def test_a_scalar_product_is_below_the_published_figure_by_the_bits_left_out(k):
    """A scalar product of length k takes 2 k l (kappa + l) bits offline in published comparisons.

    That is SecureML's and ABY2.0's figure, and for k = 1 what ABY's code sends. It has l bits in every
    transfer, where l - i do: k l (l - 1) bits more.
    """
    bits = 8 * offline.ot_triple(1, k, 1).both_ways().total_bytes
    assert bits == 2 * k * 64 * (128 + 64) - k * 64 * 63


def test_slots_are_as_wide_as_abys():
    """For one product a slot has 2 l + 41 bits, as in ABY's code (sigma = 40); 2,048 bits have 12 of them."""
    assert offline.he_slots(1) == (2 * 64 + 41, 12)


def test_one_batch_of_fraud():
    """5000 x 28 by 28 x 8, worked out by hand: 224 elements choose, or are sent encrypted."""
    ot, he = offline.ot_triple(5000, 28, 8), offline.he_triple(5000, 28, 8)
    assert (ot.to_second, ot.to_first) == (5000 * 28 * 8 * 260, 224 * 64 * 16)
    assert (he.to_second, he.to_first) == (3637 * 512, 224 * 512)  # 40,000 results, 11 in a ciphertext
    assert ot.rounds == he.rounds == 2


def test_what_is_sent_once():
    """A pair's base transfers are 2 x 128 with a point each and one more; its keys are two moduli."""
    ot, he = offline.ot_setup(), offline.he_setup()
    assert (ot.to_second, ot.to_first, ot.rounds) == (129 * 32, 129 * 32, 2)
    assert ot.first == ot.second == {"base ot": 256}
    assert (he.to_second, he.to_first, he.rounds) == (256, 256, 1)
    assert not he.first


@given(dimensions, dimensions, dimensions)
@settings(max_examples=200, deadline=None)
def test_exchanging_the_factors_exchanges_the_roles(m, k, n):
    """(U V)^T = V^T U^T costs the same with first and second exchanged, unless both are as large."""
    for triple in (offline.ot_triple, offline.he_triple):
        there, back = triple(m, k, n), triple(n, k, m)
        assert there.total_bytes == back.total_bytes
        if m != n:
            assert (there.to_second, there.first) == (back.to_first, back.second)


@given(dimensions, dimensions, dimensions)
@settings(max_examples=200, deadline=None)
def test_the_smaller_matrix_chooses(m, k, n):
    """If the holder of the larger matrix chose or encrypted, at least as many bytes would be sent."""
    larger = max(m * k, k * n)
    assert offline.ot_triple(m, k, n).total_bytes <= m * k * n * 260 + larger * 1024
    assert offline.he_triple(m, k, n).total_bytes <= 512 * (larger + -(-m * n // offline.he_slots(k)[1]))


@given(dimensions, dimensions, dimensions)
def test_both_ways_treats_both_parties_alike(m, k, n):
    """An unordered pair sends twice the bytes of an ordered one in as many rounds, each party half of all."""
    for one in (offline.ot_triple(m, k, n), offline.he_triple(m, k, n)):
        both = one.both_ways()
        assert both.to_second == both.to_first == one.total_bytes
        assert both.first == both.second
        assert sum(both.first.values()) == sum(one.first.values()) + sum(one.second.values())
        assert both.rounds == one.rounds


def test_costs_can_not_be_changed():
    """The counts of operations are read-only."""
    with pytest.raises(TypeError):
        offline.ot_setup().first["base ot"] = 0  # type: ignore[index]


@pytest.mark.parametrize("shape", [(0, 1, 1), (1, 0, 1), (1, 1, -1)])
def test_empty_matrices_are_refused(shape):
    """There is no triple of an empty matrix."""
    for triple in (offline.ot_triple, offline.he_triple):
        with pytest.raises(ValueError, match="at least 1"):
            triple(*shape)


def test_keys_that_do_not_fit_are_refused():
    """A key has whole bytes and room for one slot."""
    with pytest.raises(ValueError, match="multiple of 8"):
        offline.he_setup(2047)
    with pytest.raises(ValueError, match="no room"):
        offline.he_triple(1, 1, 1, key_bits=168)
    assert offline.he_slots(1, key_bits=176) == (169, 1)
