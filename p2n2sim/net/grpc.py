"""What gRPC adds to a message: grpcio 1.85, measured to the byte (docs/network.md)."""

from __future__ import annotations

FIRST_CALL, LATER_CALL = (
    298,
    91,
)  # bytes that a unary call adds to its request: headers, prefix, frames, pings
FIRST_ANSWER, LATER_ANSWER = 187, 98  # and to its response
CONNECT, CONNECT_ANSWER = 91, 55  # HTTP/2 preface and settings
STREAM_MESSAGE = 61
DATA_FRAME = 9  # the header of every further DATA frame
FRAME_PAYLOAD = 262_144  # a message of 1 MB leaves in 3 to 6 frames
WINDOW = 4 * 2**20  # flow-control window; also the largest message by default
LARGEST_MESSAGE = 4 * 2**20


def request_bytes(size: int, *, first: bool, stream: bool) -> int:
    """Bytes that are handed to TCP for a message.

    Args:
        size: bytes of the message.
        first: whether it is the first one of its connection.
        stream: whether it goes by an open stream rather than by a unary call of its own.
    """
    frames = max(1, -(-size // FRAME_PAYLOAD))
    overhead = STREAM_MESSAGE if stream else FIRST_CALL if first else LATER_CALL
    return size + overhead + DATA_FRAME * (frames - 1)


def answer_bytes(size: int, *, first: bool) -> int:
    """Bytes that are handed to TCP for the response of a unary call."""
    return size + (FIRST_ANSWER if first else LATER_ANSWER)


def extra_round_trips(size: int, window: int) -> int:
    """Round trips that a message waits for flow control: one if it is larger than the window."""
    return int(size > window)
