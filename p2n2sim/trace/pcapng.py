"""A run as a packet capture, for Wireshark and its kin.

Sources of the formats: pcapng, draft-ietf-opsawg-pcapng; IPv4, RFC 791; TCP, RFC 9293 and RFC 7323 (window
scale); the checksum, RFC 1071. Addresses are made up: party number i has 10.0.0.(i + 1) and a locally
administered Ethernet address; a name resolution block says who is who.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from p2n2sim.trace.packets import MSS, Segments
from p2n2sim.trace.tcp import SYN

_SECTION, _INTERFACE, _NAMES, _PACKET = 0x0A0D0D0A, 1, 4, 6
_END_OF_OPTIONS, _COMMENT = 0, 1
_APPLICATION = 4
_IF_NAME, _IF_TSRESOL = 2, 9
_ETHERNET = 1
_NETWORK = 10 << 24  # 10.0.0.0
_SCALE = 14  # the largest window scale there is: 1 GiB, as nothing here waits for a window

Party = TypeVar("Party", int, NDArray[np.int64])

HEADERS = np.dtype(
    [
        ("to", "u1", 6),
        ("from", "u1", 6),
        ("ethertype", ">u2"),
        ("version", "u1"),
        ("tos", "u1"),
        ("total", ">u2"),
        ("id", ">u2"),
        ("fragment", ">u2"),
        ("ttl", "u1"),
        ("protocol", "u1"),
        ("ip_sum", ">u2"),
        ("source", ">u4"),
        ("target", ">u4"),
        ("source_port", ">u2"),
        ("target_port", ">u2"),
        ("sequence", ">u4"),
        ("acknowledged", ">u4"),
        ("offset", "u1"),
        ("flags", "u1"),
        ("window", ">u2"),
        ("tcp_sum", ">u2"),
        ("urgent", ">u2"),
    ]
)
"""Ethernet, IPv4 and TCP in front of the payload."""
_SYN_OPTIONS = struct.pack(">BBHBBBB", 2, 4, MSS, 1, 3, 3, _SCALE)  # MSS, a filler, window scale


def pcapng(
    segments: Segments,
    parties: list[str],
    *,
    comment: str,
    comments: Mapping[int, str] = MappingProxyType({}),
    contents: Mapping[int, bytes] = MappingProxyType({}),
) -> Iterator[bytes]:
    """The capture piece by piece.

    Args:
        segments: in the order of their times.
        parties: the names of the numbers in them.
        comment: about the whole.
        comments: about messages, by their rows in the ledger; they stand at the first packet of each.
        contents: what messages consist of, by their rows in the ledger. Packets of others are cut off behind
            their headers, and say how long they were.
    """
    yield _block(
        _SECTION,
        struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1),
        [(_COMMENT, comment.encode()), (_APPLICATION, b"p2n2sim")],
    )
    yield _block(
        _INTERFACE,
        struct.pack("<HHI", _ETHERNET, 0, 0),
        [(_IF_NAME, b"virtual"), (_IF_TSRESOL, bytes([9]))],  # nanoseconds
    )
    names = b"".join(
        struct.pack("<HH", 1, 5 + len(name.encode()))
        + _padded(struct.pack(">I", _address(i)) + name.encode() + b"\0")
        for i, name in enumerate(parties)
    )
    yield _block(_NAMES, names + struct.pack("<HH", 0, 0), [])
    headers = _headers(segments, contents)
    raw, size = headers.tobytes(), HEADERS.itemsize
    columns = (segments.time_ns, segments.length, segments.flags, segments.row, segments.offset)
    for position, (time, length, flags, row, offset) in enumerate(zip(*map(list, columns), strict=True)):
        data = raw[position * size : (position + 1) * size]
        if flags & SYN:
            data += _SYN_OPTIONS
        whole = len(data) + int(length)
        if length and row in contents:
            data += contents[row][offset : offset + length]
        told = [(_COMMENT, comments[row].encode())] if length and not offset and row in comments else []
        fixed = struct.pack("<IIIII", 0, int(time) >> 32, int(time) & 0xFFFFFFFF, len(data), whole)
        yield _block(_PACKET, fixed + _padded(data), told)


def _sums(segments: Segments, contents: Mapping[int, bytes]) -> NDArray[np.int64]:
    """What the payload of each segment adds to its checksum, (n,); nothing for what is cut off."""
    out = np.zeros(len(segments), np.int64)
    for place in np.flatnonzero((segments.length > 0) & np.isin(segments.row, list(contents))):
        start, length = int(segments.offset[place]), int(segments.length[place])
        data = contents[int(segments.row[place])][start : start + length]
        out[place] = np.frombuffer(data + bytes(length % 2), ">u2").sum(dtype=np.int64)
    return out


def _headers(segments: Segments, contents: Mapping[int, bytes]) -> NDArray[np.void]:
    """All headers with their checksums, (n,)."""
    out = np.zeros(len(segments), HEADERS)
    options = np.where(segments.flags & SYN, len(_SYN_OPTIONS), 0)
    for name, party in (("to", segments.target), ("from", segments.source)):
        out[name][:, 0] = 2  # locally administered
        out[name][:, 4] = (party + 1) >> 8
        out[name][:, 5] = (party + 1) & 255
    out["ethertype"], out["version"], out["ttl"], out["protocol"] = 0x0800, 0x45, 64, 6
    out["total"] = 40 + options + segments.length
    out["fragment"] = 0x4000  # do not fragment
    out["source"], out["target"] = _address(segments.source), _address(segments.target)
    for name in ("source_port", "target_port", "sequence", "acknowledged", "flags"):
        out[name] = getattr(segments, name)
    out["offset"] = (5 + options // 4) << 4
    out["window"] = 0xFFFF
    words = (
        out.view(np.uint8).reshape(-1, HEADERS.itemsize)[:, 14:].copy().view(">u2").astype(np.int64)
    )  # (n, 20)
    out["ip_sum"] = _checksum(words[:, :10].sum(axis=1))
    pseudo = words[:, 6:10].sum(axis=1) + 6 + 20 + options + segments.length  # addresses, protocol, length
    added = sum(struct.unpack(f">{len(_SYN_OPTIONS) // 2}H", _SYN_OPTIONS))
    added = np.where(options > 0, added, 0) + _sums(segments, contents)
    out["tcp_sum"] = _checksum(words[:, 10:].sum(axis=1) + pseudo + added)
    return out


def _checksum(total: NDArray[np.int64]) -> NDArray[np.int64]:
    """The complement of the sum with its carries added, which for a packet takes two steps."""
    for _ in range(2):
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _address(party: Party) -> Party:
    return _NETWORK + 1 + party


def _block(kind: int, body: bytes, options: list[tuple[int, bytes]]) -> bytes:
    told = b"".join(struct.pack("<HH", code, len(value)) + _padded(value) for code, value in options)
    if told:
        told += struct.pack("<HH", _END_OF_OPTIONS, 0)
    total = struct.pack("<I", 12 + len(body) + len(told))
    return struct.pack("<I", kind) + total + body + told + total


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
