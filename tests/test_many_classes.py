"""Runs with ten classes: what they learn, what they tell, how they go on, and what they refuse."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import accuracy_score, roc_auc_score

from p2n2sim.assemble import Setup, assemble
from p2n2sim.errors import ScenarioError
from p2n2sim.folder import read_summary
from p2n2sim.nn.network import build
from p2n2sim.parties.schedule import Batch
from p2n2sim.report.bars import side_by_side
from p2n2sim.report.comparison import columns_of, texts
from p2n2sim.report.figures import time_by_key
from p2n2sim.report.read import ComparisonNote, StoredComparison, StoredRun, StoredSweep, Told, read
from p2n2sim.run import Silent, run
from p2n2sim.scenario.load import load, parse
from p2n2sim.scenario.sections import Scenario
from p2n2sim.summary import accuracy, auc
from tests.images import small_mnist
from tests.laws import follows_plain_training
from tests.small import small_setup
from tests.tiny import Call, move_into

SHIPPED = Path(__file__).parents[1] / "scenarios" / "mnist.toml"
TEXT = """\
name = "ten"
[data]
source = "digits"
fraction = 0.5
[model]
hidden = [24, 12]
activations = "relu"
[train]
epochs = 4
batch_size = 60
optimiser = "adam"
learning_rate = 0.01
loss_reduction = "mean"
[protocol]
first_layer = "masked-sum"
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the scenario, from which no data file is found by accident."""
    inside = move_into(tmp_path, monkeypatch)
    (inside / "ten.toml").write_text(TEXT)
    return inside


def ten(*overrides: str) -> Scenario:
    """The scenario of these tests."""
    return load("ten.toml", overrides)


def three_classes(**overrides: Any) -> Setup:
    """The small set-up with a label of three classes."""
    setup = small_setup(rows=30, overrides={"train.epochs": 3} | overrides)
    y = (np.abs(setup.dataset.X_train[:, 0]) * 2).clip(max=2).round().astype(np.float32)
    y_test = (np.abs(setup.dataset.X_test[:, 0]) * 2).clip(max=2).round().astype(np.float32)
    dataset = dataclasses.replace(setup.dataset, y_train=y, y_test=y_test, classes=3)
    model = setup.scenario.model
    parts = build(7, model.hidden, model.activation_list, seed=1, logits=dataset.logits)
    return dataclasses.replace(setup, dataset=dataset, parts=parts)


def test_the_head_has_a_logit_for_each_class() -> None:
    """With ten classes the head has ten outputs; with two it has one."""
    assert assemble(ten()).parts.head.out_features == 10
    setup = small_setup()
    assert (setup.dataset.logits, setup.parts.head.out_features) == (1, 1)


@pytest.mark.parametrize("first_layer", ["algorithm1", "masked-sum"])
@pytest.mark.parametrize("optimiser", ["sgd", "adam", "sgld"])
def test_weights_follow_plain_training(first_layer: str, optimiser: str) -> None:
    """With three classes and any optimiser, all weights equal the plain network's up to rounding."""
    keys = {"protocol.first_layer": first_layer, "train.optimiser": optimiser}
    follows_plain_training(three_classes(**keys))


def test_two_layers_under_sharing_leave_the_head() -> None:
    """With two of three layers under secret sharing the head, in the clear, can have many classes."""
    keys = {
        "protocol.secret_layers": 2,
        "protocol.first_layer": "algorithm1-masked-once",
        "model.activations": "relu",
    }
    follows_plain_training(three_classes(**keys))


def test_what_is_refused() -> None:
    """The head under secret sharing has two classes; weights there are updated by gradient descent."""
    keys = ("protocol.first_layer=algorithm1", "train.optimiser=sgd")
    with pytest.raises(ScenarioError, match=r"protocol.secret_layers: .*head cannot .* with 10 classes"):
        assemble(ten(*keys, "protocol.secret_layers=3"))
    assemble(ten(*keys, "protocol.secret_layers=2"))
    for optimiser in ("adam", "sgld"):
        with pytest.raises(ScenarioError, match=f"train.optimiser: '{optimiser}' cannot update weights"):
            ten(keys[0], "protocol.secret_layers=2", f"train.optimiser={optimiser}")
    with pytest.raises(ScenarioError, match=r"train.momentum: 'adam' has none"):
        ten("train.momentum=0.5")
    with pytest.raises(ScenarioError, match=r"train.temperature: 'adam' has none"):
        ten("train.temperature=0.5")
    with pytest.raises(ScenarioError, match=r"train.optimiser: found 'rmsprop'"):
        ten("train.optimiser=rmsprop")


def test_measures_by_the_library() -> None:
    """AUC and accuracy of random logits are those of scikit-learn; classes that are missing do not count."""
    random = np.random.default_rng(1)
    y = random.integers(0, 4, 200).astype(np.float32)
    logits = random.normal(size=(200, 4)).astype(np.float32)
    logits[np.arange(200), y.astype(int)] += 1
    p = np.exp(logits.astype(np.float64)) / np.exp(logits.astype(np.float64)).sum(axis=1, keepdims=True)
    assert auc(y, logits) == pytest.approx(roc_auc_score(y, p, multi_class="ovr"), abs=1e-12)
    assert accuracy(y, logits) == accuracy_score(y, logits.argmax(axis=1))
    few = y < 2
    expected = np.mean([roc_auc_score(y[few] == c, p[few, c]) for c in (0, 1)])
    assert auc(y[few], logits[few]) == pytest.approx(expected, abs=1e-12)
    logits[3, 1] = np.nan
    assert np.isnan(auc(y, logits))
    assert np.isnan(accuracy(y, logits))


def test_it_learns_and_tells() -> None:
    """A run on half of the digits learns them, and the summary has accuracy beside AUC and loss."""
    done = run(ten())
    own = done.summary["metrics"]
    assert own.keys() == done.summary["baseline"].keys() == {"auc", "accuracy", "loss_train", "loss_test"}
    assert own["accuracy"] > 0.8
    assert own["auc"] > 0.98
    assert done.summary["data"]["classes"] == 10
    assert {"accuracy", "plain_accuracy"} < set(done.metrics)


def test_adam_does_not_overflow() -> None:
    """At the paper's learning rate, with more units and epochs, Adam stays within the fixed-point numbers."""
    done = run(ten("train.epochs=12", "model.hidden=[128, 32]", "protocol.first_layer=algorithm1"))
    assert done.summary["metrics"]["accuracy"] > 0.93
    assert done.parts.theta.abs().max() < 16


@pytest.mark.parametrize("optimiser", ["adam", "sgld"])
def test_a_stopped_run_goes_on_to_the_same_bits(optimiser: str, tmp_path: Path) -> None:
    """A run that ends after a checkpoint goes on, on any number of threads, as if it had not ended."""
    scenario = ten(f"train.optimiser={optimiser}", "train.checkpoint_every=7")
    whole = run(ten(f"train.optimiser={optimiser}"), threads=2)

    class Killed(Exception):
        """The run ends here."""

    class Until(Silent):
        def batch(self, batch: Batch) -> None:
            if batch.step == 30:
                raise Killed

    with pytest.raises(Killed):
        run(scenario, threads=1, working=tmp_path, progress=Until())
    resumed = run(scenario, threads=2, working=tmp_path)
    assert resumed.summary["time"]["resumed_after_batches"] == 28
    assert resumed.summary["weights_sha256"] == whole.summary["weights_sha256"]
    pd.testing.assert_frame_equal(resumed.metrics, whole.metrics, check_exact=True)


def test_temperature_0_is_half_a_step() -> None:
    """Langevin dynamics without noise is gradient descent with half the learning rate."""
    cold = run(ten("train.optimiser=sgld", "train.temperature=0", "train.learning_rate=0.2"))
    descent = run(ten("train.optimiser=sgd", "train.learning_rate=0.1"))
    torch.testing.assert_close(cold.parts.theta, descent.parts.theta, atol=1e-5, rtol=0)
    warm = run(ten("train.optimiser=sgld", "train.temperature=1e-4", "train.learning_rate=0.2"))
    assert (warm.parts.theta - descent.parts.theta).abs().max() > 1e-2


def test_left_and_right() -> None:
    """With left-right halves A owns the left half of every image, and a run learns as well."""
    setup = assemble(ten("data.split=left-right"))
    columns = [int(name.split(",")[1]) for name in setup.dataset.feature_names]
    assert (max(columns[setup.blocks[0]]), min(columns[setup.blocks[1]])) == (3, 4)
    even = assemble(ten())
    order = [even.dataset.feature_names.index(name) for name in setup.dataset.feature_names]
    np.testing.assert_array_equal(setup.dataset.X_test, even.dataset.X_test[:, order])
    with pytest.raises(ScenarioError, match=r"data.split: 'left-right' is for images"):
        assemble(parse({"name": "x", "data": {"split": "left-right", "fraction": 0.1}}, "x"))


def test_the_shipped_scenario_runs_with_files_and_without(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """scenarios/mnist.toml runs on 784 columns, and where MNIST is not found on 64, saying so."""
    stood_in = run(load(SHIPPED, ["train.epochs=1"])).summary["data"]
    assert (stood_in["stand_in"], stood_in["features"]) == (True, 64)
    assert stood_in["name"] == "stand-in for mnist (digits)"
    assert "in place of the published mnist data" in stood_in["source"]
    small_mnist(tmp_path / "data", monkeypatch)
    keys = ["train.epochs=1", "train.batch_size=60", "data.fraction=1"]
    real = run(load(SHIPPED, keys), data_dir=tmp_path / "data").summary["data"]
    assert (real["name"], real["stand_in"], real["features"]) == ("mnist", False, 784)
    assert (real["rows_train"], real["rows_test"], real["widths"]) == (120, 60, [392, 392])


def test_everything_that_shows_quality_shows_accuracy(call: Call) -> None:
    """Progress, tables, captions, reports, figures of sweeps and comparisons have it for ten classes."""
    code, out, err = call("run", "ten.toml", "--set", "train.epochs=1", "--out", "one", "--threads", "1")
    assert code == 0, err
    summary = json.loads(Path("one/summary.json").read_text())
    reached = f"{summary['metrics']['accuracy']:.4f}"
    assert f"accuracy {reached}" in err
    assert reached in out
    assert call("report", "one", "--out", "page")[0] == 0
    text = Path("page/README.md").read_text()
    assert f"accuracy at the end: {reached}" in text
    assert "| AUC, plain | accuracy | accuracy, plain | test loss |" in text
    assert f"<td>{reached}</td>" in Path("page/index.html").read_text()
    stored = read(Path("one"))
    assert isinstance(stored, StoredRun)
    rows = [dict(read_summary(Path("one"))) | {"train.optimiser": name} for name in ("sgd", "adam")]
    scenario = msgspec.structs.replace(stored.scenario, sweep={"train.optimiser": ("sgd", "adam")})
    swept = StoredSweep(scenario, pd.DataFrame(rows), stored, ())
    exhibit = time_by_key(swept, "train.optimiser")
    assert exhibit.title == "Time, traffic and accuracy by train.optimiser"
    assert exhibit.figure.axes[2].get_ylabel() == "test accuracy"
    assert exhibit.figure.axes[2].lines[0].get_ydata()[0] == summary["metrics"]["accuracy"]
    note = ComparisonNote(key="train.optimiser", aside=[], left_out={})
    told = Told(stored.scenario, stored.summary)
    side = StoredComparison(scenario, note, [("adam", {"lan": told, "wan": told})])
    assert [column.title for column in columns_of(side)][:3] == ["AUC", "accuracy", "test loss"]
    assert texts(side)[0][2] == reached
    assert len(texts(side)[0]) == 1 + len(columns_of(side))
    assert side_by_side(side).figure.axes[-1].get_title("left") == "Accuracy on the test rows"
