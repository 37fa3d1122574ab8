"""The dealer: it makes Beaver triples, one for every batch, and learns nothing of the data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from p2n2sim.messages import DealerKey, Ring, RowMaskShare, TripleCorrection, TripleRequest, TripleShare
from p2n2sim.net.cpu import Cost
from p2n2sim.net.endpoint import Endpoint
from p2n2sim.parties.deals import Deal


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
    deals: Iterable[Deal],
    row_masks: Iterable[tuple[Ring, Ring]] = (),
) -> None:
    """Answers every request with all holders' whole shares: nothing is compressed.

    Args:
        me: the dealer's plug.
        holders: their names; the last one asks, all of them receive.
        deals: the triples in the order of the steps.
        row_masks: for every holder its shares of U for the training and the test rows; nothing where U is
            new in every batch.
    """
    for holder, (train, test) in zip(holders, row_masks, strict=False):
        me.send(holder, RowMaskShare(-1, train, test))
    for deal in deals:
        await me.recv(holders[-1], TripleRequest)
        shares = await me.compute(
            deal.shares, deal.cost + Cost(messages=len(holders) - 1), label="make triple"
        )
        for holder, share in zip(holders, shares, strict=True):
            me.send(holder, TripleShare(deal.step, share.U, share.V, share.Z))
