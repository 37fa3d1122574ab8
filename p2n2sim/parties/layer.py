"""What is public about the first layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

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
    """

    holders: tuple[str, ...]
    widths: tuple[int, ...]
    units: int
    fractional_bits: int
    paillier_bits: int = 2048

    @property
    def features(self) -> int:
        """k, the number of columns of all holders."""
        return sum(self.widths)

    def columns(self, holder: str) -> slice:
        """The columns of X, and rows of theta, that belong to a holder."""
        i = self.holders.index(holder)
        start = sum(self.widths[:i])
        return slice(start, start + self.widths[i])


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What a first-layer protocol is told.

    Attributes:
        layer: the first layer.
        schedule: the agreed batches.
        seed: of all keys; a party derives its own from it, as it would draw them.
        triples: where correlated randomness comes from.
        triples_ahead: by how many batches the offline phase runs ahead.
        crypto: ``real`` ciphertexts, or ``modelled`` ones.
        threads: over how many threads a product may be split; changes no bit.
    """

    layer: FirstLayer
    schedule: Schedule
    seed: int
    triples: Literal["dealer", "dealer-full", "ot", "he"] = "dealer"
    triples_ahead: int = 1
    crypto: Literal["real", "modelled"] = "real"
    threads: int = 1
