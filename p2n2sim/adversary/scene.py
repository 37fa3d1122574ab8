"""What the adversaries of a finished run know: its views, its public settings, and data of their own."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from p2n2sim.assemble import Setup, assemble
from p2n2sim.data.prepare import column
from p2n2sim.errors import InputError
from p2n2sim.inputs import Inputs
from p2n2sim.messages import SERVER
from p2n2sim.nn.network import Parts, PlainNetwork
from p2n2sim.parties.schedule import Stage
from p2n2sim.report.read import StoredRun, read
from p2n2sim.views import FOLDER, MODEL, REMEDY, PartyView, Seen, read_arrays, read_views

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Scene:
    """A finished run as its adversaries know it.

    Attributes:
        folder: of the run.
        setup: its data, its settings, and the trained network.
        views: what was recorded, by party.
    """

    folder: Path
    setup: Setup
    views: Mapping[str, PartyView]

    def X(self, stage: Stage) -> Matrix:  # noqa: N802 - a matrix
        """All columns of the rows of a stage that were seen, in the holders' order, (m, k)."""
        data = self.setup.dataset
        X = (data.X_train if stage == "train" else data.X_test)[self.rows(stage)]
        return X.astype(np.float64)

    def y(self, stage: Stage) -> NDArray[np.int64]:
        """The classes of the rows of a stage that were seen, (m,)."""
        data = self.setup.dataset
        return (data.y_train if stage == "train" else data.y_test)[self.rows(stage)].astype(np.int64)

    def rows(self, stage: Stage) -> NDArray[np.int64]:
        """Numbers of the rows that were in the last recorded epoch, ascending; perhaps not all."""
        for view in self.views.values():
            for (at, _), seen in view.seen.items():
                if at == stage:
                    return seen.by_row()[0]
        data = self.setup.dataset
        return np.arange(len(data.y_train if stage == "train" else data.y_test))

    def theta(self) -> Matrix:
        """The first layer's trained weights, (k, n)."""
        return self.setup.parts.theta.numpy().astype(np.float64)

    def block(self, party: str) -> slice | None:
        """A holder's columns; nothing for the server."""
        holders = self.setup.layer.holders
        return None if party == SERVER else self.setup.blocks[holders.index(party)]

    def summand(self, party: str, stage: Stage) -> Matrix:
        """What a holder adds to h1 by the trained weights, (m, n): of its features as it uses them."""
        inputs, own = Inputs(self.setup), self.block(party)
        X = inputs.features(party)[0 if stage == "train" else 1][self.rows(stage)]
        weights = self.setup.parts.theta[own].numpy()
        clip = inputs.clip()
        used = X if clip is None else clip(X, weights)
        summand: Matrix = used.astype(np.float64) @ weights
        return summand

    def others(self, party: str) -> NDArray[np.intp]:
        """The columns that a party does not have."""
        columns = np.arange(self.setup.dataset.features)
        own = self.block(party)
        return columns if own is None else np.delete(columns, own)

    def property(self, name: str, data_dir: Path | None) -> tuple[Matrix, Matrix]:
        """A column of the data's file for the training and the test rows; see `data.prepare.column`."""
        data = self.setup.scenario.data
        train, test = column(
            name,
            source=data.source,
            seed=self.setup.scenario.train.seed,
            label=data.label,
            drop=data.drop,
            fraction=data.fraction,
            test_fraction=data.test_fraction,
            leak_target=data.leak_target,
            history=data.history,
            data_dir=data_dir,
        )
        return train[self.rows("train")], test[self.rows("predict")]

    def predict(self, X: NDArray[np.float32]) -> Matrix:
        """The trained network's logits of some rows, (m,) or (m, classes)."""
        with torch.no_grad():
            logits = PlainNetwork(self.setup.parts).eval()(torch.from_numpy(X)).numpy()
        out: Matrix = logits.astype(np.float64)
        return out


def load_scene(folder: Path, data_dir: Path | None) -> Scene:
    """Reads a run folder and the data that the run was made on.

    Args:
        folder: a finished run.
        data_dir: where to look for data files first.

    Raises:
        InputError: the folder holds no finished run with recorded views, or the data are not the run's.
    """
    stored = read(folder)
    if not isinstance(stored, StoredRun):
        raise InputError(str(folder), "it holds several runs", f"name one of them, in {folder / 'points'}")
    views = read_views(folder)
    for party, view in views.items():
        for (stage, label), seen in view.seen.items():
            if not np.isfinite(seen.values).all():
                raise InputError(
                    str(folder / FOLDER / f"{party}.npz"),
                    f"{stage}/{label} has numbers that are not finite: the training diverged",
                    "run it again with a smaller train.learning_rate",
                )
    setup = assemble(stored.scenario, data_dir=data_dir)
    return Scene(folder, dataclasses.replace(setup, parts=_trained(setup.parts, folder)), views)


def _trained(parts: Parts, folder: Path) -> Parts:
    path = folder / FOLDER / f"{MODEL}.npz"
    arrays = read_arrays(path)
    try:
        parts.theta.copy_(torch.from_numpy(arrays["theta"]))
        for name, module in (("server", parts.server), ("head", parts.head)):
            module.load_state_dict(
                {key: torch.from_numpy(arrays[f"{name}/{key}"]) for key in module.state_dict()}
            )
    except (KeyError, RuntimeError) as error:  # torch's for other shapes
        raise InputError(str(path), "it has not the weights of this network", REMEDY) from error
    return parts


def is_gradient(label: str) -> bool:
    """Whether a label of a view is that of a derivative, such as ``dL/dh1``."""
    return "/d" in label


def forward_labels(view: PartyView, stage: Stage) -> list[str]:
    """What a party was given of hidden layers in a stage."""
    return [
        label
        for label in view.labels(stage)
        if not (is_gradient(label) or label.startswith("sent ") or label == "logits")
    ]


def epochs_of(seen: Seen) -> list[int]:
    """The recorded epochs, in order."""
    return [int(epoch) for epoch in np.unique(seen.epochs)]
