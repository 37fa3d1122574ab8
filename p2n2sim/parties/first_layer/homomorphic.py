"""Homomorphic first layer: encrypted partial sums travel from holder to holder, the server decrypts the last.

Holder i owns X_i and theta_i, so its summand of h1 is local. It is rounded to a multiple of 2^-f and
encrypted under the server's public key:

    holder 1 sends holder 2      Enc(X_1 theta_1)
    holder i sends holder i + 1  what it received + Enc(X_i theta_i)
    holder h sends the server    what it received + Enc(X_h theta_h) = Enc(h1)

The server decrypts the exact sum of the rounded summands. It must see nothing else: it could decrypt whatever
passes between two holders, so their links have to be private against it.

Once, the server sends each holder its public key. Per batch h messages of one size travel, one after the
other: ceil(mn / slots) ciphertexts each. The members of the family differ by the back end alone.

Source: SPNN (Zhou et al., arXiv 2012.09364) has a variant with a homomorphic first layer. The chain of any
number of holders, the packing and CKKS are this package's.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from p2n2sim.messages import SERVER, EncryptedHidden, EncryptedSum, Floats, HomomorphicKey, Ring
from p2n2sim.mpc import ckks, fixed_point, modelled, paillier
from p2n2sim.mpc.homomorphic import (
    Ciphertexts,
    CkksParameters,
    PaillierParameters,
    Parameters,
    PublicKey,
    SecretKey,
)
from p2n2sim.mpc.prg import Purpose, Stream
from p2n2sim.net.cpu import Cost
from p2n2sim.net.endpoint import Endpoint
from p2n2sim.nn.training import product
from p2n2sim.parties.layer import FirstLayer
from p2n2sim.parties.noise import NO_NOISE, Noise

ROUNDS = 2
"""The chain of two holders; each further one takes another round."""

VALUE_BITS = 40
"""A summand, in units of 2^-f, is below 2^40: with f = 20, X_i theta_i is below about a million."""


@dataclass(frozen=True, slots=True)
class Scheme:
    """A way to encrypt.

    Attributes:
        parameters: what the sizes and operation counts of a first layer follow from.
        generate: makes the key pair from parameters and a stream.
        public_key: reads the published key.
    """

    parameters: Callable[[FirstLayer], Parameters]
    generate: Callable[[Any, Stream], SecretKey]
    public_key: Callable[[Any, Ciphertexts], PublicKey]

    def of(self, crypto: Literal["real", "modelled"]) -> Scheme:
        """This scheme, or its model: the same sizes and costs, the values in the clear."""
        if crypto == "real":
            return self
        return Scheme(self.parameters, modelled.generate, modelled.PublicKey)


SCHEMES: Mapping[str, Scheme] = MappingProxyType(
    {
        "ckks": Scheme(
            lambda layer: CkksParameters(VALUE_BITS, len(layer.holders)), ckks.generate, ckks.PublicKey
        ),
        "paillier": Scheme(
            lambda layer: PaillierParameters(VALUE_BITS, len(layer.holders), layer.paillier_bits),
            paillier.generate,
            paillier.PublicKey,
        ),
    }
)
"""Name of the first layer -> how it encrypts."""


class HomomorphicHolder:
    """A holder's side.

    Args:
        me: the holder's plug.
        layer: the first layer.
        scheme: how to encrypt.
        key: 16 bytes known to this holder alone, for the randomness of its ciphertexts.
        noise: what it adds to its summand before it encrypts it.
    """

    def __init__(
        self, me: Endpoint, layer: FirstLayer, scheme: Scheme, *, key: bytes, noise: Noise = NO_NOISE
    ) -> None:
        self._noise = noise
        self._me = me
        self._layer = layer
        self._scheme = scheme
        self._key = key
        position = layer.holders.index(me.name)
        self._before = layer.holders[position - 1] if position else None
        self._after = layer.holders[position + 1] if position + 1 < len(layer.holders) else None
        self._public: PublicKey | None = None

    async def prepare(self, X_train: Floats, X_test: Floats) -> None:
        """Learns the server's public key; the data stay where they are."""
        wire = (await self._me.recv(SERVER, HomomorphicKey)).key
        self._public = self._scheme.public_key(self._scheme.parameters(self._layer), wire)

    async def forward(self, X: Floats, theta: Floats, step: int) -> None:
        """One batch: adds X_i theta_i, (m, k_i) by (k_i, n), to the sum that passes, under encryption.

        Raises:
            PlaintextError: a number of X_i theta_i that is not below 2^VALUE_BITS units.
        """
        me, public = self._me, self._public
        assert public is not None  # `prepare` comes first
        part = await me.compute(
            lambda: self._summand(X, theta, step),
            Cost(flops=2 * X.size * theta.shape[1], moved_bytes=12 * len(X) * theta.shape[1])
            + self._noise.cost(len(X) * theta.shape[1]),
            label="multiply",
        )  # (mn,)
        total = await me.compute(
            lambda: public.encrypt(part, Stream(self._key, step, purpose=Purpose.ENCRYPTION)),
            Cost(operations=public.parameters.encryption(part.size), messages=1),
            label="encrypt",
        )  # (ciphertexts, bytes)
        if self._before is not None:
            received = (await me.recv(self._before, EncryptedSum)).total
            own = total
            total = await me.compute(
                lambda: public.add(received, own),
                Cost(operations=public.parameters.addition(part.size), messages=1),
                label="add ciphertexts",
            )
        if self._after is not None:
            me.send(self._after, EncryptedSum(step, total))
        else:
            me.send(SERVER, EncryptedHidden(step, part.size, total))

    def _summand(self, X: Floats, theta: Floats, step: int) -> Ring:
        """X_i theta_i, noise included, in units of 2^-f, int64 (mn,)."""
        bits = self._layer.fractional_bits
        return self._noise.on_share(fixed_point.encode(product(X, theta), bits), step, bits).reshape(-1)


class HomomorphicServer:
    """The server's side: it owns the key pair.

    Args:
        me: the server's plug.
        layer: the first layer.
        scheme: how to encrypt.
        key: 16 bytes known to the server alone, from which it makes the key pair.
    """

    def __init__(self, me: Endpoint, layer: FirstLayer, scheme: Scheme, *, key: bytes) -> None:
        self._me = me
        self._layer = layer
        self._secret = scheme.generate(scheme.parameters(layer), Stream(key, 0, purpose=Purpose.KEY_PAIR))

    async def prepare(self) -> None:
        """Publishes the key; making it took place before the clock started."""
        for holder in self._layer.holders:
            self._me.send(holder, HomomorphicKey(-1, self._secret.public.wire))

    async def receive(self) -> Floats:
        """h1 of the next batch, (m, n) float32."""
        layer, parameters = self._layer, self._secret.public.parameters
        message = await self._me.recv(layer.holders[-1], EncryptedHidden)
        numbers = message.numbers  # mn
        total = await self._me.compute(
            lambda: self._secret.decrypt(message.h1, numbers),
            Cost(operations=parameters.decryption(numbers), moved_bytes=12 * numbers, messages=1),
            label="decrypt h1",
        )
        h1: Floats = fixed_point.decode(total, layer.fractional_bits).reshape(-1, layer.units)
        return h1


def payload_by_link(scheme: Scheme, layer: FirstLayer, rows: int) -> dict[str, int]:
    """Payload bytes of the first layer of one batch, by link.

    Args:
        scheme: how to encrypt.
        layer: the first layer.
        rows: m, rows of the batch.
    """
    ciphertexts, size = scheme.parameters(layer).shape(rows * layer.units)
    chain = (*layer.holders, SERVER)
    return {f"{i}->{j}": ciphertexts * size for i, j in itertools.pairwise(chain)}


def setup_by_link(scheme: Scheme, layer: FirstLayer) -> dict[str, int]:
    """Payload bytes before the first batch, by link: the public key."""
    return {f"{SERVER}->{holder}": scheme.parameters(layer).public_key_bytes for holder in layer.holders}


def operations(scheme: Scheme, layer: FirstLayer, rows: int) -> dict[str, int]:
    """Operations of all parties for one batch, by name: h encryptions, h - 1 additions, a decryption.

    Args:
        scheme: how to encrypt.
        layer: the first layer.
        rows: m, rows of the batch.
    """
    parameters, numbers, holders = scheme.parameters(layer), rows * layer.units, len(layer.holders)
    cost = (
        holders * Cost(operations=parameters.encryption(numbers))
        + (holders - 1) * Cost(operations=parameters.addition(numbers))
        + Cost(operations=parameters.decryption(numbers))
    )
    return dict(cost.operations)
