"""Closed form of what one training batch of Algorithm 2 puts on the links, beside the measured ledger."""

from __future__ import annotations

from p2n2sim.messages import SERVER
from p2n2sim.parties.family import MEMBERS
from p2n2sim.parties.layer import FirstLayer


def payload_by_link(
    layer: FirstLayer, label_owner: str, rows: int, last_units: int, *, first_layer: str = "algorithm1"
) -> dict[str, int]:
    """Payload bytes of one training batch, by link; ring elements take 8 bytes, floats 4.

    Args:
        layer: the first layer.
        label_owner: who holds the label.
        rows: m, rows of the batch.
        last_units: q, width of the last hidden layer.
        first_layer: by which protocol the first layer is computed, a name of `MEMBERS`.
    """
    out = dict(MEMBERS[first_layer].payload(layer, rows))
    for link, payload in (
        (f"{SERVER}->{label_owner}", 4 * rows * last_units),  # line 8: h_L
        (f"{label_owner}->{SERVER}", 4 * rows * last_units),  # line 11: dL/dh_L
        *((f"{SERVER}->{holder}", 4 * rows * layer.units) for holder in layer.holders),  # line 11: dL/dh1
    ):
        out[link] = out.get(link, 0) + payload
    return out
