"""A shadow that sees all shares, recomputes every step in big integers, and notes where it overflows.

No party could do this: it is a tool of the simulator for choosing the ring and the fractional bits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from p2n2sim.mpc.width import Ring, Width, signed

_MOST_TOLD = 10

Exact = Callable[..., NDArray[Any]]
"""From Python integers to Python integers, in arrays of objects."""


@dataclass(frozen=True, slots=True)
class Overflow:
    """One step in which the ring was left, or the result is not the exact one.

    Attributes:
        step: number of the batch.
        what: which operation.
        number: of the operation within the batch, from 1.
        count: elements concerned.
        of: elements in all.
        index: of the first one.
        exact: what it should be there.
        found: what came out there.
    """

    step: int
    what: str
    number: int
    count: int
    of: int
    index: tuple[int, ...]
    exact: int
    found: int

    def __str__(self) -> str:
        place = ", ".join(map(str, self.index))
        happened = "is too large" if self.exact == self.found else f"became {self.found}"
        return (
            f"batch {self.step + 1}, operation {self.number} ({self.what}): {self.count} of {self.of} "
            f"numbers, first at [{place}]: {self.exact} {happened}"
        )


@dataclass
class _Pending:
    """The sums of the shares that were shown so far."""

    operands: list[Ring]
    result: Ring
    seen: int


class Shadow:
    """Collects the holders' shares of every operation and checks it when all are there.

    Args:
        holders: how many there are.
        width: of the ring; a number must stay below 2^(width - 2) in magnitude, as truncation needs.

    Attributes:
        checked: numbers that were recomputed.
        overflows: what was found, in order.
    """

    def __init__(self, holders: int, width: Width) -> None:
        self.checked = 0
        self.overflows: list[Overflow] = []
        self._holders = holders
        self._width = width
        self._pending: dict[tuple[int, int], _Pending] = {}

    def sentences(self) -> list[str]:
        """What it found: how much was recomputed, then the first overflows."""
        found, limit = len(self.overflows), f"2^{self._width - 2}"
        numbers = f"{self.checked:,} numbers recomputed in big integers"
        if not found:
            return [f"{numbers}: none reached {limit}, and all were right"]
        more = [f"and {found - _MOST_TOLD:,} more operations"] if found > _MOST_TOLD else []
        return [
            f"{numbers}: {found:,} operations have a number that reached {limit} or is wrong",
            *map(str, self.overflows[:_MOST_TOLD]),
            *more,
        ]

    def see(
        self,
        step: int,
        number: int,
        what: str,
        operands: Sequence[Ring],
        result: Ring,
        exact: Exact,
        *,
        slack: int = 0,
    ) -> None:
        """Is shown one holder's shares of one operation.

        Args:
            step: number of the batch.
            number: of the operation within the batch, from 1, the same at all holders.
            what: its name.
            operands: the holder's shares of what goes in.
            result: its share of what comes out.
            exact: recomputes it from the operands' values.
            slack: by how many units the result may exceed the exact one.
        """
        sums = self._pending.get((step, number))
        if sums is None:
            sums = self._pending[step, number] = _Pending([x.copy() for x in operands], result.copy(), 0)
        else:
            sums.operands = [x + y for x, y in zip(sums.operands, operands, strict=True)]
            sums.result = sums.result + result
        sums.seen += 1
        if sums.seen == self._holders:
            del self._pending[step, number]
            self._check(step, number, what, sums, exact, slack)

    def _check(self, step: int, number: int, what: str, sums: _Pending, exact: Exact, slack: int) -> None:
        expected = exact(*(signed(x, self._width).astype(object) for x in sums.operands))
        found = signed(sums.result, self._width).astype(object)
        off = found - expected
        limit = 1 << (self._width - 2)
        wrong = (off < 0) | (off > slack) | (expected >= limit) | (expected < -limit)
        self.checked += found.size
        if not wrong.any():
            return
        index = tuple(int(i) for i in np.argwhere(wrong)[0])
        self.overflows.append(
            Overflow(
                step,
                what,
                number,
                int(wrong.sum()),
                found.size,
                index,
                int(expected[index]),
                int(found[index]),
            )
        )
