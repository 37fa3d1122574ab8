"""Algorithm 1: the holders compute the first layer's product under secret sharing.

Written for n >= 2 holders; with two, holder A is party 1 and holder B is party 2 of the paper. The
paper's line 7, the two cross products by secret-shared multiplication, and the sums of lines 5, 6, 8
and 9 are one Beaver product here (see `p2n2sim.mpc.beaver`): the shares stay bit-identical and the
messages are the same. Line 9 of the paper writes A's share where B's is meant.

Per batch of m rows, k features and n units, each holder sends each other one share of its inputs and
8 (mk + kn) bytes of masked shares. Two rounds, then one to the server. The triples come from a source of
their own (`p2n2sim.parties.triples.sources`).

Where theta stays under sharing for the whole training (`p2n2sim.parties.perturbation.shares`), the holders
have their shares of it already and send those of X alone.
"""

from __future__ import annotations

import numpy as np

from p2n2sim.messages import (
    SERVER,
    FeatureShare,
    Floats,
    HiddenShare,
    InputShare,
    MaskedShare,
    Ring,
)
from p2n2sim.mpc import beaver, fixed_point, sharing
from p2n2sim.mpc.prg import Purpose
from p2n2sim.net.cpu import Cost
from p2n2sim.net.endpoint import Endpoint
from p2n2sim.parties.layer import FirstLayer, SharedTheta, TripleSource
from p2n2sim.parties.noise import NO_NOISE, Noise

ROUNDS = 3
"""Inputs, masked shares, shares of h1."""


class Algorithm1Holder:
    """A holder's side of Algorithm 1.

    Args:
        me: the holder's plug.
        layer: the first layer.
        triples: where its shares of the triples come from.
        key: 16 bytes known to this holder alone, for the shares of its own inputs.
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
        key: bytes,
        threads: int = 1,
        noise: Noise = NO_NOISE,
        weights: SharedTheta | None = None,
    ) -> None:
        self._me = me
        self._layer = layer
        self._triples = triples
        self._key = key
        self._threads = threads
        self._noise = noise
        self._weights = weights
        self._others = [name for name in layer.holders if name != me.name]

    async def prepare(self, X_train: Floats, X_test: Floats) -> None:
        """Nothing but what the triples need."""
        await self._triples.prepare()

    async def forward(self, X: Floats, theta: Floats, step: int) -> None:
        """One batch: at the end this holder's share of h1 = X theta is on its way to the server.

        Args:
            X: this holder's columns of the batch, (m, k_i) float32.
            theta: its rows of the first layer's weights, (k_i, n) float32; not looked at where theta stays
                under sharing.
            step: number of the batch.
        """
        self._triples.begin(step)
        X_j, theta_j = await self._share_inputs(X, theta, step)  # (m, k), (k, n)
        masks = await self._triples.masks(step, len(X))
        E, F = await self._open(X_j, theta_j, masks, step)  # (m, k), (k, n)
        triple = beaver.Triple(masks.U, masks.V, await self._triples.product(step, len(X)))
        # Lines 5 to 9: X_j F + E V_j + Z_j = <X>_j <theta>_j + <X_1 theta_2>_j + <X_2 theta_1>_j
        h1_j = await self._me.compute(
            lambda: self._noise.on_share(
                beaver.product_share(X_j, E, F, triple, threads=self._threads),
                step,
                self._layer.hidden_bits,
            ),
            self._product_cost(len(X)) + self._noise.cost(len(X) * self._layer.units),
            label="multiply",
        )
        self._me.send(SERVER, HiddenShare(step, h1_j))  # line 10

    async def _share_inputs(self, X: Floats, theta: Floats, step: int) -> tuple[Ring, Ring]:
        """Lines 1 to 6: this holder's shares of all of X, (m, k), and of all of theta, (k, n)."""
        if self._weights is not None:
            return await self._share_features(X, step), self._weights.share
        layer, me = self._layer, self._me
        own = layer.holders.index(me.name)
        X_shares, theta_shares = await me.compute(
            lambda: (self._split(X, step, Purpose.FEATURES), self._split(theta, step, Purpose.WEIGHTS)),
            self._split_cost(X.size + theta.size),
            label="share",
        )  # lines 1 and 2
        for j, other in enumerate(layer.holders):
            if other != me.name:
                me.send(other, InputShare(step, X_shares[j], theta_shares[j]))  # lines 3 and 4
        X_j = np.empty((len(X), layer.features), np.int64)
        theta_j = np.empty((layer.features, layer.units), np.int64)
        X_j[:, layer.columns(me.name)] = X_shares[own]
        theta_j[layer.columns(me.name)] = theta_shares[own]
        for other in self._others:
            share = await me.recv(other, InputShare)
            X_j[:, layer.columns(other)] = share.X  # lines 5 and 6: concatenation
            theta_j[layer.columns(other)] = share.theta
        return X_j, theta_j

    async def _share_features(self, X: Floats, step: int) -> Ring:
        """Lines 1, 3 and 5 alone: this holder's share of all of X, (m, k)."""
        layer, me = self._layer, self._me
        X_shares = await me.compute(
            lambda: self._split(X, step, Purpose.FEATURES), self._split_cost(X.size), label="share"
        )
        X_j = np.empty((len(X), layer.features), np.int64)
        for name, share in zip(layer.holders, X_shares, strict=True):
            if name == me.name:
                X_j[:, layer.columns(name)] = share
            else:
                me.send(name, FeatureShare(step, share))
        for other in self._others:
            X_j[:, layer.columns(other)] = (await me.recv(other, FeatureShare)).X
        return X_j

    def _split(self, values: Floats, step: int, purpose: int) -> list[Ring]:
        encoded = fixed_point.encode(values, self._layer.fractional_bits)
        return sharing.split(encoded, len(self._layer.holders), self._key, step, purpose=purpose)

    async def _open(self, X_j: Ring, theta_j: Ring, masks: beaver.Masks, step: int) -> tuple[Ring, Ring]:
        """Line 7: opens E = X - U (m, k) and F = theta - V (k, n)."""
        me = self._me
        elements = X_j.size + theta_j.size
        E_j, F_j = await me.compute(
            lambda: beaver.mask(X_j, theta_j, masks), Cost(moved_bytes=24 * elements), label="mask"
        )
        for other in self._others:
            me.send(other, MaskedShare(step, E_j, F_j))
        received = [await me.recv(other, MaskedShare) for other in self._others]
        return await me.compute(
            lambda: (
                sharing.reconstruct([E_j, *(share.E for share in received)]),
                sharing.reconstruct([F_j, *(share.F for share in received)]),
            ),
            Cost(moved_bytes=24 * elements * len(received), messages=2 * len(received)),
            label="open",
        )

    def _split_cost(self, elements: int) -> Cost:
        others = len(self._others)
        return Cost(
            random_bytes=8 * others * elements, moved_bytes=24 * others * elements, messages=2 * others
        )

    def _product_cost(self, rows: int) -> Cost:
        """Operations as the algorithm is printed."""
        return Cost(ring_madds=ring_madds(self._layer, rows), messages=1)


class Algorithm1Server:
    """The server's side: it adds the shares of h1 and decodes the sum.

    Args:
        me: the server's plug.
        layer: the first layer.
    """

    def __init__(self, me: Endpoint, layer: FirstLayer) -> None:
        self._me = me
        self._layer = layer

    async def prepare(self) -> None:
        """Nothing has to be agreed with the server."""

    async def receive(self) -> Floats:
        """h1 of the next batch, (m, n) float32."""
        shares = [(await self._me.recv(holder, HiddenShare)).h1 for holder in self._layer.holders]
        return await self._me.compute(
            lambda: fixed_point.decode(sharing.reconstruct(shares), self._layer.hidden_bits),
            Cost(moved_bytes=24 * len(shares) * shares[0].size, messages=len(shares)),
            label="reconstruct h1",
        )


def ring_madds(layer: FirstLayer, rows: int) -> int:
    """Ring multiply-adds of a holder in one batch, as the algorithm is printed.

    Its own product, and its part in two crosswise; with more than two holders those are with the sum of the
    others' shares. (What is really computed are two products, see `p2n2sim.mpc.beaver`.)

    Args:
        layer: the first layer.
        rows: m, rows of the batch.
    """
    return 3 * rows * layer.features * layer.units


def payload_by_link(layer: FirstLayer, rows: int) -> dict[str, int]:
    """Payload bytes of one batch of Algorithm 1, by link, without its triple.

    Args:
        layer: the first layer.
        rows: m, rows of the batch.
    """
    out = {}
    for holder, width in zip(layer.holders, layer.widths, strict=True):
        inputs = rows * width + (width * layer.units if layer.weight_bits is None else 0)  # lines 3 and 4
        masked = masked_elements(rows, layer.features, layer.units)  # line 7
        for other in layer.holders:
            if other != holder:
                out[f"{holder}->{other}"] = 8 * (inputs + masked)
        out[f"{holder}->{SERVER}"] = 8 * rows * layer.units  # Algorithm 2 line 4
    return out


def masked_elements(rows: int, features: int, units: int) -> int:
    """Ring elements of the masked shares that a holder sends to each other, E and F."""
    return rows * features + features * units
