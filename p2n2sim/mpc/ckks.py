"""CKKS for exact sums of integers, on SEAL through tenseal.

CKKS encrypts a vector z of N / 2 complex numbers as a polynomial with integer coefficients near Delta times
the inverse canonical embedding of z, with small noise. Here real and imaginary parts are integers, and a
decrypted sum is rounded to the nearest ones. Only additions are needed: no relinearization or Galois keys, no
rescaling.

**Noise.** SEAL encrypts modulo all primes and divides by the special one, which leaves hardly more than the
rounding errors of that division. They are bounded as in a rescaling, by sqrt(N / 3) (3 + 8 sqrt(h)) per slot
with h the number of non-zero coefficients of the secret, about 2 N / 3 for a uniform ternary one (Cheon, Kim,
Kim and Song, "Homomorphic encryption for arithmetic of approximate numbers", ASIACRYPT 2017, section 3: a
bound that holds with high probability). The errors of summands are independent, so the bound of a sum of n
grows with sqrt(n). Delta is a power of two more than 4 times that: the noise stays below 1/4, and was below
1/12 wherever it was measured.

**Double precision.** SEAL encodes and decodes by a fast Fourier transform in doubles, whose error grows with
the largest slots. It was 0.03 for numbers up to 2^44, the longest sums that are taken whole. For longer sums
each value is split in two limbs, the low one balanced around 0. Decryption refuses a number that is more than
3/8 away from an integer.

**Bytes per value.** A coefficient takes sum_bits + log2(Delta) + 2 bits, 63 for 8 summands of 40 bits. That
many and a special prime fit N = 4096, for which 109 bits in all have 128-bit security (Albrecht et al.,
"Homomorphic encryption security standard", 2018, table 1). N = 2048 (54 bits) is too small; a larger N has
the same bytes per value and only coarser ciphertexts. N numbers in 2 N coefficients of 8 bytes make 16 bytes
per value; two limbs would make 24, and are taken only where one can not be exact.

**What travels.** SEAL's own form is compressed, so its size varies. Here a ciphertext is the residues of its
two polynomials modulo its primes, in evaluation form, little endian, in as many bytes each as the prime has.
All else that SEAL would write follows from the parameters. Sizes and bytes are the same on every run: SEAL's
generator takes its seed from the stream, a new one for each ciphertext.

**Security.** Honest but curious parties; the owner of the secret key must see nothing but the sum. Rounding
makes what is decrypted a function of the plaintexts, which leaves out the noise that Li and Micciancio, "On
the security of homomorphic encryption on approximate numbers", EUROCRYPT 2021, recover the key from. No noise
is added to hide from the key's owner how a sum came about. Keys come from a scenario's seed: this is for
simulation.
"""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tenseal.sealapi as seal
from numpy.typing import NDArray

from p2n2sim.errors import CiphertextError
from p2n2sim.mpc.homomorphic import Ciphertexts, CkksParameters, Values, residue_bytes
from p2n2sim.mpc.prg import Stream

Residues = NDArray[np.uint64]

_SEED_WORDS = 8
_MAX_NOISE = 0.375


def generate(parameters: CkksParameters, stream: Stream) -> SecretKey:
    """A key pair, a function of the parameters and the stream.

    Args:
        parameters: what to generate.
        stream: a stream that only the key's owner can read and that serves no other purpose.

    Returns:
        The secret key, which knows its public key.
    """
    secret = seal.KeyGenerator(seal_context(parameters, _seed(stream))).secret_key()
    # SEAL starts its generator anew for the public key, whose randomness must not be that of the secret.
    context = seal_context(parameters, _seed(stream))
    public = seal.PublicKey()
    seal.KeyGenerator(context, secret).create_public_key(public)
    wire = _to_bytes(_residues(public.data())[np.newaxis], _key_widths(parameters))[0]
    return SecretKey(parameters, secret, PublicKey(parameters, wire))


class PublicKey:
    """An encryption of zero.

    Args:
        parameters: what the key was generated for.
        wire: the residues of its two polynomials modulo all primes, uint8 (public_key_bytes,).

    Raises:
        ValueError: a wire of another size.
    """

    def __init__(self, parameters: CkksParameters, wire: NDArray[np.uint8]) -> None:
        if wire.shape != (parameters.public_key_bytes,):
            raise ValueError(f"a public key of shape {wire.shape}, not {(parameters.public_key_bytes,)}")
        self.parameters = parameters
        self.wire = wire
        self._context = seal_context(parameters)
        self._encoder = seal.CKKSEncoder(self._context)
        primes = self._context.first_context_data().parms().coeff_modulus()
        self._primes = np.array([prime.value() for prime in primes], dtype=np.uint64)[:, np.newaxis]
        self._key = seal.PublicKey()
        residues = _from_bytes(wire[np.newaxis], parameters, _key_widths(parameters))[0]
        _load(self._key, self._context, residues, self._context.key_parms_id(), 1.0)

    def encrypt(self, values: Values, stream: Stream) -> Ciphertexts:
        """See :meth:`p2n2sim.mpc.homomorphic.PublicKey.encrypt`."""
        parameters = self.parameters
        parameters.check_values(values)
        batch = np.empty(parameters.shape(values.size), dtype=np.uint8)
        padded = np.zeros((len(batch), parameters.slots), dtype=np.int64)
        padded.reshape(-1)[: values.size] = values
        for row, part in zip(batch, padded, strict=True):
            plaintext, ciphertext = seal.Plaintext(), seal.Ciphertext()
            slots = _split(part, parameters).tolist()
            self._encoder.encode(slots, float(1 << parameters.scale_bits), plaintext)
            seal.Encryptor(seal_context(parameters, _seed(stream)), self._key).encrypt(plaintext, ciphertext)
            row[:] = _to_bytes(_residues(ciphertext)[np.newaxis], residue_bytes(parameters.prime_bits))[0]
        return batch

    def add(self, a: Ciphertexts, b: Ciphertexts) -> Ciphertexts:
        """See :meth:`p2n2sim.mpc.homomorphic.PublicKey.add`.

        What SEAL's evaluator does: residues are added modulo their primes.
        """
        self.parameters.check_ciphertexts(a, b)
        widths = residue_bytes(self.parameters.prime_bits)
        total = _from_bytes(a, self.parameters, widths)  # (ciphertexts, 2, primes, N)
        total += _from_bytes(b, self.parameters, widths)
        np.minimum(total, total - self._primes, out=total)  # the difference wraps where it would be negative
        return _to_bytes(total, widths)


class SecretKey:
    """A ternary polynomial.

    Args:
        parameters: what the key is for.
        secret: SEAL's secret key.
        public: the public key that belongs to it.
    """

    def __init__(self, parameters: CkksParameters, secret: Any, public: PublicKey) -> None:
        self.public = public
        self._parameters = parameters
        self._context = seal_context(parameters)
        self._encoder = seal.CKKSEncoder(self._context)
        self._decryptor = seal.Decryptor(self._context, secret)

    def decrypt(self, ciphertexts: Ciphertexts, count: int) -> Values:
        """See :meth:`p2n2sim.mpc.homomorphic.SecretKey.decrypt`."""
        self._parameters.check_count(ciphertexts, count)
        numbers = self.decrypt_approximately(ciphertexts)
        integers = np.rint(numbers)
        noise = np.abs(numbers - integers)
        if noise.size and not noise.max() <= _MAX_NOISE:
            raise CiphertextError(f"a decrypted number is {noise.max():.3g} away from an integer")
        sums = _join(integers.astype(np.int64), self._parameters)[:count]
        self._parameters.check_sums(sums)
        return sums

    def decrypt_approximately(self, ciphertexts: Ciphertexts) -> NDArray[np.float64]:
        """What is decrypted before it is rounded: the noise tells about the secret key.

        Args:
            ciphertexts: uint8 (ciphertexts, ciphertext_bytes).

        Returns:
            float64 (ciphertexts, N): real and imaginary parts of the slots in turn.
        """
        parameters = self._parameters
        residues = _from_bytes(ciphertexts, parameters, residue_bytes(parameters.prime_bits))
        numbers = np.empty((len(residues), parameters.degree // 2), dtype=np.complex128)
        for row, part in zip(numbers, residues, strict=True):
            ciphertext, plaintext = seal.Ciphertext(), seal.Plaintext()
            scale = float(1 << parameters.scale_bits)
            _load(ciphertext, self._context, part, self._context.first_parms_id(), scale)
            self._decryptor.decrypt(ciphertext, plaintext)
            row[:] = self._encoder.decode_complex(plaintext)
        return numbers.view(np.float64)


# --- values and slots ---------------------------------------------------------------------------------------


def _split(values: Values, parameters: CkksParameters) -> NDArray[np.complex128]:
    """Values (slots,) as complex slots (N / 2,): two values each, or the low and high limb of one."""
    if parameters.limbs == 1:
        return values.astype(np.float64).view(np.complex128)
    bits = parameters.limb_bits
    half = 1 << (bits - 1)
    low = ((values + half) & ((1 << bits) - 1)) - half
    return np.stack([low, (values - low) >> bits], axis=-1).astype(np.float64).view(np.complex128)[:, 0]


def _join(numbers: NDArray[np.int64], parameters: CkksParameters) -> Values:
    """The inverse of :func:`_split`, on sums of real and imaginary parts (ciphertexts, N)."""
    if parameters.limbs == 1:
        return numbers.reshape(-1)
    pairs = numbers.reshape(-1, 2)
    return pairs[:, 0] + (pairs[:, 1] << parameters.limb_bits)


# --- SEAL ---------------------------------------------------------------------------------------------------


def _seed(stream: Stream) -> list[int]:
    words = np.empty(_SEED_WORDS, dtype=np.int64)
    stream.fill(words)
    seed: list[int] = words.view(np.uint64).tolist()
    return seed


def seal_context(parameters: CkksParameters, seed: Sequence[int] | None = None) -> Any:
    """A SEAL context; without a seed for what needs no randomness.

    Whatever is made in a context starts its generator anew, so a seeded one serves a single purpose.
    """
    settings = seal.EncryptionParameters(seal.SCHEME_TYPE.CKKS)
    settings.set_poly_modulus_degree(parameters.degree)
    primes = seal.CoeffModulus.Create(parameters.degree, [*parameters.prime_bits, parameters.special_bits])
    settings.set_coeff_modulus(primes)
    if seed is not None:
        settings.set_random_generator(seal.Blake2xbPRNGFactory(list(seed)))
    context = seal.SEALContext(settings, True, seal.SEC_LEVEL_TYPE.TC128)
    if not context.parameters_set():
        raise ValueError(f"SEAL refuses {parameters}: {context.parameters_error_message()}")
    return context


def _residues(ciphertext: Any) -> Residues:
    """The residues of a SEAL ciphertext, uint64 (2, primes, N)."""
    data = ciphertext.dyn_array()
    flat = np.fromiter(map(data.at, range(data.size())), dtype=np.uint64, count=data.size())
    return flat.reshape(2, ciphertext.coeff_modulus_size(), ciphertext.poly_modulus_degree())


def _load(target: Any, context: Any, residues: Residues, parms_id: Sequence[int], scale: float) -> None:
    """Has SEAL read residues (2, primes, N) into a ciphertext or a public key, which it does from files only.

    The format is that of SEAL 4: a header, the members of a ciphertext, and a header and the array again.
    SEAL checks what it reads against the context.
    """
    size, primes, degree = residues.shape
    array = struct.pack("<Q", residues.size) + residues.astype("<u8").tobytes()
    members = struct.pack("<4Q?3QdQ", *parms_id, True, size, degree, primes, scale, 1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "seal")
        path.write_bytes(_with_header(members + _with_header(array)))
        target.load(context, str(path))


def _with_header(content: bytes) -> bytes:
    header = seal.Serialization.SEALHeader()  # of the version at hand; nothing is compressed
    fields = header.magic, header.header_size, header.version_major, header.version_minor
    return struct.pack("<HBBBBHQ", *fields, 0, 0, header.header_size + len(content)) + content


# --- residues and bytes -------------------------------------------------------------------------------------


def _key_widths(parameters: CkksParameters) -> list[int]:
    return residue_bytes((*parameters.prime_bits, parameters.special_bits))


def _to_bytes(residues: Residues, widths: Sequence[int]) -> NDArray[np.uint8]:
    """Residues (m, 2, primes, N), modulo each prime in so many bytes, as uint8 (m, bytes)."""
    m, polynomials, primes, degree = residues.shape
    words = residues.astype("<u8").view(np.uint8).reshape(m, polynomials, primes, degree, 8)
    parts = [
        words[:, i, j, :, :width].reshape(m, degree * width)
        for i in range(polynomials)
        for j, width in enumerate(widths)
    ]
    return np.ascontiguousarray(np.concatenate(parts, axis=1))


def _from_bytes(batch: NDArray[np.uint8], parameters: CkksParameters, widths: Sequence[int]) -> Residues:
    """The inverse of :func:`_to_bytes`: uint64 (m, 2, primes, N)."""
    degree = parameters.degree
    words = np.zeros((len(batch), 2, len(widths), degree, 8), dtype=np.uint8)
    first = 0
    for i in range(2):
        for j, width in enumerate(widths):
            part = batch[:, first : first + degree * width]
            words[:, i, j, :, :width] = part.reshape(len(batch), degree, width)
            first += degree * width
    return words.view("<u8")[..., 0].astype(np.uint64)
