"""The bytes of TCP, TLS and gRPC, and the window of a connection."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2n2sim.net import grpc
from p2n2sim.net.tcp import (
    FIRST_WINDOW,
    FRAME,
    SEGMENT,
    Window,
    acknowledgement_share,
    last_unit_bytes,
    record_bytes,
    wire_bytes,
)


@pytest.mark.parametrize(
    ("size", "wire"), [(1, 67), (1448, 1514), (1449, 1449 + 132), (100_016, 100_016 + 70 * 66)]
)
def test_wire_bytes(size: int, wire: int) -> None:
    """A link carries 66 bytes more for every started 1448."""
    assert wire_bytes(size) == wire
    assert wire_bytes(size, 52) == wire - 14 * -(-size // 1448)


@given(st.integers(1, 10_000_000))
def test_last_unit_is_what_is_left_after_whole_pairs(size: int) -> None:
    """The last unit is one segment or two, and what is before it are full pairs."""
    rest = wire_bytes(size) - last_unit_bytes(size)
    assert rest % (2 * FRAME) == 0
    assert 0 < last_unit_bytes(size) <= 2 * FRAME


@pytest.mark.parametrize(("size", "records"), [(1, 23), (16_384, 16_406), (16_385, 16_429)])
def test_tls_records(size: int, records: int) -> None:
    """TLS 1.3 adds 22 bytes for every started 16384."""
    assert record_bytes(size) == records


def test_grpc_bytes() -> None:
    """gRPC adds what was measured, more for the first call, 9 for every further DATA frame."""
    assert grpc.request_bytes(1000, first=True, stream=False) == 1298
    assert grpc.request_bytes(1000, first=False, stream=False) == 1091
    assert grpc.request_bytes(1000, first=True, stream=True) == 1061
    assert grpc.request_bytes(2**18 + 1, first=False, stream=False) == 2**18 + 1 + 91 + 9
    assert grpc.answer_bytes(0, first=True) == 187
    assert grpc.answer_bytes(5, first=False) == 103


def test_grpc_overheads_are_sums_of_frames() -> None:
    """What was measured, 91, 98 and 61 to 113 bytes, is made up of whole HTTP/2 frames and a prefix."""
    assert (grpc.LATER_CALL, grpc.LATER_ANSWER) == (91, 98)
    assert (grpc.STREAM_MESSAGE, grpc.STREAM_MESSAGE_MOST) == (61, 113)
    assert (grpc.WINDOW_UPDATE, grpc.PINGS) == (13, 34)


@given(st.integers(0, 10_000_000))
def test_a_stream_message_lies_where_it_was_measured(size: int) -> None:
    """61 to 113 bytes more, beside 9 for every DATA frame after the first; 1 MB leaves in 3 to 6 of them."""
    frames = max(1, -(-size // grpc.FRAME_PAYLOAD))
    more = grpc.request_bytes(size, first=False, stream=True) - size - 9 * (frames - 1)
    assert 61 <= more <= 113
    assert 3 <= -(-1_000_000 // grpc.FRAME_PAYLOAD) <= 6


@pytest.mark.parametrize(
    ("size", "window", "trips"), [(65_536, 65_536, 0), (65_537, 65_536, 1), (10**7, 4 * 2**20, 0)]
)
def test_grpc_flow_control(size: int, window: int, trips: int) -> None:
    """Above a small flow-control window a message waits a round trip; the default exceeds TCP's own."""
    assert grpc.extra_round_trips(size, window) == trips


def test_acknowledgements() -> None:
    """One for two segments up to 100 Mbit/s, one for eleven from 1 Gbit/s on, and between the two between."""
    assert acknowledgement_share(1e6) == acknowledgement_share(100e6) == pytest.approx(66 / 3028)
    assert acknowledgement_share(1e9) == acknowledgement_share(1e10) == pytest.approx(66 / (11 * 1514))
    assert acknowledgement_share(1e9) < acknowledgement_share(300e6) < acknowledgement_share(100e6)


def test_window_doubles_until_it_is_not_what_holds_back() -> None:
    """10, 20, 40 segments, as long as flights fill the window; a short flight leaves it."""
    window = Window()
    assert window.size == FIRST_WINDOW == 10 * FRAME
    for segments in (20, 40, 80):
        window.acknowledged(window.size)
        assert window.size == segments * FRAME
    window.acknowledged(0.5 * window.size)
    assert window.size == 80 * FRAME


def test_receive_window_opens_late() -> None:
    """A flight holds 61 segments at most until 130 kB have been received, and some 2.8 MB afterwards."""
    window = Window()
    window.size = 1e9
    assert window.flight(0.0) // FRAME == 61
    assert window.flight(129e3 * FRAME / SEGMENT) // FRAME == 61
    assert window.flight(131e3 * FRAME / SEGMENT) == pytest.approx(2.8e6 * FRAME / SEGMENT)


def test_rest_halves_the_window() -> None:
    """It halves for every timeout of 0.2 s and a round trip, down to 10 segments; the threshold is kept."""
    window = Window()
    window.size, window.used_at = 160 * FRAME, 1.0
    window.rest(1.24, 0.05)
    assert window.size == 160 * FRAME
    window.rest(1.51, 0.05)
    assert window.size == 40 * FRAME
    window.rest(9.0, 0.05)
    assert window.size == FIRST_WINDOW
    assert window.threshold == math.inf


def test_loss_shrinks_and_then_it_grows_by_the_round_trip() -> None:
    """After a loss 0.7 of the window is left, and grows by half a segment a round trip or so, not twofold."""
    window = Window()
    window.size = 100 * FRAME
    window.lost()
    assert window.size == window.threshold == pytest.approx(70 * FRAME)
    window.acknowledged(window.size)
    assert 70.4 * FRAME < window.size < 71 * FRAME
