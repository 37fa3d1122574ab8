"""Numbered messages: in what frame one travels, and in which order its receiver takes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from p2n2sim.errors import AuthenticationError, CorruptMessageError, DeliveryError, WireError
from p2n2sim.net import frame
from p2n2sim.net.bearer import Bearer
from p2n2sim.net.faults import Ack, Corrupt, flip
from p2n2sim.net.route import Channel
from p2n2sim.wire import Message, decode, encode


@dataclass(slots=True, eq=False)
class Stream:
    """The messages from one party to another.

    Attributes:
        sender: who sends.
        receiver: to whom.
        bearer: the link.
        key: of its authentication codes; None for none.
        expected: number of the next message that the receiver takes.
        opener: told of a frame that is at the receiver.
        held: messages that came before their turn, by number.
        unacknowledged: those that may have to be sent again, by number.
        not_before: arrival of the last message that was delayed and is not to be overtaken.
    """

    sender: str
    receiver: str
    bearer: Bearer
    key: bytes | None
    expected: int
    opener: Callable[[Arrived], None]
    held: dict[int, Letter] = field(default_factory=dict)
    unacknowledged: dict[int, Letter] = field(default_factory=dict)
    not_before: float = 0.0

    @property
    def lane(self) -> tuple[str, str]:
        """As of `endpoint.Mailbox`: no schedule changes in which order messages of one link arrive."""
        return self.sender, self.receiver

    def arrive(self, arrived: Arrived) -> None:
        """A frame is at the receiver."""
        self.opener(arrived)

    def has(self, number: int) -> bool:
        """Whether the receiver has this message."""
        return number < self.expected or number in self.held

    def take(self, letter: Letter) -> None:
        """Hands a message that was not there over to its receiver, as soon as its turn comes."""
        self.held[letter.number] = letter
        while (due := self.held.pop(self.expected, None)) is not None:
            self.expected += 1
            due.channel.take((due.message, due.depth))


@dataclass(slots=True, eq=False)
class Letter:
    """A message on its way, in all of its transmissions.

    Attributes:
        stream: where it goes.
        number: which message of its stream it is, from 1; of an acknowledgement, the number that it is about.
        total: which message of its sender it is, from 1; 0 of an acknowledgement.
        message: what.
        channel: of its type.
        payload: bytes of its arrays.
        size: bytes of its frame.
        depth: length of the chain of messages that it ends.
        sent: virtual time in seconds at which it was first sent.
        rows: attempt -> its row in the ledger.
    """

    stream: Stream
    number: int
    total: int
    message: Message
    channel: Channel
    payload: int
    size: int
    depth: int
    sent: float
    rows: dict[int, int] = field(default_factory=dict)

    @property
    def is_ack(self) -> bool:
        """Whether it says that another one has arrived."""
        return isinstance(self.message, Ack)

    def read(self, damage: Corrupt | None, now: float) -> Message:
        """What the receiver finds in the frame, which is really made, damaged and opened.

        Args:
            damage: what has happened to it on its way.
            now: virtual time in seconds.

        Raises:
            ChecksumMismatch: nothing that can be used; another transmission may bring it.
            AuthenticationError: somebody has changed it.
            CorruptMessageError: the checksum fits, and yet it is no message.
        """
        key, data = self.stream.key, encode(self.message)
        sealed = frame.seal(self.number, data, key)
        if damage is not None and damage.forged:
            sealed = frame.forge(sealed, flip(data, damage.flips, damage.draw))
        elif damage is not None:
            sealed = flip(sealed, damage.flips, damage.draw)
        try:
            return decode(frame.unseal(sealed, key)[1], [type(self.message)])
        except frame.CodeMismatch:
            raise self.error(AuthenticationError, now, "was changed on its way: wrong code") from None
        except WireError as error:
            raise self.error(CorruptMessageError, now, f"is no message ({error})") from None

    def error(self, kind: type[DeliveryError], now: float, why: str) -> DeliveryError:
        """An error that names the message.

        Args:
            kind: of the error.
            now: virtual time in seconds.
            why: what has become of the message; the rest of a sentence.
        """
        stream = self.stream
        return kind(
            stream.sender,
            stream.receiver,
            self.channel.kind,
            self.number,
            sent=self.sent,
            time=now,
            why=why,
        )


Arrived = tuple[Letter, int, Corrupt | None]  # which attempt it is, and what has happened to it
