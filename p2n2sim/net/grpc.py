"""What gRPC adds to a message: grpcio 1.85, measured to the byte (docs/network.md)."""

from __future__ import annotations

from p2n2sim.net.tcp import LARGE_RECEIVE_WINDOW

FIRST_CALL, LATER_CALL = 298, 91  # bytes that a unary call adds to its request
FIRST_ANSWER, LATER_ANSWER = 187, 98  # and to its response
STREAM_MESSAGE = 61  # to a message of an open stream; measured: 61 to 113, with window updates
DATA_FRAME = 9  # the header of every further DATA frame
FRAME_PAYLOAD = 2**18  # measured: a message of 1 MB leaves in 3 to 6 frames


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
    """Round trips that a message waits for gRPC's flow control.

    One if it is larger than the window, unless TCP's own window is smaller still and opens no sooner.

    Args:
        size: bytes of the message.
        window: bytes of the flow-control window.
    """
    return int(size > window and window < LARGE_RECEIVE_WINDOW)
