"""The squared norm of every training row, summed over the holders under masks that cancel: for flat clipping.

A row's gradient with respect to theta is the outer product of x and dL/dh1, so its squared norm is
(sum_i |x_i|^2) |dL/dh1|^2. Once, before the first batch, holder i sends the server

    encode(|x_i|^2) + sum_{j > i} mask_ij - sum_{j < i} mask_ji    for every training row,

with mask_ij a stream whose key i has sent j (Bonawitz et al., CCS 2017, section 4, without its recovery from
drop-outs). The server learns |x|^2 of every training row, and no summand as long as two holders keep away
from it. Norms are rounded up, so that no row counts for less than it is.

Each holder sends each later one 16 bytes and the server 8 bytes a training row, in two rounds.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from p2n2sim.messages import SERVER, Floats, MaskKey, NormShare
from p2n2sim.mpc import fixed_point, prg
from p2n2sim.mpc.prg import KEY_BYTES, Purpose, derive_key
from p2n2sim.net.cpu import Cost
from p2n2sim.net.endpoint import Endpoint
from p2n2sim.parties.layer import FirstLayer


async def send_norms(me: Endpoint, layer: FirstLayer, squared: Floats, seed: int) -> None:
    """A holder's part.

    Args:
        me: the holder's plug.
        layer: the first layer.
        squared: |x_i|^2 of every training row, (rows,).
        seed: of all keys.
    """
    own = layer.holders.index(me.name)
    before, after = layer.holders[:own], layer.holders[own + 1 :]
    given = {j: derive_key(seed, "norm mask", me.name, j) for j in after}
    for j, key in given.items():
        me.send(j, MaskKey(-1, np.frombuffer(key, np.uint8)))
    taken = {j: (await me.recv(j, MaskKey)).key.tobytes() for j in before}

    def masked() -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        share = fixed_point.encode(squared, layer.fractional_bits)
        share += 1  # rounded up
        for keys, sign in ((given, 1), (taken, -1)):
            for key in keys.values():
                share += sign * prg.uniform(key, 0, len(squared), purpose=Purpose.NORM_MASK)
        return share

    others, rows = len(layer.holders) - 1, len(squared)
    share = await me.compute(
        masked,
        Cost(random_bytes=8 * others * rows, moved_bytes=(12 + 24 * others) * rows, messages=1 + others),
        label="mask norms",
    )
    me.send(SERVER, NormShare(-1, share))


async def receive_norms(me: Endpoint, holders: Sequence[str], fractional_bits: int, rows: int) -> Floats:
    """The server's part: |x|^2 of every training row, (rows,) float32."""
    shares = [(await me.recv(holder, NormShare)).squared for holder in holders]
    return await me.compute(
        lambda: fixed_point.decode(np.add.reduce(shares), fractional_bits),
        Cost(moved_bytes=16 * len(holders) * rows, messages=len(holders)),
        label="add up norms",
    )


def setup_by_link(layer: FirstLayer, rows_train: int) -> dict[str, int]:
    """Payload bytes of it, by link."""
    keys = {f"{i}->{j}": KEY_BYTES for a, i in enumerate(layer.holders) for j in layer.holders[a + 1 :]}
    return keys | {f"{holder}->{SERVER}": 8 * rows_train for holder in layer.holders}
