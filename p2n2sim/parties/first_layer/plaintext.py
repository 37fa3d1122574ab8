"""Split learning's first layer: every holder sends X_i theta_i in the clear. No cryptography, no dealer.

Per batch each holder sends the server 4 mn bytes in one round. The server learns every summand of h1.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from p2n2sim.messages import SERVER, Floats, HiddenPart
from p2n2sim.net.cpu import Cost
from p2n2sim.net.endpoint import Endpoint
from p2n2sim.nn.training import product
from p2n2sim.parties.layer import FirstLayer
from p2n2sim.parties.noise import NO_NOISE, Noise

ROUNDS = 1
"""The summands of h1."""


class PlaintextHolder:
    """A holder's side.

    Args:
        me: the holder's plug.
        noise: what it adds to its summand.
    """

    def __init__(self, me: Endpoint, noise: Noise = NO_NOISE) -> None:
        self._me = me
        self._noise = noise

    async def prepare(self, X_train: Floats, X_test: Floats) -> None:
        """Nothing has to be agreed."""

    async def forward(self, X: Floats, theta: Floats, step: int) -> None:
        """Sends X_i theta_i, (m, k_i) by (k_i, n), to the server."""
        part = await self._me.compute(
            lambda: self._noise.on_summand(product(X, theta), step),
            Cost(flops=2 * X.size * theta.shape[1], messages=1) + self._noise.cost(len(X) * theta.shape[1]),
            label="multiply",
        )
        self._me.send(SERVER, HiddenPart(step, part))


class PlaintextServer:
    """The server's side.

    Args:
        me: the server's plug.
        holders: who sends a summand, in the order in which they are added.
    """

    def __init__(self, me: Endpoint, holders: Sequence[str]) -> None:
        self._me = me
        self._holders = holders

    async def prepare(self) -> None:
        """Nothing has to be agreed."""

    async def receive(self) -> Floats:
        """h1 of the next batch, (m, n) float32."""
        parts = [(await self._me.recv(holder, HiddenPart)).part for holder in self._holders]
        return await self._me.compute(
            partial(_total, parts),
            Cost(flops=len(parts) * parts[0].size, messages=len(parts)),
            label="add h1",
        )


def _total(parts: Sequence[Floats]) -> Floats:
    with np.errstate(over="ignore", invalid="ignore"):  # as in `product`
        total: Floats = np.add.reduce(parts)
    return total


def payload_by_link(layer: FirstLayer, rows: int) -> dict[str, int]:
    """Payload bytes of the first layer of one batch, by link.

    Args:
        layer: the first layer.
        rows: m, rows of the batch.
    """
    return {f"{holder}->{SERVER}": 4 * rows * layer.units for holder in layer.holders}
