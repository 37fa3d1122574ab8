"""Keyed streams against NIST's vectors and a direct call of the cipher."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given, settings
from hypothesis import strategies as st

from p2n2sim.mpc import prg

KEY = bytes(range(16))


def reference_stream(key: bytes, purpose: int, step: int, elements: int) -> list[int]:
    """Key stream by encrypting written-out counter blocks one by one (SP 800-38A, section 6.5)."""
    encrypt = Cipher(algorithms.AES(key), modes.ECB()).encryptor().update
    blocks = (
        purpose.to_bytes(2, "big") + step.to_bytes(6, "big") + i.to_bytes(8, "big")
        for i in range((elements + 1) // 2)
    )
    stream = b"".join(encrypt(block) for block in blocks)
    return np.frombuffer(stream, dtype="<i8")[:elements].tolist()


def test_nist_sp_800_38a_f_5_1():
    """The stream is AES-128-CTR: NIST's vector F.5.1, its initial counter read as purpose, step and block."""
    key = bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c")
    counter = bytes.fromhex("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff")
    plaintext = bytes.fromhex(
        "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
        "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710"
    )
    ciphertext = bytes.fromhex(
        "874d6191b620e3261bef6864990db6ce9806f66b7970fdff8617187bb9fffdff"
        "5ae4df3edbd5d35e5b4f09020db03eab1e031dda2fbe03d1792170a0f3009cee"
    )
    purpose, step = int.from_bytes(counter[:2], "big"), int.from_bytes(counter[2:8], "big")
    block = int.from_bytes(counter[8:], "big")
    # F.5.1 starts at block 0xf8f9...ff: the stream is entered there, two elements to a block.
    stream = prg.uniform(key, step, 8, purpose=purpose, start=2 * block)
    added = np.frombuffer(plaintext, dtype=np.uint8) ^ stream.astype("<i8").view(np.uint8)
    assert added.tobytes() == ciphertext


@given(st.binary(min_size=16, max_size=16), st.integers(0, 2**16 - 1), st.integers(0, 2**48 - 1))
@settings(max_examples=50)
def test_counter_layout(key, purpose, step):
    """Purpose, step and block number stand in the counter block as the module says."""
    assert prg.uniform(key, step, 7, purpose=purpose).tolist() == reference_stream(key, purpose, step, 7)


def test_long_streams_equal_one_direct_call():
    """A stream longer than the internal chunk equals one encryption of zeros."""
    counter = (3 << 112 | 9 << 64).to_bytes(16, "big")
    direct = Cipher(algorithms.AES(KEY), modes.CTR(counter)).encryptor().update(bytes(8 * 20_001))
    out = np.empty((3, 6667), dtype=np.int64)
    assert prg.uniform(KEY, 9, (3, 6667), purpose=3, out=out) is out
    assert out.astype("<i8").tobytes() == direct


@given(st.lists(st.integers(0, 30_000), max_size=6), st.integers(0, 50_000))
@settings(max_examples=30, deadline=None)
def test_streams_do_not_depend_on_how_they_are_read(sizes, start):
    """Reading in parts, entering in the middle and reading at once give the same elements."""
    whole = prg.uniform(KEY, 1, start + sum(sizes))
    stream = prg.Stream(KEY, 1, start=start)
    parts = [np.empty(size, dtype=np.int64) for size in sizes]
    for part in parts:
        stream.fill(part)
    np.testing.assert_array_equal(np.concatenate([whole[:0], *parts]), whole[start:])
    np.testing.assert_array_equal(prg.uniform(KEY, 1, sum(sizes), start=start), whole[start:])


def test_shape_does_not_change_the_stream():
    """Elements fill a shape in C order."""
    np.testing.assert_array_equal(prg.uniform(KEY, 2, (5, 7)).reshape(-1), prg.uniform(KEY, 2, 35))
    assert prg.uniform(KEY, 2, (0, 4)).shape == (0, 4)


def test_different_names_give_different_streams():
    """No element is shared between streams that differ in key, purpose or step."""
    names = itertools.product([KEY, prg.derive_key(0)], [0, 1, 2**16 - 1], [0, 1, 2**32, 2**48 - 1])
    elements = [prg.uniform(key, step, 64, purpose=purpose) for key, purpose, step in names]
    assert np.unique(np.concatenate(elements)).size == 24 * 64


def test_bytes_are_uniform():
    """Chi-square of 2^20 bytes over 256 values, at a fixed seed, lies within 5 standard deviations."""
    data = prg.uniform(prg.derive_key(1), 0, 1 << 17).view(np.uint8)
    expected = data.size / 256
    chi_square = float(np.sum((np.bincount(data, minlength=256) - expected) ** 2) / expected)
    assert abs(chi_square - 255) < 5 * (2 * 255) ** 0.5


def test_every_bit_is_uniform():
    """Each of the 64 bits of an element is set half of the time, within 5 standard deviations."""
    bits = np.unpackbits(prg.uniform(prg.derive_key(2), 0, 1 << 14).view(np.uint8).reshape(-1, 8), axis=1)
    assert np.all(np.abs(bits.sum(axis=0, dtype=np.int64) - (1 << 13)) < 5 * (1 << 12) ** 0.5)


def test_derived_keys_are_pinned():
    """A key is a fixed function of its path: a change would change every run."""
    assert prg.derive_key(0).hex() == "31aa1c5e28facf1fcd7249505affc06c"
    assert prg.derive_key(7, "dealer", "A", 3).hex() == "0d8e94764cec4c9d3105d8141f3650bc"


@given(st.lists(st.tuples(st.integers(), st.lists(st.one_of(st.text(), st.integers()), max_size=3))))
@settings(deadline=None)
def test_different_paths_give_different_keys(paths):
    """Splitting, joining or retyping labels never leads to the same key."""
    distinct = {(seed, tuple((type(x).__name__, x) for x in labels)) for seed, labels in paths}
    assert len({prg.derive_key(seed, *labels) for seed, labels in paths}) == len(distinct)


def test_neighbouring_paths_differ():
    """The encoding of a path is unambiguous where concatenation would not be."""
    paths = [(1,), (1, ""), (1, "", ""), (1, 1), (11,), (1, "1"), (1, "a", "b"), (1, "ab"), (1, "a", "b", "")]
    assert len({prg.derive_key(*path) for path in paths}) == len(paths)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"key": b"short"}, "16 bytes"),
        ({"step": -1}, "step"),
        ({"step": 1 << 48}, "step"),
        ({"purpose": 1 << 16}, "purpose"),
        ({"purpose": -1}, "purpose"),
        ({"start": -1}, "start"),
        ({"out": np.empty(3, dtype=np.int64)}, "shape"),
        ({"out": np.empty(4, dtype=np.uint64)}, "int64"),
        ({"out": np.empty(8, dtype=np.int64)[::2]}, "contiguous"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    """Numbers out of range would collide with another stream: they are errors."""
    with pytest.raises(ValueError, match=message):
        prg.uniform(**{"key": KEY, "step": 0, "shape": 4, **arguments})
