"""What can go wrong with a message: rules that see it and return a verdict.

A rule is any function from a `Sending` to a verdict, or to None if it has nothing to say. A network asks its
rules in order, for every transmission; the first verdict counts. Rules are pure: whatever is random about
the ones made here is a hash of a key and of the transmission, so a run with faults is as repeatable as one
without.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from p2n2sim.wire import Message


@dataclass(frozen=True, slots=True)
class Ack(Message):
    """Says that a message has arrived.

    Attributes:
        number: of the message, on its link.
    """

    number: int


class Sending(NamedTuple):
    """One transmission of a message, as rules see it.

    Attributes:
        now: virtual time in seconds.
        sender: who sends.
        receiver: to whom.
        message: what.
        number: which message on its link it is, from 1; of an acknowledgement, the number that it is about.
        total: which message of its sender it is, from 1; 0 of an acknowledgement.
        attempt: which transmission of this message it is, from 1.
    """

    now: float
    sender: str
    receiver: str
    message: Message
    number: int
    total: int
    attempt: int


@dataclass(frozen=True, slots=True)
class Drop:
    """It never arrives."""


@dataclass(frozen=True, slots=True)
class Delay:
    """It arrives later.

    Attributes:
        seconds: by how much.
        overtaken: whether what is sent after it on the same link may arrive before it.
    """

    seconds: float
    overtaken: bool = False


@dataclass(frozen=True, slots=True)
class Duplicate:
    """It arrives several times, one right after the other.

    Attributes:
        copies: how many there are besides the first.
    """

    copies: int = 1


@dataclass(frozen=True, slots=True)
class Corrupt:
    """Some bits of its encoding are flipped.

    Attributes:
        flips: how many.
        draw: decides which.
        forged: the checksum is made to fit, as somebody would who changes a message on purpose.
    """

    flips: int = 1
    draw: int = 0
    forged: bool = False


@dataclass(frozen=True, slots=True)
class Crash:
    """The sender crashes instead of sending it.

    Attributes:
        restart: seconds after which it is there again; None for never.
    """

    restart: float | None = None


Verdict = Drop | Delay | Duplicate | Corrupt | Crash
Rule = Callable[[Sending], Verdict | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which transmissions are hit: those for which all of this holds.

    Attributes:
        links: (sender, receiver) pairs; None for all.
        kind: name of the message type; empty for all, acknowledgements included.
        numbers: of the messages on their link, from 1; empty for all.
        probability: of each transmission.
        after: not before this virtual time, in seconds.
        until: before this virtual time.
        attempts: only the first so many transmissions of a message; None for all.
        key: of what is random.
    """

    links: tuple[tuple[str, str], ...] | None = None
    kind: str = ""
    numbers: tuple[int, ...] = ()
    probability: float = 1.0
    after: float = 0.0
    until: float = float("inf")
    attempts: int | None = None
    key: bytes = b""

    def hits(self, sending: Sending) -> bool:
        """Whether a transmission is hit."""
        if self.links is not None and (sending.sender, sending.receiver) not in self.links:
            return False
        if self.kind and type(sending.message).__name__ != self.kind:
            return False
        if self.numbers and (sending.number not in self.numbers or isinstance(sending.message, Ack)):
            return False
        if not self.after <= sending.now < self.until:
            return False
        if self.attempts is not None and sending.attempt > self.attempts:
            return False
        return self.probability >= 1.0 or draw(self.key, sending) < self.probability * 2**64


def draw(key: bytes, sending: Sending, purpose: str = "") -> int:
    """A number below 2^64, uniform and of one's own for every transmission.

    Args:
        key: up to 64 bytes.
        sending: the transmission; its time does not count.
        purpose: further numbers for the same one.
    """
    kind = type(sending.message).__name__
    name = "\0".join(
        (purpose, sending.sender, sending.receiver, kind, str(sending.number), str(sending.attempt))
    )
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8, key=key).digest(), "little")


def on(selection: Selection, verdict: Verdict) -> Rule:
    """A rule with the same verdict on all that it selects; a `Corrupt` flips other bits in each."""

    def rule(sending: Sending) -> Verdict | None:
        if not selection.hits(sending):
            return None
        if isinstance(verdict, Corrupt):
            return Corrupt(verdict.flips, draw(selection.key, sending, "bits"), verdict.forged)
        return verdict

    return rule


def crash_at_message(party: str, number: int, restart: float | None = None) -> Rule:
    """A rule by which a party crashes instead of sending its message of this number, from 1, to anybody."""

    def rule(sending: Sending) -> Verdict | None:
        due = sending.sender == party and sending.total == number and sending.attempt == 1
        return Crash(restart) if due else None

    return rule


def between(parties: Sequence[str], others: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """The links between two groups of parties, both directions."""
    return tuple(pair for a in parties for b in others if a != b for pair in ((a, b), (b, a)))


def flip(data: bytes, flips: int, number: int) -> bytes:
    """The same bytes with some bits flipped, no bit twice.

    Args:
        data: not empty.
        flips: how many; all of them if there are fewer.
        number: decides which.
    """
    out, bits = bytearray(data), 8 * len(data)
    hit: dict[int, None] = {}
    salt = 0
    while len(hit) < min(flips, bits):
        name = f"{number} {salt}".encode()
        hit[int.from_bytes(hashlib.blake2b(name, digest_size=8).digest(), "little") % bits] = None
        salt += 1
    for bit in hit:
        out[bit >> 3] ^= 1 << (bit & 7)
    return bytes(out)


class Slowdown(NamedTuple):
    """A processor that is slower for a while.

    Attributes:
        factor: by which everything takes longer.
        after: virtual time in seconds from which on.
        until: virtual time at which it ends.
    """

    factor: float
    after: float = 0.0
    until: float = float("inf")


def pace(slowdowns: Sequence[Slowdown]) -> Callable[[float], float]:
    """By which factor work that begins at a time takes longer; several slowdowns multiply."""

    def factor(now: float) -> float:
        out = 1.0
        for slow in slowdowns:
            if slow.after <= now < slow.until:
                out *= slow.factor
        return out

    return factor
