"""What a message is, and its bytes.

A message is a frozen dataclass that derives from `Message`. Its fields are integers and numpy
arrays; every array field says what it reveals to the receiver (`uniform`, `clear`, `opens`).

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
_DTYPES = {b"r": np.dtype("<i8"), b"f": np.dtype("<f4"), b"d": np.dtype("<f8"), b"b": np.dtype("u1")}
_CODES = {dtype: code for code, dtype in _DTYPES.items()}


@dataclass(frozen=True, slots=True)
class Reveal:
    """What an array field tells its receiver.

    Attributes:
        how: ``uniform``: ring elements or key bytes that are uniformly random to the receiver;
            ``clear``: the value itself; ``opens``: uniform alone, but the same field from all
            senders together adds up to the value.
        what: the value's name in the paper's notation, for example ``dL/dh1``.
    """

    how: Literal["uniform", "clear", "opens"]
    what: str


def uniform(what: str, dtype: DTypeLike = np.int64) -> Any:
    """A field that is uniformly random to its receiver."""
    return _array_field("uniform", what, dtype)


def opens(what: str, dtype: DTypeLike = np.int64) -> Any:
    """A field that is a share: uniform alone, the value once all senders' shares are there."""
    return _array_field("opens", what, dtype)


def clear(what: str, dtype: DTypeLike = np.float32) -> Any:
    """A field that shows its value to the receiver."""
    return _array_field("clear", what, dtype)


def _array_field(how: Literal["uniform", "clear", "opens"], what: str, dtype: DTypeLike) -> Any:
    return field(metadata={"reveal": Reveal(how, what), "dtype": np.dtype(dtype)})


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
        WireError: an array field is not an array of the declared dtype.
    """

    phase: ClassVar[Phase] = "online"
    step: int

    def __post_init__(self) -> None:
        for name, dtype in layout(type(self)).arrays:
            array = getattr(self, name)
            if not isinstance(array, np.ndarray) or array.dtype != dtype:
                found = getattr(array, "dtype", type(array).__name__)
                raise WireError(f"{type(self).__name__}.{name} takes a {dtype} array, not {found}")
            view = array.view()
            view.flags.writeable = False
            object.__setattr__(self, name, view)


@dataclass(frozen=True, slots=True)
class Layout:
    """What the fields of a message type are, worked out once.

    Attributes:
        kind: CRC-32 of the type's name.
        names: all fields in order.
        arrays: name and dtype of the array fields.
        reveals: what each array field tells its receiver.
        fixed: bytes of header and descriptors that every message of the type has.
    """

    kind: int
    names: tuple[str, ...]
    arrays: tuple[tuple[str, np.dtype[Any]], ...]
    reveals: tuple[Reveal, ...]
    fixed: int


def _work_out(kind: type[Message]) -> Layout:
    """The layout of a message type.

    Raises:
        WireError: a field is neither an integer nor declared by `uniform`, `clear` or `opens`.
    """
    names, arrays, reveals, integers = [], [], [], 0
    for item in fields(kind):
        names.append(item.name)
        if "reveal" in item.metadata:
            if item.metadata["dtype"] not in _CODES:
                raise WireError(
                    f"{kind.__name__}.{item.name}: dtype {item.metadata['dtype']} has no wire form"
                )
            arrays.append((item.name, item.metadata["dtype"]))
            reveals.append(item.metadata["reveal"])
        elif item.type in (int, "int"):
            integers += 1
        else:
            raise WireError(
                f"{kind.__name__}.{item.name}: a field is an int or declared by uniform(), clear() or opens()"
            )
    fixed = _HEADER.size + _INT.size * integers + _ARRAY.size * len(arrays)
    return Layout(zlib.crc32(kind.__name__.encode()), tuple(names), tuple(arrays), tuple(reveals), fixed)


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
                head += _ARRAY.pack(_CODES[arrays[name]], value.ndim) + struct.pack(
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
        integers, shapes, start = _descriptors(data, kind)
    except struct.error:
        raise WireError(f"{kind.__name__}: cut short within the field descriptors") from None
    values: dict[str, Any] = {**integers, **_arrays(data, kind, shapes, start, payload)}
    return kind(**values)


_Shape = tuple[int, ...]


def _descriptors(data: bytes, kind: type[Message]) -> tuple[dict[str, int], dict[str, _Shape], int]:
    """Integers by field, array shapes by field, and where the payload begins."""
    plan = layout(kind)
    arrays = dict(plan.arrays)
    integers: dict[str, int] = {}
    shapes: dict[str, _Shape] = {}
    at = _HEADER.size
    for name in plan.names:
        if name in arrays:
            code, ndim = _ARRAY.unpack_from(data, at)
            if _DTYPES.get(code) != arrays[name]:
                raise WireError(f"{kind.__name__}.{name}: dtype code {code!r} is not that of {arrays[name]}")
            shapes[name] = struct.unpack_from(f"<{ndim}I", data, at + _ARRAY.size)
            at += _ARRAY.size + 4 * ndim
        else:
            code, integers[name] = _INT.unpack_from(data, at)
            if code != b"q":
                raise WireError(f"{kind.__name__}.{name}: code {code!r} is not that of an integer")
            at += _INT.size
    start = (at + 7) & -8
    if any(data[at:start]):
        raise WireError(f"{kind.__name__}: the padding is not zero")
    return integers, shapes, start


def _arrays(
    data: bytes, kind: type[Message], shapes: dict[str, _Shape], start: int, payload: int
) -> dict[str, NDArray[Any]]:
    """The arrays by field, after checking that the lengths agree."""
    plan = layout(kind)
    counts = {name: math.prod(shape) for name, shape in shapes.items()}
    needed = sum(counts[name] * dtype.itemsize for name, dtype in plan.arrays)
    if not needed == payload == len(data) - start:
        raise WireError(
            f"{kind.__name__}: the shapes need {needed} payload bytes, the header says {payload}, "
            f"{len(data) - start} are there"
        )
    out: dict[str, NDArray[Any]] = {}
    for name, dtype in plan.arrays:
        count, shape = counts[name], shapes[name]
        try:
            flat = np.frombuffer(data, dtype, count, start) if count else np.empty(0, dtype)
            out[name] = flat.reshape(shape)
        except ValueError as error:  # more dimensions than numpy has
            raise WireError(f"{kind.__name__}.{name}: {error}") from None
        start += count * dtype.itemsize
    return out
