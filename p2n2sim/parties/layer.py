"""What is public about the first layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from p2n2sim.messages import Ring
from p2n2sim.mpc.beaver import Masks
from p2n2sim.parties.noise import NO_NOISE, Noise
from p2n2sim.parties.schedule import Schedule


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstLayer:
    """What all holders know of the first layer.

    Attributes:
        holders: their names, in the order of their columns.
        widths: k_i, the number of columns of each.
        units: n, the width of the layer.
        fractional_bits: of the fixed-point encoding: of X and theta, so that h1 has twice as many, or of
            the summands X_i theta_i where these are computed in the clear.
        paillier_bits: of the Paillier modulus, where one is used.
        weight_bits: fractional bits of theta where it stays under secret sharing for the whole training; None
            where every holder has its own rows of it and shares them batch by batch.
    """

    holders: tuple[str, ...]
    widths: tuple[int, ...]
    units: int
    fractional_bits: int
    paillier_bits: int = 2048
    weight_bits: int | None = None

    @property
    def hidden_bits(self) -> int:
        """Fractional bits of a share of h1: those of X and of theta, since one layer needs no truncation."""
        theta = self.fractional_bits if self.weight_bits is None else self.weight_bits
        return self.fractional_bits + theta

    @property
    def features(self) -> int:
        """k, the number of columns of all holders."""
        return sum(self.widths)

    def columns(self, holder: str) -> slice:
        """The columns of X, and rows of theta, that belong to a holder."""
        i = self.holders.index(holder)
        start = sum(self.widths[:i])
        return slice(start, start + self.widths[i])


class TripleSource(Protocol):
    """Where one holder's shares of the triples come from: one triple a batch, asked for in this order."""

    async def prepare(self) -> None:
        """Before the first batch."""

    async def row_masks(self, train: int, test: int) -> tuple[Ring, Ring]:
        """Shares of U for all rows, (train, k) and (test, k): for who masks them once."""

    def begin(self, step: int) -> None:
        """A batch begins, so the offline phase may go on by one batch; waits for nothing."""

    async def masks(self, step: int, rows: int) -> Masks:
        """The batch's U_j (rows, k) and V_j (k, n); no rows where U was made for all rows at the start."""

    async def product(self, step: int, rows: int) -> Ring:
        """The batch's Z_j (rows, n), after its masks."""


class SharedTheta(Protocol):
    """One holder's share of all of theta, which nobody knows while it is trained.

    Attributes:
        share: theta_j, (k, n), with the layer's `weight_bits`.
    """

    share: Ring


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What a first-layer protocol is told.

    Attributes:
        layer: the first layer.
        schedule: the agreed batches.
        seed: of all keys; a party derives its own from it, as it would draw them.
        sources: where each holder's triples come from; none unless the protocol uses them.
        crypto: ``real`` ciphertexts, or ``modelled`` ones.
        threads: over how many threads a product may be split; changes no bit.
        noise: what each holder adds to its part of h1; nothing unless given.
        weights: each holder's shares of theta, where it stays under sharing.
    """

    layer: FirstLayer
    schedule: Schedule
    seed: int
    sources: Mapping[str, TripleSource] = field(default_factory=dict)
    crypto: Literal["real", "modelled"] = "real"
    threads: int = 1
    noise: Mapping[str, Noise] = field(default_factory=dict)
    weights: Mapping[str, SharedTheta] = field(default_factory=dict)

    def noise_of(self, holder: str) -> Noise:
        """What a holder adds to its part of h1."""
        return self.noise.get(holder, NO_NOISE)
