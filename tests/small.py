"""Small set-ups for tests: random data, a tiny network, links on which the clock counts rounds."""

from __future__ import annotations

from typing import Any

import numpy as np

from p2n2sim.assemble import Setup
from p2n2sim.data.sets import Dataset
from p2n2sim.data.split import columns
from p2n2sim.nn.network import build
from p2n2sim.parties.schedule import Schedule
from p2n2sim.scenario.load import parse, set_key


def small_setup(
    *,
    rows: int = 12,
    features: int = 7,
    holders: int = 2,
    overrides: dict[str, Any] | None = None,
) -> Setup:
    """A training run whose links have one second of latency and nothing else; work takes no time."""
    tree: dict[str, Any] = {
        "name": "small",
        "data": {"holders": holders},
        "model": {"hidden": [4, 3]},
        "train": {"epochs": 1, "batch_size": 6, "learning_rate": 0.05, "seed": 3},
        "network": {"preset": "ideal", "latency": "1 s"},
        "compute": {"preset": "instant"},
    }
    for key, value in (overrides or {}).items():
        set_key(tree, key, value, "test")
    scenario = parse(tree, "test")
    random = np.random.default_rng(5)
    X = random.normal(size=(rows + rows // 2, features)).astype(np.float32)
    y = (X @ random.normal(size=features) > 0).astype(np.float32)
    return Setup(
        scenario=scenario,
        dataset=Dataset(
            name="random",
            source="random numbers",
            stand_in=True,
            feature_names=tuple(f"x{i}" for i in range(features)),
            X_train=X[:rows],
            y_train=y[:rows],
            X_test=X[rows:],
            y_test=y[rows:],
        ),
        blocks=columns(features, holders),
        parts=build(features, scenario.model.hidden, scenario.model.activation_list, seed=1),
        schedule=Schedule(
            rows_train=rows,
            rows_test=rows // 2,
            batch_size=scenario.train.batch_size,
            epochs=scenario.train.epochs,
            predict_every=scenario.train.predict_every,
            seed=scenario.train.seed,
            sampler=scenario.train.sampler,
        ),
    )
