"""Where a holder's shares of the triples come from: a dealer, or the holders among themselves.

- `Compressed`: the dealer's key once; streams, and one matrix for the last holder.
- `Full`: the dealer sends every share.
- `p2n2sim.parties.triples.generated`: no dealer; modelled.

In all of them the offline phase runs ahead of the online phase by at most a number of batches.
"""

from __future__ import annotations

from functools import partial
from typing import Literal

from p2n2sim.messages import (
    DEALER,
    DealerKey,
    Ring,
    RowMaskShare,
    TripleCorrection,
    TripleRequest,
    TripleShare,
)
from p2n2sim.mpc import beaver
from p2n2sim.mpc.beaver import Masks
from p2n2sim.net.cpu import Cost
from p2n2sim.net.endpoint import Endpoint
from p2n2sim.parties.layer import FirstLayer
from p2n2sim.parties.schedule import Schedule

Triples = Literal["dealer", "dealer-full", "ot", "he"]


class Compressed:
    """From a dealer that compresses: the last holder asks for the corrections and receives them.

    Args:
        me: the holder's plug.
        layer: the first layer.
        schedule: the agreed batches.
        ahead: by how many batches the dealer is asked in advance.
    """

    def __init__(self, me: Endpoint, layer: FirstLayer, *, schedule: Schedule, ahead: int) -> None:
        self._me = me
        self._layer = layer
        self._requests = _Requests(me, layer, schedule, ahead)
        self._key = b""

    async def prepare(self) -> None:
        """Learns from the dealer the key of the triples' streams."""
        self._key = (await self._me.recv(DEALER, DealerKey)).key.tobytes()
        self._requests.begin()

    async def row_masks(self, train: int, test: int) -> tuple[Ring, Ring]:
        """Streams, (train, k) and (test, k)."""
        return await expand_row_masks(self._me, self._key, train, test, self._layer.features)

    def begin(self, step: int) -> None:
        """The last holder asks for the next correction."""
        self._requests.ask(step)

    async def masks(self, step: int, rows: int) -> Masks:
        """Streams, (rows, k) and (k, n)."""
        return await expand_masks(self._me, self._key, step, rows, self._layer)

    async def product(self, step: int, rows: int) -> Ring:
        """A stream, (rows, n), or at the last holder the dealer's correction."""
        if self._me.name == self._layer.holders[-1]:
            return (await self._me.recv(DEALER, TripleCorrection)).Z
        return await self._me.compute(
            partial(beaver.product_stream, self._key, step, rows, self._layer.units),
            Cost(random_bytes=8 * rows * self._layer.units),
            label="expand triple",
        )


class Full:
    """From a dealer that sends every share as it is; arguments as for `Compressed`."""

    def __init__(self, me: Endpoint, layer: FirstLayer, *, schedule: Schedule, ahead: int) -> None:
        self._me = me
        self._requests = _Requests(me, layer, schedule, ahead)
        self._Z: Ring | None = None

    async def prepare(self) -> None:
        """The last holder asks for the first triples."""
        self._requests.begin()

    async def row_masks(self, train: int, test: int) -> tuple[Ring, Ring]:
        """What the dealer sends at the start, (train, k) and (test, k)."""
        share = await self._me.recv(DEALER, RowMaskShare)
        return share.train, share.test

    def begin(self, step: int) -> None:
        """The last holder asks for the next triple, for all."""
        self._requests.ask(step)

    async def masks(self, step: int, rows: int) -> Masks:
        """What the dealer sent, (rows, k) and (k, n)."""
        share = await self._me.recv(DEALER, TripleShare)
        self._Z = share.Z
        return Masks(share.U, share.V)

    async def product(self, step: int, rows: int) -> Ring:
        """What came with the masks, (rows, n)."""
        assert self._Z is not None  # the masks are asked for first
        return self._Z


class _Requests:
    """The last holder tells the dealer how far it has come: an empty message a batch, for all holders.

    Args:
        me: a holder's plug; the others say nothing.
        layer: the first layer.
        schedule: the agreed batches.
        ahead: by how many batches the dealer is asked in advance.
    """

    def __init__(self, me: Endpoint, layer: FirstLayer, schedule: Schedule, ahead: int) -> None:
        self._me = me
        self._first = schedule.first
        self._end = schedule.end if me.name == layer.holders[-1] else 0
        self._ahead = ahead

    def begin(self) -> None:
        """Before the first batch: the triples that may be made at once."""
        for step in range(self._first - self._ahead, self._first):
            self.ask(step)

    def ask(self, step: int) -> None:
        """A batch begins: the triple that may be made from now on."""
        if step + self._ahead < self._end:
            self._me.send(DEALER, TripleRequest(step + self._ahead))


async def expand_row_masks(me: Endpoint, key: bytes, train: int, test: int, k: int) -> tuple[Ring, Ring]:
    """A holder's shares of U for all rows from the streams of its key, charged to it."""
    return await me.compute(
        partial(beaver.row_masks, key, train, test, k),
        Cost(random_bytes=8 * (train + test) * k),
        label="expand triple",
    )


async def expand_masks(me: Endpoint, key: bytes, step: int, rows: int, layer: FirstLayer) -> Masks:
    """A batch's U_j (rows, k) and V_j (k, n) from the streams of a holder's key, charged to it."""
    k, n = layer.features, layer.units
    return await me.compute(
        partial(beaver.expand_masks, key, step, rows, k, n),
        Cost(random_bytes=8 * (rows * k + k * n)),
        label="expand triple",
    )
