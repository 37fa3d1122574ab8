"""CKKS for exact sums of integers."""

from __future__ import annotations

import numpy as np
import pytest
import tenseal.sealapi as seal
from hypothesis import given, settings

from p2n2sim.errors import CiphertextError, PlaintextError
from p2n2sim.mpc import ckks
from p2n2sim.mpc.homomorphic import CkksParameters
from tests.mpc import homomorphic_laws as laws

PARAMETERS = CkksParameters(value_bits=40, parties=8)
SECRET = ckks.generate(PARAMETERS, laws.stream(0))
LONG = CkksParameters(value_bits=53, parties=1000)  # in two limbs
LONG_SECRET = ckks.generate(LONG, laws.stream(0))


@given(laws.batches(PARAMETERS.value_bits, most=8, size=20))
@settings(max_examples=15)
def test_the_sum_is_exact(summands):
    """Whatever values are added, decryption gives their sum."""
    laws.check_exact_sum(SECRET, [np.array(summand, dtype=np.int64) for summand in summands])


@given(laws.batches(LONG.value_bits, most=8, size=20))
@settings(max_examples=15)
def test_the_sum_of_limbs_is_exact(summands):
    """So it is where a value is split in two limbs."""
    laws.check_exact_sum(LONG_SECRET, [np.array(summand, dtype=np.int64) for summand in summands])


@pytest.mark.parametrize(("value_bits", "parties"), [(40, 8), (40, 16), (62, 2), (1, 5), (63, 1), (42, 3)])
def test_the_largest_sums_fit(value_bits, parties):
    """The largest summands at every place of more than one ciphertext, for one and for two limbs."""
    laws.check_extremes(ckks.generate(CkksParameters(value_bits, parties), laws.stream(0)))


@pytest.mark.parametrize(("value_bits", "parties", "summands"), [(40, 8, 8), (40, 16, 16), (40, 1000, 8)])
def test_the_noise_stays_far_below_one_half(value_bits, parties, summands):
    """Random values of full size: no number is further than 1/8 from an integer before it is rounded.

    Of 1000 announced summands 8 are added; the noise of all is sqrt(125) times as large if it is independent.
    """
    parameters = CkksParameters(value_bits, parties)
    secret = ckks.generate(parameters, laws.stream(0))
    generator = np.random.default_rng(1)
    top = (1 << value_bits) - 1
    values = [generator.integers(-top, top, parameters.slots, endpoint=True) for _ in range(summands)]
    numbers = secret.decrypt_approximately(laws.encrypt_sum(secret, values))
    noise = np.abs(numbers - np.rint(numbers)).max()
    assert 0 < noise * (parties / summands) ** 0.5 < 1 / 8


def test_a_run_is_a_function_of_its_streams():
    """The same streams give the same key and ciphertexts; a public key works from its published form."""
    laws.check_determinism(ckks, PARAMETERS)


def test_equal_values_have_different_ciphertexts():
    """Every ciphertext has a seed of its own."""
    laws.check_freshness(SECRET)


def test_what_does_not_fit_is_refused():
    """Values beyond the limit, and arrays of another shape, type or layout."""
    laws.check_refusals(SECRET)


def test_one_summand_too_many_is_noticed():
    """Where the headroom still holds the sum, it is refused for its size."""
    laws.check_too_many_summands(ckks.generate(CkksParameters(value_bits=40, parties=3), laws.stream(0)))


def test_no_values_take_no_ciphertexts():
    """An empty batch is a batch."""
    laws.check_nothing(SECRET)


def test_addition_is_that_of_seal():
    """Adding residues gives the bytes that SEAL's evaluator gives."""
    a, b = (SECRET.public.encrypt(np.arange(9), laws.stream(step)) for step in (1, 2))
    context, loaded = SECRET._context, []
    for batch in (a, b):
        loaded.append(seal.Ciphertext())
        residues = ckks._from_bytes(batch, PARAMETERS, [4, 4])[0]
        ckks._load(loaded[-1], context, residues, context.first_parms_id(), 2.0**PARAMETERS.scale_bits)
    total = seal.Ciphertext()
    seal.Evaluator(context).add(*loaded, total)
    expected = ckks._to_bytes(ckks._residues(total)[np.newaxis], [4, 4])
    assert SECRET.public.add(a, b).tobytes() == expected.tobytes()


def test_a_ciphertext_of_another_key_is_refused():
    """What decrypts to no integers raises instead of being rounded."""
    other = ckks.generate(PARAMETERS, laws.stream(9))
    with pytest.raises(CiphertextError, match="away from an integer"):
        SECRET.decrypt(other.public.encrypt(np.arange(9), laws.stream(1)), 9)


@pytest.mark.parametrize("value_bits", [1, 16, 24, 32, 40, 50, 53])
@pytest.mark.parametrize("parties", [1, 2, 16, 17, 1000])
def test_seal_grants_every_choice_of_primes_128_bits_of_security(value_bits, parties):
    """The context is valid at that level, its primes have the bits that the sizes are computed from."""
    parameters = CkksParameters(value_bits, parties)
    assert parameters.total_bits == seal.CoeffModulus.MaxBitCount(4096, seal.SEC_LEVEL_TYPE.TC128)
    context = ckks.seal_context(parameters)
    primes = context.key_context_data().parms().coeff_modulus()
    assert tuple(prime.bit_count() for prime in primes) == (*parameters.prime_bits, parameters.special_bits)
    assert len({prime.value() for prime in primes}) == len(primes)


def test_parameters_fix_all_sizes():
    """At the defaults: 4096 values in 64 KiB, one operation per ciphertext; two limbs for long sums."""
    parameters = CkksParameters()
    assert (parameters.slots, parameters.ciphertext_bytes, parameters.public_key_bytes) == (
        4096,
        65536,
        114688,
    )
    assert parameters.shape(5000 * 8) == (10, 65536)
    assert parameters.encryption(40000) == {"ckks encrypt": 10}
    assert parameters.addition(4097) == {"ckks add": 2}
    assert parameters.decryption(4096) == {"ckks decrypt": 1}
    assert [CkksParameters(40, parties).limbs for parties in (16, 17)] == [1, 2]
    assert (CkksParameters(40, 1000).slots, CkksParameters(40, 1000).ciphertext_bytes) == (2048, 57344)


def test_parameters_out_of_range_are_refused():
    """Sums beyond an int64 are a PlaintextError; a wire of another size is no public key."""
    with pytest.raises(PlaintextError, match="int64 holds 63"):
        CkksParameters(value_bits=54, parties=1000)
    with pytest.raises(ValueError, match="public key of shape"):
        ckks.PublicKey(PARAMETERS, SECRET.public.wire[1:])
