"""The parties of a piece of correlated randomness, without a network: a dealer, and everybody's source."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from p2n2sim.mpc import prg, sharing
from p2n2sim.mpc.correlated import Source
from p2n2sim.mpc.sources import DealerSource, PartySource
from p2n2sim.mpc.width import Ring, Width, signed

T = TypeVar("T")


def deal(
    piece: Callable[[Source], T], parties: int, width: Width, *, full: bool = False, step: int = 0
) -> tuple[T, list[T]]:
    """The dealer's totals and every party's shares of a piece; all that was sent has been read.

    Args:
        piece: what is dealt.
        parties: how many there are.
        width: of the ring.
        full: whether the dealer sends everything.
        step: of the streams.
    """
    keys = [prg.derive_key(11, "dealer", party) for party in range(parties)]
    dealer = DealerSource(keys, step, width, full=full)
    totals = piece(dealer)
    shares = []
    for party, key in enumerate(keys):
        told = full or party == parties - 1
        source = PartySource(key, step, width, sent=dealer.sent(party) if told else None, full=full)
        shares.append(piece(source))
        assert source.all_read()
    return totals, shares


def split(secret: Ring, parties: int, step: int = 0) -> list[Ring]:
    """Shares of a secret, in Z_2^64, which are also shares in Z_2^32."""
    return sharing.split(secret, parties, prg.derive_key(12, "owner"), step)


def join(shares: list[Ring], width: Width) -> Ring:
    """What was shared, as signed numbers."""
    return signed(np.add.reduce(shares), width)


def xor(shares: list[Any]) -> Any:
    """Bits that were shared."""
    return np.bitwise_xor.reduce(shares)


def elements(values: list[int]) -> Ring:
    """Python integers as ring elements, any representative."""
    return np.array([value % (1 << 64) for value in values], np.uint64).view(np.int64)
