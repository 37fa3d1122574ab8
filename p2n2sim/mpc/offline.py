"""What a matrix Beaver triple costs without a dealer: exact counts of bytes, rounds and operations.

A model: nothing here is executed. The functions count what a semi-honest offline phase of h parties sends and
computes for one triple Z = U V in Z_2^64, U (m, k), V (k, n). Party i draws U_i and V_i itself, and with
U = sum U_i and V = sum V_i

    U V = sum_i U_i V_i + sum_{i != j} U_i V_j.

U_i V_i is local, one ring product a party. Each of the h (h - 1) ordered pairs (i, j) shares its cross
product U_i V_j between its two members, all pairs at the same time, by oblivious transfer (`ot_triple`) or by
additively homomorphic encryption (`he_triple`). Bytes are payload, without the framing of messages.

Sources, named at each term:

- [MZ] Mohassel and Zhang, "SecureML", IEEE S&P 2017: the offline phase of two parties, both ways of it.
- [Gil] Gilboa, "Two party RSA key generation", CRYPTO 1999: a product by one transfer for each bit.
- [IKNP] Ishai, Kilian, Nissim, Petrank, "Extending oblivious transfers efficiently", CRYPTO 2003.
- [ALSZ] Asharov, Lindell, Schneider, Zohner, "More efficient oblivious transfer and extensions for faster
  secure computation", CCS 2013: correlated transfers, one message each way.
- [CO] Chou and Orlandi, "The simplest protocol for oblivious transfer", LATINCRYPT 2015.
- [ABY] Demmler, Schneider, Zohner, "ABY", NDSS 2015, and its published code: triples in Z_2^l, both ways.
- [Pai] Paillier, "Public-key cryptosystems based on composite degree residuosity classes", EUROCRYPT 1999.
- [PBS] Pullonen, Bogdanov, Schneider, "The design and implementation of a two-party protocol suite for
  Sharemind 3", 2012: triples by Paillier's encryption.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

RING_BITS = 64
"""l: bits of a ring element."""

SECURITY_BITS = 128
"""kappa: the computational security parameter, and so the number of base transfers of a pair's direction."""

STATISTICAL_BITS = 40
"""sigma: a masked sum of products is within 2^-sigma of uniform."""

CURVE_POINT_BYTES = 32
"""A compressed point of a curve of 255 or 256 bits, as [CO] sends them."""


@dataclass(frozen=True, slots=True)
class PairCost:
    """What two parties send to each other and compute.

    For one cross product U_i V_j, first is i, who holds U_i, and second is j, who holds V_j.

    Operations: "base ot" is one base transfer, on either side. "ot extension" is one extended transfer, on
    either side: its column of kappa bits and its hash. "random bytes" is output of a pseudorandom generator
    based on AES. "ring add" is one addition in Z_2^64. "paillier encrypt" and "paillier decrypt" speak for
    themselves; "paillier scale" raises a ciphertext to the power of a plaintext of 64 bits; "paillier add"
    multiplies two ciphertexts.

    Attributes:
        to_second: bytes from the first party to the second.
        to_first: bytes from the second party to the first.
        rounds: the longest chain of messages that wait for each other.
        first: how often the first party does what, by name of the operation.
        second: the same of the second party.
    """

    to_second: int
    to_first: int
    rounds: int
    first: Mapping[str, int]
    second: Mapping[str, int]

    @property
    def total_bytes(self) -> int:
        """Bytes in both directions together."""
        return self.to_second + self.to_first

    def both_ways(self) -> PairCost:
        """The cost of an unordered pair: this, and at the same time the same with exchanged roles.

        Of the result, each of h parties sends ``to_second`` and computes ``first`` for each of its peers.
        """
        total = {
            name: self.first.get(name, 0) + self.second.get(name, 0)
            for name in dict.fromkeys((*self.first, *self.second))
        }
        return _pair(self.total_bytes, self.total_bytes, self.rounds, total, total)


def ot_setup() -> PairCost:
    """The base transfers of an unordered pair, once, however many triples follow.

    The sender of an extension chooses in kappa base transfers of random keys, roles reversed [IKNP]. The
    sender of base transfers sends one point for all of them, their receiver answers with one point each, and
    the keys are hashes of points, so nothing else is sent [CO]. A pair extends in both directions, because
    each of its members chooses in one cross product: 32 + 32 kappa bytes either way, in 2 rounds.
    """
    points = (1 + SECURITY_BITS) * CURVE_POINT_BYTES
    operations = {"base ot": 2 * SECURITY_BITS}
    return _pair(points, points, 2, operations, operations)


def ot_triple(m: int, k: int, n: int) -> PairCost:
    """Shares of one cross product U_i V_j by Gilboa's product over extended correlated transfers.

    The holder of one matrix chooses with each bit b of each of its elements: in the transfer of bit i the
    other party offers 2^i x and 2^i (x + w) for a random x, and the chooser gets 2^i (x + b w) [Gil]. Here w
    is not one number but all that the element is multiplied with, row c of V for U[r, c] or column c of U for
    V[c, q]: vectorised triples [MZ]. Of x + b w only the lower l - i bits count, because 2^i times the others
    is 0 modulo 2^l.

    - Chooser to sender: kappa bits a transfer [ALSZ], l transfers an element. The holder of the matrix with
      fewer elements chooses (of U if equal): what is sent the other way does not depend on it.
    - Sender to chooser: of the two messages of a correlated transfer only one is sent, the other is a hash
      that both compute [ALSZ]: l - i bits for each of m k n products and each i < l, that is l (l + 1) / 2.

    For l = 64 an element's transfers take 1,024 bytes one way, a product 260 the other; nothing is rounded.
    With m = k = n = 1 the two cross products of two parties take l (2 kappa + l + 1) bits. The code of [ABY]
    sends all l bits in every transfer, 2 l (kappa + l) in all.

    Random bytes: the chooser expands two seeds and the sender one for each of the kappa columns of the
    extension; the chooser hashes one message and the sender two for each transfer. Ring additions, for each
    number in a message: the chooser unmasks it and adds it up; the sender adds w, masks, and adds x up.

    Args:
        m: rows of U.
        k: columns of U, rows of V.
        n: columns of V.

    Returns:
        The cost of an ordered pair; 2 rounds.

    Raises:
        ValueError: a dimension below 1.
    """
    _check_shape(m, k, n)
    transfers = RING_BITS * min(m * k, k * n)
    products = m * k * n
    columns = transfers * SECURITY_BITS // 8
    messages = products * (RING_BITS * (RING_BITS + 1) // 2) // 8
    chooser = {
        "ot extension": transfers,
        "random bytes": 2 * columns + messages,
        "ring add": 2 * RING_BITS * products,
    }
    sender = {
        "ot extension": transfers,
        "random bytes": columns + 2 * messages,
        "ring add": 3 * RING_BITS * products,
    }
    if m <= n:
        return _pair(columns, messages, 2, chooser, sender)
    return _pair(messages, columns, 2, sender, chooser)


def he_setup(key_bits: int = 2048) -> PairCost:
    """The public keys of an unordered pair, once: the modulus N each way, the generator being N + 1 [Pai].

    A party makes one key for all its peers; making it is not charged to the pairs.

    Raises:
        ValueError: key_bits that is not a positive multiple of 8.
    """
    _check_key(key_bits)
    return _pair(key_bits // 8, key_bits // 8, 1, {}, {})


def he_slots(k: int, key_bits: int = 2048) -> tuple[int, int]:
    """How sums of k products are packed into one plaintext.

    A slot holds a sum of k products of two l-bit numbers, 2 l + ceil(log2 k) bits, plus a mask that is sigma
    bits longer, and the carry of that addition. For k = 1 these are 2 l + 1 + sigma bits, the width of a slot
    in the code of [ABY]. The packed number stays below N, which is at least 2^(key_bits - 1).

    Returns:
        The bits of a slot, and how many slots there are in a plaintext.

    Raises:
        ValueError: k below 1, key_bits that is not a positive multiple of 8, or a key too short for one slot.
    """
    _check_shape(1, k, 1)
    _check_key(key_bits)
    slot = 2 * RING_BITS + (k - 1).bit_length() + STATISTICAL_BITS + 1
    slots = (key_bits - 1) // slot
    if slots < 1:
        raise ValueError(f"a key of {key_bits} bits has no room for a slot of {slot}")
    return slot, slots


def he_triple(m: int, k: int, n: int, key_bits: int = 2048) -> PairCost:
    """Shares of one cross product U_i V_j by Paillier's encryption [Pai].

    The holder of the matrix with fewer elements (of U if equal) sends each element encrypted under its own
    key. The other party multiplies the encrypted matrix by its own in the clear, masks the results and sends
    them back; decrypted, modulo 2^l, they are one share, and minus the masks is the other [MZ]. Replies are
    packed, several results to a ciphertext [PBS], [ABY]. A ciphertext has 2 key_bits [Pai].

    - Encryptor to peer: min(m k, k n) ciphertexts.
    - Peer to encryptor: ceil(m n / slots) ciphertexts; slots from `he_slots`.

    The encryptor encrypts what it sends and decrypts what it gets. The peer scales m k n times and adds the
    products up, m n (k - 1) additions. It packs by Horner's rule, as the code of [ABY] does: for every result
    but one of a ciphertext it shifts by a slot, one doubling (an addition) for each bit, and adds. It
    encrypts one mask for each ciphertext and adds it. A party could send the same ciphertexts to all its
    peers and encrypt once; here each pair is charged on its own.

    Args:
        m: rows of U.
        k: columns of U, rows of V.
        n: columns of V.
        key_bits: bits of the modulus N, a multiple of 8.

    Returns:
        The cost of an ordered pair; 2 rounds.

    Raises:
        ValueError: a dimension below 1, or a key that does not fit, as in `he_slots`.
    """
    _check_shape(m, k, n)
    slot, slots = he_slots(k, key_bits)
    results = m * n
    there = min(m * k, k * n)
    back = -(-results // slots)
    shifted = results - back
    sums = results * (k - 1)
    ciphertext = 2 * key_bits // 8
    encryptor = {"paillier encrypt": there, "paillier decrypt": back}
    peer = {
        "paillier encrypt": back,
        "paillier scale": results * k,
        "paillier add": sums + shifted * (slot + 1) + back,
    }
    if m <= n:
        return _pair(there * ciphertext, back * ciphertext, 2, encryptor, peer)
    return _pair(back * ciphertext, there * ciphertext, 2, peer, encryptor)


def _pair(
    to_second: int, to_first: int, rounds: int, first: Mapping[str, int], second: Mapping[str, int]
) -> PairCost:
    return PairCost(
        to_second, to_first, rounds, MappingProxyType(dict(first)), MappingProxyType(dict(second))
    )


def _check_shape(m: int, k: int, n: int) -> None:
    if min(m, k, n) < 1:
        raise ValueError(f"a triple needs dimensions of at least 1, not {m} x {k} by {k} x {n}")


def _check_key(key_bits: int) -> None:
    if key_bits < 8 or key_bits % 8:
        raise ValueError(f"key_bits must be a positive multiple of 8, not {key_bits}")
