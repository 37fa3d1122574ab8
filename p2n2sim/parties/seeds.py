"""Shares that are pseudorandom streams: who knows the seed knows the share, and nothing is sent.

Holder i chooses a seed s_ij for every other holder j and sends it once. From then on j's share of anything
that i shares is the stream of s_ij, and i keeps the secret minus all these streams. To whoever lacks the seed
a stream is as good as uniform (AES-128 in counter mode, see `p2n2sim.mpc.prg`), so the shares are what they
were when they were sent.

Per pair and direction 16 bytes in one round, once.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from p2n2sim.messages import Floats, Ring, ShareSeed
from p2n2sim.mpc import fixed_point, prg
from p2n2sim.mpc.prg import KEY_BYTES, derive_key
from p2n2sim.net.cpu import Cost
from p2n2sim.net.endpoint import Endpoint
from p2n2sim.parties.layer import FirstLayer


class Seeds:
    """One holder's seeds with all others.

    Args:
        me: the holder's plug.
        layer: the first layer.
        seed: of all keys.
    """

    def __init__(self, me: Endpoint, layer: FirstLayer, seed: int) -> None:
        self._me = me
        self._layer = layer
        self._given = {
            other: derive_key(seed, "shares", me.name, other) for other in layer.holders if other != me.name
        }
        self._taken: dict[str, bytes] = {}

    async def exchange(self) -> None:
        """Sends every other holder its seed and learns theirs."""
        for other, key in self._given.items():
            self._me.send(other, ShareSeed(-1, np.frombuffer(key, np.uint8)))
        for other in self._given:
            self._taken[other] = (await self._me.recv(other, ShareSeed)).seed.tobytes()

    def share_of_features(self, X: Floats, step: int, purpose: int) -> Ring:
        """This holder's share of all columns.

        Args:
            X: its own columns, (m, k_i) float32.
            step: step of the streams; a (purpose, step) may share one X only.
            purpose: purpose of the streams.

        Returns:
            X_j, int64 (m, k).

        Raises:
            FixedPointError: a number that the ring cannot hold.
        """
        layer, rows = self._layer, len(X)
        X_j = np.empty((rows, layer.features), np.int64)
        X_j[:, layer.columns(self._me.name)] = self._keep(X, step, purpose)
        for other, key in self._taken.items():
            columns = layer.columns(other)
            X_j[:, columns] = prg.uniform(key, step, (rows, columns.stop - columns.start), purpose=purpose)
        return X_j

    def share_of_weights(self, theta: Floats, step: int, purpose: int) -> Ring:
        """This holder's share of all rows of theta, (k, n); as `share_of_features`, from its (k_i, n)."""
        layer, units = self._layer, theta.shape[1]
        theta_j = np.empty((layer.features, units), np.int64)
        theta_j[layer.columns(self._me.name)] = self._keep(theta, step, purpose)
        for other, key in self._taken.items():
            rows = theta_j[layer.columns(other)]
            prg.uniform(key, step, rows.shape, purpose=purpose, out=rows)
        return theta_j

    def share_of(
        self, owner: str, encoded: Ring | None, shape: tuple[int, ...], step: int, purpose: int
    ) -> Ring:
        """This holder's share of anything that somebody owns.

        Args:
            owner: who.
            encoded: at the owner the value, which is overwritten; None elsewhere.
            shape: of the value.
            step: step of the streams; a (purpose, step) of one owner may share one value only.
            purpose: purpose of the streams.
        """
        if owner != self._me.name:
            return prg.uniform(self._taken[owner], step, shape, purpose=purpose)
        assert encoded is not None  # the owner has it
        return self._rest(encoded, step, purpose)

    def _keep(self, values: Floats, step: int, purpose: int) -> Ring:
        """What the owner keeps of float32 values."""
        return self._rest(fixed_point.encode(values, self._layer.fractional_bits), step, purpose)

    def _rest(self, own: Ring, step: int, purpose: int) -> Ring:
        """What the owner keeps: the value minus the others' shares, in its place."""
        share = np.empty_like(own)
        for key in self._given.values():
            prg.uniform(key, step, own.shape, purpose=purpose, out=share)
            np.subtract(own, share, out=own)
        return own

    def cost(self, own: Iterable[int], all_of: Iterable[int]) -> Cost:
        """Of sharing matrices: the elements of this holder's part of each, and of the whole of each."""
        mine, others = sum(own), len(self._given)
        streams = others * mine + sum(all_of) - mine
        return Cost(random_bytes=8 * streams, moved_bytes=24 * others * mine)


def setup_by_link(layer: FirstLayer) -> dict[str, int]:
    """Payload bytes of the seeds, by link."""
    return {f"{i}->{j}": KEY_BYTES for i in layer.holders for j in layer.holders if i != j}
