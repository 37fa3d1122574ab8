"""A server that adds noise to h1 itself: the parties after it see the noise, it has seen h1 without."""

from __future__ import annotations

from collections.abc import Iterable

from p2n2sim.messages import Floats
from p2n2sim.net.endpoint import Endpoint
from p2n2sim.parties.noise import Noise
from p2n2sim.parties.server import FirstLayerServer


class NoisyServer:
    """A server's side of a first layer whose server adds noise to h1 after it has seen it.

    Args:
        me: the server's plug.
        inner: the protocol by which it comes to know h1.
        noise: what it adds.
        steps: numbers of the batches, in order.
    """

    def __init__(self, me: Endpoint, inner: FirstLayerServer, noise: Noise, steps: Iterable[int]) -> None:
        self._me, self._inner, self._noise, self._steps = me, inner, noise, iter(steps)

    async def prepare(self) -> None:
        """As the protocol."""
        await self._inner.prepare()

    async def receive(self) -> Floats:
        """h1 of the next batch with noise, (m, n) float32."""
        h1, step = await self._inner.receive(), next(self._steps)
        return await self._me.compute(
            lambda: self._noise.on_summand(h1, step), self._noise.cost(h1.size), label="add noise"
        )
