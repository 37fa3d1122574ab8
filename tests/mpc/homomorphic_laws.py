"""What every homomorphic back end must do, as checks on a secret key."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from p2n2sim.errors import CiphertextError, PlaintextError
from p2n2sim.mpc import prg
from p2n2sim.mpc.homomorphic import Ciphertexts, SecretKey, Values

KEY = prg.derive_key(3, "homomorphic")


def stream(step: int) -> prg.Stream:
    """A fresh reader of the stream of a step."""
    return prg.Stream(KEY, step)


def batches(value_bits: int, most: int, size: int) -> st.SearchStrategy[list[list[int]]]:
    """2 to ``most`` lists of up to ``size`` values each, the largest permitted ones among them often."""
    top = (1 << value_bits) - 1
    value = st.one_of(st.integers(-top, top), st.sampled_from([top, -top, 0, 1, -1]))
    return st.integers(1, size).flatmap(
        lambda n: st.lists(st.lists(value, min_size=n, max_size=n), min_size=2, max_size=most)
    )


def encrypt_sum(secret: SecretKey, summands: list[Values]) -> Ciphertexts:
    """The sum of fresh encryptions, each with a stream of its own."""
    public = secret.public
    total = public.encrypt(summands[0], stream(1))
    for step, summand in enumerate(summands[1:], start=2):
        total = public.add(total, public.encrypt(summand, stream(step)))
    return total


def check_exact_sum(secret: SecretKey, summands: list[Values]) -> None:
    """Decryption gives the sum that int64 addition gives, and a summand alone gives itself."""
    count = summands[0].size
    decrypted = secret.decrypt(encrypt_sum(secret, summands), count)
    assert decrypted.dtype == np.int64
    np.testing.assert_array_equal(decrypted, np.sum(summands, axis=0))
    alone = secret.public.encrypt(summands[0], stream(1))
    assert alone.shape == secret.public.parameters.shape(count)
    assert alone.dtype == np.uint8
    assert alone.flags.c_contiguous
    np.testing.assert_array_equal(secret.decrypt(alone, count), summands[0])


def check_extremes(secret: SecretKey) -> None:
    """As many summands as announced, all at either limit, over more than one ciphertext."""
    parameters = secret.public.parameters
    top = (1 << parameters.value_bits) - 1
    signs = np.where(np.arange(parameters.slots + 3) % 3 == 0, -1, 1)
    check_exact_sum(secret, [signs * top] * parameters.parties)


def check_determinism(module: Any, parameters: Any) -> None:
    """Key and ciphertexts are functions of their streams, and so is what a received public key does."""
    secrets = [module.generate(parameters, stream(step)) for step in (0, 0, 9)]
    wires = [secret.public.wire for secret in secrets]
    assert wires[0].tobytes() == wires[1].tobytes() != wires[2].tobytes()
    assert wires[0].shape == (parameters.public_key_bytes,)
    values = np.arange(-5, 5)
    own = secrets[0].public.encrypt(values, stream(1))
    received = module.PublicKey(parameters, wires[0].copy())
    assert own.tobytes() == received.encrypt(values, stream(1)).tobytes()
    assert received.add(own, own).tobytes() == secrets[1].public.add(own, own).tobytes()


def check_freshness(secret: SecretKey) -> None:
    """Equal values encrypt differently under other streams, and within one batch."""
    values = np.zeros(2 * secret.public.parameters.slots, dtype=np.int64)
    one, other = (secret.public.encrypt(values, stream(step)) for step in (1, 2))
    rows = {row.tobytes() for row in (*one, *other)}
    assert len(rows) == 4


def check_refusals(secret: SecretKey) -> None:
    """Values and arrays that do not fit are refused by name."""
    public = secret.public
    limit = 1 << public.parameters.value_bits
    for value in (limit, -limit, -(1 << 63)):
        with pytest.raises(PlaintextError, match="at index 1 "):
            public.encrypt(np.array([0, value]), stream(1))
    with pytest.raises(ValueError, match="flat int64"):
        public.encrypt(np.zeros(3), stream(1))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="flat int64"):
        public.encrypt(np.zeros((1, 3), dtype=np.int64), stream(1))
    one = public.encrypt(np.zeros(1, dtype=np.int64), stream(1))
    two = public.encrypt(np.zeros(public.parameters.slots + 1, dtype=np.int64), stream(1))
    with pytest.raises(ValueError, match="do not add"):
        public.add(one, two)
    with pytest.raises(ValueError, match="ciphertexts are uint8"):
        public.add(one[:, 1:], one[:, 1:])
    with pytest.raises(ValueError, match="C-contiguous"):
        public.add(two[:, ::-1], two[:, ::-1])
    with pytest.raises(ValueError, match="do not take"):
        secret.decrypt(two, 1)


def check_too_many_summands(secret: SecretKey) -> None:
    """One summand more than the 3 announced is noticed: there is headroom for 4."""
    parameters = secret.public.parameters
    assert parameters.parties == 3
    largest = np.full(3, (1 << parameters.value_bits) - 1)
    with pytest.raises(CiphertextError):
        secret.decrypt(encrypt_sum(secret, [largest] * 4), 3)


def check_nothing(secret: SecretKey) -> None:
    """No values take no ciphertexts."""
    nothing = secret.public.encrypt(np.zeros(0, dtype=np.int64), stream(1))
    assert nothing.shape == (0, secret.public.parameters.ciphertext_bytes)
    assert secret.decrypt(secret.public.add(nothing, nothing), 0).shape == (0,)
