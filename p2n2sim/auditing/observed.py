"""What parties saw of some training rows: alone, or with their views side by side."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from p2n2sim.assemble import Setup
from p2n2sim.inputs import Inputs
from p2n2sim.messages import SERVER
from p2n2sim.mpc import fixed_point
from p2n2sim.scenario.input_noise import grid_bits

Matrix = NDArray[np.float64]
View = Mapping[str, NDArray[Any]]
"""As `p2n2sim.views` writes it."""

H1 = "train/h1"


def pooled(
    views: Mapping[str, View], who: Collection[str], rows: NDArray[np.int64], drawn: Mapping[str, Matrix]
) -> Matrix:
    """What some parties together saw of some training rows, (rows, numbers): their averages side by side.

    Where the server is among them, what they drew of the noise themselves is taken off h1 before. What
    several were told alike is there once.

    Args:
        views: of every party.
        who: whose are pooled.
        rows: numbers of training rows, in order.
        drawn: as of `noise_drawn`.
    """
    parts = []
    for party in sorted(who):
        view = dict(views[party])
        if party == SERVER and f"{H1}/values" in view:
            known = sum(noise for name, noise in drawn.items() if name in who)
            view[f"{H1}/values"] = view[f"{H1}/values"] - known
        parts.append(averaged(view, rows))
    return np.unique(np.hstack(parts), axis=1)


def noise_drawn(setup: Setup, view: View) -> dict[str, Matrix]:
    """What each holder has itself added to the rows of h1 in a view, from its key, in the order of the view.

    Args:
        setup: what was run.
        view: the server's; without h1, or where no holder draws noise, there is nothing.
    """
    if f"{H1}/values" not in view:
        return {}
    steps, units = view[f"{H1}/steps"], view[f"{H1}/values"].shape[1]
    numbers, starts, counts = np.unique(steps, return_index=True, return_counts=True)
    bits, out = grid_bits(setup.scenario), {}
    for name, noise in Inputs(setup).noise().items():
        out[name] = np.zeros((len(steps), units))
        for step, start, count in zip(numbers.tolist(), starts, counts, strict=True):
            nothing = np.zeros((count, units), np.int64)
            added = fixed_point.decode(noise.on_share(nothing, step, bits), bits)
            out[name][start : start + count] = added
    return out


def averaged(view: View, rows: NDArray[np.int64]) -> Matrix:
    """What a party saw of some training rows, (rows, numbers): means over the batches that each was in.

    Args:
        view: whose training values count.
        rows: numbers of training rows, in order.
    """
    parts = []
    for name in view:
        if not (name.startswith("train/") and name.endswith("/values")):
            continue
        values, at = view[name].astype(np.float64), view[name.removesuffix("values") + "rows"]
        place = np.searchsorted(rows, at)
        mine = np.flatnonzero((place < len(rows)) & (rows[np.minimum(place, len(rows) - 1)] == at))
        total, count = np.zeros((len(rows), values.shape[1])), np.zeros(len(rows))
        np.add.at(total, place[mine], values[mine])
        np.add.at(count, place[mine], 1)
        parts.append(total / np.maximum(count, 1)[:, None])
    return np.hstack(parts) if parts else np.empty((len(rows), 0))
