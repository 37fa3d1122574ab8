"""Flows that share bottlenecks: bytes in motion whose arrival depends on what else is sent.

A flow with a window moves flight by flight: what the window allows is handed to the bottleneck, the next
flight follows when the first acknowledgement is back, and once a flight lasts longer than that, the
bottleneck sets the pace and the flow no longer waits. `sharing` tells how fast the flows move that do.
"""

from __future__ import annotations

import math
from heapq import heappop, heappush

from p2n2sim.net.flow import Flow, Parcel, Passed
from p2n2sim.net.sharing import Port, relax

_ALMOST = 1e-3  # bytes: far more than rounding errors, far less than a message
_RELEASE, _STEP = -1, -2  # in the place of a version: an acknowledgement is back, a port changes its rate


class Fluid:
    """All flows of a network. Pure: the time is what the caller says."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Flow, int]] = []  # the last is the event's kind or its version
        self._number = 0
        self._dirty: dict[Port, None] = {}  # where something has changed

    def offer(
        self, now: float, flow: Flow, size: float, passed: Passed, early: float = 0.0, later: float = 0.0
    ) -> None:
        """Hands over a message; `run` afterwards.

        Args:
            now: virtual time in seconds, not before that of the last call.
            flow: by which it goes.
            size: wire bytes.
            passed: called with the times at which its first and its last bit left the bottleneck.
            early: bytes at its end that need not be paid for before it is there; see `tcp.last_unit_bytes`.
            later: bytes at its end that `supply` hands over, before the flow's next message.
        """
        flow.parcels.append(Parcel(flow.end, flow.end + size - early, passed))
        self.supply(now, flow, size - later)

    def supply(self, now: float, flow: Flow, size: float) -> None:
        """Hands over bytes of the flow's last message; `run` afterwards."""
        self._move(flow, now)
        flow.end += size
        if flow.window is not None and flow.release == math.inf and not flow.active:
            flow.window.rest(now, flow.round_trip)
            self._begin_flight(now, flow)
        self._update(now, flow)

    def run(self, now: float) -> float:
        """Lets everything happen that is due; returns when the next thing happens, infinity for never."""
        heap = self._heap
        while True:
            while heap and heap[0][0] <= now:
                when, _, flow, kind = heappop(heap)
                if kind == _RELEASE and when == flow.release:
                    self._release(when, flow)
                elif kind == flow.version:
                    self._move(flow, when)
                    self._update(when, flow)
                elif kind == _STEP:
                    self._mark(flow)
            self._settle(now)
            while heap and not self._stands(heap[0]):
                heappop(heap)
            until = heap[0][0] if heap else math.inf
            if until > now:
                return until

    # -- one flow ------------------------------------------------------------------------------

    def _move(self, flow: Flow, now: float) -> None:
        """Counts what has left since it was last counted."""
        if flow.active and now > flow.since:
            if flow.window is not None:
                flow.window.used_at = now
            flow.position = min(flow.target, flow.position + flow.rate * (now - flow.since))
        flow.since = now

    def _begin_flight(self, now: float, flow: Flow) -> None:
        flow.begin_flight(now)
        self._push(flow.release, flow, _RELEASE)

    def _release(self, now: float, flow: Flow) -> None:
        """The first acknowledgement of a flight is back."""
        self._move(flow, now)
        flow.release = math.inf
        if flow.window is not None and flow.window.talks:
            flow.window.used_at = now
        if flow.target - flow.position <= _ALMOST:
            flow.end_flight(paced=False)
            if flow.end - flow.position > _ALMOST:
                self._begin_flight(now, flow)
        elif flow.lossy:
            flow.release = -math.inf
        else:
            flow.acknowledged = flow.position
            flow.limit = math.inf
            flow.peak = flow.rate
        self._update(now, flow)

    def _update(self, now: float, flow: Flow) -> None:
        """After a change of its limit or position: starts or stops it, tells which messages have passed."""
        flow.since = now
        if not flow.active and flow.target - flow.position > _ALMOST:
            self._tell_started(now, flow, flow.position + _ALMOST)
            at_once = min(flow.free(now), flow.target - flow.position)
            flow.position += at_once
            for port in flow.forward:
                port.take(at_once)
            if flow.window is not None:
                flow.window.used_at = now
        if flow.target - flow.position <= _ALMOST:
            flow.position = flow.target
        # where one message ends the next one begins, if it may leave
        self._tell_started(now, flow, flow.position + (_ALMOST if flow.position < flow.target else 0.0))
        self._tell_passed(now, flow)
        active = flow.position < flow.target
        if active != flow.active:
            self._start(flow) if active else self._stop(now, flow)
        elif active:
            self._book(now, flow)

    def _start(self, flow: Flow) -> None:
        flow.active = True
        for port, share in flow.uses:
            port.flows[flow] = share
        self._mark(flow)

    def _stop(self, now: float, flow: Flow) -> None:
        flow.active = False
        flow.rate = 0.0
        flow.version += 1
        for port, _ in flow.uses:
            del port.flows[flow]
        self._mark(flow)
        window = flow.window
        if window is None:
            return
        if flow.limit == math.inf:  # out of bytes: by now the window fills the pipe
            window.size = max(window.size, flow.peak * flow.round_trip)
            flow.acknowledged = flow.limit = flow.position
        elif flow.release == -math.inf:
            flow.end_flight(paced=True)
            flow.release = math.inf
            if flow.end - flow.position > _ALMOST:
                self._begin_flight(now, flow)
                self._update(now, flow)

    def _tell_started(self, now: float, flow: Flow, position: float) -> None:
        parcels, started = flow.parcels, flow.started
        while len(started) < len(parcels) and parcels[len(started)].begins < position:
            started.append(now)

    def _tell_passed(self, now: float, flow: Flow) -> None:
        while flow.parcels and flow.parcels[0].passes <= flow.position + _ALMOST:
            parcel = flow.parcels.popleft()
            began = flow.started.popleft() if flow.started else now
            # a lost segment comes again a round trip later, and what follows waits for it
            late = flow.round_trip if flow.loss_at <= parcel.passes else 0.0
            parcel.passed(began, now + late)

    def _book(self, now: float, flow: Flow) -> None:
        """The flow's next event: a message has passed, or the limit is reached."""
        flow.version += 1
        if flow.rate:  # else it has only begun, and is given a rate before the clock moves
            target = min(flow.target, flow.parcels[0].passes) if flow.parcels else flow.target
            self._push(now + max(0.0, target - flow.position) / flow.rate, flow, flow.version)

    # -- all flows -----------------------------------------------------------------------------

    def _push(self, when: float, flow: Flow, kind: int) -> None:
        self._number += 1
        heappush(self._heap, (when, self._number, flow, kind))

    def _stands(self, entry: tuple[float, int, Flow, int]) -> bool:
        when, _, flow, kind = entry
        return (
            kind == flow.version
            or (kind == _RELEASE and when == flow.release)
            or (kind == _STEP and flow.active)
        )

    def _mark(self, flow: Flow) -> None:
        """Something has changed on the flow's way."""
        for port, _ in flow.uses:
            self._dirty[port] = None

    def _settle(self, now: float) -> None:
        """Shares the bottlenecks anew where something has changed."""
        if not self._dirty:
            return
        dirty, self._dirty = self._dirty, {}
        for port in dirty:
            port.tokens(now)
        changed = relax(dirty)
        begun = (flow for port in dirty for flow in port.flows if not flow.rate)
        changed.update(dict.fromkeys(begun))
        touched = dirty | {port: None for flow in changed for port, _ in flow.uses if port.burst}
        for port in touched:
            port.tokens(now)
        for flow in changed:
            rate = min(port.level for port, _ in flow.uses)
            if rate != flow.rate:
                self._move(flow, now)
                flow.rate = rate
                flow.peak = max(flow.peak, rate)
                self._book(now, flow)
        for port in touched:
            if port.burst:
                port.used = sum(flow.rate * share for flow, share in port.flows.items())
            if port.flows and (change := port.next_change(now)) < math.inf:
                self._push(change, next(iter(port.flows)), _STEP)
