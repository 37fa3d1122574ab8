"""Correlated randomness: what a dealer gives the parties before they compute.

A piece of correlated randomness is described once, by a function of a `Source`, and carried out by both
sides. With the source of a party the function returns that party's shares; with the dealer's it returns the
totals, and leaves behind the corrections that make the last party's shares fit. Both read the same streams in
the same order, because they run the same lines.

Only what depends on other values is ever sent: shares of independent random values come from a stream that
the dealer has in common with each party. (Boyle, Couteau, Gilboa, Ishai, "Compressing vector OLE", CCS 2018,
call the same for n parties a pseudorandom correlation generator; with a dealer a key each suffices.)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from p2n2sim.mpc.bits import Planes
from p2n2sim.mpc.width import Ring, Width

Shape = tuple[int, ...]


class Source(Protocol):
    """Where shares come from (at a party), or totals (at the dealer)."""

    @property
    def width(self) -> Width:
        """Of the ring."""

    @property
    def masks(self) -> list[Ring]:
        """The masks of matrices so far, in order: a party's shares, or totals."""

    def random(self, shape: Shape) -> Ring:
        """A uniform value, int64."""

    def share(self, shape: Shape, value: Callable[[], Ring]) -> Ring:
        """A value that depends on others; at a party `value` is never called."""

    def random_bits(self, shape: Shape) -> Planes:
        """Uniform bits, uint8, shared by XOR."""

    def share_bits(self, shape: Shape, value: Callable[[], Planes]) -> Planes:
        """Bits that depend on others, shared by XOR."""

    def product(self, a: Ring, b: Ring) -> Ring:
        """The product of two matrices of this source."""

    def rows_mask(self) -> Ring:
        """The mask of this batch's rows of the data, which is the same for the whole run."""


Draw = Callable[[Source], object]
"""A piece of correlated randomness, with all that it needs but the source."""


@dataclass(frozen=True, slots=True)
class MaskOf:
    """Which mask hides a matrix.

    Attributes:
        number: its number in `Source.masks`.
        transposed: whether the matrix is the transpose of the one that was masked.
    """

    number: int
    transposed: bool = False

    @property
    def T(self) -> MaskOf:  # noqa: N802 - as numpy calls it
        """The mask of the transpose."""
        return MaskOf(self.number, not self.transposed)

    def within(self, source: Source) -> Ring:
        """The mask itself: a party's share, or the total."""
        mask = source.masks[self.number]
        return mask.T if self.transposed else mask


def mask(source: Source, shape: Shape) -> MaskOf:
    """A fresh mask for a matrix that is opened under it. Each may hide one matrix only."""
    source.masks.append(source.random(shape))
    return MaskOf(len(source.masks) - 1)


def mask_of_rows(source: Source) -> MaskOf:
    """The mask of this batch's rows of data that were opened under it once for the whole run."""
    source.masks.append(source.rows_mask())
    return MaskOf(len(source.masks) - 1)


def matrix_product(source: Source, a: MaskOf, b: MaskOf) -> Ring:
    """A share of the product of two masks. A mask may occur in any number of products.

    Source: Mohassel and Zhang, "SecureML", 2017, section 4.2: a matrix is masked once, not once a product.
    """
    return source.product(a.within(source), b.within(source))


def elementwise_product(source: Source, a: MaskOf, b: MaskOf) -> Ring:
    """A share of the product, element by element, of two masks of one shape."""
    left, right = a.within(source), b.within(source)
    return source.share(left.shape, lambda: left * right)
