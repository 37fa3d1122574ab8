"""Triples that the holders make among themselves, without a dealer. MODELLED, as far as the making goes.

The holders exchange messages of the size that oblivious transfer or homomorphic encryption would take and are
charged for its operations (`p2n2sim.mpc.offline`), but there is nothing in the messages. The values are made
as a dealer makes them and handed over inside the simulation when the modelled exchange is done. Nothing else
of a run is affected.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from p2n2sim.messages import Ring, TripleAnswer, TripleOpening, TripleSetup
from p2n2sim.mpc import offline
from p2n2sim.mpc.beaver import Masks
from p2n2sim.net.cpu import Cost
from p2n2sim.net.endpoint import Endpoint
from p2n2sim.net.handover import Handover
from p2n2sim.parties.layer import FirstLayer
from p2n2sim.parties.triples.sources import expand_masks, expand_row_masks

_Modelled = TypeVar("_Modelled", TripleSetup, TripleOpening, TripleAnswer)

MODELLED = "generate triple (modelled)"
"""What the timeline calls the work of the modelled offline phase."""

_BLOCK = 1 << 30  # bytes of the largest modelled message; larger ones are sent in blocks


@dataclass(frozen=True, slots=True)
class Exchange:
    """What each of two holders sends to the other, and computes for it, both ways at the same time.

    Attributes:
        sizes: bytes of its messages, one for each round.
        cost: operations.
    """

    sizes: tuple[int, ...]
    cost: Cost


class Generated:
    """A holder's source: see the file's docstring.

    `generate` runs beside the batches on a processor of its own. It is told of every batch that begins and
    stays at most ``ahead`` batches in front of it.

    Args:
        me: the holder's plug.
        aside: its second plug.
        layer: the first layer.
        kind: ``ot`` or ``he``.
        paillier_bits: of the modulus with ``he``.
        key: 16 bytes that make this holder's streams of U and V.
        products: for every batch in order m, and what makes this holder's Z_j (m, n).
        first: number of the first batch.
        ahead: by how many batches it runs ahead at most.
    """

    def __init__(
        self,
        me: Endpoint,
        aside: Endpoint,
        layer: FirstLayer,
        *,
        kind: Literal["ot", "he"],
        paillier_bits: int,
        key: bytes,
        products: Iterable[tuple[int, Callable[[], Ring]]],
        first: int = 0,
        ahead: int,
    ) -> None:
        self._me = me
        self._aside = aside
        self._layer = layer
        self._kind = kind
        self._bits = paillier_bits
        self._key = key
        self._products = enumerate(products, first)
        self._others = [name for name in layer.holders if name != me.name]
        self._allowed = Handover(me, *[None] * ahead)
        self._made: Handover[Ring] = Handover(me)

    async def generate(self) -> None:
        """The whole offline phase of this holder, beside its batches.

        What a batch costs is charged in one piece between the two messages of its exchange.
        """
        k, n, others = self._layer.features, self._layer.units, len(self._others)
        setup = setup_exchange(self._kind, self._bits)
        await self._aside.compute(lambda: None, others * setup.cost, label=MODELLED)
        for size in setup.sizes:
            await self._swap(TripleSetup, -1, size)
        for step, (m, make) in self._products:
            await self._allowed.take(self._aside)
            exchange = triple_exchange(self._kind, m, k, n, self._bits)
            opening, answer = exchange.sizes
            await self._swap(TripleOpening, step, opening)
            own = Cost(ring_madds=m * k * n, messages=4 * others)  # U_i V_i is local
            Z = await self._aside.compute(make, others * exchange.cost + own, label=MODELLED)
            await self._swap(TripleAnswer, step, answer)
            self._made.give(self._aside, Z)

    async def _swap(self, kind: type[_Modelled], step: int, size: int) -> None:
        """Sends every other holder a message of a size and waits for theirs; all are of the same size."""
        blocks = modelled_blocks(size)
        for other in self._others:
            for block in blocks:
                self._aside.send(other, kind(step, block))
        for other in self._others:
            for _ in blocks:
                await self._aside.recv(other, kind)

    async def prepare(self) -> None:
        """Nothing to wait for: the offline phase has begun by itself."""

    async def row_masks(self, train: int, test: int) -> tuple[Ring, Ring]:
        """This holder's own random choice, (train, k) and (test, k)."""
        return await expand_row_masks(self._me, self._key, train, test, self._layer.features)

    def begin(self, step: int) -> None:
        """The offline phase may go on by a batch."""
        self._allowed.give(self._me, None)

    async def masks(self, step: int, rows: int) -> Masks:
        """This holder's own random choice, (rows, k) and (k, n)."""
        return await expand_masks(self._me, self._key, step, rows, self._layer)

    async def product(self, step: int, rows: int) -> Ring:
        """What the offline phase has made, (rows, n)."""
        return await self._made.take(self._me)


def modelled_blocks(size: int) -> list[NDArray[np.uint8]]:
    """Modelled bytes, which take no memory, in messages of at most `_BLOCK`."""
    sizes = [_BLOCK] * (size // _BLOCK) + ([size % _BLOCK] if size % _BLOCK or not size else [])
    return [np.broadcast_to(np.uint8(0), (part,)) for part in sizes]


def setup_exchange(kind: Literal["ot", "he"], paillier_bits: int) -> Exchange:
    """What two holders exchange once: base transfers, or public keys."""
    if kind == "he":
        pair = offline.he_setup(paillier_bits)
        return Exchange((pair.to_second,), _cost(pair.first))
    pair = offline.ot_setup()
    point = offline.CURVE_POINT_BYTES  # the sender's one point, then the receiver's for each base transfer
    return Exchange((point, pair.to_second - point), _cost(pair.first))


def triple_exchange(kind: Literal["ot", "he"], m: int, k: int, n: int, paillier_bits: int) -> Exchange:
    """What two holders exchange for a triple of U (m, k) and V (k, n): both cross products at a time."""
    pair = offline.ot_triple(m, k, n) if kind == "ot" else offline.he_triple(m, k, n, paillier_bits)
    # Who holds the matrix with fewer elements begins: the first of a pair, if it is U.
    opening, answer = (pair.to_second, pair.to_first) if m <= n else (pair.to_first, pair.to_second)
    return Exchange((opening, answer), _cost(pair.both_ways().first))


def _cost(operations: Mapping[str, int]) -> Cost:
    """Named operations, those among them that a machine profile has a rate for by that rate."""
    counts = dict(operations)
    random_bytes, additions = counts.pop("random bytes", 0), counts.pop("ring add", 0)
    return Cost(random_bytes=random_bytes, moved_bytes=24 * additions, operations=counts)
