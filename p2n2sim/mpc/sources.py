"""The sides of correlated randomness: a party's shares, the dealer's totals, a count of what is asked."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from p2n2sim.mpc import prg, ring
from p2n2sim.mpc.bits import Planes
from p2n2sim.mpc.correlated import Shape
from p2n2sim.mpc.prg import Purpose
from p2n2sim.mpc.width import Elements, Ring, Width, narrow, widen


class PartySource:
    """A party's side of one step.

    Args:
        key: 16 bytes in common with the dealer.
        step: step of the stream.
        width: of the ring.
        rows_mask: this party's mask of the batch's rows, if the data are masked once.
        sent: the ring elements and the bits that the dealer sent, if it sent any to this party.
        full: whether it sent everything, and nothing is read from the stream.
    """

    def __init__(
        self,
        key: bytes,
        step: int,
        width: Width,
        *,
        rows_mask: Callable[[], Ring] | None = None,
        sent: tuple[Elements, Planes] | None = None,
        full: bool = False,
    ) -> None:
        self._stream = prg.Stream(key, step, purpose=Purpose.CORRELATED)
        self.width = width
        self.masks: list[Ring] = []
        self._rows_mask = rows_mask
        self._sent = sent
        self._full = full
        self._at = [0, 0]

    def random(self, shape: Shape) -> Ring:
        """This party's share of a uniform value."""
        if self._full:
            return self._next_values(shape)
        out = np.empty(shape, np.int64)
        self._stream.fill(out)
        return out

    def share(self, shape: Shape, value: Callable[[], Ring]) -> Ring:
        """This party's share of a value that only the dealer knows."""
        return self.random(shape) if self._sent is None else self._next_values(shape)

    def random_bits(self, shape: Shape) -> Planes:
        """This party's share of uniform bits."""
        return self._next_bits(shape) if self._full else _bits(self._stream, shape)

    def share_bits(self, shape: Shape, value: Callable[[], Planes]) -> Planes:
        """This party's share of bits that only the dealer knows."""
        return self.random_bits(shape) if self._sent is None else self._next_bits(shape)

    def product(self, a: Ring, b: Ring) -> Ring:
        """This party's share of the product of the totals, of the shapes of these shares."""
        return self.share((a.shape[0], b.shape[1]), lambda: a)

    def rows_mask(self) -> Ring:
        """This party's share of the mask of the batch's rows."""
        assert self._rows_mask is not None  # only called where the data are masked once
        return self._rows_mask()

    def all_read(self) -> bool:
        """Whether nothing that the dealer sent is left over."""
        return self._sent is None or self._at == [len(part) for part in self._sent]

    def _next_values(self, shape: Shape) -> Ring:
        return widen(self._next(0, math.prod(shape))).reshape(shape)

    def _next_bits(self, shape: Shape) -> Planes:
        return self._next(1, math.prod(shape)).reshape(shape)

    def _next(self, which: int, count: int) -> NDArray[Any]:
        assert self._sent is not None  # whoever is sent nothing reads its stream
        start = self._at[which]
        self._at[which] = start + count
        part = self._sent[which][start : start + count]
        if len(part) < count:
            raise ValueError(f"the dealer's message ends after {len(self._sent[which])} elements")
        return part


class DealerSource:
    """The dealer's side of one step: totals, and what has to be sent to whom.

    Args:
        keys: the dealer's key with each party, in the order of the parties, at least 2.
        step: step of the streams.
        width: of the ring.
        rows_mask: the total mask of the batch's rows, if the data are masked once.
        full: whether every party is sent everything; otherwise only the last one, what no stream gives.
        threads: over how many threads a product may be split; changes no bit.
    """

    def __init__(
        self,
        keys: Sequence[bytes],
        step: int,
        width: Width,
        *,
        rows_mask: Callable[[], Ring] | None = None,
        full: bool = False,
        threads: int = 1,
    ) -> None:
        self._streams = [prg.Stream(key, step, purpose=Purpose.CORRELATED) for key in keys]
        self.width = width
        self.masks: list[Ring] = []
        self._rows_mask = rows_mask
        self._full = full
        self._threads = threads
        self._values: list[list[Ring]] = [[] for _ in keys]
        self._bits: list[list[Planes]] = [[] for _ in keys]

    def random(self, shape: Shape) -> Ring:
        """The sum of all parties' shares."""
        return self._total(len(self._streams), shape)

    def share(self, shape: Shape, value: Callable[[], Ring]) -> Ring:
        """The value; what the others' streams lack of it is the last party's share."""
        known = value()
        self._values[-1].append((known - self._total(len(self._streams) - 1, shape)).reshape(-1))
        return known

    def random_bits(self, shape: Shape) -> Planes:
        """The XOR of all parties' shares."""
        return self._union(len(self._streams), shape)

    def share_bits(self, shape: Shape, value: Callable[[], Planes]) -> Planes:
        """As `share`, by XOR."""
        known = value()
        self._bits[-1].append((known ^ self._union(len(self._streams) - 1, shape)).reshape(-1))
        return known

    def product(self, a: Ring, b: Ring) -> Ring:
        """The product of two totals."""
        return self.share((a.shape[0], b.shape[1]), lambda: ring.matmul(a, b, threads=self._threads))

    def rows_mask(self) -> Ring:
        """The total mask of the batch's rows."""
        assert self._rows_mask is not None  # only called where the data are masked once
        return self._rows_mask()

    def sent(self, party: int) -> tuple[Elements, Planes]:
        """What a party is sent, in the order in which it is read."""
        values = np.concatenate([np.empty(0, np.int64), *self._values[party]])
        return narrow(values, self.width), np.concatenate([np.empty(0, np.uint8), *self._bits[party]])

    def _total(self, parties: int, shape: Shape) -> Ring:
        """The sum of the first parties' streams."""
        total = np.zeros(shape, np.int64)
        for stream, sent in zip(self._streams[:parties], self._values, strict=False):
            part = np.empty(shape, np.int64)
            stream.fill(part)
            total += part
            if self._full:
                sent.append(part.reshape(-1))
        return total

    def _union(self, parties: int, shape: Shape) -> Planes:
        """The XOR of the first parties' streams."""
        union = np.zeros(shape, np.uint8)
        for stream, sent in zip(self._streams[:parties], self._bits, strict=False):
            part = _bits(stream, shape)
            union ^= part
            if self._full:
                sent.append(part.reshape(-1))
        return union


class Tally:
    """A source of zeros that counts what is asked of it.

    Attributes:
        random_elements: ring elements (eight bytes of bits count as one) that every party draws.
        shared_elements: ring elements that depend on others.
        shared_bytes: bytes of bits that depend on others.
        ring_madds: multiply-adds of the products among them.

    Args:
        width: of the ring.
        rows_mask: the shape of the mask of a batch's rows.
    """

    def __init__(self, width: Width, rows_mask: Shape) -> None:
        self.random_elements = self.shared_elements = self.shared_bytes = self.ring_madds = 0
        self.width = width
        self.masks: list[Ring] = []
        self._rows_mask = rows_mask

    def random(self, shape: Shape) -> Ring:
        """Zeros."""
        self.random_elements += math.prod(shape)
        return np.zeros(shape, np.int64)

    def share(self, shape: Shape, value: Callable[[], Ring]) -> Ring:
        """Zeros."""
        self.shared_elements += math.prod(shape)
        return np.zeros(shape, np.int64)

    def random_bits(self, shape: Shape) -> Planes:
        """Zeros."""
        self.random_elements += _words(shape)
        return np.zeros(shape, np.uint8)

    def share_bits(self, shape: Shape, value: Callable[[], Planes]) -> Planes:
        """Zeros."""
        self.shared_bytes += math.prod(shape)
        return np.zeros(shape, np.uint8)

    def product(self, a: Ring, b: Ring) -> Ring:
        """Zeros."""
        self.ring_madds += a.shape[0] * a.shape[1] * b.shape[1]
        return self.share((a.shape[0], b.shape[1]), lambda: a)

    def rows_mask(self) -> Ring:
        """Zeros."""
        return np.zeros(self._rows_mask, np.int64)


def _words(shape: Shape) -> int:
    return -(-math.prod(shape) // 8)


def _bits(stream: prg.Stream, shape: Shape) -> Planes:
    words = np.empty(_words(shape), np.int64)
    stream.fill(words)
    return words.astype("<i8", copy=False).view(np.uint8)[: math.prod(shape)].reshape(shape)
