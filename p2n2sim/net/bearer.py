"""One way to put a message on a link of whatever kind, and to be told when it leaves and when it arrives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from p2n2sim.net.carrier import Packed
from p2n2sim.net.link import Transmit
from p2n2sim.net.simloop import SimLoop

Told = Callable[[float, float], object]


class Bearer(Protocol):
    """One direction of a link. A `Carrier` is one."""

    def pack(self, size: int) -> Packed:
        """Wraps the next message, of `size` bytes."""

    def send(self, packed: Packed, deliver: Told) -> object:
        """Sends a message at this instant.

        Args:
            packed: what `pack` made of it.
            deliver: called with the times at which its first bit leaves and at which it has arrived, when
                they are known: before this returns, or later, at the latest as it arrives. Always called in
                the order in which messages were sent.
        """


class Prompt:
    """A link that knows as a message is sent when it arrives.

    Args:
        loop: keeps the time.
        transmit: what the link does.
    """

    __slots__ = ("_loop", "_transmit")

    def __init__(self, loop: SimLoop, transmit: Transmit) -> None:
        self._loop, self._transmit = loop, transmit

    def pack(self, size: int) -> Packed:
        """As it is."""
        return Packed(size, size, size)

    def send(self, packed: Packed, deliver: Told) -> None:
        """Sends a message at this instant, and tells its times at once."""
        deliver(*self._transmit(self._loop.time(), packed.wire))
