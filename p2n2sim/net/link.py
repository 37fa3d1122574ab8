"""What a link does to a message: delay it by its size over the rate, and by the distance."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkSpec:
    """One direction between two parties.

    Attributes:
        bandwidth: rate in bits a second; infinite for a link that takes no time to write to.
        latency: one-way delay in seconds.
    """

    bandwidth: float = math.inf
    latency: float = 0.0


class Link:
    """One direction of an ideal link: first come first served at a rate, then a constant delay.

    Args:
        spec: rate and delay.
    """

    __slots__ = ("_free_at", "_latency", "_seconds_per_byte")

    def __init__(self, spec: LinkSpec) -> None:
        self._seconds_per_byte = 8.0 / spec.bandwidth
        self._latency = spec.latency
        self._free_at = 0.0

    def transmit(self, now: float, size: int) -> tuple[float, float]:
        """Queues `size` bytes at time `now`; returns when their first bit leaves and the last arrives."""
        start = self._free_at
        if start < now:
            start = now
        self._free_at = free_at = start + size * self._seconds_per_byte
        return start, free_at + self._latency
