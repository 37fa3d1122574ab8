"""Delivery over links that can fail: every message in a numbered frame, sent again where that was asked for.

What a receiver takes is in the order in which it was sent, and nothing twice. With `Retry` every message is
acknowledged, and sent again after a timeout that doubles with every attempt (as TCP's does by RFC 6298,
section 5.5); without it, what does not arrive ends the run with an error that names it.

All of this stands above the link, and knows only its `Bearer`: a frame is put there, and what follows from
when it leaves and arrives happens once the link has told.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from p2n2sim.errors import CorruptMessageError, DeliveryError, MessageLostError
from p2n2sim.net import frame
from p2n2sim.net.bearer import Bearer
from p2n2sim.net.delivery import Counts, Delivery
from p2n2sim.net.faults import Ack, Corrupt, Crash, Delay, Drop, Duplicate, Rule, Sending, Verdict
from p2n2sim.net.journal import Journal
from p2n2sim.net.ledger import Ledger
from p2n2sim.net.letter import Arrived, Letter, Stream
from p2n2sim.net.route import Channel
from p2n2sim.net.simloop import SimLoop
from p2n2sim.wire import Message, sizes


class Courier:
    """Carries the messages of one network over links that can fail.

    Args:
        loop: keeps the time.
        ledger: every transmission gets a row, acknowledgements and repetitions too; what never arrives has
            NaN for its arrival.
        delivery: how.
        rules: what goes wrong.
        counts: to go on counting from.
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
        fail: Callable[[Exception], object],
        crash: Callable[[str, float | None], object],
        down: Mapping[str, float],
        journal: Journal,
        encode_all: bool = False,
        tap: Callable[[str, str, Message], object] | None = None,
    ) -> None:
        self._loop, self._ledger, self._tap = loop, ledger, tap
        self._delivery, self._retry, self._rules = delivery, delivery.retry, rules
        self._counts = counts
        self._fail, self._crash, self._down = fail, crash, down
        self._encode_all = encode_all
        self._journal = journal if rules or self._retry else None
        self._overhead = frame.overhead(delivery.key)
        self._streams: dict[tuple[str, str], Stream] = {}

    def join(self, sender: str, receiver: str, bearer: Bearer) -> None:
        """Takes a link over, one direction of it."""
        key = self._delivery.key
        own = None if key is None else frame.pair_key(key, sender, receiver)
        expected = self._counts.links.get((sender, receiver), 0) + 1
        self._streams[sender, receiver] = Stream(sender, receiver, bearer, own, expected, self._arrive)

    def send(self, sender: str, receiver: str, message: Message, channel: Channel, depth: int) -> None:
        """Takes a message over."""
        if sender in self._down:
            return
        counts, link = self._counts, (sender, receiver)
        number = counts.links[link] = counts.links.get(link, 0) + 1
        total = counts.parties[sender] = counts.parties.get(sender, 0) + 1
        letter = self._letter(self._streams[link], number, total, message, channel, depth)
        if self._retry is not None:
            letter.stream.unacknowledged[number] = letter
        self._transmit(letter, 1)

    def _letter(
        self, stream: Stream, number: int, total: int, message: Message, channel: Channel, depth: int
    ) -> Letter:
        payload, size = sizes(message)
        size, now = size + self._overhead, self._loop.time()
        return Letter(stream, number, total, message, channel, payload, size, depth, now)

    def _verdict(self, letter: Letter, attempt: int) -> Verdict | None:
        if not self._rules:
            return None
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

    # -- on the link -------------------------------------------------------------------------------

    def _transmit(self, letter: Letter, attempt: int) -> None:
        """Puts a frame on its link, when the rules have said what is to become of it."""
        stream, verdict = letter.stream, self._verdict(letter, attempt)
        if isinstance(verdict, Crash):
            back = None if verdict.restart is None else self._loop.time() + verdict.restart
            self._crash(stream.sender, back)
            return
        if attempt == 1 and not letter.is_ack:
            self._ledger.see(stream.sender, stream.receiver, letter.message)
            if self._tap is not None:
                self._tap(stream.sender, stream.receiver, letter.message)
        packed = stream.bearer.pack(letter.size)
        row = self._note(letter, packed.wire, math.nan if isinstance(verdict, Drop) else math.inf)
        letter.rows[attempt] = row
        stream.bearer.send(packed, partial(self._underway, letter, attempt, verdict, row))

    def _note(self, letter: Letter, wire: int, arrival: float) -> int:
        """Writes a transmission down, without the times that are not known; returns its row."""
        channel, stream, rows = letter.channel, letter.stream, self._ledger.rows
        if self._journal is not None:
            self._journal.transmit(stream.sender, stream.receiver, channel.kind, letter.number)
        rows.append(
            (
                letter.message.step,
                channel.phase,
                stream.sender,
                stream.receiver,
                channel.kind,
                letter.payload,
                wire,
                self._loop.time(),
                math.inf,
                arrival,
                letter.depth,
            )
        )
        return len(rows) - 1

    def _underway(
        self, letter: Letter, attempt: int, verdict: Verdict | None, row: int, start: float, planned: float
    ) -> None:
        """The link has told when a frame leaves, and when it arrives unless a rule will have it otherwise."""
        stream, rows = letter.stream, self._ledger.rows
        arrival = max(planned, stream.not_before)
        if isinstance(verdict, Delay):
            arrival += verdict.seconds
            if not verdict.overtaken:
                stream.not_before = arrival
        dropped = isinstance(verdict, Drop)
        rows[row] = (*rows[row][:8], start, math.nan if dropped else arrival, letter.depth)
        if not dropped:
            damage = verdict if isinstance(verdict, Corrupt) else None
            copies = verdict.copies if isinstance(verdict, Duplicate) else 0
            for _ in range(1 + copies):
                self._loop.post(arrival, stream.arrive, (letter, attempt, damage))
        if letter.is_ack:
            return
        if self._retry is not None:
            due = 2 * planned - start + self._retry.timeout * 2.0 ** (attempt - 1)
            self._loop.post(due, self._resend, (letter, attempt))
        elif dropped or arrival > planned + self._delivery.deadline:
            self._loop.post(planned + self._delivery.deadline, self._overdue, letter)

    # -- at the receiver ---------------------------------------------------------------------------

    def _arrive(self, arrived: Arrived) -> None:
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
            self._streams[stream.receiver, stream.sender].unacknowledged.pop(message.number, None)
            return
        if self._retry is not None:
            self._acknowledge(letter, attempt)
        if not stream.has(letter.number):
            if self._journal is not None:
                kind, row = letter.channel.kind, letter.rows[attempt]
                self._journal.accept(stream.receiver, stream.sender, kind, row)
            letter.message = message
            stream.take(letter)

    def _opened(self, letter: Letter, damage: Corrupt | None) -> Message | None:
        """What a receiver reads in a frame; nothing if it cannot be used."""
        now = self._loop.time()
        try:
            return letter.read(damage, now)
        except DeliveryError as error:  # sent again it would be no better
            self._fail(error)
        except frame.ChecksumMismatch:
            if self._retry is None:
                self._fail(letter.error(CorruptMessageError, now, "arrived with a wrong checksum"))
        return None

    def _acknowledge(self, letter: Letter, attempt: int) -> None:
        there, ack = letter.stream, Ack(letter.message.step, letter.number)
        back = self._streams[there.receiver, there.sender]
        channel = letter.channel._replace(kind=Ack.__name__)
        self._transmit(self._letter(back, letter.number, 0, ack, channel, letter.depth), attempt)

    # -- at the sender -----------------------------------------------------------------------------

    def _resend(self, overdue: tuple[Letter, int]) -> None:
        letter, attempt = overdue
        stream = letter.stream
        assert self._retry is not None  # nothing is posted without it
        if letter.number not in stream.unacknowledged or stream.sender in self._down:
            return
        if attempt < self._retry.attempts:
            self._transmit(letter, attempt + 1)
        elif stream.receiver not in self._down:  # else that is what the run ends with
            times = f"{attempt} attempts" if attempt > 1 else "one attempt"
            why = f"was not acknowledged after {times}"
            self._fail(letter.error(MessageLostError, self._loop.time(), why))

    def _overdue(self, letter: Letter) -> None:
        stream = letter.stream
        if not stream.has(letter.number) and not {stream.sender, stream.receiver} & self._down.keys():
            self._fail(letter.error(MessageLostError, self._loop.time(), "had not arrived"))
