"""Paillier's encryption of packed numbers, with keys far too short for any secret."""

from __future__ import annotations

import gmpy2
import numpy as np
import pytest
from hypothesis import given, settings

from p2n2sim.errors import CiphertextError, PlaintextError
from p2n2sim.mpc import paillier
from p2n2sim.mpc.homomorphic import PaillierParameters
from tests.mpc import homomorphic_laws as laws

PARAMETERS = PaillierParameters(value_bits=40, parties=8, key_bits=1024)
SECRET = paillier.generate(PARAMETERS, laws.stream(0))
N = int.from_bytes(SECRET.public.wire.tobytes(), "little")


@given(laws.batches(PARAMETERS.value_bits, most=8, size=2 * PARAMETERS.slots + 1))
@settings(max_examples=25)
def test_the_sum_is_exact(summands):
    """Whatever values are added, decryption gives their sum."""
    laws.check_exact_sum(SECRET, [np.array(summand, dtype=np.int64) for summand in summands])


@pytest.mark.parametrize(("value_bits", "parties"), [(40, 8), (40, 3), (62, 2), (1, 9), (63, 1), (53, 20)])
def test_the_largest_sums_fit(value_bits, parties):
    """Neighbouring slots at opposite limits do not touch, for any width of slot."""
    parameters = PaillierParameters(value_bits, parties, key_bits=1024)
    laws.check_extremes(paillier.generate(parameters, laws.stream(0)))


def test_a_run_is_a_function_of_its_streams():
    """The same streams give the same key and ciphertexts; a public key works from its published form."""
    laws.check_determinism(paillier, PARAMETERS)


def test_equal_values_have_different_ciphertexts():
    """Every ciphertext has a fresh r."""
    laws.check_freshness(SECRET)


def test_what_does_not_fit_is_refused():
    """Values beyond the limit, and arrays of another shape, type or layout."""
    laws.check_refusals(SECRET)


def test_one_summand_too_many_is_noticed():
    """Where the headroom still holds the sum, it is refused for its size."""
    parameters = PaillierParameters(value_bits=40, parties=3, key_bits=1024)
    laws.check_too_many_summands(paillier.generate(parameters, laws.stream(0)))


def test_no_values_take_no_ciphertexts():
    """An empty batch is a batch."""
    laws.check_nothing(SECRET)


def test_a_ciphertext_is_a_unit_modulo_n_squared():
    """c lies in Z*_{n^2} and decrypts by the formula L(c^lambda) / L(g^lambda) too."""
    values = np.array([3, -4, (1 << 40) - 1])
    c = int.from_bytes(SECRET.public.encrypt(values, laws.stream(1))[0].tobytes(), "little")
    assert 0 < c < N**2
    assert gmpy2.gcd(c, N**2) == 1
    p, q = SECRET._p, SECRET._q
    carmichael = gmpy2.lcm(p - 1, q - 1)
    quotient = [(pow(u, carmichael, N**2) - 1) // N for u in (c, N + 1)]
    packed = sum(int(x) << (PARAMETERS.slot_bits * i) for i, x in enumerate(values))
    assert quotient[0] * gmpy2.invert(quotient[1], N) % N == packed % N


def test_the_modulus_is_a_product_of_two_primes_of_half_its_bits():
    """n has exactly key_bits bits and gcd(n, (p - 1)(q - 1)) = 1, or encryption were no bijection."""
    p, q = SECRET._p, SECRET._q
    assert gmpy2.is_prime(p)
    assert gmpy2.is_prime(q)
    assert p.bit_length() == q.bit_length() == 512
    assert p != q
    assert p * q == N
    assert N.bit_length() == 1024
    assert gmpy2.gcd(N, (p - 1) * (q - 1)) == 1


def test_bytes_that_are_no_packed_sum_are_refused():
    """A ciphertext of -2^(slots w) is refused, and a wire that is no modulus of the key's size."""
    m = -(1 << (PARAMETERS.slot_bits * PARAMETERS.slots))
    data = int((1 + m * N) * pow(5, N, N**2) % N**2).to_bytes(PARAMETERS.ciphertext_bytes, "little")
    with pytest.raises(CiphertextError, match="no packed sums"):
        SECRET.decrypt(np.frombuffer(data, dtype=np.uint8).reshape(1, -1), 1)
    with pytest.raises(ValueError, match="modulus"):
        paillier.PublicKey(PARAMETERS, np.zeros(128, dtype=np.uint8))
    with pytest.raises(ValueError, match="modulus"):
        paillier.PublicKey(PARAMETERS, np.append(SECRET.public.wire, np.uint8(0)))


def test_parameters_fix_all_sizes():
    """At the defaults: 48 values in 512 bytes, n in 256 bytes, one operation per ciphertext."""
    parameters = PaillierParameters()
    assert (parameters.slots, parameters.ciphertext_bytes, parameters.public_key_bytes) == (48, 512, 256)
    assert parameters.shape(5000 * 8) == (834, 512)
    assert parameters.encryption(40000) == {"paillier encrypt": 834}
    assert parameters.addition(49) == {"paillier add": 2}
    assert parameters.decryption(48) == {"paillier decrypt": 1}


def test_parameters_out_of_range_are_refused():
    """Sums beyond an int64 are a PlaintextError, numbers out of range a ValueError."""
    with pytest.raises(PlaintextError, match="int64 holds 63"):
        PaillierParameters(value_bits=54, parties=1000)
    for wrong in (
        {"parties": 0},
        {"parties": 1001},
        {"value_bits": 0},
        {"key_bits": 1000},
        {"key_bits": 8192},
    ):
        with pytest.raises(ValueError, match="must be"):
            PaillierParameters(**wrong)
