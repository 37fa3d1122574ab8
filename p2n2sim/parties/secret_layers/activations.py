"""Activations under secret sharing: what each becomes, and its slope for the backward pass.

All take shares of z with f fractional bits and give shares of a with as many.

- identity: nothing to do.
- square: one product.
- piecewise linear, exact up to nothing but the encoding: the ReLU, and with two kinks the three-piece sigmoid
  (Mohassel and Zhang, "SecureML", 2017, section 4.3: 0 below -1/2, z + 1/2 between, 1 above 1/2) and the hard
  tangent (-1, z, 1). One comparison a kink, all kinks at once (see `p2n2sim.mpc.comparison`).
- polynomial: powers by repeated products, then a linear combination.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from p2n2sim.mpc import comparison
from p2n2sim.mpc.bits import Planes
from p2n2sim.mpc.polynomial import ScaledPolynomial
from p2n2sim.mpc.width import Ring, signed
from p2n2sim.net.cpu import Cost
from p2n2sim.parties.secret_layers import price
from p2n2sim.parties.secret_layers.price import Price
from p2n2sim.parties.secret_layers.session import Arithmetic, Masked, Session


@dataclass(frozen=True, slots=True)
class Slope:
    """A share of da/dz.

    Attributes:
        share: of z's shape; None where it is 1 everywhere.
        bits: its fractional bits.
    """

    share: Ring | None
    bits: int


SlopeKind = Literal["one", "whole", "fractional"]


class Activation(Protocol):
    """What stands after the product of a layer.

    Attributes:
        slope: whether its slope is 1 everywhere, a whole number, or has fractional bits.
    """

    slope: ClassVar[SlopeKind]

    async def __call__(self, session: Session, z: Ring) -> tuple[Ring, Slope]:
        """Shares of the activation and of its slope."""

    def price(self, count: int, arithmetic: Arithmetic) -> Price:
        """What it costs for so many numbers."""


@dataclass(frozen=True, slots=True)
class Identity:
    """a = z. No round."""

    slope: ClassVar[SlopeKind] = "one"

    async def __call__(self, session: Session, z: Ring) -> tuple[Ring, Slope]:
        """z itself."""
        return z, Slope(None, 0)

    def price(self, count: int, arithmetic: Arithmetic) -> Price:
        """Nothing."""
        return Price()


@dataclass(frozen=True, slots=True)
class Square:
    """a = z^2. Two rounds, one with local truncation."""

    slope: ClassVar[SlopeKind] = "fractional"

    async def __call__(self, session: Session, z: Ring) -> tuple[Ring, Slope]:
        """z^2 and 2 z."""
        f = session.arithmetic.fractional_bits
        (masked,) = await session.mask(z)
        (a,) = await session.truncate(await session.times_masked(masked, masked), bits=f)
        return a, Slope(2 * z, f)

    def price(self, count: int, arithmetic: Arithmetic) -> Price:
        """One masked product, truncated."""
        return price.mask(count) + price.product(count) + arithmetic.truncation_price(count)


@dataclass(frozen=True, slots=True)
class Piecewise:
    """a = base + sum of sign * max(0, z - kink): its slope changes by the sign at each kink.

    Two rounds more than the levels of the comparison's tree: eight in a ring of 64 bits.

    Attributes:
        base: a far to the left.
        kinks: (kink, sign) each.
    """

    slope: ClassVar[SlopeKind] = "whole"
    base: float
    kinks: tuple[tuple[float, int], ...]

    async def __call__(self, session: Session, z: Ring) -> tuple[Ring, Slope]:
        """Exact in the ring."""
        arithmetic = session.arithmetic
        one = 1 << arithmetic.fractional_bits
        kinks = [round(kink * one) for kink, _ in self.kinks]
        signs = np.array([sign for _, sign in self.kinks], np.int64)[:, None]
        b, times_b = await _compare(session, z.reshape(-1), np.array(kinks, np.int64)[:, None])
        a = (signs * times_b).sum(axis=0)
        if session.first:
            a += round(self.base * one)
        slope = (signs * b).sum(axis=0)
        session.watch("activation", [z.reshape(-1)], a, lambda x: self._exact(x, one))
        return a.reshape(z.shape), Slope(slope.reshape(z.shape), 0)

    def price(self, count: int, arithmetic: Arithmetic) -> Price:
        """One comparison a kink, all at once."""
        return price.comparison(count, len(self.kinks), arithmetic.width)

    def _exact(self, z: NDArray[Any], one: int) -> NDArray[Any]:
        """The same in Python integers."""
        value = np.full(z.shape, round(self.base * one), object)
        for kink, sign in self.kinks:
            value += sign * np.maximum(z - round(kink * one), 0)
        return value


RELU = Piecewise(0.0, ((0.0, 1),))
THREE_PIECE_SIGMOID = Piecewise(0.0, ((-0.5, 1), (0.5, -1)))
HARD_TANH = Piecewise(-1.0, ((-1.0, 1), (1.0, -1)))


async def _compare(session: Session, z: Ring, kinks: Ring) -> tuple[Ring, Ring]:
    """Shares of b = [z >= kink] and of (z - kink) b, (kinks, count) each.

    Rounds: the masked numbers, one a level of the tree, the masked bits.
    """
    width, first = session.arithmetic.width, session.first
    randomness = session.draw(comparison.comparisons, z.size, len(kinks))
    (c,), _ = await session.open([z + randomness.r])
    c = signed(c - kinks, width)  # (kinks, count)
    moved = Cost(moved_bytes=3 * c.nbytes)
    tree, top = await session.compute(
        lambda: comparison.leaves(c, randomness.bits, width, first=first), moved, "compare"
    )
    for level in randomness.levels:
        tree = await _next_level(session, tree, level)
    b_bits = comparison.not_negative(tree, top, first=first)
    _, (opened,) = await session.open([], [comparison.masked_bits(b_bits, randomness)])
    return await session.compute(lambda: _finish(c, opened, randomness, first=first), 2 * moved, "compare")


async def _next_level(session: Session, tree: comparison.Tree, level: comparison.Level) -> comparison.Tree:
    """Joins neighbouring planes. One round."""
    masked = comparison.mask_level(tree, level)
    _, (d, e_g, e_p) = await session.open([], masked)
    moved = Cost(moved_bytes=8 * d.nbytes, random_bytes=5 * d.nbytes)
    return await session.compute(
        lambda: comparison.join_level(tree, level, (d, e_g, e_p), first=session.first), moved, "compare"
    )


def _finish(c: Ring, opened: Planes, randomness: comparison.Comparisons, *, first: bool) -> tuple[Ring, Ring]:
    e = comparison.unpack_ways(opened, c.shape[1])
    b = comparison.bits_to_ring(e, randomness.rho, first=first)
    return b, comparison.times_bit(c, e, b, randomness)


@dataclass(frozen=True, slots=True)
class PolynomialActivation:
    """a = P(z). Two rounds for each doubling of the power, and one more; half of them with local truncation.

    Attributes:
        polynomial: P in powers of u = z / 2^q.
    """

    slope: ClassVar[SlopeKind] = "fractional"
    polynomial: ScaledPolynomial

    async def __call__(self, session: Session, z: Ring) -> tuple[Ring, Slope]:
        """P(z) and P'(z)."""
        f = session.arithmetic.fractional_bits
        u_bits = f + self.polynomial.scale_bits  # z with these fractional bits is u
        powers = await _powers(session, z, self.polynomial.degree, u_bits)
        sums = [
            await _combination(session, powers, part, u_bits)
            for part in (self.polynomial, self.polynomial.derivative())
        ]
        a, slope = await session.truncate(*sums, bits=u_bits)
        return a, Slope(slope, f)

    def price(self, count: int, arithmetic: Arithmetic) -> Price:
        """Every power but the last ones is masked once; every power but the first is a product."""
        total, known, masked = Price(), 1, 0
        while known < self.polynomial.degree:
            higher = min(2 * known, self.polynomial.degree) - known
            total += price.mask((known - masked) * count) + price.product(higher * count)
            total += arithmetic.truncation_price(higher * count)
            known, masked = known + higher, known
        return total + arithmetic.truncation_price(2 * count)


async def _powers(session: Session, u: Ring, degree: int, bits: int) -> list[Ring]:
    """Shares of u, u^2, ..., u^degree: each is a product of two that are half as high, masked once each."""
    powers, masked = [u], list[Masked]()
    while len(powers) < degree:
        known = len(powers)
        masked += await session.mask(*powers[len(masked) :])
        wanted = range(known + 1, min(2 * known, degree) + 1)
        products = [
            await session.times_masked(masked[known - 1], masked[power - known - 1]) for power in wanted
        ]
        powers += await session.truncate(*products, bits=bits)
    return powers


async def _combination(
    session: Session, powers: Sequence[Ring], polynomial: ScaledPolynomial, bits: int
) -> Ring:
    """A share of sum_i c_i u^i with f + bits fractional bits. No round."""
    f = session.arithmetic.fractional_bits
    constant, *others = (round(c * (1 << f)) for c in polynomial.coefficients)
    total = np.full(powers[0].shape, constant << bits if session.first else 0, np.int64)
    for power, coefficient in zip(powers, others, strict=False):
        total += await session.scale(power, coefficient)

    def exact(*powers: NDArray[Any]) -> NDArray[Any]:
        terms = (c * power for c, power in zip(others, powers, strict=False))
        return sum(terms, 0 * powers[0] + (constant << bits))

    session.watch("sum", powers, total, exact)
    return total
