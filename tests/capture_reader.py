"""A small reader of pcapng files with Ethernet, IPv4 and TCP, which checks what it reads."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True)
class Packet:
    """A TCP segment as it stands in a file."""

    time_ns: int
    source: tuple[int, int]  # address and port
    target: tuple[int, int]
    sequence: int
    acknowledged: int
    flags: int
    length: int
    payload: bytes  # what of it is there
    comment: str

    @property
    def captured(self) -> int:
        """Bytes of the payload that are there."""
        return len(self.payload)


def read_capture(data: bytes) -> tuple[list[Packet], dict[int, str]]:
    """The packets of a file, and the names of its addresses.

    Checks the blocks' lengths, the checksums of IPv4 and TCP, and that lengths agree with each other.
    """
    packets, names, kinds = [], {}, []
    position = 0
    while position < len(data):
        kind, total = struct.unpack_from("<II", data, position)
        assert total % 4 == 0
        assert struct.unpack_from("<I", data, position + total - 4) == (total,)
        body = data[position + 8 : position + total - 4]
        kinds.append(kind)
        if kind == 0x0A0D0D0A:
            assert struct.unpack_from("<IHHq", body) == (0x1A2B3C4D, 1, 0, -1)
        elif kind == 1:
            assert struct.unpack_from("<HHI", body) == (1, 0, 0)
            assert options(body[8:])[9] == b"\x09"
        elif kind == 4:
            names = read_names(body)
        else:
            assert kind == 6
            packets.append(read_packet(body))
        position += total
    assert kinds[:3] == [0x0A0D0D0A, 1, 4]
    return packets, names


def options(data: bytes) -> dict[int, bytes]:
    """Code -> value."""
    out = {}
    while data:
        code, length = struct.unpack_from("<HH", data)
        if code == 0:
            assert len(data) == 4
            break
        out[code] = data[4 : 4 + length]
        data = data[4 + length + -length % 4 :]
    return out


def read_names(data: bytes) -> dict[int, str]:
    """Address -> name."""
    out = {}
    while True:
        kind, length = struct.unpack_from("<HH", data)
        if kind == 0:
            return out
        assert kind == 1
        address, name = struct.unpack_from(">I", data, 4)[0], data[8 : 4 + length]
        assert name.endswith(b"\0")
        out[address] = name[:-1].decode()
        data = data[4 + length + -length % 4 :]


def read_packet(body: bytes) -> Packet:
    """An enhanced packet block."""
    interface, high, low, captured, original = struct.unpack_from("<IIIII", body)
    assert interface == 0
    frame = body[20 : 20 + captured]
    told = options(body[20 + captured + -captured % 4 :])
    assert frame[12:14] == b"\x08\x00"
    ip = frame[14:34]
    total = struct.unpack_from(">H", ip, 2)[0]
    assert ip[0] == 0x45
    assert ip[9] == 6
    assert original == 14 + total
    assert folded(ip) == 0xFFFF
    source, target = struct.unpack_from(">II", ip, 12)
    tcp = frame[34:]
    header = 4 * (tcp[12] >> 4)
    assert len(tcp) >= header
    missing = original - captured
    pseudo = ip[12:20] + struct.pack(">HH", 6, total - 20)
    assert folded(pseudo + tcp + bytes(missing)) == 0xFFFF or missing
    ports = struct.unpack_from(">HH", tcp)
    sequence, acknowledged = struct.unpack_from(">II", tcp, 4)
    length = total - 20 - header
    return Packet(
        (high << 32) | low,
        (source, ports[0]),
        (target, ports[1]),
        sequence,
        acknowledged,
        tcp[13],
        length,
        tcp[header:],
        told.get(1, b"").decode(),
    )


def folded(data: bytes) -> int:
    """The ones' complement sum of 16-bit words."""
    data += bytes(len(data) % 2)
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def check_conversations(packets: list[Packet]) -> dict[tuple[int, int], int]:
    """Checks every connection from its handshake on; returns the bytes from each address to each.

    Times never go back; a connection begins with its handshake; every byte has the number after the one
    before it; nobody acknowledges what was not sent, or less than before; both ends say goodbye and nothing
    follows, and then everything is acknowledged, unless one of them resets the connection.
    """
    assert all(a.time_ns <= b.time_ns for a, b in pairwise(packets))
    following: dict[tuple[tuple[int, int], tuple[int, int]], int] = {}
    acknowledged: dict[tuple[tuple[int, int], tuple[int, int]], int] = {}
    carried: dict[tuple[int, int], int] = {}
    closed: set[tuple[tuple[int, int], tuple[int, int]]] = set()
    reset: set[tuple[tuple[int, int], tuple[int, int]]] = set()
    for packet in packets:
        way, back = (packet.source, packet.target), (packet.target, packet.source)
        assert way not in reset
        assert way not in closed or not packet.length
        if packet.flags & 2:
            assert way not in following
            assert (back in following) == bool(packet.flags & 16)
            following[way] = (packet.sequence + 1) % 2**32
        else:
            assert packet.flags & 16
            assert packet.sequence == following[way]
            following[way] = (packet.sequence + packet.length + (packet.flags & 1)) % 2**32
            closed.update({way} if packet.flags & 1 else ())
            reset.update({way, back} if packet.flags & 4 else ())
            ends = packet.source[0], packet.target[0]
            carried[ends] = carried.get(ends, 0) + packet.length
        if packet.flags & 16:
            pending = (following[back] - packet.acknowledged) % 2**32
            assert pending < 2**31
            if back in acknowledged:
                assert (packet.acknowledged - acknowledged[back]) % 2**32 < 2**31
            acknowledged[back] = packet.acknowledged
    assert closed | reset == following.keys()
    for way in closed:
        assert acknowledged[way] == following[way]
    return {ends: count for ends, count in carried.items() if count}
