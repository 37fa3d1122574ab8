"""The ledger: who sent what, when, how large, in which phase, and what the receiver saw."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from p2n2sim.wire import Message, layout


class Entry(NamedTuple):
    """One message.

    Attributes:
        step: number of the mini-batch, -1 before the first.
        phase: offline or online.
        sender: who sent it.
        receiver: to whom.
        kind: name of the message type.
        payload_bytes: bytes of its arrays.
        wire_bytes: bytes that occupy the link: its whole encoding, and what the transport adds.
        sent_s: virtual time at which the sender handed it over.
        start_s: virtual time at which its first bit left; infinite while not known.
        arrived_s: virtual time at which it arrived; infinite while not known.
        round: length of the longest chain of messages, each sent after the one before was received,
            that ends with this one.
    """

    step: int
    phase: str
    sender: str
    receiver: str
    kind: str
    payload_bytes: int
    wire_bytes: int
    sent_s: float
    start_s: float
    arrived_s: float
    round: int


class View(NamedTuple):
    """What one party was sent.

    Attributes:
        clear: name of each value that it saw in the clear -> how many numbers of it.
        uniform: name of each uniformly random value -> how many ring elements or bytes of it.
        encrypted: name of each value under somebody else's key -> how many bytes of ciphertext.
        modelled: what stood for a protocol that was not run -> how many bytes.
    """

    clear: dict[str, int]
    uniform: dict[str, int]
    encrypted: dict[str, int]
    modelled: dict[str, int]


class Ledger:
    """The messages of a run in the order in which they were sent.

    Attributes:
        rows: one plain tuple a message with the fields of `Entry`, which a hot path fills faster.
    """

    def __init__(self) -> None:
        self.rows: list[tuple[int, str, str, str, str, int, int, float, float, float, int]] = []
        self._seen: dict[tuple[str, str, type[Message]], list[int]] = {}  # elements received by field

    def see(self, sender: str, receiver: str, message: Message) -> None:
        """Adds the arrays of a message to what its receiver saw."""
        kind = type(message)
        plan = layout(kind)
        if plan.arrays:
            counts = self._seen.setdefault((sender, receiver, kind), [0] * len(plan.arrays))
            for i, name in enumerate(plan.counted):
                value = getattr(message, name)
                counts[i] += value if type(value) is int else value.size

    @property
    def seen(self) -> Mapping[tuple[str, str, type[Message]], list[int]]:
        """How many numbers of each array field of a message type a sender has shown to a receiver."""
        return self._seen

    def restore(self, seen: Mapping[tuple[str, str, type[Message]], Iterable[int]]) -> None:
        """Puts what was seen so far in place of what is there."""
        self._seen = {key: list(counts) for key, counts in seen.items()}

    @property
    def rounds(self) -> int:
        """The longest chain of messages that depend on each other."""
        return max((row[-1] for row in self.rows), default=0)

    def frame(self) -> pd.DataFrame:
        """One row a message; the columns are those of `Entry`."""
        return pd.DataFrame(self.rows, columns=list(Entry._fields))

    def sha256(self) -> str:
        """Hexadecimal SHA-256 over every column: equal if and only if two ledgers are equal."""
        digest = hashlib.sha256()
        for name, column in zip(Entry._fields, zip(*self.rows, strict=True), strict=False):
            digest.update(name.encode() + b"\0" + _column_bytes(column))
        return digest.hexdigest()

    def views(self, parties: Iterable[str]) -> dict[str, View]:
        """What each party was sent.

        Shares that open a value count twice: as uniform elements, and as the value in the clear once
        every sender's share is there. What a party can decrypt counts as the value alone. Public values
        count nowhere.
        """
        return {party: self._view(party) for party in parties}

    def _view(self, party: str) -> View:
        view = View({}, {}, {}, {})
        opened: dict[str, list[int]] = {}
        for (_, receiver, kind), counts in self._seen.items():
            if receiver != party:
                continue
            for reveal, count in zip(layout(kind).reveals, counts, strict=True):
                if reveal.how == "public":
                    continue
                name, seen = reveal.what, view.uniform
                if reveal.how == "opens":
                    name = f"share of {reveal.what}"
                    opened.setdefault(reveal.what, []).append(count)
                elif reveal.how != "uniform":
                    seen = {
                        "clear": view.clear,
                        "decrypted": view.clear,
                        "encrypted": view.encrypted,
                        "modelled": view.modelled,
                    }[reveal.how]
                seen[name] = seen.get(name, 0) + count
        for what, by_sender in opened.items():
            view.clear[what] = view.clear.get(what, 0) + min(by_sender)
        return view


def _column_bytes(column: tuple[Any, ...]) -> bytes:
    if isinstance(column[0], str):
        return "\0".join(column).encode()
    dtype = "<f8" if any(isinstance(value, float) for value in column) else "<i8"
    return np.asarray(column, dtype).tobytes()
