"""Closed form of what one training batch of Algorithm 2 puts on the links, beside the measured ledger."""

from __future__ import annotations

from p2n2sim.messages import SERVER
from p2n2sim.parties import algorithm1
from p2n2sim.parties.algorithm1 import FirstLayer

ROUNDS = 6  # inputs, masked shares, h1, h_L, dL/dh_L, dL/dh1


def payload_by_link(layer: FirstLayer, label_owner: str, rows: int, last_units: int) -> dict[str, int]:
    """Payload bytes of one training batch, by link; ring elements take 8 bytes, floats 4.

    Args:
        layer: the first layer, computed by Algorithm 1.
        label_owner: who holds the label.
        rows: m, rows of the batch.
        last_units: q, width of the last hidden layer.
    """
    out = algorithm1.payload_by_link(layer, rows)
    out[f"{SERVER}->{label_owner}"] = 4 * rows * last_units  # line 8: h_L
    out[f"{label_owner}->{SERVER}"] += 4 * rows * last_units  # line 11: dL/dh_L
    for holder in layer.holders:  # line 11: dL/dh1
        link = f"{SERVER}->{holder}"
        out[link] = out.get(link, 0) + 4 * rows * layer.units
    return out
