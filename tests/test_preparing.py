"""Preprocessing in a run: what it does to the data, what it charges, and what it refuses."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from p2n2sim.assemble import assemble
from p2n2sim.errors import ScenarioError
from p2n2sim.preparing import for_training
from p2n2sim.privacy.budget import Budget
from p2n2sim.run import run
from p2n2sim.scenario.load import parse

BOUNDS = {
    "A2": [1, 84],
    "A5": [0, 20_000],
    "A8": [1, 4],
    "A11": [1, 4],
    "A13": [18, 80],
    "A16": [1, 4],
    "A18": [1, 2],
}


def _scenario(privacy: dict[str, Any], **data: Any) -> Any:
    return parse(
        {
            "name": "t",
            "data": {"source": "german_credit", "bounds": BOUNDS, "split": [40, 21], **data},
            "train": {"batch_size": 100, "epochs": 1},
            "protocol": {"first_layer": "masked-sum"},
            "privacy": privacy,
        },
        "t",
    )


PRIVATE = {
    "epsilon": 4.0,
    "delta": 1e-4,
    "gradients": {"clip": 1.0},
    "preprocessing": {"share": 0.25, "normalise": "moments", "keep": [10, 6]},
}


def test_exact_scaling_is_called_not_private(tmp_path: Path) -> None:
    """What happens by default is named: no epsilon covers it."""
    told = assemble(_scenario({}), data_dir=tmp_path).prepared.statement()
    assert told["private"] is False
    assert told["epsilon"] == "inf"
    assert "not differentially private" in str(told["normalisation"])


def test_charges_are_within_the_share(tmp_path: Path) -> None:
    """The steps charged fit a budget's stage of the share that was given, and the rest is for training."""
    scenario = _scenario(PRIVATE)
    setup = assemble(scenario, data_dir=tmp_path)
    shares = {"preprocessing": 0.25, "training": 0.75}
    budget = Budget(epsilon=4.0, delta=1e-4, shares=shares)
    for what, steps in setup.prepared.on:
        budget.spend("preprocessing", what, steps)
    assert 0.5 < budget.cost("preprocessing") == pytest.approx(setup.prepared.epsilon)
    assert setup.prepared.private
    assert len(setup.prepared.on) == 4
    assert for_training(scenario).privacy.epsilon == 3.0
    assert setup.scenario.privacy.epsilon == 4.0


def test_columns_are_chosen_at_their_holders(tmp_path: Path) -> None:
    """Each holder keeps as many of its own columns as it was told to, test rows have the same ones."""
    setup = assemble(_scenario(PRIVATE, clip=2.0), data_dir=tmp_path)
    assert [block.stop - block.start for block in setup.blocks] == [10, 6]
    assert setup.parts.theta.shape[0] == setup.dataset.X_train.shape[1] == setup.dataset.X_test.shape[1] == 16
    kept = setup.prepared.kept
    assert tuple(kept["A"] + kept["B"]) == setup.dataset.feature_names
    assert np.abs(setup.dataset.X_train).max() <= 2.0


def test_infinite_budget_is_exact(tmp_path: Path) -> None:
    """With an infinite epsilon moments are exact: numeric columns have mean 0 and deviation 1."""
    privacy = {"epsilon": math.inf, "gradients": {"clip": 1.0}, "preprocessing": {"normalise": "moments"}}
    setup = assemble(_scenario(privacy), data_dir=tmp_path)
    assert setup.dataset.ranges is not None
    numeric = setup.dataset.X_train[:, setup.dataset.ranges.continuous]
    np.testing.assert_allclose(numeric.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(numeric.std(0), 1, atol=1e-5)
    assert not setup.prepared.private


def test_bounds_alone_cost_nothing(tmp_path: Path) -> None:
    """Scaling by public bounds charges nothing and is private."""
    setup = assemble(_scenario({"preprocessing": {"normalise": "bounds"}}), data_dir=tmp_path)
    assert (setup.prepared.epsilon, setup.prepared.on, setup.prepared.private) == (0.0, [], True)
    assert np.abs(setup.dataset.X_train).max() <= 1.0


def test_every_epsilon_of_the_model_pays_for_preprocessing(tmp_path: Path) -> None:
    """Also where somebody tells the noise: what is left without it cannot cost less than what was spent."""
    scenario, change = _scenario(PRIVATE), msgspec.structs.replace
    gradients = change(scenario.privacy.gradients, noise_by="shares")
    scenario = change(
        scenario,
        protocol=change(scenario.protocol, first_layer="algorithm1-prg"),
        privacy=change(scenario.privacy, gradients=gradients),
    )
    said = run(scenario, data_dir=tmp_path).summary["privacy"]
    told = {line["told_by"]: line["epsilon"] for line in said["told_the_noise_on_gradients"]}
    spent = assemble(scenario, data_dir=tmp_path).prepared.epsilon
    assert told["nobody"] == said["spent"]["epsilon"] > spent > 0
    assert told["nobody"] < told["1 holder"] < math.inf
    assert told["server"] == "inf"


@pytest.mark.parametrize(
    ("settings", "data", "where"),
    [
        ({"normalise": "exact", "share": 0.1}, {}, "privacy.preprocessing.normalise"),
        ({"normalise": "moments"}, {}, "privacy.preprocessing.share"),
        ({"normalise": "bounds", "share": 0.1}, {}, "privacy.preprocessing.share"),
        ({"normalise": "moments", "share": 0.1, "keep": [3]}, {}, "privacy.preprocessing.keep"),
        ({"normalise": "moments", "share": 0.1, "keep": [41, 1]}, {}, "privacy.preprocessing.keep"),
        ({"normalise": "moments", "share": 0.1}, {"bounds": {}}, "data.bounds"),
    ],
)
def test_what_makes_no_sense_is_refused(
    settings: dict[str, Any], data: dict[str, Any], where: str, tmp_path: Path
) -> None:
    """The key is named."""
    with pytest.raises(ScenarioError, match=where.replace(".", r"\.")):
        assemble(_scenario(PRIVATE | {"preprocessing": settings}, **data), data_dir=tmp_path)
