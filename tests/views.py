"""What every party of a run sees and knows: what it was sent, what was opened, and its own masks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import pytest
from numpy.typing import NDArray

from p2n2sim import under_sharing
from p2n2sim.assemble import Setup
from p2n2sim.mpc import correlated
from p2n2sim.mpc.bits import Planes
from p2n2sim.mpc.comparison import Comparisons
from p2n2sim.mpc.correlated import Source
from p2n2sim.mpc.truncation import TruncationPair
from p2n2sim.mpc.width import Ring, narrow, signed
from p2n2sim.parties.secret_layers.session import Session
from p2n2sim.simulate import Outcome, simulate
from p2n2sim.wire import Message

T = TypeVar("T")
Array = NDArray[Any]


@dataclass(frozen=True)
class Opened:
    """One array that was opened, as one holder knows it.

    Attributes:
        step: number of the batch.
        label: which opening of a batch of which part, and its size.
        value: what everybody knows afterwards, flat: ring elements as they travel, or bytes of bits.
        own: the share that this holder sent.
        mask: its share of what was added to the secret.
    """

    step: int
    label: str
    value: Array
    own: Array
    mask: Array

    @property
    def is_bits(self) -> bool:
        """Whether it is bits, shared by XOR."""
        return bool(self.value.dtype == np.uint8)

    def minus(self, other: Array) -> Array:
        """The value less something, in the ring or by XOR."""
        return self.value ^ other if self.is_bits else self.value - other


class Watched(Session):
    """A session that also writes down what its holder knows."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.seen: list[Opened] = []
        self._masks: list[Ring] = []
        self._bit_masks: list[Planes] = []
        self._count = 0

    def begin(self, step: int, source: Source) -> None:
        """A batch begins."""
        super().begin(step, source)
        self._count, self._masks, self._bit_masks = 0, [], []

    def draw(self, piece: Callable[..., T], *args: Any, **options: Any) -> T:
        """Remembers masks, in the order in which they are drawn and used."""
        drawn: Any = super().draw(piece, *args, **options)
        if piece is correlated.mask:
            self._masks.append(-drawn.within(self.source))  # this one is subtracted, the others are added
        elif isinstance(drawn, TruncationPair):
            self._masks.append(drawn.r)
        elif isinstance(drawn, Comparisons):
            self._masks.append(drawn.r)
            for level in drawn.levels:
                self._bit_masks += [level.a, level.b_g, level.b_p]
            self._bit_masks.append(drawn.rho_bits)
        result: T = drawn
        return result

    async def open(
        self, values: Sequence[Ring], bits: Sequence[Planes] = ()
    ) -> tuple[list[Ring], list[Planes]]:
        """Writes down every opened array beside its mask."""
        opened, union = await super().open(values, bits)
        self._count += 1
        if self.step >= 0:  # before the first batch the data are opened under masks of their own
            masks, self._masks = self._masks, []
            bit_masks, self._bit_masks = self._bit_masks[: len(bits)], self._bit_masks[len(bits) :]
            width = self.arithmetic.width
            self._write(
                *[[narrow(x, width) for x in arrays] for arrays in (opened, values, masks)],
            )
            self._write(union, bits, bit_masks)
        return opened, union

    def _write(self, *rows: Sequence[Array]) -> None:
        for i, arrays in enumerate(zip(*rows, strict=True)):
            flat = [x.reshape(-1) for x in arrays]
            kind = "bits" if flat[0].dtype == np.uint8 else "values"
            self.seen.append(Opened(self.step, f"opening {self._count}, {kind} {i}, {flat[0].size}", *flat))


@dataclass
class Run:
    """A whole run.

    Attributes:
        setup: what was run.
        spoken: sender, receiver and message, in order.
        sessions: of the holders, in order.
    """

    setup: Setup
    spoken: list[tuple[str, str, Message]]
    sessions: list[Watched]

    def secrets(self) -> list[Array]:
        """Of every opened array, in order, what was under the mask: no single party knows that."""
        out = []
        for everybody in zip(*(session.seen for session in self.sessions), strict=True):
            masks = [one.mask for one in everybody]
            first = everybody[0]
            add = np.bitwise_xor if first.is_bits else np.add
            total = add.reduce(masks, dtype=first.value.dtype)
            out.append(first.minus(total))
        return out

    def batches(self, session: Watched) -> Iterator[tuple[Opened, Opened]]:
        """Every opened array with the one of the same label in the next batch that has it."""
        last: dict[str, Opened] = {}
        for one in session.seen:
            if one.label in last:
                yield last[one.label], one
            last[one.label] = one


def watch(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a set-up and writes down what everybody sees."""
    run = Run(setup, [], [])

    class Kept(Watched):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            run.sessions.append(self)

    monkeypatch.setattr(under_sharing, "Session", Kept)
    simulate(setup, Outcome(), tap=lambda *what: run.spoken.append(what))
    return run


def numbers(x: Array) -> Array:
    """Ring elements as numbers, or the bits of bytes."""
    return np.unpackbits(x) if x.dtype == np.uint8 else signed(x.astype(np.int64), 64)
