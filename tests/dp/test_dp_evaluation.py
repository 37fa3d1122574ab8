"""Scenarios of the second paper's evaluation fit their items; a small one is made and rendered."""

from __future__ import annotations

import dataclasses
import math
from functools import partial
from pathlib import Path

import pandas as pd
import pytest

from p2n2sim.dp.attacked import STEP, attacks
from p2n2sim.dp.catalogue import ITEMS
from p2n2sim.dp.edition import DP
from p2n2sim.dp.items.application import _present, application, strongest
from p2n2sim.evaluation.evaluate import evaluate
from p2n2sim.evaluation.item import Step
from p2n2sim.evaluation.plan import plan
from p2n2sim.scenario.load import load

SHIPPED = Path(__file__).parents[2] / "scenarios" / "dp"


@pytest.mark.parametrize("quick", [True, False])
def test_shipped_scenarios_fit_their_items(quick: bool, tmp_path: Path) -> None:
    """Every item finds its files; applications sweep epsilon; attacked runs record the server."""
    planned = {one.item.name: one for one in plan(ITEMS, SHIPPED, tmp_path, quick=quick, data_dir=None)}
    for name in ("credit", "loan", "risk", "fraud"):
        runs = planned[name].runs
        epsilons = {run.scenario.privacy.epsilon for run in runs[name]}
        assert epsilons == ({1.0, 8.0, math.inf} if quick else {0.5, 1.0, 3.0, 8.0, math.inf})
        assert len(runs[name]) == len(epsilons) * (2 if quick else 5)
        assert {run.scenario.record.views for run in runs[f"{name}-attacked"]} == {("server",)}
        assert all(run.scenario.data.columns for run in runs[f"{name}-alone"])
    names = [run.name for one in planned.values() for own in one.runs.values() for run in own]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.toml")), ids=lambda path: path.stem)
def test_every_shipped_scenario_is_valid(path: Path) -> None:
    """Each file loads, has a title, and is named after its file."""
    scenario = load(path)
    assert scenario.title
    assert scenario.name == path.stem


def test_the_strongest_attack_by_its_own_measure() -> None:
    """The smallest value where that is strong, else the largest, of every epsilon and kind."""
    frame = pd.DataFrame(
        {
            "epsilon": [1.0, 1.0, 1.0, 1.0],
            "kind": ["labels", "labels", "recovery", "recovery"],
            "lower_is_stronger": [False, False, True, True],
            "value": [0.7, 0.9, 0.4, 0.2],
        }
    )
    assert [row["value"] for row in strongest(frame)] == [0.9, 0.2]


TINY = """
name = "tiny"
title = "A tiny application"
[data]
source = "german_credit"
split = [["A1", "A2", "A3", "A4", "A5", "A6", "A8", "A9"],
         ["A7", "A10", "A11", "A12", "A13", "A14", "A15", "A16", "A17", "A18", "A19", "A20"]]
[data.bounds]
"A*" = [0, 20000]
[model]
hidden = [4, 4]
[train]
epochs = 1
batch_size = 100
sampler = "poisson"
loss_reduction = "mean"
[protocol]
first_layer = "masked-sum"
[privacy]
epsilon = 8.0
delta = 1e-4
[privacy.gradients]
clip = 1.0
[privacy.preprocessing]
normalise = "bounds"
[sweep]
"privacy.epsilon" = [1.0, inf]
"train.seed" = [1, 2]
"""


@pytest.mark.usefixtures("in_this_process")
def test_a_tiny_application_is_rendered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs, attacks, tables and figure of one application; the page warns that the data are a stand-in."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scenarios").mkdir()
    (tmp_path / "scenarios" / "tiny.toml").write_text(TINY)
    alone = {"data.columns": ["A1", "A2", "A3"], "data.split": [["A1"], ["A2", "A3"]]}
    item = application("tiny", "Tiny", "a claim.", alone)
    fast = Step(STEP, attacks, {"kinds": ["membership", "labels"], "shadows": 2})
    sources = tuple(dataclasses.replace(one, steps=(fast,) if one.steps else ()) for one in item.sources)
    item = dataclasses.replace(item, sources=sources)
    assert isinstance(item.present, partial)
    assert item.present.func is _present
    folders = {"work": tmp_path / "work", "scenarios": tmp_path / "scenarios"}
    page = evaluate(DP, [item], tmp_path / "out", **folders)
    text = (page.parent / "README.md").read_text()
    assert "STAND-IN data" in text
    assert "| inf |" in text
    assert "membership" in text
    numbers = pd.read_csv(page.parent / "figures" / "tiny-auc.csv")
    assert len(numbers) == 2 * 2 + 2 * 3
    assert numbers["ece"].between(0, 1).all()
