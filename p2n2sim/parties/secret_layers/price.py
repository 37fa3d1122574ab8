"""What computing on shares costs, in closed form, beside what the ledger measures.

Every opening goes from every holder to every other, so one number a holder says it all. The functions follow
the methods of `Session` one by one.
"""

from __future__ import annotations

from dataclasses import dataclass

from p2n2sim.mpc.bits import plane_bytes
from p2n2sim.mpc.comparison import level_pairs
from p2n2sim.mpc.width import Width


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """Of some operations, one after the other.

    Attributes:
        rounds: openings that wait for each other.
        values: ring elements that a holder tells every other.
        bits: bytes of bits that a holder tells every other.
        dealt_values: ring elements of correlated randomness that no stream gives.
        dealt_bits: bytes of bits of the same kind.
        random_values: ring elements that every holder reads from its stream.
        random_bits: bytes of bits of the same kind.
    """

    rounds: int = 0
    values: int = 0
    bits: int = 0
    dealt_values: int = 0
    dealt_bits: int = 0
    random_values: int = 0
    random_bits: int = 0

    def __add__(self, other: Price) -> Price:
        return Price(
            rounds=self.rounds + other.rounds,
            values=self.values + other.values,
            bits=self.bits + other.bits,
            dealt_values=self.dealt_values + other.dealt_values,
            dealt_bits=self.dealt_bits + other.dealt_bits,
            random_values=self.random_values + other.random_values,
            random_bits=self.random_bits + other.random_bits,
        )

    def sent(self, width: Width) -> int:
        """Payload bytes from every holder to every other."""
        return self.values * width // 8 + self.bits

    def dealt(self, width: Width, *, full: bool = False) -> int:
        """Payload bytes from the dealer to the last holder; if it sends everything, to every holder."""
        values, bits = self.dealt_values, self.dealt_bits
        if full:
            values, bits = values + self.random_values, bits + self.random_bits
        return values * width // 8 + bits


def mask(count: int) -> Price:
    """`Session.mask` of so many numbers."""
    return Price(rounds=1, values=count, random_values=count)


def product(count: int) -> Price:
    """`Session.multiply` or `times_masked` with so many numbers as a result, both factors masked."""
    return Price(dealt_values=count)


def truncation(count: int, *, local: bool) -> Price:
    """`Session.truncate` of so many numbers."""
    if local:
        return Price()
    return Price(rounds=1, values=count, dealt_values=2 * count, random_values=count)


def comparison(count: int, kinks: int, width: Width) -> Price:
    """Of so many numbers with as many constants each, and the products with the resulting bits.

    Masked numbers, then three bits for every pair of planes and two for the lowest, then one bit.
    """
    row, pairs = plane_bytes(count), level_pairs(width)
    opened = sum(3 * joined - 1 for joined in pairs)  # planes
    triples = sum(2 * joined - 1 for joined in pairs)
    return Price(
        rounds=len(pairs) + 2,
        values=count,
        bits=kinks * (opened + 1) * row,
        dealt_values=2 * kinks * count,
        dealt_bits=(width + kinks * triples) * row,
        random_values=count,
        random_bits=kinks * (opened + 1) * row,
    )
