"""Bottlenecks, and how flows share them: max-min fair.

A rate vector is max-min fair when no flow can be given more without taking from one that has no more than it
(Bertsekas and Gallager, Data Networks, 1992, section 6.5.2). Then every bottleneck has a level, and a flow
moves at the least level on its way. `relax` carries a change from bottleneck to bottleneck only as far as it
changes a level, so that what it costs does not grow with what happens elsewhere.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from p2n2sim.net.flow import Flow

_EQUAL = 1e-9  # relative: levels that differ by less are the same
_PATIENCE = 50  # turns for every flow that is concerned, before all is computed anew
_TRICKLE = 1e-6  # share of a bottleneck's rate that rounding cannot take away


class Port:
    """A bottleneck with a token bucket, whose rate may change over time.

    Args:
        rate: bytes a second.
        burst: bytes that may pass at once after a rest.
        steps: (time in seconds, bytes a second from then on), in order.

    Attributes:
        flows: what moves through it at the moment -> bytes of its capacity taken by a byte of the flow.
        used: bytes a second that they take.
        level: bytes a second that none of them exceeds; infinite where there is room for more.
    """

    __slots__ = ("_at", "_times", "_tokens", "burst", "flows", "level", "rate", "steps", "used")

    def __init__(self, rate: float, burst: float = 0.0, steps: Sequence[tuple[float, float]] = ()) -> None:
        self.rate = rate
        self.burst = burst
        self.steps = tuple(steps)
        self.used = 0.0
        self.level = math.inf
        self.flows: dict[Flow, float] = {}
        self._times = [when for when, _ in steps]
        self._tokens = burst
        self._at = 0.0

    def tokens(self, now: float) -> float:
        """Bytes that may pass at once; also brings the rate up to date."""
        if self.burst:
            self._tokens = min(self.burst, self._tokens + max(0.0, self.rate - self.used) * (now - self._at))
        self._at = now
        if self._times and (number := bisect_right(self._times, now)):
            self.rate = self.steps[number - 1][1]
        return self._tokens

    def take(self, size: float) -> None:
        """Uses up some of what `tokens` has just told of."""
        self._tokens -= min(size, self._tokens)

    def next_change(self, now: float) -> float:
        """When the rate changes next, infinity for never."""
        number = bisect_right(self._times, now)
        return self._times[number] if number < len(self._times) else math.inf

    def fair_level(self) -> float:
        """The level at which it is full, given those elsewhere on the ways of its flows."""
        limits = sorted(
            (min((port.level for port, _ in flow.uses if port is not self), default=math.inf), share)
            for flow, share in self.flows.items()
        )
        room, weight = self.rate, sum(self.flows.values())
        for limit, share in limits:
            if limit * weight >= room:
                return max(room, _TRICKLE * self.rate) / weight
            room -= limit * share
            weight -= share
        return math.inf


def relax(ports: Iterable[Port]) -> dict[Flow, None]:
    """Finds the fair levels again after flows have come or gone, or rates have changed.

    Args:
        ports: where something has changed.

    Returns:
        The flows whose rate may have changed; it is now the least level on their way.
    """
    waiting = deque(dict.fromkeys(ports))
    queued = set(waiting)  # asked, never iterated
    changed: dict[Flow, None] = {}
    turns = 0
    while waiting:
        port = waiting.popleft()
        queued.discard(port)
        before, after = port.level, port.fair_level()
        if after == before or abs(after - before) <= _EQUAL * min(before, after):
            continue
        turns += 1
        if turns > _PATIENCE * (len(changed) + 100):
            _fill(reachable_from(port))
            return changed | dict.fromkeys(flow for near in reachable_from(port) for flow in near.flows)
        port.level = after
        low = min(before, after)
        for flow in port.flows:
            changed[flow] = None
            for other, _ in flow.uses:
                if other is not port and other not in queued and _elsewhere(flow, port, other) > low:
                    waiting.append(other)
                    queued.add(other)
    return changed


def _elsewhere(flow: Flow, *but: Port) -> float:
    """The least level on a flow's way beside some ports."""
    return min((port.level for port, _ in flow.uses if port not in but), default=math.inf)


def _fill(ports: dict[Port, None]) -> None:
    """Sets the levels by progressive filling."""
    rates = fair_rates(ports)
    for port in ports:
        used = sum(rates[flow] * share for flow, share in port.flows.items())
        full = used >= port.rate * (1 - 1e-6)
        port.level = max(rates[flow] for flow in port.flows) if full else math.inf


def reachable_from(port: Port) -> dict[Port, None]:
    """A port, and those that flows through it lead to, and so on."""
    return reachable([(port, 1.0)])


def reachable(uses: Iterable[tuple[Port, float]]) -> dict[Port, None]:
    """The ports of a flow, and those that flows through them lead to, and so on."""
    found = dict.fromkeys(port for port, _ in uses)
    waiting = list(found)
    while waiting:
        for flow in waiting.pop().flows:
            for port, _ in flow.uses:
                if port not in found:
                    found[port] = None
                    waiting.append(port)
    return found


def fair_rates(ports: Iterable[Port]) -> dict[Flow, float]:
    """The max-min fair rate in bytes a second of every flow through some ports, by progressive filling.

    All rates grow together; where a port is full, its flows keep what they have. Ports that are full at the
    same level are taken together, so that flows in step cost one turn however many they are.
    """
    room = {port: port.rate for port in ports}
    weight = {port: sum(port.flows.values()) for port in room}
    waiting = [port for port in room if port.flows]
    rates: dict[Flow, float] = {}
    while waiting:
        levels = [max(room[port], _TRICKLE * port.rate) / weight[port] for port in waiting]
        level = min(levels)
        for port, own in zip(waiting, levels, strict=True):
            if own > level * (1 + 1e-9):
                continue
            for flow in port.flows:
                if flow not in rates:
                    rates[flow] = level
                    for other, share in flow.uses:
                        room[other] -= level * share
                        weight[other] -= share
        waiting = [port for port in waiting if any(flow not in rates for flow in port.flows)]
    return rates
