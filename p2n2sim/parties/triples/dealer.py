"""The dealer: it makes Beaver triples, one for every batch, and learns nothing of the data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial

import numpy as np

from p2n2sim.messages import DealerKey, RowMaskShare, TripleCorrection, TripleRequest, TripleShare
from p2n2sim.mpc import beaver
from p2n2sim.net.cpu import Cost
from p2n2sim.net.endpoint import Endpoint
from p2n2sim.parties.triples.deals import Deal


async def dealer(me: Endpoint, holders: Sequence[str], keys: Sequence[bytes], deals: Iterable[Deal]) -> None:
    """Gives every holder its key, then answers every request with the correction of Z = U V.

    Args:
        me: the dealer's plug.
        holders: their names; the last one asks and receives the corrections.
        keys: for every holder, the 16 bytes that make its streams of U, V and Z.
        deals: the triples in the order of the steps.
    """
    for holder, key in zip(holders, keys, strict=True):
        me.send(holder, DealerKey(-1, np.frombuffer(key, np.uint8)))
    last = holders[-1]
    for deal in deals:
        await me.recv(last, TripleRequest)
        Z = await me.compute(deal.correction, deal.cost, label="make triple")
        me.send(last, TripleCorrection(deal.step, Z))


async def full_dealer(
    me: Endpoint,
    holders: Sequence[str],
    keys: Sequence[bytes],
    deals: Iterable[Deal],
    *,
    row_masks: tuple[int, int, int] | None = None,
) -> None:
    """Answers every request with all holders' whole shares: nothing is compressed.

    Args:
        me: the dealer's plug.
        holders: their names; the last one asks, all of them receive.
        keys: for every holder, the 16 bytes that make its streams; they stay here.
        deals: the triples in the order of the steps.
        row_masks: training rows, test rows and columns of the shares of U that are sent at the start; nothing
            where U is new in every batch.
    """
    if row_masks is not None:
        train, test, k = row_masks
        for holder, key in zip(holders, keys, strict=True):
            masks = await me.compute(
                partial(beaver.row_masks, key, *row_masks),
                Cost(random_bytes=8 * (train + test) * k, messages=1),
                label="make triple",
            )
            me.send(holder, RowMaskShare(-1, *masks))
    for deal in deals:
        await me.recv(holders[-1], TripleRequest)
        shares = await me.compute(
            deal.shares, deal.cost + Cost(messages=len(holders) - 1), label="make triple"
        )
        for holder, share in zip(holders, shares, strict=True):
            me.send(holder, TripleShare(deal.step, share.U, share.V, share.Z))
