"""Running a scenario: the same in, the same out."""

from __future__ import annotations

import asyncio
import json
import math
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from p2n2sim.assemble import Setup
from p2n2sim.errors import FixedPointError, InputError
from p2n2sim.folder import to_json
from p2n2sim.net.ledger import Entry
from p2n2sim.parties.passes import Pass
from p2n2sim.parties.schedule import Batch
from p2n2sim.run import Run, run
from p2n2sim.scenario.load import load, to_toml
from p2n2sim.simulate import Outcome
from p2n2sim.summary import auc, modelled
from tests import tiny


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the tiny scenario."""
    inside = tiny.move_into(tmp_path, monkeypatch)
    tiny.write_scenario(inside)
    return inside


def tiny_run(*overrides: str, **options: Any) -> Run:
    """The tiny scenario with some overrides, run on one thread unless told otherwise."""
    return run(load("tiny.toml", overrides), **({"threads": 1} | options))


def hashes(result: Run) -> tuple[str, str]:
    """The two hashes that equal runs share."""
    return result.summary["ledger_sha256"], result.summary["weights_sha256"]


# -- determinism


def test_two_runs_are_equal() -> None:
    """One scenario and one seed: the same ledger, weights and tables; only the time on the wall differs."""
    first, second = tiny_run(), tiny_run()
    assert hashes(first) == hashes(second)
    for name in ("ledger", "metrics", "batches", "compute"):
        pd.testing.assert_frame_equal(getattr(first, name), getattr(second, name), check_exact=True)
    for result in (first, second):
        for wall in ("wall_s", "processor_s", "simulation_processor_s", "plain_processor_s"):
            assert result.summary["time"].pop(wall) > 0
    assert first.summary == second.summary


@pytest.mark.parametrize("options", [{"threads": 2}, {"threads": 4}, {"threads": None}, {"encode_all": True}])
def test_threads_and_encoding_change_nothing(options: dict[str, Any]) -> None:
    """Hashes do not depend on the number of threads, nor on whether every message is really encoded."""
    assert hashes(tiny_run(**options)) == hashes(tiny_run())


def test_torch_threads_change_nothing_and_are_put_back() -> None:
    """However many threads torch has outside, sums inside are made by one."""
    before, expected = torch.get_num_threads(), hashes(tiny_run())
    try:
        torch.set_num_threads(3)
        assert hashes(tiny_run()) == expected
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_hash_seeds_change_nothing(here: Path) -> None:
    """Another process with another PYTHONHASHSEED gets the same hashes."""
    code = (
        "from p2n2sim.run import run; from p2n2sim.scenario.load import load;"
        "s = run(load('tiny.toml', ['data.holders=3']), threads=2).summary;"
        "print(s['ledger_sha256'], s['weights_sha256'])"
    )
    seed = "1" if os.environ.get("PYTHONHASHSEED") == "0" else "0"
    child = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONHASHSEED": seed},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert child.stdout.split() == list(hashes(tiny_run("data.holders=3")))


@pytest.mark.parametrize("override", ["train.seed=2", "train.learning_rate=0.02", "data.fraction=0.9"])
def test_other_seeds_rates_and_data_give_other_weights(override: str) -> None:
    """Whatever the arithmetic depends on changes the weights."""
    assert hashes(tiny_run())[1] != hashes(tiny_run(override))[1]


def test_sizes_and_times_do_not_depend_on_the_seed() -> None:
    """The ledger says who sent how much and when, and no value: that is the same under every seed."""
    assert hashes(tiny_run())[0] == hashes(tiny_run("train.seed=2"))[0]
    assert hashes(tiny_run())[0] != hashes(tiny_run("data.holders=3"))[0]


def test_the_link_changes_the_ledger_but_not_the_weights() -> None:
    """Bandwidth is time, not arithmetic."""
    first, second = hashes(tiny_run()), hashes(tiny_run("network.bandwidth=1 Mbit/s"))
    assert first[0] != second[0]
    assert first[1] == second[1]


@pytest.mark.parametrize(
    "overrides",
    [
        (),
        ("protocol.first_layer=plaintext", "model.initialisation=pytorch"),
        ('data.split=[["f", "a"], ["b", "c"], ["d", "e"]]', "data.holders=3", "data.label_owner=C"),
        ("network.links.A->B.latency=5 ms", "compute.preset=instant", "train.seed=9223372036854775807"),
        ("train.predict_every=2", "train.epochs=3", "train.momentum=0.9", "data.drop=['f']"),
    ],
)
def test_the_written_scenario_reproduces_the_run(here: Path, overrides: tuple[str, ...]) -> None:
    """Running the resolved scenario, from elsewhere too, gives the same bytes."""
    first = tiny_run(*overrides)
    (here / "resolved.toml").write_text(to_toml(first.scenario))
    (here / "elsewhere").mkdir()
    os.chdir(here / "elsewhere")
    second = run(load(here / "resolved.toml"), threads=2)
    assert hashes(first) == hashes(second)
    assert second.scenario == first.scenario


def test_changed_data_are_noticed(here: Path) -> None:
    """A resolved scenario is not run on other data than those of its run."""
    (here / "resolved.toml").write_text(to_toml(tiny_run().scenario))
    tiny.write_csv(here / "own.csv", rows=121)
    with pytest.raises(
        InputError, match=r"^data\.fingerprint: the data found \(own file own\.csv \(121 rows\)"
    ):
        run(load(here / "resolved.toml"))


# -- what a run holds


def test_the_summary_has_what_was_promised() -> None:
    """Every key of the summary is there with its type, and the totals agree with the tables."""
    result = tiny_run()
    summary = result.summary
    assert summary["scenario"] == "tiny"
    assert summary["seed"] == 1
    assert summary["protocol"] == "algorithm1"
    assert summary["modelled"] == []
    assert summary["data"] | {"fingerprint": "", "name": ""} == {
        "name": "",
        "source": "own file own.csv (120 rows)",
        "stand_in": False,
        "rows_train": 96,
        "rows_test": 24,
        "features": 6,
        "holders": 2,
        "widths": [3, 3],
        "fingerprint": "",
    }
    assert summary["metrics"].keys() == summary["baseline"].keys() == {"auc", "loss_train", "loss_test"}
    assert summary["time"].keys() >= {"virtual_s", "wall_s"}
    traffic = summary["traffic"]
    assert traffic["messages"] == len(result.ledger)
    for column in ("payload_bytes", "wire_bytes"):
        assert traffic[column] == result.ledger[column].sum()
        for groups in ("by_phase", "by_stage", "by_link"):
            assert traffic[column] == sum(group[column] for group in traffic[groups].values())
    assert traffic["by_phase"].keys() == {"offline", "online"}
    assert traffic["by_link"].keys() >= {"A->B", "A->server", "dealer->B"}
    assert traffic["rounds"] == result.ledger["round"].max()
    assert summary["views"].keys() == {"A", "B", "server", "dealer"}
    assert summary["views"]["A"].keys() == {"clear", "uniform", "encrypted", "modelled"}
    assert len(summary["ledger_sha256"]) == len(summary["weights_sha256"]) == 64
    json.dumps(summary, allow_nan=False)


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["first_layer=ckks"], []),
        (["first_layer=ckks", "crypto=modelled"], ["ckks ciphertexts"]),
        (["first_layer=paillier", "crypto=modelled", "triples=he"], ["paillier ciphertexts"]),
        (["first_layer=paillier", "crypto=modelled", "secret_layers=0"], []),
        (["crypto=modelled"], []),
        (["triples=ot"], ["triples by oblivious transfer"]),
        (["triples=he"], ["triples by homomorphic encryption"]),
        (["first_layer=masked-sum", "triples=ot"], []),
    ],
)
def test_what_is_modelled_is_what_was_used(here: Path, overrides: list[str], expected: list[str]) -> None:
    """A key that asks for a model of something that the run does not use makes nothing modelled."""
    scenario = load("tiny.toml", [f"protocol.{override}" for override in overrides])
    assert [sentence.split(":")[0] for sentence in modelled(scenario)] == expected


def test_the_tables_have_what_was_promised() -> None:
    """The ledger has a row a message, the metrics a row an epoch, the batches a row a batch."""
    result = tiny_run()
    assert list(result.ledger.columns) == list(Entry._fields)
    assert (result.ledger["sent_s"] <= result.ledger["start_s"]).all()
    assert (result.ledger["start_s"] <= result.ledger["arrived_s"]).all()
    assert result.ledger["arrived_s"].max() <= result.summary["time"]["virtual_s"]
    assert result.metrics["epoch"].tolist() == [1, 2]
    for name in ("auc", "loss_train", "loss_test"):
        assert result.metrics[name].iloc[-1] == result.summary["metrics"][name]
        assert result.metrics[f"plain_{name}"].iloc[-1] == result.summary["baseline"][name]
    assert result.batches["rows"].sum() == 2 * 120
    assert result.batches["began_s"].is_monotonic_increasing
    assert result.batches["loss"].notna().all()
    assert (result.compute["start_s"] <= result.compute["end_s"]).all()


@pytest.mark.parametrize("first_layer", ["algorithm1", "plaintext"])
def test_the_protocol_learns_what_the_plain_network_learns(first_layer: str) -> None:
    """Over sixty epochs losses agree to fixed-point error, and the AUC is as good."""
    summary = tiny_run(
        "train.epochs=60", "train.learning_rate=0.05", f"protocol.first_layer={first_layer}"
    ).summary
    for name in ("loss_train", "loss_test"):
        assert summary["metrics"][name] == pytest.approx(summary["baseline"][name], abs=1e-4)
    assert summary["metrics"]["auc"] == pytest.approx(summary["baseline"]["auc"], abs=0.005)
    assert summary["metrics"]["auc"] > 0.9


def test_plaintext_reveals_products_and_has_no_dealer() -> None:
    """Split learning has no offline phase, and nothing in its views is uniform."""
    summary = tiny_run("protocol.first_layer=plaintext").summary
    assert summary["traffic"]["by_phase"]["offline"]["messages"] == 0
    assert all(not view["uniform"] for view in summary["views"].values())


def test_own_parquet_gives_the_same_run_as_own_csv(here: Path) -> None:
    """The same numbers in another file format are the same experiment."""
    pd.read_csv("own.csv").to_parquet("own.parquet")
    assert hashes(tiny_run("data.source=own.parquet")) == hashes(tiny_run())


def test_stand_in_data_say_so() -> None:
    """Where no data set is found, the run says that its data are a stand-in."""
    overrides = ("data.fraction=0.2", "train.batch_size=200", "train.epochs=1", "model.hidden=[8, 4, 4]")
    scenario = load(Path(__file__).parents[1] / "scenarios" / "distress.toml", overrides)
    data = run(scenario, threads=1).summary["data"]
    assert data["stand_in"]
    assert data["source"].startswith("stand-in generated")


def test_an_own_server_module_trains(here: Path, tmp_path: Path) -> None:
    """A module with dropout, which draws while it trains, is trained, and reproducibly."""
    (here / f"server_{tmp_path.name}.py").write_text(
        "from torch import nn\n"
        "def make(n, q):\n"
        "    return nn.Sequential(nn.ReLU(), nn.Dropout(0.5), nn.Linear(n, q), nn.Tanh())\n"
    )
    override = f"model.server=server_{tmp_path.name}:make"
    first = tiny_run(override, "train.epochs=20")
    torch.rand(7)
    assert hashes(first) == hashes(tiny_run(override, "train.epochs=20", threads=2))
    assert first.metrics["loss_train"].iloc[-1] < first.metrics["loss_train"].iloc[0]


# -- around a run


async def test_a_run_inside_a_running_loop() -> None:
    """In a coroutine, as in a notebook's cell, run() works and gives the same."""
    assert hashes(tiny_run()) == hashes(run(load("tiny.toml"), threads=2))


def test_a_run_inside_the_stock_loop() -> None:
    """The loop of a notebook is the stock one; errors come through as they are, and only once."""

    async def cell() -> tuple[str, str]:
        return hashes(tiny_run())

    async def wrong() -> None:
        tiny_run("train.batch_size=1000")

    assert asyncio.run(cell()) == hashes(tiny_run())
    with pytest.raises(InputError, match=r"^train\.batch_size"):
        asyncio.run(wrong())


def test_a_runtime_error_inside_a_notebook_comes_through(here: Path, tmp_path: Path) -> None:
    """A RuntimeError of the user's module in training is not taken for the absence of a loop."""
    (here / f"late_{tmp_path.name}.py").write_text(
        "import torch\n"
        "class Late(torch.nn.Linear):\n"
        "    def forward(self, h1):\n"
        "        if self.training: raise RuntimeError('too late')\n"
        "        return super().forward(h1)\n"
    )

    async def cell() -> None:
        tiny_run(f"model.server=late_{tmp_path.name}:Late")

    with pytest.raises(RuntimeError, match="too late"):
        asyncio.run(cell())


class Diary:
    """A progress that writes everything down."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def begin(self, setup: Setup) -> None:
        """The beginning, with how many batches there will be."""
        self.said.append(f"begin {len(setup.schedule)}")

    def batch(self, batch: Batch) -> None:
        """A batch."""
        self.said.append(f"batch {batch.step}")

    def finished(self, done: Pass) -> None:
        """A pass."""
        self.said.append(f"{done.stage} {done.epoch}")


def test_progress_is_told_in_order() -> None:
    """The beginning, every batch in order, every pass when it ends."""
    diary = Diary()
    tiny_run("train.epochs=1", "train.batch_size=48", progress=diary)
    assert diary.said[0] == "begin 3"
    assert [line for line in diary.said if line.startswith("batch")] == ["batch 0", "batch 1", "batch 2"]
    assert [line for line in diary.said if "1" in line and not line.startswith("batch")] == [
        "train 1",
        "predict 1",
    ]


def test_what_an_interrupted_run_has_done_stays_in_the_outcome() -> None:
    """Ctrl-C in the third batch leaves ledger, batches and work so far with whoever holds the outcome."""

    class Interrupting(Diary):
        def batch(self, batch: Batch) -> None:
            if batch.step == 3:
                signal.raise_signal(signal.SIGINT)

    outcome = Outcome()
    with pytest.raises(KeyboardInterrupt):
        tiny_run(progress=Interrupting(), outcome=outcome)
    assert [batch.step for batch, _ in outcome.began] == [0, 1, 2, 3]
    assert outcome.ledger.rows
    assert outcome.virtual_s > 0
    assert not outcome.compute_frame().empty


def test_a_number_that_outgrows_the_ring_says_when_and_what_helps() -> None:
    """A learning rate far too large ends in a FixedPointError that names the epoch and the remedy."""
    with pytest.raises(FixedPointError, match=r"^epoch 1: the number .* a smaller train\.learning_rate, "):
        tiny_run("train.learning_rate=1e30")


def test_divergence_in_the_clear_is_told_as_such() -> None:
    """Training that ends in NaN has an AUC of NaN, which summary.json writes as null."""
    overrides = ("protocol.first_layer=plaintext", "train.learning_rate=1e38", "model.activations=identity")
    result = tiny_run(*overrides)
    assert math.isnan(result.summary["metrics"]["auc"])
    assert json.loads(to_json(result.summary))["metrics"]["auc"] is None


def test_auc_by_hand() -> None:
    """The AUC is the share of pairs in the right order, ties counting half."""
    y, logits = np.array([0, 1, 0, 1], np.float32), np.array([-1, 2, 0.5, 0.5], np.float32)
    assert auc(y, logits) == (1 + 1 + 1 + 0.5) / 4
