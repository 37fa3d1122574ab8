"""DP-SGD at who owns a part of the network: its rows' gradients clipped, their sum with noise.

Every training batch an owner steps along

    1/D (sum_r f_r g_r + N(0, (sigma C)^2)),    f_r = min(1, C' / |g_r|),

with g_r the gradient of one row's own loss with respect to its part (Abadi et al., "Deep learning with
differential privacy", CCS 2016, Algorithm 1). With per-part clipping C' = C / sqrt(p) for p parts and |g_r|
is the norm of g_r; with flat clipping C' = C and |g_r| the norm over all parts. Either way no row moves the
sum of all parts together by more than C, and every number of it carries noise of deviation sigma C. D is the
expected number of rows of a batch where the loss is averaged, whatever the batch really holds, and 1 where it
is summed. A batch without rows is a step along the noise.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from p2n2sim.messages import Floats
from p2n2sim.mpc import prg
from p2n2sim.mpc.prg import Purpose
from p2n2sim.net.cpu import Cost
from p2n2sim.privacy import clipping

DRAWN_TOGETHER = 8192
"""How many numbers of noise are drawn at a time, of a small part for several batches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Perturbation:
    """What is done to the gradients of one part.

    Attributes:
        clip: C.
        parts: p, into how many the network is cut.
        flat: whether the whole gradient is clipped, and not every part.
        deviation: sigma C.
        divisor: D.
        key: 16 bytes known to who draws the noise.
        by_server: whether the server draws it.
    """

    clip: float
    parts: int
    flat: bool
    deviation: float
    divisor: float
    key: bytes
    by_server: bool

    def factors(self, squared: Floats) -> Floats:
        """f of every row, (m,), from |g_r|^2."""
        return clipping.factors(squared, self._norm())

    def limits(self, squared: Floats) -> Floats:
        """How long d_r may be, (m,), where g_r = x_r d_r^T, from |x_r|^2."""
        return clipping.limits(squared, self._norm())

    def _norm(self) -> float:
        """C'."""
        return self.clip if self.flat else clipping.part_norm(self.clip, self.parts)

    def draw(self, step: int, count: int) -> Floats:
        """The noise of a batch, (count,) float32: a function of key and step alone."""
        if not self.deviation:
            return np.zeros(count, np.float32)
        many = max(1, DRAWN_TOGETHER // count)
        drawn: Floats = _drawn(self.key, self.deviation, step // many, many, count)[step % many]
        return drawn

    def finish(self, total: Floats, noise: Floats) -> Floats:
        """The gradient along which a parameter steps.

        Args:
            total: of the clipped rows, of the parameter's shape.
            noise: as many numbers.
        """
        gradient: Floats = total + noise.reshape(total.shape)
        gradient /= np.float32(self.divisor)
        return gradient

    def finish_all(self, sums: Sequence[torch.Tensor], noise: Floats) -> list[torch.Tensor]:
        """The same for several parameters, their noise one after the other."""
        parts = np.split(noise, np.cumsum([total.numel() for total in sums])[:-1])
        return [
            torch.from_numpy(self.finish(total.numpy(), part))
            for total, part in zip(sums, parts, strict=True)
        ]

    def noise_cost(self, weights: int) -> Cost:
        """Of drawing the noise for so many weights: 10 operations for a root, a logarithm or a cosine."""
        return Cost(random_bytes=8 * weights, flops=22 * weights) if self.deviation else Cost()

    def finish_cost(self, weights: int) -> Cost:
        """Of adding it, and of dividing."""
        return Cost(flops=2 * weights)


@functools.lru_cache(maxsize=64)  # of every owner, the batches that it goes through
def _drawn(key: bytes, deviation: float, number: int, many: int, count: int) -> Floats:
    """The noise of so many batches, (many, count): making a stream takes longer than a hundred numbers."""
    drawn = prg.normal(key, number, many * count, purpose=Purpose.PERTURBATION)
    noise: Floats = (deviation * drawn).astype(np.float32).reshape(many, count)
    noise.flags.writeable = False
    return noise


def clip_flops(rows: int, width: int) -> int:
    """Operations for norms, factors and products of (rows, width): multiply and add, a root, a product."""
    return rows * (3 * width + 12)
