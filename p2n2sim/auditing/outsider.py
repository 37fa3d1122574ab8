"""What somebody outside makes of the released network: its answers, and the way that its weights have gone.

The initial weights are public. A row's gradient with respect to the weights of a holder is x_i d^T, with d
its dL/dh1, and every batch that the row is in moves them along -x_i d^T. How well the way from the initial to
the released weights fits what a canary has done with the coin at heads, less the same at tails, tells the
coin. (Gradients tell more than answers: Nasr, Shokri & Houmansadr, "Comprehensive privacy analysis of deep
learning", S&P 2019. An adversary with the final weights only: Cebere, Bellet & Papernot, "Tighter privacy
auditing of DP-SGD in the hidden state threat model", 2024.) What is promised holds against who knows all
other rows, so what these have done is taken out before, as far as it goes along their gradients' sum.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from p2n2sim.nn.network import Parts, PlainNetwork
from p2n2sim.nn.training import label_loss

Matrix = NDArray[np.float64]
Rows = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Features (m, k) and labels (m,)."""


class Outsider:
    """Who is given the trained network, and knows the initial one and all rows but the canaries.

    Args:
        before: the network with its initial weights.
        after: the trained one.
        blocks: the columns of each holder.
        clip: the norm to which a row's gradient of one holder's weights was clipped; None where it was not.
        known: the rows that are no canaries.
    """

    def __init__(
        self, before: Parts, after: Parts, blocks: Sequence[slice], clip: float | None, known: Rows
    ) -> None:
        self._networks = [parts.copy() for parts in (before, after)]
        self._blocks, self._clip = blocks, clip
        self._after = PlainNetwork(after).eval()
        way = (after.theta - before.theta).numpy().astype(np.float64)
        self._ways = [self._without(parts, way, known) for parts in self._networks]

    def sees(self, heads: Rows, tails: Rows | None) -> Matrix:
        """What it sees of some canaries, (m, numbers).

        The trained network's logits and losses of both values, and how well the way of each holder's weights
        fits, once with gradients of the initial network and once of the trained one.

        Args:
            heads: the rows with the coin at heads.
            tails: the same at tails; None where there is no row then.
        """
        values = [heads] if tails is None else [heads, tails]
        columns = [column for rows in values for column in self._answers(rows)]
        for parts, way in zip(self._networks, self._ways, strict=True):
            fits = [self._fit(parts, way, rows) for rows in values]  # each (m, holders)
            columns.append(fits[0] if tails is None else fits[0] - fits[1])
        return np.hstack(columns).astype(np.float64)

    def _answers(self, rows: Rows) -> list[Matrix]:
        with torch.no_grad():
            logits = self._after(torch.from_numpy(rows[0]))
            losses = label_loss(logits, torch.from_numpy(rows[1]), reduction="none")
        return [logits.numpy().reshape(len(rows[0]), -1), losses.numpy()[:, None]]

    def _fit(self, parts: Parts, way: Matrix, rows: Rows) -> Matrix:
        d = d_1(parts, rows)
        out = []
        for block in self._blocks:
            x = rows[0][:, block].astype(np.float64)
            out.append(-np.einsum("mk,kn,mn->m", x, way[block], self._clipped(x, d)))
        return np.stack(out, axis=1)

    def _without(self, parts: Parts, way: Matrix, known: Rows) -> Matrix:
        """The way less its part along the sum of the gradients of the rows that are known."""
        d, out = d_1(parts, known), way.copy()
        for block in self._blocks:
            x = known[0][:, block].astype(np.float64)
            common = x.T @ self._clipped(x, d)
            size = float(np.sum(common**2))
            if size:
                out[block] -= float(np.sum(way[block] * common)) / size * common
        return out

    def _clipped(self, x: Matrix, d: Matrix) -> Matrix:
        """d of every row, scaled so that x d^T is at most as long as the clipping norm."""
        if self._clip is None:
            return d
        norms = np.linalg.norm(x, axis=1) * np.linalg.norm(d, axis=1)
        scaled: Matrix = d * np.minimum(1, self._clip / np.maximum(norms, 1e-300))[:, None]
        return scaled


def d_1(parts: Parts, rows: Rows) -> Matrix:
    """The gradients of the rows' own losses with respect to h1, (m, n)."""
    X, y = (torch.from_numpy(array) for array in rows)
    h1 = (X @ parts.theta).requires_grad_()
    was = parts.server.training
    parts.server.eval()
    loss = label_loss(parts.head(parts.server(h1)).squeeze(1), y, reduction="sum")
    parts.server.train(was)
    (found,) = torch.autograd.grad(loss, [h1])
    gradients: Matrix = found.numpy().astype(np.float64)
    return gradients
