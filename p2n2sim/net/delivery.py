"""Delivery over links that can fail: every message in a numbered frame, sent again where that was asked for.

What a receiver takes is in the order in which it was sent, and nothing twice. With `Retry` every message is
acknowledged, and sent again after a timeout that doubles with every attempt (as TCP's does by RFC 6298,
section 5.5); without it, what does not arrive ends the run with an error that names it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from p2n2sim.errors import (
    AuthenticationError,
    CorruptMessageError,
    DeliveryError,
    MessageLostError,
    WireError,
)
from p2n2sim.net import frame
from p2n2sim.net.faults import Ack, Corrupt, Crash, Delay, Drop, Duplicate, Rule, Sending, Verdict, flip
from p2n2sim.net.journal import Journal
from p2n2sim.net.ledger import Ledger
from p2n2sim.net.link import Transmit
from p2n2sim.net.simloop import SimLoop
from p2n2sim.wire import Message, Phase, decode, encode, sizes


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """Messages are acknowledged, and sent again.

    A message is sent again when its acknowledgement is not there `timeout` after it could have been at the
    latest, should it take no longer than the message did; the next time after twice that, and so on.

    Attributes:
        timeout: in virtual seconds.
        attempts: how often a message is sent at most.
    """

    timeout: float = 1.0
    attempts: int = 6

    @property
    def patience(self) -> float:
        """Seconds after which a sender gives up, besides the time that its transmissions take."""
        return self.timeout * (2.0**self.attempts - 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """How messages are delivered over links that can fail.

    Attributes:
        retry: whether messages are sent again, and how often.
        key: of all pairs' authentication codes; None for none.
        deadline: virtual seconds for which a message may be missing, or a party that stays away be missed,
            before the run ends with an error. Messages that are sent again have `Retry.patience` instead.
    """

    retry: Retry | None = None
    key: bytes | None = None
    deadline: float = 60.0


@dataclass(slots=True)
class Counts:
    """How many messages were sent so far; who goes on after an interruption goes on counting.

    Attributes:
        links: by sender and receiver.
        parties: by sender.
    """

    links: dict[tuple[str, str], int] = field(default_factory=dict)
    parties: dict[str, int] = field(default_factory=dict)


class Way(NamedTuple):
    """How messages of one type get from a party to another; see `network.Channel`.

    Attributes:
        transmit: the link there.
        take: where the receiver takes them.
        phase: of the type.
        kind: its name.
    """

    transmit: Transmit
    take: Callable[[tuple[Message, int]], object]
    phase: Phase
    kind: str


@dataclass(slots=True, eq=False)
class _Stream:
    """The messages from one party to another."""

    sender: str
    receiver: str
    key: bytes | None
    expected: int  # number of the next message that the receiver takes
    opener: Callable[[_Arrived], None]
    held: dict[int, _Letter] = field(default_factory=dict)  # those that came before their turn
    unacknowledged: dict[int, _Letter] = field(default_factory=dict)
    not_before: float = 0.0  # delayed messages are not overtaken

    @property
    def lane(self) -> tuple[str, str]:
        """As of `endpoint.Mailbox`: no schedule changes in which order messages of one link arrive."""
        return self.sender, self.receiver

    def arrive(self, arrived: _Arrived) -> None:
        """A frame is at the receiver."""
        self.opener(arrived)


@dataclass(slots=True, eq=False)
class _Letter:
    """A message on its way."""

    stream: _Stream
    number: int
    total: int
    message: Message
    way: Way
    payload: int
    wire: int
    depth: int
    sent: float
    rows: dict[int, int] = field(default_factory=dict)  # attempt -> its row in the ledger


_Arrived = tuple[_Letter, int, Corrupt | None]  # which attempt it is, and what has happened to it


class Courier:
    """Carries the messages of one network over links that can fail.

    Args:
        loop: keeps the time.
        ledger: every transmission gets a row, acknowledgements and repetitions too; what never arrives has
            NaN for its arrival.
        delivery: how.
        rules: what goes wrong.
        counts: to go on counting from.
        links: the link between two parties.
        fail: ends the run with an error.
        crash: makes a party crash; told when it is there again.
        down: who has crashed.
        journal: is told what is transmitted and what is accepted, unless every message is sent once and taken
            as it arrives.
        encode_all: every frame is really made and opened, not only those that are damaged.
        tap: is shown what parties send.
    """

    def __init__(
        self,
        loop: SimLoop,
        ledger: Ledger,
        *,
        delivery: Delivery,
        rules: Sequence[Rule],
        counts: Counts,
        links: Callable[[str, str], Transmit],
        fail: Callable[[Exception], object],
        crash: Callable[[str, float | None], object],
        down: Mapping[str, float],
        journal: Journal,
        encode_all: bool = False,
        tap: Callable[[str, str, Message], object] | None = None,
    ) -> None:
        self._loop, self._ledger, self._tap = loop, ledger, tap
        self._delivery, self._retry, self._rules = delivery, delivery.retry, rules
        self._counts, self._links = counts, links
        self._fail, self._crash, self._down = fail, crash, down
        self._encode_all = encode_all
        self._journal = journal if rules or self._retry else None
        self._overhead = frame.overhead(delivery.key)
        self._streams: dict[tuple[str, str], _Stream] = {}

    def send(self, sender: str, receiver: str, message: Message, way: Way, depth: int) -> None:
        """Takes a message over."""
        if sender in self._down:
            return
        stream = self._stream(sender, receiver)
        counts, link = self._counts, (sender, receiver)
        number = counts.links[link] = counts.links.get(link, 0) + 1
        total = counts.parties[sender] = counts.parties.get(sender, 0) + 1
        payload, wire = sizes(message)
        letter = _Letter(
            stream, number, total, message, way, payload, wire + self._overhead, depth, self._loop.time()
        )
        if self._retry is not None:
            stream.unacknowledged[number] = letter
        self._transmit(letter, 1)

    def _stream(self, sender: str, receiver: str) -> _Stream:
        stream = self._streams.get((sender, receiver))
        if stream is None:
            key = self._delivery.key
            own = None if key is None else frame.pair_key(key, sender, receiver)
            expected = self._counts.links.get((sender, receiver), 0) + 1
            stream = self._streams[sender, receiver] = _Stream(sender, receiver, own, expected, self._arrive)
        return stream

    def _verdict(self, letter: _Letter, attempt: int) -> Verdict | None:
        stream = letter.stream
        sending = Sending(
            self._loop.time(),
            stream.sender,
            stream.receiver,
            letter.message,
            letter.number,
            letter.total,
            attempt,
        )
        for rule in self._rules:
            verdict = rule(sending)
            if verdict is not None:
                return verdict
        return None

    def _transmit(self, letter: _Letter, attempt: int) -> None:
        """Puts a frame on its link, for what the rules make of it."""
        stream, verdict, now = letter.stream, self._verdict(letter, attempt), self._loop.time()
        if isinstance(verdict, Crash):
            self._crash(stream.sender, None if verdict.restart is None else now + verdict.restart)
            return
        if attempt == 1 and not isinstance(letter.message, Ack):
            self._ledger.see(stream.sender, stream.receiver, letter.message)
            if self._tap is not None:
                self._tap(stream.sender, stream.receiver, letter.message)
        start, planned = letter.way.transmit(now, letter.wire)
        arrival = max(planned, stream.not_before)
        if isinstance(verdict, Delay):
            arrival += verdict.seconds
            if not verdict.overtaken:
                stream.not_before = arrival
        dropped = isinstance(verdict, Drop)
        letter.rows[attempt] = len(self._ledger.rows)
        self._note(letter, now, start, math.nan if dropped else arrival)
        if not dropped:
            damage = verdict if isinstance(verdict, Corrupt) else None
            copies = verdict.copies if isinstance(verdict, Duplicate) else 0
            for _ in range(1 + copies):
                self._loop.post(arrival, stream.arrive, (letter, attempt, damage))
        if isinstance(letter.message, Ack):
            return
        if self._retry is not None:
            due = 2 * planned - start + self._retry.timeout * 2.0 ** (attempt - 1)
            self._loop.post(due, self._resend, (letter, attempt))
        elif dropped or arrival > planned + self._delivery.deadline:
            self._loop.post(planned + self._delivery.deadline, self._overdue, letter)

    def _note(self, letter: _Letter, now: float, start: float, arrival: float) -> None:
        way, stream = letter.way, letter.stream
        if self._journal is not None:
            self._journal.transmit(stream.sender, stream.receiver, way.kind, letter.number)
        self._ledger.rows.append(
            (
                letter.message.step,
                way.phase,
                stream.sender,
                stream.receiver,
                way.kind,
                letter.payload,
                letter.wire,
                now,
                start,
                arrival,
                letter.depth,
            )
        )

    # -- at the receiver ---------------------------------------------------------------------------

    def _arrive(self, arrived: _Arrived) -> None:
        letter, attempt, damage = arrived
        stream = letter.stream
        if stream.receiver in self._down:
            return
        message: Message | None = letter.message
        if damage is not None or self._encode_all:
            message = self._opened(letter, damage)
        if message is None:
            return
        if isinstance(message, Ack):
            self._stream(stream.receiver, stream.sender).unacknowledged.pop(message.number, None)
            return
        if self._retry is not None:
            self._acknowledge(letter, attempt)
        if letter.number < stream.expected or letter.number in stream.held:
            return
        if self._journal is not None:
            self._journal.accept(stream.receiver, stream.sender, letter.way.kind, letter.rows[attempt])
        letter.message = message
        stream.held[letter.number] = letter
        while (due := stream.held.pop(stream.expected, None)) is not None:
            stream.expected += 1
            due.way.take((due.message, due.depth))

    def _opened(self, letter: _Letter, damage: Corrupt | None) -> Message | None:
        """What a receiver reads in a frame; nothing if it cannot be used."""
        stream, message = letter.stream, letter.message
        data = encode(message)
        sealed = frame.seal(letter.number, data, stream.key)
        if damage is not None and damage.forged:
            sealed = frame.forge(sealed, flip(data, damage.flips, damage.draw))
        elif damage is not None:
            sealed = flip(sealed, damage.flips, damage.draw)
        try:
            return decode(frame.unseal(sealed, stream.key)[1], [type(message)])
        except frame.CodeMismatch:
            self._fail(self._error(AuthenticationError, letter, "was changed on its way: wrong code"))
        except (frame.ChecksumMismatch, WireError) as error:
            if isinstance(error, WireError):  # the checksum fits: sent again it would be no better
                self._fail(self._error(CorruptMessageError, letter, f"is no message ({error})"))
            elif self._retry is None:
                self._fail(self._error(CorruptMessageError, letter, "arrived with a wrong checksum"))
        return None

    def _acknowledge(self, letter: _Letter, attempt: int) -> None:
        there, ack = letter.stream, Ack(letter.message.step, letter.number)
        back = self._stream(there.receiver, there.sender)
        transmit = self._links(back.sender, back.receiver)
        way = Way(transmit, letter.way.take, letter.way.phase, Ack.__name__)
        _, wire = sizes(ack)
        answer = _Letter(
            back, letter.number, 0, ack, way, 0, wire + self._overhead, letter.depth, self._loop.time()
        )
        self._transmit(answer, attempt)

    # -- at the sender -----------------------------------------------------------------------------

    def _resend(self, overdue: tuple[_Letter, int]) -> None:
        letter, attempt = overdue
        stream = letter.stream
        assert self._retry is not None  # nothing is posted without it
        if letter.number not in stream.unacknowledged or stream.sender in self._down:
            return
        if attempt < self._retry.attempts:
            self._transmit(letter, attempt + 1)
        elif stream.receiver not in self._down:  # else that is what the run ends with
            times = f"{attempt} attempts" if attempt > 1 else "one attempt"
            self._fail(self._error(MessageLostError, letter, f"was not acknowledged after {times}"))

    def _overdue(self, letter: _Letter) -> None:
        stream = letter.stream
        there = letter.number < stream.expected or letter.number in stream.held
        if not there and not {stream.sender, stream.receiver} & self._down.keys():
            self._fail(self._error(MessageLostError, letter, "had not arrived"))

    def _error(self, kind: type[DeliveryError], letter: _Letter, why: str) -> DeliveryError:
        stream = letter.stream
        return kind(
            stream.sender,
            stream.receiver,
            letter.way.kind,
            letter.number,
            sent=letter.sent,
            time=self._loop.time(),
            why=why,
        )
