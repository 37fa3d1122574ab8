"""The server's side of several layers under secret sharing: it adds the shares of the last one."""

from __future__ import annotations

import numpy as np

from p2n2sim.messages import Floats, LayerShare
from p2n2sim.mpc import fixed_point
from p2n2sim.mpc.width import signed, widen
from p2n2sim.net.cpu import Cost
from p2n2sim.net.endpoint import Endpoint
from p2n2sim.parties.secret_layers.agreement import Agreement


class LayerServer:
    """Receives what the holders have computed.

    Args:
        me: the server's plug.
        agreement: what the holders know.
    """

    def __init__(self, me: Endpoint, agreement: Agreement) -> None:
        self._me = me
        self._holders = agreement.layer.holders
        self._width = agreement.arithmetic.width
        product = agreement.design.activations[-1] is None
        self._bits = agreement.arithmetic.fractional_bits * (2 if product else 1)

    async def prepare(self) -> None:
        """Nothing has to be agreed."""

    async def receive(self) -> Floats:
        """The last layer under sharing of the next batch, (m, n_s) float32."""
        shares = [widen((await self._me.recv(holder, LayerShare)).h) for holder in self._holders]
        return await self._me.compute(
            lambda: fixed_point.decode(signed(np.add.reduce(shares), self._width), self._bits),
            Cost(moved_bytes=24 * len(shares) * shares[0].size, messages=len(shares)),
            label="reconstruct h1",
        )
