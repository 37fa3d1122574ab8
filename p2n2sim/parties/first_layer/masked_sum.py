"""Masked sum: every holder computes X_i theta_i by itself and hides it under masks that cancel in the sum.

Holder i owns X_i and theta_i, so its summand of h1 is local. For every pair i < j both derive the same stream
from a secret that they agreed on; i adds it to its summand and j subtracts it:

    i sends    encode(X_i theta_i) + sum_{j > i} mask_ij - sum_{j < i} mask_ji.

The server learns h1 and nothing else, as long as two holders keep their masks to themselves. There is no
dealer and no triple. The server's side is Algorithm 1's: the summands have twice the fractional bits.

Once, each holder sends each other a public key of 32 bytes. Per batch of m rows and n units each holder sends
the server 8 mn bytes, in one round.

Sources: Bonawitz et al., "Practical secure aggregation for privacy-preserving machine learning", CCS 2017,
section 4, without its recovery from drop-outs; the agreement is X25519, RFC 7748.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from p2n2sim.messages import SERVER, Floats, HiddenShare, PublicKey, Ring
from p2n2sim.mpc import fixed_point, prg
from p2n2sim.mpc.prg import KEY_BYTES, Purpose, derive_key
from p2n2sim.net.cpu import Cost
from p2n2sim.net.endpoint import Endpoint
from p2n2sim.nn.training import product
from p2n2sim.parties.layer import FirstLayer
from p2n2sim.parties.noise import NO_NOISE, Noise

ROUNDS = 1
"""The masked summands."""

PUBLIC_KEY_BYTES = 32
AGREE = "x25519"
"""The operation that is counted by name: one multiplication on the curve."""


class MaskedSumHolder:
    """A holder's side.

    Args:
        me: the holder's plug.
        layer: the first layer.
        seed: of all keys.
        noise: what it adds to its summand.
    """

    def __init__(self, me: Endpoint, layer: FirstLayer, *, seed: int, noise: Noise = NO_NOISE) -> None:
        self._noise = noise
        self._me = me
        self._layer = layer
        self._private = X25519PrivateKey.from_private_bytes(
            derive_key(seed, "agreement", me.name, 0) + derive_key(seed, "agreement", me.name, 1)
        )
        own = layer.holders.index(me.name)
        self._before, self._after = layer.holders[:own], layer.holders[own + 1 :]
        self._keys: dict[str, bytes] = {}

    async def prepare(self, X_train: Floats, X_test: Floats) -> None:
        """Agrees on a key with every other holder."""
        me, others = self._me, (*self._before, *self._after)
        own = PublicKey(
            -1,
            await me.compute(
                lambda: np.frombuffer(self._private.public_key().public_bytes_raw(), np.uint8),
                Cost(operations={AGREE: 1}),
                label="agree on keys",
            ),
        )
        for other in others:
            me.send(other, own)
        theirs = {other: (await me.recv(other, PublicKey)).key.tobytes() for other in others}
        self._keys = await me.compute(
            lambda: self._agree(theirs),
            Cost(operations={AGREE: len(others)}, messages=2 * len(others)),
            label="agree on keys",
        )

    def _agree(self, public: Mapping[str, bytes]) -> dict[str, bytes]:
        """The keys of the pairs' streams, from the others' public keys."""
        own = self._me.name
        pairs = {j: (j, own) for j in self._before} | {j: (own, j) for j in self._after}
        return {
            j: pair_key(self._private.exchange(X25519PublicKey.from_public_bytes(public[j])), *pair)
            for j, pair in pairs.items()
        }

    async def forward(self, X: Floats, theta: Floats, step: int) -> None:
        """One batch: sends the masked summand X_i theta_i, (m, k_i) by (k_i, n), to the server."""
        others = len(self._keys)
        elements = len(X) * self._layer.units
        hidden = await self._me.compute(
            lambda: self._mask(product(X, theta), step),
            Cost(
                flops=2 * X.size * theta.shape[1],
                random_bytes=8 * others * elements,
                moved_bytes=(12 + 24 * others) * elements,
                messages=1,
            )
            + self._noise.cost(elements),
            label="multiply and mask",
        )
        self._me.send(SERVER, HiddenShare(step, hidden))

    def _mask(self, part: Floats, step: int) -> Ring:
        """The encoded summand plus the masks with all later holders, minus those with all earlier ones."""
        bits = self._layer.hidden_bits  # as a product of two encodings
        total = self._noise.on_share(fixed_point.encode(part, bits), step, bits)
        mask = np.empty_like(total)
        for other in self._after:
            total += prg.uniform(self._keys[other], step, total.shape, purpose=Purpose.PAIR_MASK, out=mask)
        for other in self._before:
            total -= prg.uniform(self._keys[other], step, total.shape, purpose=Purpose.PAIR_MASK, out=mask)
        return total


def pair_key(secret: bytes, first: str, second: str) -> bytes:
    """The key of a pair's stream, 16 bytes: the hash of the agreed secret and of both names."""
    digest = hashlib.sha256(b"p2n2sim pair mask 1" + secret)
    for name in (first, second):
        digest.update(len(name.encode()).to_bytes(8, "big") + name.encode())
    return digest.digest()[:KEY_BYTES]


def payload_by_link(layer: FirstLayer, rows: int) -> dict[str, int]:
    """Payload bytes of one batch, by link.

    Args:
        layer: the first layer.
        rows: m, rows of the batch.
    """
    return {f"{holder}->{SERVER}": 8 * rows * layer.units for holder in layer.holders}


def setup_by_link(layer: FirstLayer, rows_train: int, rows_test: int) -> dict[str, int]:
    """Payload bytes before the first batch, by link: the public keys."""
    return {f"{i}->{j}": PUBLIC_KEY_BYTES for i in layer.holders for j in layer.holders if i != j}
