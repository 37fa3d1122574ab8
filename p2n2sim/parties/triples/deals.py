"""The triples of a run, as whoever knows all holders' keys makes them: one deal for every batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from p2n2sim.messages import Ring
from p2n2sim.mpc import beaver
from p2n2sim.mpc.beaver import Triple
from p2n2sim.net.cpu import Cost
from p2n2sim.parties.layer import FirstLayer
from p2n2sim.parties.schedule import Batch, Schedule


@dataclass(frozen=True, slots=True)
class Deal:
    """One batch's triple, not made yet.

    Attributes:
        step: number of the batch.
        correction: makes the last holder's Z, (m, n), the one matrix that no stream gives.
        shares: makes every holder's share; its U has no rows where U was made for all rows at the start.
        cost: of the correction, of which making all shares is a part.
    """

    step: int
    correction: Callable[[], Ring]
    shares: Callable[[], list[Triple]]
    cost: Cost


def fresh(keys: Sequence[bytes], layer: FirstLayer, schedule: Schedule, threads: int) -> Iterator[Deal]:
    """Triples whose masks are all new in every batch.

    Args:
        keys: for every holder, the 16 bytes that make its streams of U, V and Z.
        layer: the first layer.
        schedule: the agreed batches.
        threads: over how many threads a product may be split; changes no bit.
    """
    for batch in schedule:
        m, k, n = len(batch.rows), layer.features, layer.units
        correction = partial(beaver.correction, keys, batch.step, m, k, n, threads=threads)
        yield Deal(
            batch.step,
            correction,
            partial(_shares, keys, batch.step, (m, m, k, n), correction),
            _cost(len(keys), m, k, n),
        )


def _cost(holders: int, m: int, k: int, n: int) -> Cost:
    """Operations as Algorithm 1 is printed: for every holder one product of its U_j and the others' V."""
    elements = m * k + k * n
    return Cost(
        ring_madds=holders * m * k * n,
        random_bytes=8 * (holders * elements + (holders - 1) * m * n),
        moved_bytes=24 * holders * elements,
        messages=2,
    )


def rows_once(keys: Sequence[bytes], layer: FirstLayer, schedule: Schedule, threads: int) -> Iterator[Deal]:
    """Triples whose U is made for all rows at the start; arguments as for `fresh`.

    The masks are summed up when the first correction is made, which therefore costs more than the others.
    """
    k, n, holders = layer.features, layer.units, len(keys)
    masks = _RowMasks(keys, schedule.rows_train, schedule.rows_test, k)
    for batch in schedule:
        m, step = len(batch.rows), batch.step
        rows = 0 if step > schedule.first else schedule.rows_train + schedule.rows_test
        correction = partial(_correction_of_rows, keys, batch, masks, n, threads)
        yield Deal(
            step,
            correction,
            partial(_shares, keys, step, (0, m, k, n), correction),
            Cost(
                ring_madds=m * k * n,
                random_bytes=8 * holders * (rows * k + k * n) + 8 * (holders - 1) * m * n,
                moved_bytes=24 * (holders * (rows * k + k * n + m * n) + m * k),
                messages=2,
            ),
        )


class _RowMasks:
    """U for all rows, summed over the holders when it is first asked for.

    Args:
        keys: of all holders.
        train: rows that are trained on.
        test: rows that are tested on.
        k: columns.
    """

    def __init__(self, keys: Sequence[bytes], train: int, test: int, k: int) -> None:
        self._keys = keys
        self._shape = train, test, k
        self._sum: tuple[Ring, Ring] | None = None

    def rows(self, batch: Batch) -> Ring:
        """U of a batch, (m, k)."""
        if self._sum is None:
            first, *others = self._keys
            self._sum = beaver.row_masks(first, *self._shape)
            for key in others:
                for total, part in zip(self._sum, beaver.row_masks(key, *self._shape), strict=True):
                    np.add(total, part, out=total)
        return np.take(self._sum[0 if batch.stage == "train" else 1], batch.rows, axis=0)


def _correction_of_rows(keys: Sequence[bytes], batch: Batch, masks: _RowMasks, n: int, threads: int) -> Ring:
    return beaver.correction_of_rows(keys, batch.step, masks.rows(batch), n, threads=threads)


def _shares(
    keys: Sequence[bytes], step: int, shape: tuple[int, int, int, int], correction: Callable[[], Ring]
) -> list[Triple]:
    """All holders' shares, with U of ``shape[0]`` rows and Z of ``shape[1]``."""
    rows_of_U, m, k, n = shape
    out = []
    for key in keys[:-1]:
        masks = beaver.expand_masks(key, step, rows_of_U, k, n)
        out.append(Triple(masks.U, masks.V, beaver.product_stream(key, step, m, n)))
    masks = beaver.expand_masks(keys[-1], step, rows_of_U, k, n)
    return [*out, Triple(masks.U, masks.V, correction())]
