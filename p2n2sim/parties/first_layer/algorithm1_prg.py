"""Algorithm 1 with shares that are streams: a holder sends seeds once, and no share of its inputs ever.

Lines 1 to 6 of Algorithm 1 cost no message: j's shares of X_i and theta_i are streams that i and j both know
(see `p2n2sim.parties.seeds`). All else is as in `p2n2sim.parties.first_layer.algorithm1`, the server's side
too.

Per batch of m rows, k features and n units, each holder sends each other 8 (mk + kn) bytes of masked shares.
One round, then one to the server.
"""

from __future__ import annotations

from p2n2sim.messages import SERVER, Floats, Ring
from p2n2sim.mpc.prg import Purpose
from p2n2sim.net.endpoint import Endpoint
from p2n2sim.parties import seeds
from p2n2sim.parties.first_layer.algorithm1 import Algorithm1Holder, masked_elements
from p2n2sim.parties.layer import FirstLayer, SharedTheta, TripleSource
from p2n2sim.parties.noise import NO_NOISE, Noise
from p2n2sim.parties.seeds import Seeds

ROUNDS = 2
"""Masked shares, shares of h1."""


class Algorithm1PrgHolder(Algorithm1Holder):
    """A holder's side.

    Args:
        me: the holder's plug.
        layer: the first layer.
        triples: where its shares of the triples come from.
        seed: of all keys.
        threads: over how many threads a ring product may be split; changes no bit.
        noise: what it adds to its share of h1.
        weights: its share of theta, where that stays under sharing.
    """

    def __init__(
        self,
        me: Endpoint,
        layer: FirstLayer,
        triples: TripleSource,
        *,
        seed: int,
        threads: int = 1,
        noise: Noise = NO_NOISE,
        weights: SharedTheta | None = None,
    ) -> None:
        super().__init__(me, layer, triples, key=b"", threads=threads, noise=noise, weights=weights)
        self._seeds = Seeds(me, layer, seed)

    async def prepare(self, X_train: Floats, X_test: Floats) -> None:
        """The seeds of all shares, and what the triples need."""
        await self._seeds.exchange()
        await self._triples.prepare()

    async def _share_inputs(self, X: Floats, theta: Floats, step: int) -> tuple[Ring, Ring]:
        """Lines 1 to 6 without a message: this holder's shares of all of X, (m, k), and of theta, (k, n)."""
        layer = self._layer
        if self._weights is not None:
            return await self._share_features(X, step), self._weights.share
        return await self._me.compute(
            lambda: (
                self._seeds.share_of_features(X, step, Purpose.FEATURES),
                self._seeds.share_of_weights(theta, step, Purpose.WEIGHTS),
            ),
            self._seeds.cost((X.size, theta.size), (len(X) * layer.features, layer.features * layer.units)),
            label="share",
        )

    async def _share_features(self, X: Floats, step: int) -> Ring:
        return await self._me.compute(
            lambda: self._seeds.share_of_features(X, step, Purpose.FEATURES),
            self._seeds.cost((X.size,), (len(X) * self._layer.features,)),
            label="share",
        )


def payload_by_link(layer: FirstLayer, rows: int) -> dict[str, int]:
    """Payload bytes of one batch, by link, without its triple.

    Args:
        layer: the first layer.
        rows: m, rows of the batch.
    """
    masked = 8 * masked_elements(rows, layer.features, layer.units)  # line 7
    between = {f"{i}->{j}": masked for i in layer.holders for j in layer.holders if i != j}
    return between | {f"{holder}->{SERVER}": 8 * rows * layer.units for holder in layer.holders}


def setup_by_link(layer: FirstLayer, rows_train: int, rows_test: int) -> dict[str, int]:
    """Payload bytes before the first batch, by link, without the triples'."""
    return seeds.setup_by_link(layer)
