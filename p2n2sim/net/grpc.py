"""What gRPC adds to a message: grpcio 1.85, measured to the byte (docs/network.md).

A message is a prefix and DATA frames, between header blocks where it is a call of its own. With it go frames
of HTTP/2: window updates, a ping, and the answer to the other side's (RFC 9113, sections 4.1, 6.7 and 6.9).
"""

from __future__ import annotations

from p2n2sim.net.tcp import LARGE_RECEIVE_WINDOW

PREFIX = 5  # compressed or not, and the length: gRPC's own
DATA_FRAME = 9  # a frame's header
WINDOW_UPDATE = DATA_FRAME + 4
PINGS = 2 * (DATA_FRAME + 8)  # a ping, and the acknowledgement of another
REQUEST_HEADERS, ANSWER_HEADERS, TRAILERS = (
    17,
    12,
    25,
)  # frames, all but the first of each kind

STREAM_MESSAGE = PREFIX + DATA_FRAME + WINDOW_UPDATE + PINGS  # bytes added to a message of an open stream
STREAM_MESSAGE_MOST = STREAM_MESSAGE + 4 * WINDOW_UPDATE  # what was measured lies between the two
LATER_CALL = REQUEST_HEADERS + WINDOW_UPDATE + STREAM_MESSAGE  # to the request of a unary call
LATER_ANSWER = ANSWER_HEADERS + TRAILERS + STREAM_MESSAGE  # and to its response
FIRST_CALL, FIRST_ANSWER = 298, 187  # with all headers, as measured
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
