"""What a party saw of the hidden layers, as the material of attacks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from p2n2sim.adversary.scene import Matrix, Scene, epochs_of, forward_labels
from p2n2sim.parties.schedule import Stage

EPOCHS = 8
"""Most epochs that an adversary puts beside each other."""


def observations(
    scene: Scene, party: str, stages: Sequence[Stage]
) -> Iterator[tuple[Stage, str, Matrix, Matrix | None]]:
    """What a party saw of hidden layers, in the last epoch and in several ones together.

    Args:
        scene: the run.
        party: the adversary.
        stages: whose rows are wanted.

    Returns:
        Stage, name, what was seen of every row (m, n), and theta (k, n) of the columns that are not the
        party's own, where that is what they were multiplied with.
    """
    view = scene.views[party]
    for stage in stages:
        labels = forward_labels(view, stage)
        if not labels:
            continue
        epochs = epochs_of(view.seen[stage, labels[0]])
        yield (
            stage,
            ", ".join(labels),
            _by_epochs(scene, party, stage, labels, epochs[-1:]),
            _theta(scene, party, labels),
        )
        if len(epochs) > 1 and scene.setup.scenario.train.sampler != "poisson":  # else of other rows each
            some = epochs[-EPOCHS:]
            what = f"{', '.join(labels)} of {len(some)} epochs"
            yield stage, what, _by_epochs(scene, party, stage, labels, some), None


def _by_epochs(scene: Scene, party: str, stage: Stage, labels: list[str], epochs: list[int]) -> Matrix:
    """Some epochs' values side by side, a row for each row; a holder takes its own summand off h1."""
    own, view, out = scene.block(party), scene.views[party], []
    for epoch in epochs:
        for label in labels:
            _, values, _ = view.seen[stage, label].by_row(epoch)
            wide = values.astype(np.float64)
            if own is not None and label == "h1":
                wide = wide - scene.summand(party, stage)
            out.append(wide)
    return np.hstack(out)


def _theta(scene: Scene, party: str, labels: list[str]) -> Matrix | None:
    """What the unknown columns are multiplied with to give what was seen; nothing if that is not linear."""
    theta, parts = scene.theta(), []
    for label in labels:
        if label == "h1":
            parts.append(theta)
            continue
        holder = label.removeprefix("X_i theta_i (").removesuffix(")")
        if holder == label:
            return None
        part, block = np.zeros_like(theta), scene.block(holder)
        part[block] = theta[block]
        parts.append(part)
    return np.hstack(parts)[scene.others(party)]


def pixels(names: tuple[str, ...]) -> NDArray[np.intp]:
    """The columns of an image, line by line."""
    places = np.array([[int(part) for part in name.split(",")] for name in names])
    return np.lexsort((places[:, 1], places[:, 0]))
