"""Computing on shares: what one holder does in every step that needs the others.

All holders run the same program at the same time. A share is an int64 array. Each method says how many
rounds it takes.

A matrix is opened under a mask once (`mask`); then any product with another masked matrix is local, for

    sum_j (A_j F + E V_j + Z_j) = A F + E V + U V = A B   with E = A - U, F = B - V opened, Z_j shares of U V.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

import numpy as np

from p2n2sim.messages import Opening
from p2n2sim.mpc import correlated, ring, truncation
from p2n2sim.mpc.bits import Planes
from p2n2sim.mpc.correlated import MaskOf, Shape, Source
from p2n2sim.mpc.sources import Tally
from p2n2sim.mpc.width import Ring, Width, narrow, signed, widen
from p2n2sim.net.cpu import Cost
from p2n2sim.net.endpoint import Endpoint
from p2n2sim.parties.secret_layers import price
from p2n2sim.parties.secret_layers.price import Price
from p2n2sim.parties.secret_layers.shadow import Exact, Shadow

T = TypeVar("T")
P = ParamSpec("P")


@dataclass(frozen=True, slots=True)
class Masked:
    """A shared matrix that was opened under a mask.

    Attributes:
        share: this party's share, (m, k).
        opened: the matrix minus its mask, known to all, (m, k).
        hidden_by: the mask.
    """

    share: Ring
    opened: Ring
    hidden_by: MaskOf

    @property
    def T(self) -> Masked:  # noqa: N802 - as numpy calls it
        """The transpose."""
        return Masked(self.share.T, self.opened.T, self.hidden_by.T)


@dataclass(frozen=True, slots=True)
class Public:
    """A matrix that all holders know, as ring elements."""

    value: Ring

    @property
    def T(self) -> Public:  # noqa: N802
        """The transpose."""
        return Public(self.value.T)


Program = Callable[["Session"], Coroutine[Any, Any, object]]
"""What every holder runs in one batch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arithmetic:
    """What all holders have agreed on.

    Attributes:
        fractional_bits: f of a fixed-point number.
        width: of the ring.
        local_truncation: whether each of two holders truncates its share by itself.
    """

    fractional_bits: int
    width: Width
    local_truncation: bool

    def truncation_price(self, count: int) -> Price:
        """What truncating so many numbers costs."""
        return price.truncation(count, local=self.local_truncation)


class Session:
    """One holder's part in computing on shares.

    Args:
        me: the holder's plug; None for a dry run, in which there are no others and all values are zeros.
        holders: all of them, in the agreed order.
        arithmetic: what they have agreed on.
        threads: over how many threads a product may be split; changes no bit.
        shadow: watches what is computed, if anybody does.

    Attributes:
        first: whether this holder adds public constants.
        arithmetic: as given.
        step: number of the batch.
        source: of this batch's correlated randomness.
    """

    def __init__(
        self,
        me: Endpoint | None,
        holders: Sequence[str],
        arithmetic: Arithmetic,
        *,
        threads: int = 1,
        shadow: Shadow | None = None,
    ) -> None:
        self.arithmetic = arithmetic
        self.first = me is None or me.name == holders[0]
        self.step = -1
        self.source: Source = Tally(arithmetic.width, (0, 0))
        self._me = me
        self._others = [] if me is None else [name for name in holders if name != me.name]
        self._threads = threads
        self._shadow = shadow
        self._watched = 0
        self._drawn: list[correlated.Draw] | None = None

    def begin(self, step: int, source: Source) -> None:
        """Begins a batch with fresh correlated randomness."""
        self.step, self.source, self._watched = step, source, 0

    def draw(self, piece: Callable[Concatenate[Source, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """This party's share of a piece of correlated randomness."""
        if self._drawn is not None:
            self._drawn.append(lambda source: piece(source, *args, **kwargs))
        return piece(self.source, *args, **kwargs)

    async def compute(self, work: Callable[[], T], cost: Cost, label: str) -> T:
        """Local work, charged to this holder's processor."""
        if self._me is None:
            return work()
        return await self._me.compute(work, cost, label=label)

    async def open(
        self, values: Sequence[Ring], bits: Sequence[Planes] = ()
    ) -> tuple[list[Ring], list[Planes]]:
        """Opens masked values: everybody tells everybody their shares. One round.

        Args:
            values: shares of ring elements; they add up.
            bits: shares of bits; they XOR.

        Returns:
            What was shared, as signed numbers, and bits, of the same shapes.
        """
        if self._me is None:
            return list(values), list(bits)
        width = self.arithmetic.width
        own = Opening(
            self.step,
            narrow(np.concatenate([np.empty(0, np.int64), *(v.reshape(-1) for v in values)]), width),
            np.concatenate([np.empty(0, np.uint8), *(b.reshape(-1) for b in bits)]),
        )
        for other in self._others:
            self._me.send(other, own)
        received = [await self._me.recv(other, Opening) for other in self._others]
        moved = 3 * (own.values.nbytes + own.bits.nbytes) * len(received)
        total, union = await self._me.compute(
            lambda: _joined([own, *received]),
            Cost(moved_bytes=moved, messages=2 * len(received)),
            label="open",
        )
        return _cut(signed(widen(total), width), values), _cut(union, bits)

    async def mask(self, *values: Ring) -> list[Masked]:
        """Opens each under a fresh mask. One round."""
        masks = [self.draw(correlated.mask, value.shape) for value in values]
        hidden = await self.compute(
            lambda: [v - m.within(self.source) for v, m in zip(values, masks, strict=True)],
            self.moving(*values, random=1),
            "mask",
        )
        opened, _ = await self.open(hidden)
        return [Masked(v, e, m) for v, e, m in zip(values, opened, masks, strict=True)]

    async def multiply(self, left: Masked | Public, right: Masked | Public) -> Ring:
        """A share of the matrix product. No round; the fractional bits add up."""
        if isinstance(left, Masked) and isinstance(right, Masked):
            return await self._multiply_masked(left, right)
        a = left.value if isinstance(left, Public) else left.share
        b = right.value if isinstance(right, Public) else right.share
        result = await self.compute(
            lambda: ring.matmul(a, b, threads=self._threads),
            Cost(ring_madds=a.shape[0] * a.shape[1] * b.shape[1]),
            "multiply",
        )
        parts = [self.own_part(x) if isinstance(x, Public) else x.share for x in (left, right)]
        self.watch("product", parts, result, lambda x, y: x @ y)
        return result

    async def _multiply_masked(self, a: Masked, b: Masked) -> Ring:
        Z = self.draw(correlated.matrix_product, a.hidden_by, b.hidden_by)  # (m, n)
        V = b.hidden_by.within(self.source)  # (k, n)

        def product() -> Ring:
            out = ring.matmul(a.share, b.opened, threads=self._threads)
            out += ring.matmul(a.opened, V, threads=self._threads)
            out += Z
            return out

        (m, k), n = a.share.shape, b.share.shape[1]
        result = await self.compute(
            product, Cost(ring_madds=2 * m * k * n, random_bytes=8 * m * n), "multiply"
        )
        self.watch("product", [a.share, b.share], result, lambda x, y: x @ y)
        return result

    async def times(self, a: Ring, b: Ring) -> Ring:
        """A share of the product element by element. One round; the fractional bits add up."""
        masked_a, masked_b = await self.mask(a, b)
        return await self.times_masked(masked_a, masked_b)

    async def times_masked(self, a: Masked, b: Masked) -> Ring:
        """The same of what was masked before. No round."""
        Z = self.draw(correlated.elementwise_product, a.hidden_by, b.hidden_by)
        V = b.hidden_by.within(self.source)
        result: Ring = await self.compute(
            lambda: a.share * b.opened + a.opened * V + Z, self.moving(Z, Z, random=1), "multiply"
        )
        self.watch("product", [a.share, b.share], result, lambda x, y: x * y)
        return result

    async def scale(self, value: Ring, factor: int) -> Ring:
        """A share of a multiple by a public integer. No round."""
        result = value * factor
        self.watch("multiple", [value], result, lambda x: x * factor)
        return result

    async def truncate(self, *values: Ring, bits: int) -> list[Ring]:
        """Drops fractional bits of each. One round, none if it is done locally."""
        width, first = self.arithmetic.width, self.first
        if self.arithmetic.local_truncation:
            results = await self.compute(
                lambda: [truncation.truncate_locally(v, bits, width, first=first) for v in values],
                self.moving(*values),
                "truncate",
            )
        else:
            pairs = [self.draw(truncation.pair, value.shape, bits) for value in values]
            hidden = await self.compute(
                lambda: [
                    truncation.masked(v, p, width, first=first) for v, p in zip(values, pairs, strict=True)
                ],
                self.moving(*values, random=3),
                "mask",
            )
            opened, _ = await self.open(hidden)
            results = await self.compute(
                lambda: [
                    truncation.truncate(c, p, bits, width, first=first)
                    for c, p in zip(opened, pairs, strict=True)
                ],
                self.moving(*values, *values),
                "truncate",
            )
        for value, result in zip(values, results, strict=True):
            self.watch("truncation", [value], result, lambda x: x >> bits, slack=1)
        return results

    def moving(self, *values: Ring, random: int = 0) -> Cost:
        """The cost of element-wise work: two reads and a write, and so many random elements each."""
        elements = sum(value.size for value in values)
        return Cost(moved_bytes=24 * elements, random_bytes=8 * random * elements)

    def own_part(self, known: Public) -> Ring:
        """What everybody knows as shares: the first holder has all of it."""
        return known.value if self.first else np.zeros_like(known.value)

    def watch(
        self, what: str, operands: Sequence[Ring], result: Ring, exact: Exact, *, slack: int = 0
    ) -> None:
        """Shows a step to the shadow, if there is one; says nothing to anybody else."""
        self._watched += 1
        if self._shadow is not None:
            self._shadow.see(self.step, self._watched, what, operands, result, exact, slack=slack)

    def record(self, program: Program) -> list[correlated.Draw]:
        """Goes through a program in a dry run; what it draws, in order."""
        self._drawn = []
        try:
            program(self).send(None)
        except StopIteration:
            return self._drawn
        raise RuntimeError("a program waited for somebody in a dry run")


def dry_run(
    program: Program, arithmetic: Arithmetic, rows_mask: Shape
) -> tuple[list[correlated.Draw], Tally]:
    """What a program asks of a dealer: the pieces of randomness in order, and how many numbers they are.

    Args:
        program: what every holder runs; shapes alone may decide what it does.
        arithmetic: as theirs.
        rows_mask: the shape of a batch of the data.
    """
    session = Session(None, (), arithmetic)
    tally = Tally(arithmetic.width, rows_mask)
    session.begin(0, tally)
    return session.record(program), tally


def _joined(messages: Sequence[Opening]) -> tuple[Any, Planes]:
    values, bits = messages[0].values, messages[0].bits
    for message in messages[1:]:
        values, bits = values + message.values, bits ^ message.bits
    return values, bits


A = TypeVar("A", bound=np.ndarray[Any, Any])


def _cut(flat: A, like: Sequence[A]) -> list[A]:
    ends = np.cumsum([part.size for part in like])
    return [
        cast(A, flat[end - part.size : end].reshape(part.shape)) for part, end in zip(like, ends, strict=True)
    ]
