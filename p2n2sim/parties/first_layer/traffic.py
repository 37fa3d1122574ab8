"""Closed form of what one training batch of Algorithm 2 puts on the links, beside the measured ledger."""

from __future__ import annotations

from collections import Counter

from p2n2sim.messages import SERVER
from p2n2sim.parties.defence import payload_by_link as defence_payload
from p2n2sim.parties.first_layer.family import MEMBERS
from p2n2sim.parties.layer import FirstLayer
from p2n2sim.parties.perturbation import shares
from p2n2sim.parties.triples.sources import Triples
from p2n2sim.parties.triples.supply import payload_by_link as triple_payload
from p2n2sim.parties.triples.supply import ring_madds as triple_madds
from p2n2sim.parties.triples.supply import setup_by_link as triple_setup


def payload_by_link(
    layer: FirstLayer,
    label_owner: str,
    rows: int,
    last_units: int,
    *,
    first_layer: str = "algorithm1",
    triples: Triples = "dealer",
    defended: bool = False,
) -> dict[str, int]:
    """Payload bytes of one training batch, by link; ring elements take 8 bytes, floats 4.

    Args:
        layer: the first layer.
        label_owner: who holds the label.
        rows: m, rows of the batch.
        last_units: q, width of the last hidden layer.
        first_layer: by which protocol the first layer is computed, a name of `MEMBERS`.
        triples: where its triples come from, if it uses any.
        defended: whether the holders add to the loss what protects their features.
    """
    member = MEMBERS[first_layer]
    out = Counter(member.payload(layer, rows))
    if member.dealt:
        once = member.rows_masked_once
        out.update(triple_payload(layer, rows, triples, rows_masked_once=once))
    for link, payload in (
        (f"{SERVER}->{label_owner}", 4 * rows * last_units),  # line 8: h_L
        (f"{label_owner}->{SERVER}", 4 * rows * last_units),  # line 11: dL/dh_L
        *((f"{SERVER}->{holder}", 4 * rows * layer.units) for holder in layer.holders),  # line 11: dL/dh1
    ):
        out[link] += payload
    if defended:
        out.update(defence_payload(layer, rows))
    return dict(out)


def setup_by_link(
    layer: FirstLayer,
    rows_train: int,
    rows_test: int,
    *,
    first_layer: str = "algorithm1",
    triples: Triples = "dealer",
) -> dict[str, int]:
    """Payload bytes before the first batch, by link; arguments as for `payload_by_link`."""
    member = MEMBERS[first_layer]
    out = Counter(member.setup(layer, rows_train, rows_test))
    if layer.weight_bits is not None:
        out.update(shares.setup_by_link(layer))
    if member.dealt:
        once = member.rows_masked_once
        out.update(triple_setup(layer, rows_train, rows_test, triples, rows_masked_once=once))
    return dict(out)


def ring_madds_by_party(
    layer: FirstLayer, rows: int, *, first_layer: str = "algorithm1", triples: Triples = "dealer"
) -> dict[str, int]:
    """Ring multiply-adds of one batch by who does them; arguments as for `payload_by_link`."""
    member = MEMBERS[first_layer]
    out = {holder: member.ring_madds(layer, rows) for holder in layer.holders}
    if member.dealt:
        out |= triple_madds(layer, rows, triples, rows_masked_once=member.rows_masked_once)
    return {party: count for party, count in out.items() if count}
