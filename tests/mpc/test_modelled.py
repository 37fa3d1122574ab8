"""The model of homomorphic encryption: the sizes of the real back ends, and no encryption."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2n2sim.mpc import ckks, modelled, paillier
from p2n2sim.mpc.homomorphic import CkksParameters, PaillierParameters
from tests.mpc import homomorphic_laws as laws

PAILLIER = PaillierParameters(parties=8, key_bits=1024)
CKKS = CkksParameters(parties=8)
SECRETS = {parameters: modelled.generate(parameters, laws.stream(0)) for parameters in (PAILLIER, CKKS)}


@pytest.mark.parametrize(
    ("module", "parameters"),
    [
        (paillier, PAILLIER),
        (paillier, PaillierParameters(value_bits=8, key_bits=1024)),
        (ckks, CKKS),
        (ckks, CkksParameters(value_bits=53, parties=1000)),
    ],
)
@pytest.mark.parametrize("count", [1, 5000])
def test_the_sizes_are_those_of_the_real_back_end(module, parameters, count):
    """Key, ciphertexts and sums have the same number of bytes, and the same values come out."""
    values = np.arange(count) % 199 - 99
    shapes, sums = [], []
    for back_end in (module, modelled):
        secret = back_end.generate(parameters, laws.stream(0))
        batch = secret.public.encrypt(values, laws.stream(1))
        total = secret.public.add(batch, batch)
        shapes.append(
            (secret.public.wire.shape, batch.shape, total.shape, batch.dtype, total.flags.c_contiguous)
        )
        sums.append(secret.decrypt(total, count))
    assert shapes[0] == shapes[1]
    np.testing.assert_array_equal(*sums)


@given(st.sampled_from([PAILLIER, CKKS]), laws.batches(40, most=8, size=50))
def test_the_sum_is_exact(parameters, summands):
    """Whatever values are added, reading the sum gives their sum."""
    laws.check_exact_sum(SECRETS[parameters], [np.array(summand, dtype=np.int64) for summand in summands])


@pytest.mark.parametrize("parameters", [PAILLIER, CKKS, PaillierParameters(62, 2), CkksParameters(62, 2)])
def test_the_largest_sums_fit(parameters):
    """The largest summands at every place of more than one ciphertext."""
    laws.check_extremes(modelled.generate(parameters, laws.stream(0)))


@pytest.mark.parametrize("parameters", [PAILLIER, CKKS])
def test_the_same_is_refused_as_by_the_real_back_ends(parameters):
    """Values beyond the limit, arrays of another shape, type or layout, a summand too many, another key."""
    laws.check_refusals(SECRETS[parameters])
    laws.check_nothing(SECRETS[parameters])
    laws.check_too_many_summands(modelled.generate(type(parameters)(parties=3), laws.stream(0)))
    with pytest.raises(ValueError, match="public key of shape"):
        modelled.PublicKey(parameters, np.zeros(1, dtype=np.uint8))


def test_nothing_is_encrypted():
    """The values stand in the clear at the start of the batch: nobody may take this for encryption."""
    batch = SECRETS[PAILLIER].public.encrypt(np.array([7, -9]), laws.stream(1))
    assert batch[0, :16].tobytes() == np.array([7, -9], dtype="<i8").tobytes()
    assert not batch[0, 16:].any()
