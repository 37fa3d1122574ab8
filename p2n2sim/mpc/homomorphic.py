"""Additively homomorphic encryption of fixed-point numbers: what every back end has in common.

A key owner publishes a public key. Everybody encrypts int64 values under it and adds ciphertexts without the
secret key; the owner decrypts the sum. The sum comes out exactly, so a run does not depend on the back end.
Back ends: :mod:`p2n2sim.mpc.paillier`, :mod:`p2n2sim.mpc.ckks`, and :mod:`p2n2sim.mpc.modelled`, which only
has the sizes of the other two. Each has a ``generate(parameters, stream)`` that gives a :class:`SecretKey`,
and a ``PublicKey(parameters, wire)`` for who received the published key.

Values are flat arrays of ``count`` signed numbers of magnitude below ``2^value_bits``. A batch of ciphertexts
is a C-contiguous uint8 array (ciphertexts, ciphertext_bytes): what travels, of a size that the parameters
fix. This module has the parameters, from which all sizes and operation counts follow without any
cryptography.
"""

from __future__ import annotations

import abc
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from p2n2sim.errors import CiphertextError, PlaintextError
from p2n2sim.mpc.prg import Stream

Values = NDArray[np.int64]
Ciphertexts = NDArray[np.uint8]

PAILLIER_ENCRYPT, PAILLIER_ADD, PAILLIER_DECRYPT = "paillier encrypt", "paillier add", "paillier decrypt"
CKKS_ENCRYPT, CKKS_ADD, CKKS_DECRYPT = "ckks encrypt", "ckks add", "ckks decrypt"
OPERATIONS = (PAILLIER_ENCRYPT, PAILLIER_ADD, PAILLIER_DECRYPT, CKKS_ENCRYPT, CKKS_ADD, CKKS_DECRYPT)
"""Names of all operations, each counted per ciphertext."""

MAX_PARTIES = 1000
_MIN_SLOT_BITS = 32  # so that a slot's 8 bytes in the clear fit in its share of a ciphertext of twice the key


class PublicKey(Protocol):
    """Who has it encrypts and adds."""

    @property
    def parameters(self) -> Parameters:
        """What sizes and operation counts follow from."""

    @property
    def wire(self) -> NDArray[np.uint8]:
        """What is published once, uint8 (public_key_bytes,)."""

    def encrypt(self, values: Values, stream: Stream) -> Ciphertexts:
        """Ciphertexts of values; their randomness is read from the stream.

        Args:
            values: int64 (count,), of magnitude below 2^value_bits.
            stream: a stream that only this party can read and that serves no other purpose.

        Returns:
            uint8 (ciphertexts, ciphertext_bytes).

        Raises:
            PlaintextError: a value that is too large.
            ValueError: another shape or type of array.
        """

    def add(self, a: Ciphertexts, b: Ciphertexts) -> Ciphertexts:
        """Ciphertexts of the sums of what two batches of one shape hold; no secret key is needed.

        Raises:
            ValueError: batches of another shape, type or layout, or of two shapes.
        """


class SecretKey(Protocol):
    """Who has it decrypts."""

    @property
    def public(self) -> PublicKey:
        """The key to publish."""

    def decrypt(self, ciphertexts: Ciphertexts, count: int) -> Values:
        """The exact sums that ciphertexts hold.

        Args:
            ciphertexts: a sum of at most ``parties`` batches, uint8 (ciphertexts, ciphertext_bytes).
            count: number of values that were encrypted.

        Returns:
            int64 (count,).

        Raises:
            CiphertextError: the ciphertexts hold no sum of so many permitted values.
            ValueError: an array of another shape, type or layout.
        """


@dataclass(frozen=True)
class Parameters(abc.ABC):
    """The parameters of a key, and all that follows from them.

    Args:
        value_bits: every value is of magnitude below 2^value_bits.
        parties: most batches that are ever added, 1 to 1000.

    Raises:
        PlaintextError: sums of so many values of that size do not fit in an int64.
        ValueError: a number out of its range.
    """

    value_bits: int = 40
    parties: int = 2

    operations: ClassVar[tuple[str, str, str]]
    """Names of encryption, addition and decryption of one ciphertext."""

    def __post_init__(self) -> None:
        if self.value_bits < 1:
            raise ValueError(f"value_bits must be at least 1, not {self.value_bits}")
        if not 1 <= self.parties <= MAX_PARTIES:
            raise ValueError(f"parties must be in [1, {MAX_PARTIES}], not {self.parties}")
        if self.sum_bits > 63:
            raise PlaintextError(
                f"{self.parties} values of {self.value_bits} bits take {self.sum_bits}; an int64 holds 63"
            )

    @property
    def sum_bits(self) -> int:
        """Every sum is of magnitude below 2^sum_bits."""
        return self.value_bits + (self.parties - 1).bit_length()

    @property
    @abc.abstractmethod
    def slots(self) -> int:
        """Values per ciphertext."""

    @property
    @abc.abstractmethod
    def ciphertext_bytes(self) -> int:
        """Bytes of one ciphertext."""

    @property
    @abc.abstractmethod
    def public_key_bytes(self) -> int:
        """Bytes of the published key."""

    def shape(self, count: int) -> tuple[int, int]:
        """Shape of the ciphertexts of ``count`` values: (ciphertexts, ciphertext_bytes)."""
        return -(-count // self.slots), self.ciphertext_bytes

    def encryption(self, count: int) -> dict[str, int]:
        """Operations, by name, that it takes to encrypt ``count`` values."""
        return {self.operations[0]: self.shape(count)[0]}

    def addition(self, count: int) -> dict[str, int]:
        """Operations, by name, that it takes to add the ciphertexts of ``count`` values to others."""
        return {self.operations[1]: self.shape(count)[0]}

    def decryption(self, count: int) -> dict[str, int]:
        """Operations, by name, that it takes to decrypt ``count`` values."""
        return {self.operations[2]: self.shape(count)[0]}

    def check_values(self, values: Values) -> None:
        """Raises what :meth:`PublicKey.encrypt` says it raises."""
        if values.ndim != 1 or values.dtype != np.int64:
            raise ValueError(f"values are a flat int64 array, not {values.dtype} {values.shape}")
        limit = 1 << self.value_bits
        if values.size and not (values.max() < limit and values.min() > -limit):
            index = int(np.argmax((values >= limit) | (values <= -limit)))
            raise PlaintextError(f"{values[index]} at index {index} is not below 2^{self.value_bits}")

    def check_ciphertexts(self, *batches: Ciphertexts) -> None:
        """Raises ValueError unless all are ciphertext batches, and of one shape."""
        for batch in batches:
            if batch.dtype != np.uint8 or batch.ndim != 2 or batch.shape[1] != self.ciphertext_bytes:
                wanted = f"uint8 (ciphertexts, {self.ciphertext_bytes})"
                raise ValueError(f"ciphertexts are {wanted}, not {batch.dtype} {batch.shape}")
            if not batch.flags.c_contiguous:
                raise ValueError("ciphertexts are C-contiguous")
            if batch.shape != batches[0].shape:
                raise ValueError(f"{len(batches[0])} and {len(batch)} ciphertexts do not add")

    def check_count(self, ciphertexts: Ciphertexts, count: int) -> None:
        """Raises ValueError unless these may be the ciphertexts of so many values."""
        self.check_ciphertexts(ciphertexts)
        if count < 0 or ciphertexts.shape != self.shape(count):
            raise ValueError(f"{count} values do not take {ciphertexts.shape[0]} ciphertexts")

    def check_sums(self, sums: Values) -> None:
        """Raises CiphertextError if a sum is larger than permitted values can add up to."""
        largest = self.parties * ((1 << self.value_bits) - 1)
        if sums.size and not (sums.max() <= largest and sums.min() >= -largest):
            raise CiphertextError(
                f"a ciphertext holds no sum of {self.parties} values of {self.value_bits} bits"
            )


@dataclass(frozen=True)
class PaillierParameters(Parameters):
    """Parameters of :mod:`p2n2sim.mpc.paillier`.

    Args:
        key_bits: bits of the modulus n, a multiple of 16 from 1024 to 4096.
    """

    key_bits: int = 2048
    operations = (PAILLIER_ENCRYPT, PAILLIER_ADD, PAILLIER_DECRYPT)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1024 <= self.key_bits <= 4096 or self.key_bits % 16:
            raise ValueError(f"key_bits must be a multiple of 16 in [1024, 4096], not {self.key_bits}")

    @property
    def slot_bits(self) -> int:
        """Bits of a slot: a sum and its sign."""
        return max(_MIN_SLOT_BITS, self.sum_bits + 1)

    @property
    def slots(self) -> int:
        """As many slots as fit below 2^(key_bits - 1), which is at most n."""
        return (self.key_bits - 1) // self.slot_bits

    @property
    def ciphertext_bytes(self) -> int:
        """A number modulo n^2."""
        return 2 * self.key_bits // 8

    @property
    def public_key_bytes(self) -> int:
        """The number n."""
        return self.key_bits // 8


@dataclass(frozen=True)
class CkksParameters(Parameters):
    """Parameters of :mod:`p2n2sim.mpc.ckks`; why they are what they are stands there."""

    operations = (CKKS_ENCRYPT, CKKS_ADD, CKKS_DECRYPT)
    degree: ClassVar[int] = 4096
    """Degree N of the polynomials."""
    total_bits: ClassVar[int] = 109
    """Most bits of all primes together for 128-bit security at that degree."""
    single_bits: ClassVar[int] = 44
    """Longest sum that one double-precision number carries exactly through the encoding."""

    @property
    def scale_bits(self) -> int:
        """Bits of the scale Delta: the noise of ``parties`` summands stays below Delta / 4."""
        hamming_weight = 2 * self.degree / 3
        bound = (self.degree / 3) ** 0.5 * (3 + 8 * hamming_weight**0.5) * self.parties**0.5
        return int(4 * bound).bit_length()

    @property
    def limbs(self) -> int:
        """Numbers that a value is split into: 1, or 2 where 1 could not be exact."""
        return 1 if self.sum_bits <= self.single_bits and self._modulus_bits(self.sum_bits) <= 64 else 2

    @property
    def limb_bits(self) -> int:
        """Bits of the low one of two limbs."""
        return (self.value_bits + 1) // 2

    def _modulus_bits(self, bits: int) -> int:
        return (
            bits + self.scale_bits + 2
        )  # sign, and a polynomial's coefficient is at most sqrt(2) times a slot

    @property
    def prime_bits(self) -> tuple[int, ...]:
        """Bits of the primes of a ciphertext, whole bytes each."""
        carry = self.sum_bits - self.value_bits
        bits = self._modulus_bits(self.sum_bits if self.limbs == 1 else self.limb_bits + carry)
        return (32, 32) if bits > 56 else (-(-bits // 8) * 8,)

    @property
    def special_bits(self) -> int:
        """Bits of the special prime, by which SEAL divides the noise of a fresh ciphertext."""
        return min(60, self.total_bits - sum(self.prime_bits))

    @property
    def slots(self) -> int:
        """N real numbers, a limb each: real and imaginary parts of N / 2 complex slots."""
        return self.degree // self.limbs

    @property
    def ciphertext_bytes(self) -> int:
        """Two polynomials modulo the primes of a ciphertext."""
        return 2 * self.degree * sum(residue_bytes(self.prime_bits))

    @property
    def public_key_bytes(self) -> int:
        """Two polynomials modulo all primes."""
        return 2 * self.degree * sum(residue_bytes((*self.prime_bits, self.special_bits)))


def residue_bytes(prime_bits: Sequence[int]) -> list[int]:
    """Bytes of a residue modulo each prime of so many bits."""
    return [-(-bits // 8) for bits in prime_bits]
