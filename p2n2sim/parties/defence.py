"""The defender in Algorithm 2, lines 5, 11 and 12, at a holder of features.

With D_i(X_i, h1) what holder i adds to the loss, theta descends along

    X_j^T (dL/dh1 + sum_i dD_i/dh1)    at every holder j,

since h1 depends on all of theta. So in every training batch the server sends each holder h1, each holder
computes dD_i/dh1 where X_i is, and sends it to every other holder. The server gets none of it: dD_i/dh1 is
made of the differences between X_i and what is recovered of it. theta_S does not come into D_i.

Per batch of m rows and n units the server sends each holder 4 mn bytes and each holder sends each other 4 mn.
Both take place while the server, the label's owner and the server again compute dL/dh1, so there is no
further round.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from p2n2sim.errors import FixedPointError
from p2n2sim.messages import SERVER, DefenceGradient, FirstHidden, Floats
from p2n2sim.net.cpu import Cost
from p2n2sim.net.endpoint import Endpoint
from p2n2sim.nn.defence.penalty import Penalty
from p2n2sim.nn.training import product
from p2n2sim.parties.layer import FirstLayer
from p2n2sim.parties.schedule import Batch


class Defender:
    """A holder's part in it.

    Args:
        me: the holder's plug.
        holders: all of them, in the order in which what they add is summed.
        penalties: what this holder adds to the loss, at least one.
        limit: below which every number of X_i theta_i must stay so that h1 fits into the ring; a decoder that
            is maximised drives theta away, and a sum that has left the ring looks like any other.
        on_measured: told of a training batch, of what was measured in it, and of the value.
    """

    def __init__(
        self,
        me: Endpoint,
        holders: Sequence[str],
        penalties: Sequence[Penalty],
        *,
        limit: float = math.inf,
        on_measured: Callable[[Batch, str, float], object] = lambda batch, name, value: None,
    ) -> None:
        self._me = me
        self._holders = holders
        self._penalties = penalties
        self._limit = limit
        self._on_measured = on_measured

    async def gradient(self, X: Floats, theta: Floats, batch: Batch) -> Floats:
        """The sum over all holders of dD_i/dh1 for a training batch, (m, n), the same bits at each.

        Args:
            X: this holder's columns of the batch, (m, k_i) float32.
            theta: its rows of the first layer's weights, (k_i, n), as they were for h1.
            batch: which it is.

        Raises:
            FixedPointError: h1 no longer fits into the ring.
        """
        me, others = self._me, [name for name in self._holders if name != self._me.name]
        h1 = (await me.recv(SERVER, FirstHidden)).h1  # (m, n)
        flops = [penalty.flops(len(X)) for penalty in self._penalties]
        own = await me.compute(
            partial(self._gradient, X, theta, h1),
            Cost(flops=sum(f.gradient for f in flops), messages=1 + len(others)),
            label="defender",
        )  # lines 5 and 11
        for penalty in self._penalties:
            self._on_measured(batch, penalty.name, penalty.measured)
        for other in others:
            me.send(other, DefenceGradient(batch.step, own))
        if update := sum(f.update for f in flops):
            await me.compute(partial(self._update, X, h1), Cost(flops=update), label="defender")  # line 12
        parts = [
            own if name == me.name else (await me.recv(name, DefenceGradient)).g for name in self._holders
        ]
        return await me.compute(
            partial(_total, parts),
            Cost(flops=len(others) * own.size, messages=len(others)),
            label="defender",
        )

    def _gradient(self, X: Floats, theta: Floats, h1: Floats) -> Floats:
        if self._limit < math.inf:  # a check of the simulation, which no machine is charged for
            largest = float(np.abs(product(X, theta)).max())
            if not largest < self._limit:
                raise FixedPointError(
                    f"the first layer's product at {self._me.name} reaches {largest:.3g}, and the ring "
                    f"holds less than {self._limit:.3g}; a smaller defender.weight or a defender.bound"
                )
        return _total([penalty.gradient(X, h1) for penalty in self._penalties])

    def _update(self, X: Floats, h1: Floats) -> None:
        for penalty in self._penalties:
            penalty.update(X, h1)


def _total(parts: Sequence[Floats]) -> Floats:
    with np.errstate(over="ignore", invalid="ignore"):  # training that diverges shows in its loss
        total: Floats = np.add.reduce(parts)
    return total


def payload_by_link(layer: FirstLayer, rows: int) -> dict[str, int]:
    """Payload bytes that a defender adds to one training batch, by link: 4 mn h^2 in all.

    Args:
        layer: the first layer.
        rows: m, rows of the batch.
    """
    one = 4 * rows * layer.units
    shown = {f"{SERVER}->{holder}": one for holder in layer.holders}
    return shown | {f"{i}->{j}": one for i in layer.holders for j in layer.holders if i != j}
