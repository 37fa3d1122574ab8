"""What TCP does to a message: its bytes on the wire, and the window that a connection remembers.

The structure and its constants come from measurements of Linux 6.18 with CUBIC over shaped links
(docs/network.md). Pure arithmetic; `flows` moves the bytes.
"""

from __future__ import annotations

import math

SEGMENT = 1448  # payload bytes of a full segment: an Ethernet frame of 1500 bytes less IP, TCP and options
HEADERS = 66  # Ethernet 14, IP 20, TCP 20 + 12 of options; also the size of an acknowledgement
FRAME = SEGMENT + HEADERS

TLS_RECORD = 22  # header 5, content type 1, authentication tag 16
TLS_LARGEST = 16_384  # bytes in a record

FIRST_WINDOW = 10 * FRAME  # RFC 6928
RETRANSMISSION_TIMEOUT_S = 0.2  # plus a round trip
SMALL_RECEIVE_WINDOW = 88.4e3  # payload bytes, until OPENED_AFTER have been received on the connection
LARGE_RECEIVE_WINDOW = 2.8e6
OPENED_AFTER = 130e3
HELD_BACK = 0.75  # a flight of this share of the window was held back by it
SEND_BUFFER = 3  # congestion windows that a sender's kernel takes in before it leaves
LATE_S = (4e-3, 16e-3)  # slow start ends when a round trip grows by an eighth within these: RFC 9406, 4.2
DECREASE = 0.7  # CUBIC's factor after a loss: RFC 9438, section 4.6
GROWTH = 3 * (1 - DECREASE) / (1 + DECREASE)  # segments a round trip afterwards: RFC 9438, section 4.3


def wire_bytes(size: int, headers: int = HEADERS) -> int:
    """Bytes on the link for `size` bytes handed to TCP: 66 more for every started 1448.

    Args:
        size: bytes handed to TCP.
        headers: what the link counts for a segment; 52 where it does not count Ethernet's 14.
    """
    return size + headers * -(-size // SEGMENT)


def last_unit_bytes(size: int, headers: int = HEADERS) -> int:
    """Wire bytes of the last one or two segments, which leave a sender's stack as one unit.

    A token bucket lets a unit go as soon as it is not in debt, so the last one need not be paid for before
    the message is there.
    """
    segments = -(-size // SEGMENT)
    last = 2 - segments % 2
    return size - (segments - last) * SEGMENT + headers * last


def acknowledgement_share(rate: float) -> float:
    """Bytes of acknowledgements on the way back for a byte of bulk data.

    Args:
        rate: of the link in bits a second. Receivers acknowledge every second segment up to 100 Mbit/s, and
            about every eleventh at 1 Gbit/s, where segments are merged before TCP sees them.
    """
    decades: float = min(1.0, max(0.0, math.log10(rate / 100e6)))
    return HEADERS / (2 * math.pow(11 / 2, decades) * FRAME)


def record_bytes(size: int) -> int:
    """Bytes of TLS 1.3 records for `size` bytes: 22 for every started 16384 (RFC 8446, section 5.2)."""
    return size + TLS_RECORD * -(-size // TLS_LARGEST)


class Window:
    """How much one direction of a connection may have underway, in wire bytes.

    Args:
        first: the congestion window at first.
        talks: whether the sender answers what comes back, as HTTP/2 does with settings, pings and window
            updates, so that a connection's rest begins a round trip later.

    Attributes:
        size: the congestion window.
        threshold: above it the window no longer doubles each round trip.
        used_at: virtual time in seconds at which something was last sent.
    """

    __slots__ = ("size", "talks", "threshold", "used_at")

    def __init__(self, first: float = FIRST_WINDOW, *, talks: bool = False) -> None:
        self.size = float(first)
        self.talks = talks
        self.threshold = math.inf
        self.used_at = 0.0

    def rest(self, now: float, round_trip: float) -> None:
        """After an idle time the window halves for every retransmission timeout passed, RFC 2861."""
        timeouts = int((now - self.used_at) / (RETRANSMISSION_TIMEOUT_S + round_trip))
        if timeouts > 0 and self.size > FIRST_WINDOW:
            self.threshold = max(self.threshold, 0.75 * self.size)
            self.size = max(FIRST_WINDOW, self.size * 0.5 ** min(timeouts, 64))

    def flight(self, received: float) -> float:
        """Bytes that may be underway.

        Args:
            received: wire bytes that the receiver has acknowledged on this connection.
        """
        opened = received * SEGMENT / FRAME >= OPENED_AFTER
        receive = LARGE_RECEIVE_WINDOW if opened else SMALL_RECEIVE_WINDOW
        return min(self.size, receive * FRAME / SEGMENT)

    def acknowledged(self, size: float) -> None:
        """Grows by what was acknowledged, or by a segment a round trip above the threshold.

        Only a window that held the sender back grows: not one of which the receive window let
        only a part through, or that the application did not fill.
        """
        if size < HELD_BACK * self.size:
            return
        room = max(0.0, self.threshold - self.size)
        fast = min(size, room)
        self.size += fast + GROWTH * FRAME * (size - fast) / self.size

    def lost(self) -> None:
        """A segment was lost: the window shrinks."""
        self.size = self.threshold = max(2.0 * FRAME, DECREASE * self.size)
