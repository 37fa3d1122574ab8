"""Paillier's encryption of packed fixed-point numbers: sums without the secret key.

n = p q with secret primes p and q; c = (n + 1)^m r^n = (1 + m n) r^n modulo n^2 for a fresh r in Z*_n; the
product of ciphertexts holds the sum of their m modulo n.

One m holds several values x_i, in slots of w = slot_bits bits: m = sum_i x_i 2^(i w). |sum of x_i| < 2^(w -
1) for up to ``parties`` summands. Adding 2^(w - 1) to every slot of a decrypted sum thus makes all slots
non-negative digits that do not touch each other, and the whole a number below 2^(key_bits - 1) <= n, so
neither signs nor n get in the way.

Security, for the reader of a cost table: semantic security rests on the decisional composite residuosity
assumption and needs n too hard to factor; NIST SP 800-57 part 1 puts 2048 bits at 112 bits of security and
3072 bits at 128. The owner of the secret key decrypts whatever it gets hold of, so the summands of a sum are
hidden from it only as long as it sees nothing but the sum: a partial sum on its way must not reach it.
Ciphertexts are malleable and nothing proves that they are well formed: parties are honest but curious.
Arithmetic is not constant-time, and keys come from a scenario's seed: this is for simulation.

Sources: Paillier, "Public-key cryptosystems based on composite degree residuosity classes", EUROCRYPT 1999,
section 4 (the scheme) and section 7 (decryption by Chinese remainders); Pullonen, Bogdanov and Schneider,
"The design and implementation of a two-party protocol suite for SHAREMIND 3", 2012 (packing).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import gmpy2
import numpy as np
from gmpy2 import mpz
from numpy.typing import NDArray

from p2n2sim.errors import CiphertextError
from p2n2sim.mpc.homomorphic import Ciphertexts, PaillierParameters, Values
from p2n2sim.mpc.prg import Stream

_PRIME_ROUNDS = 40  # of the probabilistic test


def generate(parameters: PaillierParameters, stream: Stream) -> SecretKey:
    """A key pair, a function of the parameters and the stream.

    Args:
        parameters: what to generate.
        stream: a stream that only the key's owner can read and that serves no other purpose.

    Returns:
        The secret key, which knows its public key.
    """
    bits = parameters.key_bits // 2
    p = q = _prime(stream, bits)
    while p == q:
        q = _prime(stream, bits)
    return SecretKey(parameters, p, q)


class PublicKey:
    """The modulus n.

    Args:
        parameters: what the key was generated for.
        wire: n, little endian, uint8 (key_bits / 8,).

    Raises:
        ValueError: an n of another size.
    """

    def __init__(self, parameters: PaillierParameters, wire: NDArray[np.uint8]) -> None:
        self.parameters = parameters
        self.wire = wire
        self._n = _number(wire)
        if wire.shape != (parameters.public_key_bytes,) or self._n.bit_length() != parameters.key_bits:
            raise ValueError(f"a modulus of {self._n.bit_length()} bits, not {parameters.key_bits}")
        self._square = self._n**2

    def encrypt(self, values: Values, stream: Stream) -> Ciphertexts:
        """See :meth:`p2n2sim.mpc.homomorphic.PublicKey.encrypt`."""
        self.parameters.check_values(values)
        slots, width = self.parameters.slots, self.parameters.slot_bits
        plaintexts = [_pack(values[i : i + slots], width) for i in range(0, values.size, slots)]
        masks = gmpy2.powmod_base_list([self._unit(stream) for _ in plaintexts], self._n, self._square)
        return self._batch(
            (1 + m * self._n) * mask % self._square for m, mask in zip(plaintexts, masks, strict=True)
        )

    def add(self, a: Ciphertexts, b: Ciphertexts) -> Ciphertexts:
        """See :meth:`p2n2sim.mpc.homomorphic.PublicKey.add`."""
        self.parameters.check_ciphertexts(a, b)
        return self._batch(_number(x) * _number(y) % self._square for x, y in zip(a, b, strict=True))

    def _unit(self, stream: Stream) -> mpz:
        """A uniform element of Z*_n."""
        while True:
            r = _random_bits(stream, self.parameters.key_bits)
            if r < self._n and gmpy2.gcd(r, self._n) == 1:
                return r

    def _batch(self, numbers: Iterable[mpz]) -> Ciphertexts:
        size = self.parameters.ciphertext_bytes
        joined = b"".join(int(number).to_bytes(size, "little") for number in numbers)
        return np.frombuffer(joined, dtype=np.uint8).reshape(-1, size)


class SecretKey:
    """The factors p and q of n.

    Args:
        parameters: what the key is for.
        p: a prime of key_bits / 2 bits whose two highest bits are 1.
        q: another one.
    """

    def __init__(self, parameters: PaillierParameters, p: mpz, q: mpz) -> None:
        wire = np.frombuffer(int(p * q).to_bytes(parameters.public_key_bytes, "little"), dtype=np.uint8)
        self.public = PublicKey(parameters, wire)
        self._p, self._q = p, q
        # (n + 1)^(p - 1) = 1 + (p - 1) n modulo p^2, of which L_p takes -q modulo p; likewise for q.
        self._h_p, self._h_q = gmpy2.invert(-q, p), gmpy2.invert(-p, q)
        self._q_inverse = gmpy2.invert(q, p)

    def decrypt(self, ciphertexts: Ciphertexts, count: int) -> Values:
        """See :meth:`p2n2sim.mpc.homomorphic.SecretKey.decrypt`."""
        parameters = self.public.parameters
        parameters.check_count(ciphertexts, count)
        slots, width = parameters.slots, parameters.slot_bits
        n = self._p * self._q
        half = mpz(1) << (width - 1)
        offset = half * (((mpz(1) << (width * slots)) - 1) // ((mpz(1) << width) - 1))  # half in every slot
        sums: list[int] = []
        for ciphertext in ciphertexts:
            digits = (self._plaintext(_number(ciphertext)) + offset) % n
            if digits >> (width * slots):
                raise CiphertextError("a ciphertext holds no packed sums")
            sums.extend(int((digits >> (width * i)) % (half << 1) - half) for i in range(slots))
        result = np.array(sums[:count], dtype=np.int64)
        parameters.check_sums(result)
        return result

    def _plaintext(self, c: mpz) -> mpz:
        """m modulo p and modulo q, by L_p(c^(p - 1)) h_p with L_p(u) = (u - 1) / p, joined."""
        p, q = self._p, self._q
        m_p = (gmpy2.powmod(c, p - 1, p**2) - 1) // p * self._h_p % p
        m_q = (gmpy2.powmod(c, q - 1, q**2) - 1) // q * self._h_q % q
        return m_q + q * ((m_p - m_q) * self._q_inverse % p)


def _pack(values: Values, width: int) -> mpz:
    packed = mpz(0)
    for value in reversed(values.tolist()):
        packed = (packed << width) + value
    return packed


def _number(data: NDArray[np.uint8] | Sequence[np.uint8]) -> mpz:
    return mpz(int.from_bytes(bytes(data), "little"))


def _random_bits(stream: Stream, bits: int) -> mpz:
    words = np.empty(-(-bits // 64), dtype=np.int64)
    stream.fill(words)
    return mpz(int.from_bytes(words.astype("<i8").tobytes(), "little") >> (64 * words.size - bits))


def _prime(stream: Stream, bits: int) -> mpz:
    """A random prime with two leading ones: p q then has exactly 2 bits, and p - 1 is no multiple of q."""
    while True:
        candidate = _random_bits(stream, bits) | mpz(3) << (bits - 2) | 1
        if gmpy2.is_prime(candidate, _PRIME_ROUNDS):
            return candidate
