"""Messages and their bytes."""

from __future__ import annotations

import pickle
import struct
from dataclasses import FrozenInstanceError, dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from p2n2sim.errors import WireError
from p2n2sim.messages import VOCABULARY, DealerKey, HiddenShare, InputShare, LastHidden, TripleRequest
from p2n2sim.wire import Message, decode, encode, layout, sizes, uniform

_INTEGERS = st.integers(-(2**63), 2**63 - 1)
_SHAPES = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)


@st.composite
def messages(draw: st.DrawFn) -> Message:
    """Any message of the vocabulary with arrays of any shape and any integers."""
    kind = draw(st.sampled_from(VOCABULARY))
    arrays = {
        name: draw(hnp.arrays(draw(st.sampled_from(dtypes)), _SHAPES)) for name, dtypes in layout(kind).arrays
    }
    return kind(**arrays, **{name: draw(_INTEGERS) for name in layout(kind).names if name not in arrays})


def same(a: Message, b: Message) -> bool:
    """Whether two messages are equal to the bit."""
    if type(a) is not type(b):
        return False
    pairs = [(np.asarray(getattr(a, name)), np.asarray(getattr(b, name))) for name in layout(type(a)).names]
    return all(x.shape == y.shape and x.dtype == y.dtype and x.tobytes() == y.tobytes() for x, y in pairs)


@given(messages())
def test_round_trip(message: Message) -> None:
    """Decoding the encoding of a message gives the message, to the bit."""
    assert same(decode(encode(message), VOCABULARY), message)


@given(messages())
def test_size_without_encoding(message: Message) -> None:
    """The sizes told without encoding are those of the encoding."""
    payload, wire = sizes(message)
    data = encode(message)
    assert wire == len(data)
    assert payload == struct.unpack_from("<Q", data, 8)[0]
    assert payload == sum(getattr(message, name).nbytes for name, _ in layout(type(message)).arrays)


@given(messages(), st.data())
@settings(max_examples=300)
def test_mutated_bytes(message: Message, data: st.DataObject) -> None:
    """Changed, cut or lengthened bytes either decode to a message or raise WireError, nothing else."""
    mutated = bytearray(encode(message))
    for _ in range(data.draw(st.integers(1, 4))):
        where = data.draw(st.integers(0, len(mutated) - 1))
        mutated[where] = data.draw(st.integers(0, 255))
    mutated = mutated[: data.draw(st.integers(0, len(mutated)))] + data.draw(st.binary(max_size=4))
    try:
        result = decode(bytes(mutated), VOCABULARY)
    except WireError:
        return
    assert encode(result) == bytes(mutated)


@given(st.binary(max_size=200))
def test_arbitrary_bytes(data: bytes) -> None:
    """Bytes that are no message raise WireError."""
    with pytest.raises(WireError):
        decode(data, VOCABULARY)


def test_pickle_is_refused() -> None:
    """A pickle is no message, and decoding never runs it."""
    with pytest.raises(WireError, match="magic"):
        decode(pickle.dumps(print), VOCABULARY)


def test_golden_bytes() -> None:
    """The wire form of a small message is what the module's table says, byte for byte."""
    message = HiddenShare(7, np.array([[1, -1]], np.int64))
    assert encode(message) == (
        b"PN\x01\x02" + layout(HiddenShare).kind.to_bytes(4, "little") + (16).to_bytes(8, "little")
        + b"q" + (7).to_bytes(8, "little")
        + b"r\x02" + (1).to_bytes(4, "little") + (2).to_bytes(4, "little")
        + bytes(5)
        + (1).to_bytes(8, "little") + b"\xff" * 8
    )  # fmt: skip


def test_numbers_of_the_vocabulary_differ() -> None:
    """No two message types of the vocabulary share a number on the wire."""
    assert len({layout(kind).kind for kind in VOCABULARY}) == len(VOCABULARY)


def test_arrays_are_read_only_views() -> None:
    """A message shares its sender's memory, and its receiver cannot write to it."""
    h_L = np.zeros((2, 3), np.float32)
    message = LastHidden(0, h_L)
    assert np.shares_memory(message.h_L, h_L)
    with pytest.raises(ValueError, match="read-only"):
        message.h_L[0, 0] = 1
    with pytest.raises(FrozenInstanceError):
        message.step = 1  # type: ignore[misc]


def test_strided_array() -> None:
    """An array that is not contiguous is sent in C order."""
    h_L = np.arange(12, dtype=np.float32).reshape(3, 4).T
    assert np.array_equal(decode(encode(LastHidden(0, h_L)), VOCABULARY).h_L, h_L)


@pytest.mark.parametrize("wrong", [np.zeros(3, np.float32), [1, 2], np.zeros(3, ">i8")])
def test_wrong_dtype(wrong: object) -> None:
    """A field takes the dtype that it declares and no other."""
    with pytest.raises(WireError, match=r"HiddenShare\.h1 takes a int64 array"):
        HiddenShare(0, wrong)  # type: ignore[arg-type]


def test_integer_too_large() -> None:
    """An integer that does not fit 64 bits cannot be encoded."""
    with pytest.raises(WireError, match="TripleRequest"):
        encode(TripleRequest(2**63))


def test_undeclared_field() -> None:
    """A field that is neither an integer nor says what it reveals is refused."""

    @dataclass(frozen=True, slots=True)
    class Text(Message):
        text: str

    with pytest.raises(WireError, match=r"Text\.text"):
        Text(0, "hello")


def test_unknown_type() -> None:
    """A message of a type that the receiver does not know is refused."""
    with pytest.raises(WireError, match="no known message type"):
        decode(encode(TripleRequest(0)), [InputShare])


def test_own_message_types() -> None:
    """A protocol author's own message type needs no registration."""

    @dataclass(frozen=True, slots=True)
    class Sum(Message):
        round: int
        value: np.ndarray = uniform("masked sum")

    message = Sum(1, 2, np.arange(3))
    assert same(decode(encode(message), [DealerKey, Sum]), message)
