"""What a message is, and its bytes.

A message is a frozen dataclass that derives from `Message`. Its fields are integers and numpy
arrays; every array field says what it reveals to the receiver (`uniform`, `clear`, `opens`,
`encrypted`, `decrypted`, `public`, `modelled`).

The wire form is little-endian throughout::

    offset  size  what
    0       2     magic "PN"
    2       1     version (1)
    3       1     number of fields
    4       4     CRC-32 of the message type's name
    8       8     length of the payload in bytes
    16      ...   one descriptor a field: an integer is 'q' and its 8 bytes; an array is the code of
                  its dtype, its number of dimensions and 4 bytes a dimension
    ...     ...   zero bytes up to a multiple of 8
    ...     ...   the payload: the raw buffers of the arrays, in C order

Nothing is ever unpickled. `sizes` tells the exact size without encoding.
"""

from __future__ import annotations

import functools
import math
import struct
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Literal, TypeVar, cast

import numpy as np
from numpy.typing import DTypeLike, NDArray

from p2n2sim.errors import WireError

Phase = Literal["offline", "online"]
M = TypeVar("M", bound="Message")

_MAGIC, _VERSION = b"PN", 1
_HEADER = struct.Struct("<2sBBIQ")
_INT = struct.Struct("<cq")
_ARRAY = struct.Struct("<cB")
_DTYPES: dict[bytes, np.dtype[Any]] = {
    b"r": np.dtype("<i8"),
    b"s": np.dtype("<i4"),
    b"f": np.dtype("<f4"),
    b"d": np.dtype("<f8"),
    b"b": np.dtype("u1"),
}
_CODES = {dtype: code for code, dtype in _DTYPES.items()}


How = Literal["uniform", "opens", "clear", "encrypted", "decrypted", "public", "modelled"]
RING = (np.int64, np.int32)
"""The dtypes of a field of ring elements, for rings of either width."""


@dataclass(frozen=True, slots=True)
class Reveal:
    """What an array field tells its receiver.

    Attributes:
        how: ``uniform``: ring elements or key bytes that are uniformly random to the receiver;
            ``opens``: uniform alone, but the same field from all senders together adds up to the
            value; ``clear``: the value itself; ``encrypted``: says nothing to who lacks the private
            key; ``decrypted``: a ciphertext whose receiver has that key and so comes to see the value;
            ``public``: says nothing about anybody's data, a public key for example;
            ``modelled``: only its size is real, it stands for what a protocol would send.
        what: the value's name in the paper's notation, for example ``dL/dh1``.
        count: of ``decrypted``: the integer field that says how many numbers come out.
        summand_of: of ``clear``: the value that the same field from all senders together adds up to.
    """

    how: How
    what: str
    count: str = ""
    summand_of: str = ""


def uniform(what: str, *dtypes: DTypeLike) -> Any:
    """A field that is uniformly random to its receiver; int64 unless other dtypes are named."""
    return _array_field("uniform", what, dtypes or (np.int64,))


def opens(what: str, *dtypes: DTypeLike) -> Any:
    """A field that is a share: uniform alone, the value once all senders' shares are there."""
    return _array_field("opens", what, dtypes or (np.int64,))


def clear(what: str, *dtypes: DTypeLike, summand_of: str = "") -> Any:
    """A field that shows its value to the receiver; float32 unless other dtypes are named.

    Args:
        what: the value's name.
        *dtypes: what it may be made of.
        summand_of: the name of what the values of all senders add up to, if they do.
    """
    return _array_field("clear", what, dtypes or (np.float32,), summand_of=summand_of)


def encrypted(what: str) -> Any:
    """A field of ciphertext bytes."""
    return _array_field("encrypted", what, (np.uint8,))


def decrypted(what: str, count: str) -> Any:
    """A field of ciphertext bytes under its receiver's own key.

    Args:
        what: the value's name.
        count: the integer field of the message that says how many numbers come out.
    """
    return _array_field("decrypted", what, (np.uint8,), count)


def public(what: str) -> Any:
    """A field of bytes that everybody may know, of a public key for example."""
    return _array_field("public", what, (np.uint8,))


def modelled(what: str) -> Any:
    """A field of bytes of which only the number is real."""
    return _array_field("modelled", what, (np.uint8,))


def _array_field(
    how: How, what: str, dtypes: tuple[DTypeLike, ...], count: str = "", summand_of: str = ""
) -> Any:
    reveal = Reveal(how, what, count, summand_of)
    return field(metadata={"reveal": reveal, "dtypes": tuple(np.dtype(d) for d in dtypes)})


@dataclass(frozen=True, slots=True)
class Message:
    """Something that a party says. Derive a frozen dataclass with slots from it.

    Arrays are kept as read-only views, so a large message costs no copy; whoever sends an array must
    not write into it afterwards.

    Attributes:
        phase: whether messages of this type belong to the offline phase (correlated randomness that
            does not depend on the data) or to the online phase.
        step: number of the mini-batch that the message belongs to; -1 before the first.

    Raises:
        WireError: an array field is not an array of a declared dtype.
    """

    phase: ClassVar[Phase] = "online"
    step: int

    def __post_init__(self) -> None:
        for name, dtypes in layout(type(self)).arrays:
            array = getattr(self, name)
            if not isinstance(array, np.ndarray) or array.dtype not in dtypes:
                found = getattr(array, "dtype", type(array).__name__)
                raise WireError(f"{type(self).__name__}.{name} takes a {_either(dtypes)} array, not {found}")
            view = array.view()
            view.flags.writeable = False
            object.__setattr__(self, name, view)


@dataclass(frozen=True, slots=True)
class Layout:
    """What the fields of a message type are, worked out once.

    Attributes:
        kind: CRC-32 of the type's name.
        names: all fields in order.
        arrays: name and allowed dtypes of the array fields.
        reveals: what each array field tells its receiver.
        counted: for each array field, the field that tells how many numbers its receiver sees: itself,
            or an integer.
        fixed: bytes of header and descriptors that every message of the type has.
    """

    kind: int
    names: tuple[str, ...]
    arrays: tuple[tuple[str, tuple[np.dtype[Any], ...]], ...]
    reveals: tuple[Reveal, ...]
    counted: tuple[str, ...]
    fixed: int


def _work_out(kind: type[Message]) -> Layout:
    """The layout of a message type.

    Raises:
        WireError: a field is neither an integer nor declared by `uniform` or one of its kin.
    """
    names, arrays, reveals, integers = [], [], [], 0
    for item in fields(kind):
        names.append(item.name)
        if "reveal" in item.metadata:
            for dtype in item.metadata["dtypes"]:
                if dtype not in _CODES:
                    raise WireError(f"{kind.__name__}.{item.name}: dtype {dtype} has no wire form")
            arrays.append((item.name, item.metadata["dtypes"]))
            reveals.append(item.metadata["reveal"])
        elif item.type in (int, "int"):
            integers += 1
        else:
            raise WireError(
                f"{kind.__name__}.{item.name}: a field is an int or declared by uniform() or one of its kin"
            )
    fixed = _HEADER.size + _INT.size * integers + _ARRAY.size * len(arrays)
    counted = tuple(reveal.count or name for (name, _), reveal in zip(arrays, reveals, strict=True))
    return Layout(
        zlib.crc32(kind.__name__.encode()), tuple(names), tuple(arrays), tuple(reveals), counted, fixed
    )


# The cast is for mypy, which takes the hash of a class for that of its instances.
layout = cast("Callable[[type[Message]], Layout]", functools.cache(_work_out))


def sizes(message: Message) -> tuple[int, int]:
    """Payload bytes (the arrays' buffers) and wire bytes (all of the encoding) of a message."""
    plan = layout(type(message))
    payload, head = 0, plan.fixed
    for name, _ in plan.arrays:
        array = getattr(message, name)
        payload += array.nbytes
        head += 4 * array.ndim
    return payload, payload + ((head + 7) & -8)


def encode(message: Message) -> bytes:
    """The wire form of a message.

    Raises:
        WireError: an integer does not fit 64 bits, or a dimension does not fit 32.
    """
    plan = layout(type(message))
    arrays = dict(plan.arrays)
    head, buffers = bytearray(), []
    try:
        for name in plan.names:
            value = getattr(message, name)
            if name in arrays:
                head += _ARRAY.pack(_CODES[value.dtype], value.ndim) + struct.pack(
                    f"<{value.ndim}I", *value.shape
                )
                buffers.append(value.tobytes())
            else:
                head += _INT.pack(b"q", value)
    except struct.error as error:
        raise WireError(f"{type(message).__name__}.{name}: {error}") from None
    payload = b"".join(buffers)
    head += bytes(-len(head) % 8)
    return _HEADER.pack(_MAGIC, _VERSION, len(plan.names), plan.kind, len(payload)) + bytes(head) + payload


def decode(data: bytes, kinds: Iterable[type[M]]) -> M:
    """The message that some bytes encode; its arrays are read-only views of the bytes.

    Args:
        data: exactly one encoded message.
        kinds: the message types that may occur.

    Raises:
        WireError: the bytes are not the encoding of a message of one of these types.
    """
    if len(data) < _HEADER.size:
        raise WireError(f"{len(data)} bytes are too few for a header of {_HEADER.size}")
    magic, version, count, number, payload = _HEADER.unpack_from(data)
    if (magic, version) != (_MAGIC, _VERSION):
        raise WireError(f"magic {magic!r} version {version} is not {_MAGIC!r} version {_VERSION}")
    kind = next((kind for kind in kinds if layout(kind).kind == number), None)
    if kind is None:
        raise WireError(f"no known message type has the number {number:#010x}")
    if count != len(layout(kind).names):
        raise WireError(f"{kind.__name__} has {len(layout(kind).names)} fields, not {count}")
    try:
        integers, forms, start = _descriptors(data, kind)
    except struct.error:
        raise WireError(f"{kind.__name__}: cut short within the field descriptors") from None
    values: dict[str, Any] = {**integers, **_arrays(data, kind, forms, start, payload)}
    return kind(**values)


_Form = tuple[np.dtype[Any], tuple[int, ...]]  # dtype and shape of an array


def _descriptors(data: bytes, kind: type[Message]) -> tuple[dict[str, int], dict[str, _Form], int]:
    """Integers by field, array forms by field, and where the payload begins."""
    plan = layout(kind)
    arrays = dict(plan.arrays)
    integers: dict[str, int] = {}
    forms: dict[str, _Form] = {}
    at = _HEADER.size
    for name in plan.names:
        if name in arrays:
            code, ndim = _ARRAY.unpack_from(data, at)
            dtype: np.dtype[Any] | None = _DTYPES.get(code)
            if dtype is None or dtype not in arrays[name]:
                raise WireError(
                    f"{kind.__name__}.{name}: dtype code {code!r} is not that of {_either(arrays[name])}"
                )
            shape: tuple[int, ...] = struct.unpack_from(f"<{ndim}I", data, at + _ARRAY.size)
            forms[name] = dtype, shape
            at += _ARRAY.size + 4 * ndim
        else:
            code, integers[name] = _INT.unpack_from(data, at)
            if code != b"q":
                raise WireError(f"{kind.__name__}.{name}: code {code!r} is not that of an integer")
            at += _INT.size
    start = (at + 7) & -8
    if any(data[at:start]):
        raise WireError(f"{kind.__name__}: the padding is not zero")
    return integers, forms, start


def _arrays(
    data: bytes, kind: type[Message], forms: dict[str, _Form], start: int, payload: int
) -> dict[str, NDArray[Any]]:
    """The arrays by field, after checking that the lengths agree."""
    needed = sum(math.prod(shape) * dtype.itemsize for dtype, shape in forms.values())
    if not needed == payload == len(data) - start:
        raise WireError(
            f"{kind.__name__}: the shapes need {needed} payload bytes, the header says {payload}, "
            f"{len(data) - start} are there"
        )
    out: dict[str, NDArray[Any]] = {}
    for name, (dtype, shape) in forms.items():
        count = math.prod(shape)
        try:
            flat = np.frombuffer(data, dtype, count, start) if count else np.empty(0, dtype)
            out[name] = flat.reshape(shape)
        except ValueError as error:  # more dimensions than numpy has
            raise WireError(f"{kind.__name__}.{name}: {error}") from None
        start += count * dtype.itemsize
    return out


def _either(dtypes: Iterable[np.dtype[Any]]) -> str:
    return " or ".join(map(str, dtypes))
