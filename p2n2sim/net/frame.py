"""The envelope of a message on links that can fail: its number, a checksum, and an authentication code.

Little-endian::

    offset  size  what
    0       8     number of the message on its link
    8       4     length of the encoded message
    12      4     CRC-32 of everything but these 4 bytes
    16      ...   the encoded message
    ...     16    with authentication only: HMAC-SHA-256 of number, length and message, its first 16 bytes

CRC-32 finds any one or two flipped bits in a message of less than half a gigabyte, and leaves others
undetected once in 2^32 times. It keeps off nobody who means it: that is what the code is for.

Source of the code: RFC 2104, HMAC; section 5 for keeping half of it.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
import zlib

HEADER_BYTES = 16
CODE_BYTES = 16

_NUMBER = struct.Struct("<QI")
_CHECKSUM = struct.Struct("<I")


class ChecksumMismatch(Exception):
    """The checksum is not that of the frame."""


class CodeMismatch(Exception):
    """The checksum fits, the authentication code does not."""


def overhead(key: bytes | None) -> int:
    """Bytes of a frame besides the message."""
    return HEADER_BYTES + (0 if key is None else CODE_BYTES)


def pair_key(key: bytes, sender: str, receiver: str) -> bytes:
    """The key by which a receiver knows what a sender has sent to it, as if the two had agreed on it."""
    return hashlib.sha256(
        b"\0".join((b"frame", key.hex().encode(), sender.encode(), receiver.encode()))
    ).digest()


def seal(number: int, data: bytes, key: bytes | None) -> bytes:
    """A message in its frame.

    Args:
        number: of the message on its link.
        data: the encoded message.
        key: of the pair; None for no authentication.
    """
    return _with_checksum(number, data, b"" if key is None else _code(number, data, key))


def unseal(frame: bytes, key: bytes | None) -> tuple[int, bytes]:
    """The number and the encoded message; arguments as for `seal`.

    Raises:
        ChecksumMismatch: the checksum does not fit.
        CodeMismatch: the checksum fits, but not the authentication code.
    """
    end = len(frame) - (0 if key is None else CODE_BYTES)
    if end < HEADER_BYTES:
        raise ChecksumMismatch
    number, length = _NUMBER.unpack_from(frame)
    (checksum,) = _CHECKSUM.unpack_from(frame, _NUMBER.size)
    if checksum != _crc(frame) or length != end - HEADER_BYTES:
        raise ChecksumMismatch
    data = frame[HEADER_BYTES:end]
    if key is not None and not hmac.compare_digest(frame[end:], _code(number, data, key)):
        raise CodeMismatch
    return number, data


def forge(frame: bytes, data: bytes) -> bytes:
    """The frame with another message of the same length and a fitting checksum; the code stays."""
    number, _ = _NUMBER.unpack_from(frame)
    return _with_checksum(number, data, frame[HEADER_BYTES + len(data) :])


def _with_checksum(number: int, data: bytes, code: bytes) -> bytes:
    head = _NUMBER.pack(number, len(data))
    checksum = zlib.crc32(code, zlib.crc32(data, zlib.crc32(head)))
    return b"".join((head, _CHECKSUM.pack(checksum), data, code))


def _crc(frame: bytes) -> int:
    return zlib.crc32(memoryview(frame)[HEADER_BYTES:], zlib.crc32(frame[: _NUMBER.size]))


def _code(number: int, data: bytes, key: bytes) -> bytes:
    code = hmac.new(key, _NUMBER.pack(number, len(data)), hashlib.sha256)
    code.update(data)
    return code.digest()[:CODE_BYTES]
