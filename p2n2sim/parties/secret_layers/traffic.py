"""Closed form of one batch of several layers under secret sharing, beside the measured ledger.

The functions follow `p2n2sim.parties.secret_layers.network` line by line.
"""

from __future__ import annotations

from p2n2sim.messages import DEALER, SERVER
from p2n2sim.parties.secret_layers import price
from p2n2sim.parties.secret_layers.activations import SlopeKind
from p2n2sim.parties.secret_layers.agreement import Agreement
from p2n2sim.parties.secret_layers.network import Design
from p2n2sim.parties.secret_layers.price import Price
from p2n2sim.parties.secret_layers.session import Arithmetic


def forward_price(design: Design, arithmetic: Arithmetic, rows: int, *, logits: bool = False) -> Price:
    """Of the forward pass of a batch."""
    sizes = list(zip(design.widths, design.widths[1:], strict=False))
    total = price.mask(sum(k * n for k, n in sizes) + (0 if design.masked_once else rows * sizes[0][0]))
    for layer, ((_, n), activation) in enumerate(zip(sizes, design.activations, strict=True)):
        total += price.product(rows * n)
        if activation is None:
            break
        total += arithmetic.truncation_price(rows * n)
        if layer == design.layers - 1 and logits:
            break
        total += activation.price(rows * n, arithmetic)
        if layer < design.layers - 1:
            total += price.mask(rows * n)
    return total


def backward_price(design: Design, arithmetic: Arithmetic, rows: int, *, public: bool) -> Price:
    """Of the backward pass and the update of a batch, from a gradient in the clear or from shares of it."""
    total, weights = Price(), 0
    last = design.activations[-1]
    if public and last is not None and last.slope != "one":
        total += _slope_price(last.slope, arithmetic, rows * design.widths[-1], public=True)
        public = False
    for layer in reversed(range(design.layers)):
        k, n = design.widths[layer], design.widths[layer + 1]
        results = k * n + (rows * k if layer else 0)
        if not public:
            total += price.mask(rows * n) + price.product(results)
        total += arithmetic.truncation_price(results)
        weights += k * n + (n if design.activations[layer] is not None else 0)
        if layer:
            below = design.activations[layer - 1]
            assert below is not None  # only the last layer may lack an activation
            total += _slope_price(below.slope, arithmetic, rows * k, public=False)
            public = False
    updates = 2 if design.momentum else 1
    for _ in range(updates):
        total += arithmetic.truncation_price(weights)
    return total


def _slope_price(slope: SlopeKind, arithmetic: Arithmetic, count: int, *, public: bool) -> Price:
    """Of multiplying a gradient by an activation's slope."""
    if slope == "one":
        return Price()
    total = Price() if public else price.mask(2 * count) + price.product(count)
    return total + arithmetic.truncation_price(count) if slope == "fractional" else total


def batch_price(agreement: Agreement, rows: int, *, training: bool) -> Price:
    """Of the holders' part of a batch."""
    design, arithmetic = agreement.design, agreement.arithmetic
    if not training:
        return forward_price(design, arithmetic, rows, logits=agreement.whole)
    return forward_price(design, arithmetic, rows) + backward_price(
        design, arithmetic, rows, public=not agreement.whole
    )


def rounds(agreement: Agreement, rows: int) -> int:
    """Of a training batch: openings, shares of X if they are sent, and the server's and the label's part."""
    server = 0 if agreement.whole else 4  # h_s, h_L, dL/dh_L, dL/dh_s
    return batch_price(agreement, rows, training=True).rounds + (not agreement.from_seeds) + server


def payload_by_link(agreement: Agreement, rows: int, last_units: int) -> dict[str, int]:
    """Payload bytes of one training batch, by link.

    Args:
        agreement: what the parties agree on.
        rows: m, rows of the batch.
        last_units: q, width of the last hidden layer.
    """
    layer, width = agreement.layer, agreement.arithmetic.width
    total = batch_price(agreement, rows, training=True)
    out = {}
    for holder, own in zip(layer.holders, layer.widths, strict=True):
        inputs = 0 if agreement.from_seeds else rows * own * width // 8
        for other in layer.holders:
            if other != holder:
                out[f"{holder}->{other}"] = total.sent(width) + inputs
        if agreement.full or holder == layer.holders[-1]:
            out[f"{DEALER}->{holder}"] = total.dealt(width, full=agreement.full)
    if not agreement.whole:
        out |= _server_links(agreement, rows, last_units)
    return out


def _server_links(agreement: Agreement, rows: int, last_units: int) -> dict[str, int]:
    """Shares of h_s, h_L and its gradient, the gradient of h_s."""
    elements, owner = rows * agreement.design.widths[-1], agreement.label_owner
    out = {}
    for holder in agreement.layer.holders:
        out[f"{holder}->{SERVER}"] = elements * agreement.arithmetic.width // 8
        out[f"{SERVER}->{holder}"] = 4 * elements
    out[f"{owner}->{SERVER}"] += 4 * rows * last_units
    out[f"{SERVER}->{owner}"] += 4 * rows * last_units
    return out
