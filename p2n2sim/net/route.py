"""From one party to another: where its messages go, and how."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from p2n2sim.net.carrier import Carrier
from p2n2sim.net.endpoint import Endpoint
from p2n2sim.net.journal import Journal
from p2n2sim.net.ledger import Ledger
from p2n2sim.net.link import Transmit
from p2n2sim.net.simloop import SimLoop
from p2n2sim.wire import Message, Phase, layout, sizes

Item = tuple[Message, int]  # and the length of the chain that it ends
Post = Callable[[float, Callable[[Item], object], Item], object]


class Channel(NamedTuple):
    """What does not change between two messages of one type on one link.

    Attributes:
        take: where the receiver takes them.
        phase: the type's phase.
        kind: the type's name.
        size: wire bytes of a message without arrays; 0 when they have to be counted.
    """

    take: Callable[[Item], object]
    phase: Phase
    kind: str
    size: int


class Route(NamedTuple):
    """From one party to another.

    Attributes:
        transmit: what the link does: (now, wire bytes) -> (start, arrival).
        post: delivers at a time: (arrival, where to, message).
        target: the receiver.
        channels: by message type, made when it is first sent.
    """

    transmit: Transmit
    post: Post
    target: Endpoint
    channels: dict[type[Message], Channel]

    def open(self, sender: str, message: Message) -> Channel:
        """The channel of a message's type."""
        kind = type(message)
        take = self.target.mailbox(sender, kind).deliver
        plan = layout(kind)
        channel = Channel(take, kind.phase, kind.__name__, 0 if plan.arrays else sizes(message)[1])
        self.channels[kind] = channel
        return channel


def told_later(loop: SimLoop, ledger: Ledger, journal: Journal, carrier: Carrier) -> Post:
    """Delivers the message of the ledger's last row, and completes that row, when its times are known.

    Args:
        loop: keeps the time.
        ledger: has the message's row already.
        journal: is told the size of the message itself.
        carrier: of the route.
    """
    rows, enter = ledger.rows, journal.trail.append

    def post(_: float, take: Callable[[Item], object], item: Item) -> None:
        number, row = len(rows) - 1, rows[-1]
        enter(("sized", row[2], row[6]))
        packed = carrier.pack(row[6])
        rows[number] = (*row[:6], packed.wire, *row[7:])

        def deliver(start: float, arrival: float) -> None:
            rows[number] = (*rows[number][:8], start, arrival, rows[number][10])
            loop.post(arrival, take, item)

        carrier.send(packed, deliver)

    return post
