"""Correlated randomness: what a dealer gives the parties before they compute.

A piece of correlated randomness is described once, by a function of a `Source`, and carried out by both
sides. With the source of a party the function returns that party's shares; with the dealer's it returns the
totals, and leaves behind the corrections that make the last party's shares fit. Both read the same streams in
the same order, because they run the same lines.

Only what depends on other values is ever sent: shares of independent random values come from a stream that
the dealer has in common with each party. (Boyle, Couteau, Gilboa, Ishai, "Compressing vector OLE", CCS 2018,
call the same for n parties a pseudorandom correlation generator; with a dealer a key each suffices.)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from p2n2sim.mpc import prg, ring
from p2n2sim.mpc.bits import Planes
from p2n2sim.mpc.prg import Purpose
from p2n2sim.mpc.width import Elements, Ring, Width, narrow, widen

Shape = tuple[int, ...]


class Source(Protocol):
    """Where shares come from (at a party), or totals (at the dealer)."""

    @property
    def width(self) -> Width:
        """Of the ring."""

    @property
    def masks(self) -> list[Ring]:
        """The masks of matrices so far, in order: a party's shares, or totals."""

    def random(self, shape: Shape) -> Ring:
        """A uniform value, int64."""

    def share(self, shape: Shape, value: Callable[[], Ring]) -> Ring:
        """A value that depends on others; at a party `value` is never called."""

    def random_bits(self, shape: Shape) -> Planes:
        """Uniform bits, uint8, shared by XOR."""

    def share_bits(self, shape: Shape, value: Callable[[], Planes]) -> Planes:
        """Bits that depend on others, shared by XOR."""

    def product(self, a: Ring, b: Ring) -> Ring:
        """The product of two matrices of this source."""

    def rows_mask(self) -> Ring:
        """The mask of this batch's rows of the data, which is the same for the whole run."""


Draw = Callable[[Source], object]
"""A piece of correlated randomness, with all that it needs but the source."""


@dataclass(frozen=True, slots=True)
class MaskOf:
    """Which mask hides a matrix.

    Attributes:
        number: its number in `Source.masks`.
        transposed: whether the matrix is the transpose of the one that was masked.
    """

    number: int
    transposed: bool = False

    @property
    def T(self) -> MaskOf:  # noqa: N802 - as numpy calls it
        """The mask of the transpose."""
        return MaskOf(self.number, not self.transposed)

    def within(self, source: Source) -> Ring:
        """The mask itself: a party's share, or the total."""
        mask = source.masks[self.number]
        return mask.T if self.transposed else mask


def mask(source: Source, shape: Shape) -> MaskOf:
    """A fresh mask for a matrix that is opened under it. Each may hide one matrix only."""
    source.masks.append(source.random(shape))
    return MaskOf(len(source.masks) - 1)


def mask_of_rows(source: Source) -> MaskOf:
    """The mask of this batch's rows of data that were opened under it once for the whole run."""
    source.masks.append(source.rows_mask())
    return MaskOf(len(source.masks) - 1)


def matrix_product(source: Source, a: MaskOf, b: MaskOf) -> Ring:
    """A share of the product of two masks. A mask may occur in any number of products.

    Source: Mohassel and Zhang, "SecureML", 2017, section 4.2: a matrix is masked once, not once a product.
    """
    return source.product(a.within(source), b.within(source))


def elementwise_product(source: Source, a: MaskOf, b: MaskOf) -> Ring:
    """A share of the product, element by element, of two masks of one shape."""
    left, right = a.within(source), b.within(source)
    return source.share(left.shape, lambda: left * right)


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
