"""Algorithm 1 with X masked once: its rows are the same in every epoch, so they are opened under a mask once.

The holders share all rows of X, those of the training and those of the test, at the start, and open
E = X - U for all of them. A batch takes its rows of X_j, E and U; what is new in it is theta alone. With a
fresh mask V of theta and a fresh sharing Z_j of U[rows] V, holder j's share is as in Algorithm 1

    X_j[rows] F + E[rows] V_j + Z_j,    F = theta - V opened.

U is never used with another X, so E tells nothing; V and Z are fresh in every batch. Shares are streams whose
seeds were sent once (`p2n2sim.parties.seeds`). The server's side is Algorithm 1's.

Once, each holder sends each other 8 k bytes for every row of the run and a seed of 16. Per batch of m rows, k
features and n units, it sends each other 8 kn bytes, whatever m is: one round, then one to the server.

Source: Mohassel and Zhang, "SecureML", IEEE S&P 2017, section 4.2: a matrix that occurs in several products
is masked by the same random matrix in all of them.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from p2n2sim.messages import SERVER, Floats, HiddenShare, MaskedRows, MaskedWeights, Ring
from p2n2sim.mpc import beaver, sharing
from p2n2sim.mpc.prg import Purpose
from p2n2sim.net.cpu import Cost
from p2n2sim.net.endpoint import Endpoint
from p2n2sim.parties import seeds
from p2n2sim.parties.layer import FirstLayer, SharedTheta, TripleSource
from p2n2sim.parties.noise import NO_NOISE, Noise
from p2n2sim.parties.schedule import Batch, Schedule
from p2n2sim.parties.seeds import Seeds

ROUNDS = 2
"""Masked weights, shares of h1."""


class MaskedOnceHolder:
    """A holder's side.

    Args:
        me: the holder's plug.
        layer: the first layer.
        triples: where its shares of U, and of V and Z of every batch, come from.
        schedule: which rows form which batch.
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
        schedule: Schedule,
        *,
        seed: int,
        threads: int = 1,
        noise: Noise = NO_NOISE,
        weights: SharedTheta | None = None,
    ) -> None:
        self._me = me
        self._layer = layer
        self._triples = triples
        self._batches: Iterator[Batch] = iter(schedule)
        self._seeds = Seeds(me, layer, seed)
        self._threads = threads
        self._noise = noise
        self._weights = weights
        self._others = [name for name in layer.holders if name != me.name]
        self._train = self._test = np.empty((0, 2 * layer.features), np.int64)  # X_j beside E

    async def prepare(self, X_train: Floats, X_test: Floats) -> None:
        """Shares all rows of X and opens them under their masks."""
        me = self._me
        await self._seeds.exchange()
        await self._triples.prepare()
        train, test = await self._share_rows(X_train, X_test)  # X_j, (rows, k)
        U_train, U_test = await self._triples.row_masks(len(train), len(test))
        size = train.size + test.size
        own = await me.compute(
            lambda: MaskedRows(-1, train - U_train, test - U_test), Cost(moved_bytes=24 * size), label="mask"
        )
        for other in self._others:
            me.send(other, own)
        opened = [own, *[await me.recv(other, MaskedRows) for other in self._others]]
        self._train, self._test = await me.compute(
            lambda: (
                _beside(train, [share.train for share in opened]),
                _beside(test, [share.test for share in opened]),
            ),
            Cost(moved_bytes=24 * size * len(opened), messages=2 * len(self._others)),
            label="open",
        )

    async def _share_rows(self, X_train: Floats, X_test: Floats) -> tuple[Ring, Ring]:
        """Lines 1 to 6 for all rows: this holder's shares of X, (rows, k) each."""
        rows = len(X_train) + len(X_test)
        return await self._me.compute(
            lambda: (
                self._seeds.share_of_features(X_train, 0, Purpose.ROWS_TRAIN),
                self._seeds.share_of_features(X_test, 0, Purpose.ROWS_TEST),
            ),
            self._seeds.cost((X_train.size, X_test.size), (rows * self._layer.features,)),
            label="share",
        )

    async def forward(self, X: Floats, theta: Floats, step: int) -> None:
        """One batch: at the end this holder's share of h1 = X theta is on its way to the server.

        Args:
            X: this holder's columns of the batch, (m, k_i) float32; they were shared at the start.
            theta: its rows of the first layer's weights, (k_i, n) float32; not looked at where theta stays
                under sharing.
            step: number of the batch.
        """
        me, layer = self._me, self._layer
        batch = next(self._batches)
        self._triples.begin(step)
        masks = await self._triples.masks(step, 0)
        F_j = await me.compute(
            lambda: self._share_of_weights(theta, step) - masks.V,
            self._share_cost(theta, masks.V.size) + Cost(moved_bytes=24 * masks.V.size),
            label="share",
        )  # (k, n)
        for other in self._others:
            me.send(other, MaskedWeights(step, F_j))
        received = [await me.recv(other, MaskedWeights) for other in self._others]
        F = await me.compute(
            lambda: sharing.reconstruct([F_j, *(share.F for share in received)]),
            Cost(moved_bytes=24 * F_j.size * len(received), messages=2 * len(received)),
            label="open",
        )  # (k, n)
        Z = await self._triples.product(step, len(X))  # (m, n)
        all_rows = self._train if batch.stage == "train" else self._test
        h1_j = await me.compute(
            lambda: self._noise.on_share(
                beaver.product_share_of_rows(
                    np.take(all_rows, batch.rows, axis=0), F, masks.V, Z, threads=self._threads
                ),
                step,
                layer.hidden_bits,
            ),
            Cost(
                ring_madds=ring_madds(layer, len(X)),
                moved_bytes=16 * len(X) * 2 * layer.features,
                messages=1,
            )
            + self._noise.cost(len(X) * layer.units),
            label="multiply",
        )
        me.send(SERVER, HiddenShare(step, h1_j))

    def _share_of_weights(self, theta: Floats, step: int) -> Ring:
        """This holder's share of all of theta, (k, n)."""
        if self._weights is not None:
            return self._weights.share
        return self._seeds.share_of_weights(theta, step, Purpose.WEIGHTS)

    def _share_cost(self, theta: Floats, all_of: int) -> Cost:
        return Cost() if self._weights is not None else self._seeds.cost((theta.size,), (all_of,))


def _beside(X_j: Ring, shares: list[Ring]) -> Ring:
    """[X_j | E], (rows, 2 k), where E is the sum of the shares that were opened."""
    both = np.empty((len(X_j), 2 * X_j.shape[1]), np.int64)
    both[:, : X_j.shape[1]] = X_j
    both[:, X_j.shape[1] :] = sharing.reconstruct(shares)
    return both


def ring_madds(layer: FirstLayer, rows: int) -> int:
    """Ring multiply-adds of a holder in one batch: X_j F and E V_j.

    Args:
        layer: the first layer.
        rows: m, rows of the batch.
    """
    return 2 * rows * layer.features * layer.units


def payload_by_link(layer: FirstLayer, rows: int) -> dict[str, int]:
    """Payload bytes of one batch, by link, without its triple; between holders it does not depend on rows.

    Args:
        layer: the first layer.
        rows: m, rows of the batch.
    """
    masked = 8 * layer.features * layer.units
    between = {f"{i}->{j}": masked for i in layer.holders for j in layer.holders if i != j}
    return between | {f"{holder}->{SERVER}": 8 * rows * layer.units for holder in layer.holders}


def setup_by_link(layer: FirstLayer, rows_train: int, rows_test: int) -> dict[str, int]:
    """Payload bytes before the first batch, by link, without the triples': seeds, and all rows masked."""
    masked = 8 * (rows_train + rows_test) * layer.features
    return {link: seed + masked for link, seed in seeds.setup_by_link(layer).items()}
