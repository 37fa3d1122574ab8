"""One direction of a connection: the bytes handed over, those that have left, and what may leave next."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable
from typing import NamedTuple

from p2n2sim.net.sharing import Port
from p2n2sim.net.tcp import (
    FIRST_WINDOW,
    FRAME,
    LARGE_RECEIVE_WINDOW,
    LATE_S,
    SEND_BUFFER,
    Window,
)

Passed = Callable[[float, float], object]


class Parcel(NamedTuple):
    """A message on its way.

    Attributes:
        begins: position of its first byte among all bytes of the flow.
        passes: position at which its last bit has left the bottleneck.
        passed: called with the times at which its first and its last bit left.
    """

    begins: float
    passes: float
    passed: Passed


class Flow:
    """One direction between two parties. `Fluid` moves it.

    Args:
        forward: the bottlenecks on the way.
        back: those on the way back, and how many bytes a byte of the flow sends there.
        round_trip: seconds from the bottleneck to the receiver and back.
        window: how much may be underway; None for no limit.
        losses: draws how many bytes pass until the next loss; None where nothing is lost.
        queue: bytes that the bottleneck holds beyond what is underway, before it drops.

    Attributes:
        position: bytes that have left the bottleneck.
        end: bytes handed over.
        limit: position up to which the window lets bytes leave; infinite when the bottleneck sets
            the pace.
        flight: position at which the flight began.
        release: when its first acknowledgement is back; infinite when nothing is awaited, and minus infinite
            when it was back before the flight had left.
        acknowledged: bytes acknowledged when the flight began.
        loss_at: position of the next loss.
        rate: bytes a second at the moment.
        peak: the fastest it has been since the bottleneck set the pace.
        since: until when `position` counts.
        version: number of the last event that was booked.
    """

    __slots__ = (
        "_first_s",
        "_fullest",
        "_pipe",
        "acknowledged",
        "active",
        "end",
        "flight",
        "forward",
        "limit",
        "loss_at",
        "losses",
        "parcels",
        "peak",
        "position",
        "rate",
        "release",
        "round_trip",
        "since",
        "started",
        "uses",
        "version",
        "window",
    )

    def __init__(
        self,
        forward: Iterable[Port],
        back: Iterable[tuple[Port, float]] = (),
        *,
        round_trip: float = 0.0,
        window: Window | None = None,
        losses: Callable[[], float] | None = None,
        queue: float = math.inf,
    ) -> None:
        self.forward = tuple(forward)
        self.uses = (*((port, 1.0) for port in self.forward), *back)
        self.round_trip = round_trip
        self.window = window
        self.losses = losses
        self.loss_at = math.inf if losses is None else losses()
        self.parcels: deque[Parcel] = deque()
        self.started: deque[float] = deque()  # when the first bits of the first parcels left
        self.position = self.end = self.flight = self.acknowledged = 0.0
        self.limit = math.inf if window is None else 0.0
        self.release = math.inf
        self.rate = self.peak = self.since = 0.0
        self.active = False
        self.version = 0
        slowest = min((port.rate for port in self.forward), default=math.inf)
        self._first_s = 2 * FRAME / slowest  # two segments call for an acknowledgement
        self._fullest = slowest * (round_trip + max(LATE_S[0], min(LATE_S[1], round_trip / 8)))
        self._pipe = queue + slowest * round_trip if queue < math.inf else math.inf

    @property
    def target(self) -> float:
        """The position up to which bytes may leave now."""
        return min(self.limit, self.end)

    @property
    def lossy(self) -> bool:
        """Whether the window matters even when the bottleneck sets the pace, because it may shrink."""
        return self.losses is not None or self._pipe < math.inf

    @property
    def room(self) -> float:
        """Bytes that the sender's kernel takes in at the moment.

        Its buffer follows the congestion window, which grows with what was acknowledged even where the
        bottleneck sets the pace, until the queue there is so long that slow start ends.
        """
        if self.window is None:
            return math.inf
        window = max(self.window.size, min(FIRST_WINDOW + self.position, self._fullest))
        return max(0.0, min(SEND_BUFFER * window, LARGE_RECEIVE_WINDOW) - (self.end - self.position))

    def free(self, now: float) -> float:
        """Bytes that pass at once."""
        return min((port.tokens(now) for port in self.forward), default=math.inf)

    def begin_flight(self, now: float) -> None:
        """Lets the window's worth of bytes go."""
        assert self.window is not None
        size = self.window.flight(self.acknowledged)
        self.flight = self.position
        self.limit = self.position + size
        if size > self._pipe:
            self.loss_at = min(self.loss_at, self.position + self._pipe)
        # the acknowledgement of the first two segments is awaited
        self.release = now + self.round_trip + (0.0 if self.free(now) >= 2 * FRAME else self._first_s)

    def end_flight(self, *, paced: bool) -> None:
        """Draws the window's conclusions from a flight whose first acknowledgement is back.

        Args:
            paced: it came while the flight was still leaving: the window fills the pipe, and grows no more
                unless it is a queue on the way that fills.
        """
        assert self.window is not None
        self.acknowledged = self.position
        if self.loss_at <= self.position:
            self.window.size = min(self.window.size, self._pipe)  # what did not fit was never underway
            self.window.lost()
            while self.loss_at <= self.position:
                self.loss_at = math.inf if self.losses is None else self.loss_at + self.losses()
        elif not paced or self._pipe < math.inf:
            self.window.acknowledged(self.position - self.flight)
