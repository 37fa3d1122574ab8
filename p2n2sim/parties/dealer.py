"""The dealer: it makes Beaver triples, one for every batch, and learns nothing of the data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial

import numpy as np

from p2n2sim.messages import DealerKey, TripleCorrection, TripleRequest
from p2n2sim.mpc import beaver
from p2n2sim.net.cpu import Cost
from p2n2sim.net.endpoint import Endpoint


async def dealer(
    me: Endpoint,
    holders: Sequence[str],
    keys: Sequence[bytes],
    rows: Iterable[int],
    features: int,
    units: int,
    *,
    threads: int = 1,
) -> None:
    """Gives every holder its key, then answers every request with the correction of Z = U V.

    Args:
        me: the dealer's plug.
        holders: their names; the last one asks and receives the corrections.
        keys: for every holder, the 16 bytes that make its streams of U, V and Z.
        rows: m of every batch in the order of the steps.
        features: k, columns of all holders together.
        units: n, width of the first layer.
        threads: over how many threads a product may be split; changes no bit.
    """
    for holder, key in zip(holders, keys, strict=True):
        me.send(holder, DealerKey(-1, np.frombuffer(key, np.uint8)))
    last = holders[-1]
    for step, m in enumerate(rows):
        await me.recv(last, TripleRequest)
        Z = await me.compute(
            partial(beaver.correction, keys, step, m, features, units, threads=threads),
            _cost(len(holders), m, features, units),
            label="make triple",
        )
        me.send(last, TripleCorrection(step, Z))


def _cost(holders: int, m: int, k: int, n: int) -> Cost:
    """Operations as Algorithm 1 is printed: for every holder one product of its U_j and the others' V."""
    elements = m * k + k * n
    return Cost(
        ring_madds=holders * m * k * n,
        random_bytes=8 * (holders * elements + (holders - 1) * m * n),
        moved_bytes=24 * holders * elements,
        messages=2,
    )
