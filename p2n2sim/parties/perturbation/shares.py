"""DP-SGD of the first layer with theta and its noise under secret sharing: no party ever knows either.

The holders keep additive shares of all of theta for the whole training. In every batch holder i subtracts
its clipped gradient from its own share of theta_i, and every holder j subtracts its part of the noise from
its share of all of theta:

    theta_j <- theta_j - [j = i] encode(eta / D sum_r f_r x_r d_r^T) - N_j,    N_j ~ Skellam(mu / h),

with eta the learning rate and D the divisor of the loss. The parts of the noise add up to Skellam noise of
variance mu = (eta sigma C / D)^2 4^f in units of the encoding (Agarwal, Kairouz & Liu, "The Skellam mechanism
for differentially private federated learning", NeurIPS 2021), so that whoever opens theta opens the sum of
all gradients with all of the noise. A holder knows what it subtracts itself and no more.

The initial theta_i is its owner's, who shares it once: 8 k_i n bytes to every other holder, one round.
"""

from __future__ import annotations

import functools
from fractions import Fraction

import numpy as np
import torch
from numpy.typing import NDArray

from p2n2sim.messages import Floats, Ring, WeightShare
from p2n2sim.mpc import fixed_point, sharing
from p2n2sim.mpc.prg import Purpose
from p2n2sim.net.cpu import Cost
from p2n2sim.net.endpoint import Endpoint
from p2n2sim.parties.layer import FirstLayer
from p2n2sim.parties.noise import secret_draws
from p2n2sim.parties.perturbation.holder import HolderPerturbation
from p2n2sim.parties.perturbation.owner import DRAWN_TOGETHER, Perturbation, clip_flops
from p2n2sim.parties.schedule import Batch
from p2n2sim.privacy.clipping import clipped_sum
from p2n2sim.privacy.discrete import skellam

_WORDS = 6
"""Random words that a number of Skellam noise takes, about: two Poisson variables."""


class SharedPerturbation(HolderPerturbation):
    """A holder's part of it.

    Args:
        me: the holder's plug.
        layer: the first layer, with `weight_bits`.
        perturbation: of the first layer; its key is that of this holder's part of the noise.
        theta: initial theta_i, (k_i, n) float32.
        rate: the learning rate eta.
        input_key: 16 bytes known to this holder alone, for the shares of theta_i.
        seed: of all keys.
        kept: its share of theta from before, if training goes on; theta is not shared again.

    Attributes:
        share: theta_j, (k, n).
    """

    def __init__(
        self,
        me: Endpoint,
        layer: FirstLayer,
        perturbation: Perturbation,
        *,
        theta: Floats,
        rate: float,
        input_key: bytes,
        seed: int,
        kept: Ring | None = None,
    ) -> None:
        super().__init__(me, layer, perturbation, seed=seed)
        assert layer.weight_bits is not None
        self._bits = layer.weight_bits
        self._theta = theta
        self._rate = rate
        self._input_key = input_key
        self._kept = kept
        self._own = layer.columns(me.name)
        self.share: Ring = np.zeros((layer.features, layer.units), np.int64)

    async def prepare(self, X_train: Floats) -> None:
        """As without sharing; and shares theta."""
        await super().prepare(X_train)
        if self._kept is not None:
            self.share[:] = self._kept
        else:
            await self._share_theta()

    async def _share_theta(self) -> None:
        me, layer, others = self._me, self._layer, len(self._layer.holders) - 1
        size = self._theta.size
        parts = await me.compute(
            lambda: sharing.split(
                fixed_point.encode(self._theta, self._bits),
                others + 1,
                self._input_key,
                0,
                purpose=Purpose.INITIAL_WEIGHTS,
            ),
            Cost(random_bytes=8 * others * size, moved_bytes=24 * others * size, messages=2 * others),
            label="share theta",
        )
        for name, part in zip(layer.holders, parts, strict=True):
            if name == me.name:
                self.share[self._own] = part
            else:
                me.send(name, WeightShare(-1, part))
        for name in layer.holders:
            if name != me.name:
                self.share[layer.columns(name)] = (await me.recv(name, WeightShare)).theta

    async def update(
        self, theta: torch.Tensor, X: Floats, d_1: Floats, batch: Batch, optimiser: torch.optim.Optimizer
    ) -> None:
        """Algorithm 2 line 11 for this holder's share of theta.

        Args:
            theta: not looked at.
            X: the batch's rows, (m, k_i).
            d_1: every row's gradient with respect to h1, (m, n); with flat clipping clipped by the server.
            batch: which it is.
            optimiser: not used: what does not descend along the sum alone would need products of shares.
        """
        does, size = self._does, self.share.size
        cost = Cost(flops=2 * X.size * d_1.shape[1], moved_bytes=24 * (X.shape[1] * d_1.shape[1] + size))
        if not does.flat:
            cost += Cost(flops=clip_flops(*d_1.shape))
        if does.deviation:
            cost += Cost(random_bytes=8 * _WORDS * size, moved_bytes=48 * size)
        await self._me.compute(
            functools.partial(self._descend, X, d_1, batch), cost + Cost(messages=1), label="update theta_j"
        )

    def _descend(self, X: Floats, d_1: Floats, batch: Batch) -> None:
        does = self._does
        total = self._sum(X, d_1, batch)  # (k_i, n) float64: rounded to the grid and not before
        self.share[self._own] -= fixed_point.encode(self._rate / does.divisor * total, self._bits)
        if does.deviation:
            self.share -= self._noise(batch.step)

    def _sum(self, X: Floats, d_1: Floats, batch: Batch) -> NDArray[np.float64]:
        """The sum of the rows' clipped gradients."""
        if self._does.flat:
            return X.T.astype(np.float64) @ d_1.astype(np.float64)
        return clipped_sum(X, d_1, self._limits.take(batch.rows), doubles=True)

    def _noise(self, step: int) -> Ring:
        """N_j of a batch, (k, n): a function of key and step alone."""
        shape, does = self.share.shape, self._does
        holders = len(self._layer.holders)
        deviation = Fraction(self._rate) * Fraction(does.deviation) / Fraction(does.divisor) * 2**self._bits
        many = max(1, DRAWN_TOGETHER // self.share.size)
        drawn = _drawn(does.key, deviation**2 / holders, step // many, many, self.share.size)
        noise: Ring = drawn[step % many].reshape(shape)
        return noise


@functools.lru_cache(maxsize=64)  # of every holder, the batches that it goes through
def _drawn(key: bytes, mu: Fraction, number: int, many: int, count: int) -> Ring:
    """The noise of so many batches, (many, count)."""
    drawn = skellam(secret_draws(key, number, Purpose.PERTURBATION), mu, many * count)
    noise: Ring = drawn.reshape(many, count)
    noise.flags.writeable = False
    return noise


def setup_by_link(layer: FirstLayer) -> dict[str, int]:
    """Payload bytes of the shares of the initial theta, by link."""
    return {
        f"{i}->{j}": 8 * width * layer.units
        for i, width in zip(layer.holders, layer.widths, strict=True)
        for j in layer.holders
        if i != j
    }
