"""What a training may spend: refused before it starts, calibrated, and told for the sampler that ran."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from torch import nn

from p2n2sim.assemble import Setup
from p2n2sim.budgeting import check_module, grid_of, steps_of, training_statement, with_noise
from p2n2sim.errors import ScenarioError
from p2n2sim.parties.schedule import Schedule
from p2n2sim.privacy.accounting import GaussianSteps, epsilon
from p2n2sim.privacy.shared_noise import Grid
from p2n2sim.scenario.load import parse, set_key
from p2n2sim.scenario.sections import Scenario
from tests.small import small_setup
from tests.tiny import Call, write_scenario

DELTA = 1e-5


def scenario(**keys: Any) -> Scenario:
    """DP-SGD with a budget of 2."""
    tree: dict[str, Any] = {"name": "x"}
    given = {"privacy.epsilon": 2.0, "privacy.delta": DELTA, "privacy.gradients.clip": 1.0} | keys
    for key, value in given.items():
        if value is not None:
            set_key(tree, key, value, "test")
    return parse(tree, "x.toml")


def schedule(sampler: Any = "poisson", epochs: int = 3) -> Schedule:
    """Ten batches an epoch."""
    return Schedule(
        rows_train=1000, rows_test=10, batch_size=100, epochs=epochs, predict_every=1, seed=1, sampler=sampler
    )


@pytest.mark.parametrize("sampler", ["poisson", "shuffled"])
def test_the_noise_is_found_that_the_budget_asks_for(sampler: str) -> None:
    """It keeps to the budget and wastes at most a percent of it; without a limit there is none."""
    found = with_noise(scenario(), schedule(sampler), 1).privacy.gradients.noise_multiplier
    assert found is not None
    assert 0.99 * 2.0 < epsilon(steps_of(found, schedule(sampler)), delta=DELTA) <= 2.0
    unlimited = with_noise(scenario(**{"privacy.epsilon": math.inf, "privacy.delta": None}), schedule(), 1)
    assert unlimited.privacy.gradients.noise_multiplier == 0


def test_what_was_found_is_taken_again() -> None:
    """The scenario that a run writes, with its noise multiplier, is accepted as it is."""
    once = with_noise(scenario(), schedule(), 1)
    assert with_noise(once, schedule(), 1) == once


def test_only_poisson_sampling_is_amplified() -> None:
    """Shuffled batches cost one use an epoch, whatever their size; with Poisson the rate counts."""
    noise = 1.3
    shuffled = epsilon(steps_of(noise, schedule("shuffled")), delta=DELTA)
    assert shuffled == epsilon([GaussianSteps(noise_multiplier=noise, count=3)], delta=DELTA)
    poisson = GaussianSteps(noise_multiplier=noise, count=30, sampler="poisson", rate=0.1)
    assert epsilon(steps_of(noise, schedule()), delta=DELTA) == epsilon([poisson], delta=DELTA)
    assert epsilon([poisson], delta=DELTA) < shuffled


def test_both_numbers_stand_side_by_side() -> None:
    """Who knows the batches is not amplified against: a row costs as many steps as it took part in."""
    planned = with_noise(scenario(), schedule(), 1)
    said = training_statement(planned, schedule(), 4)
    noise = said["mechanism"]["noise_multiplier"]
    uses = schedule().most_uses
    assert uses > 3
    known = epsilon([GaussianSteps(noise_multiplier=noise, count=uses)], delta=DELTA)
    assert said["sampler"]["epsilon_batches_known"] == pytest.approx(known)
    assert said["spent"]["epsilon"] == said["sampler"]["epsilon_batches_secret"] <= 2.0 < known
    assert said["budget"]["epsilon"] == 2.0


@pytest.mark.parametrize(("noise", "sampler"), [(0.0, "poisson"), (0.9, "poisson"), (1.5, "shuffled")])
def test_a_budget_that_does_not_cover_the_run(noise: float, sampler: str) -> None:
    """It is refused with the largest number of steps, which it covers, while one more it does not."""
    planned = schedule(sampler, epochs=40)
    with pytest.raises(ScenarioError) as caught:
        with_noise(
            scenario(**{"privacy.gradients.noise_multiplier": noise, "privacy.epsilon": 9.0}), planned, 1
        )
    text = str(caught.value)
    assert text.startswith("privacy.epsilon: 9 does not cover the run: its 400 steps spend ")
    match = re.search(
        r"it covers (\d+) steps, which is (\d+) of 40 epochs; .*noise_multiplier = ([\d.]+)", text
    )
    assert match is not None, text
    most, epochs, needed = int(match[1]), int(match[2]), float(match[3])
    assert epochs == most // 10
    if noise:
        cost = [epsilon(steps_of(noise, planned, count=most + more), delta=DELTA) for more in (0, 1)]
        assert cost[0] <= 9.0 < cost[1]
    else:
        assert most == 0
    assert epsilon(steps_of(needed, planned), delta=DELTA) <= 9.0


@pytest.mark.parametrize(
    ("keys", "place", "words"),
    [
        ({"privacy.epsilon": -1}, "privacy.epsilon", "> 0.0"),
        ({"privacy.delta": 0}, "privacy.delta", "> 0.0"),
        ({"privacy.delta": 1}, "privacy.delta", "< 1.0"),
        ({"privacy.delta": None}, "privacy.delta", "training rows"),
        ({"privacy.gradients.clip": None}, "privacy.epsilon", "privacy.gradients.clip"),
        ({"privacy.gradients.clip": 0}, "privacy.gradients.clip", "> 0.0"),
        ({"privacy.gradients.noise_by": "dealer"}, "privacy.gradients.noise_by", "'holder'"),
        ({"privacy.epsilon": None}, "privacy.gradients.noise_multiplier", "privacy.epsilon"),
        ({"privacy.gradients.noise_multiplier": -1}, "privacy.gradients.noise_multiplier", ">= 0.0"),
        ({"protocol.secret_layers": 2}, "privacy.gradients.clip", "secret_layers"),
        ({"defender.weight": 1}, "defender.weight", "other rows"),
        ({"defence.nopeek": 1}, "defence.nopeek", "other rows"),
        ({"train.sampler": "random"}, "train.sampler", "'poisson'"),
    ],
)
def test_what_is_refused(keys: dict[str, Any], place: str, words: str) -> None:
    """The place is the key, in the file; the remedy says what would do."""
    with pytest.raises(ScenarioError) as caught:
        scenario(**keys)
    text = str(caught.value)
    assert text.startswith(f"x.toml: {place}")
    assert words in text
    assert "\n" not in text


def test_delta_above_one_over_the_rows() -> None:
    """It would allow giving whole rows away; what would do is named and does."""
    with pytest.raises(ScenarioError, match=r"privacy.delta: 0.001 is not below 1/1000.*; 0.0009 would do"):
        with_noise(scenario(**{"privacy.delta": 0.001}), schedule(), 1)
    with_noise(scenario(**{"privacy.delta": 0.0009}), schedule(), 1)


def test_a_server_without_rows_of_its_own() -> None:
    """A module with batch normalisation has no gradient of one row, unless none is asked for."""
    module = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))
    with pytest.raises(ScenarioError, match=r"model.server: .* depends on other rows"):
        check_module(scenario(), module, 4)
    check_module(parse({"name": "x"}, "x"), module, 4)


def statement(setup: Setup) -> dict[str, Any]:
    """What a summary would say."""
    return training_statement(setup.scenario, setup.schedule, 4)


def test_without_noise_nothing_is_promised() -> None:
    """Clipping alone is infinite, as JSON can say it."""
    keys = {"privacy.gradients.clip": 1.0, "privacy.gradients.noise_multiplier": 0}
    said = statement(small_setup(overrides=keys))
    assert said["spent"]["epsilon"] == "inf"
    assert said["budget"] is None
    assert msgspec.json.decode(msgspec.json.encode(said)) == said


def test_a_run_tells_its_privacy(tmp_path: Path, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the screen in a line, in its summary in full; its recorded scenario runs to the same weights."""
    monkeypatch.chdir(tmp_path)
    write_scenario(tmp_path, "\n[privacy]\nepsilon = 4\ndelta = 0.001\n[privacy.gradients]\nclip = 1\n")
    code, out, _ = call("run", "tiny.toml", "--out", "one")
    assert code == 0
    assert "Privacy: the released model spends epsilon 4 of 4" in " ".join(out.split())
    summary = json.loads(Path("one/summary.json").read_text())
    claims = {claim["adversary"]: claim["epsilon"] for claim in summary["privacy"]["per_adversary"]}
    assert claims["server"] == "inf"
    assert summary["privacy"]["sampler"]["name"] == "shuffled"
    assert call("run", "one/scenario.toml", "--out", "two", "--quiet")[0] == 0
    again = json.loads(Path("two/summary.json").read_text())
    assert again["weights_sha256"] == summary["weights_sha256"]
    code, _, err = call(
        "run", "tiny.toml", "--set", "privacy.gradients.noise_multiplier=0.1", "--out", "three"
    )
    assert code == 2
    assert "covers 0 steps" in err
    assert not Path("three").exists()


def in_ring(**keys: Any) -> Scenario:
    """The same with theta and its noise under sharing."""
    return scenario(**{"privacy.gradients.noise_by": "shares", "train.loss_reduction": "mean"} | keys)


@pytest.mark.parametrize("sampler", ["poisson", "shuffled"])
@pytest.mark.parametrize("clipping", ["per-part", "flat"])
def test_the_noise_is_found_for_shares_too(sampler: str, clipping: str) -> None:
    """It keeps to the budget with the rounding charged, and is never below that of one party's noise."""
    planned = in_ring(**{"privacy.gradients.clipping": clipping})
    found = with_noise(planned, schedule(sampler), 28)
    noise = found.privacy.gradients.noise_multiplier
    assert noise is not None
    grid = grid_of(planned, 28)
    assert grid is not None
    assert 1.97 < epsilon(steps_of(noise, schedule(sampler), grid), delta=DELTA) <= 2.0
    one = with_noise(scenario(), schedule(sampler), 1).privacy.gradients.noise_multiplier
    assert one is not None
    assert one <= noise
    said = training_statement(found, schedule(sampler), 28)
    assert said["mechanism"]["weight_bits"] == 30
    assert said["mechanism"]["rounding"] == grid.rounding < 0.1
    assert said["spent"]["epsilon"] <= 2.0
    assert with_noise(found, schedule(sampler), 28) == found


def test_the_grid_is_that_of_a_step() -> None:
    """A row moves theta by the learning rate over D times its clipped gradient, in units of the encoding."""
    found = grid_of(in_ring(**{"train.learning_rate": 0.5, "train.batch_size": 64, "data.holders": 3}), 10)
    assert found == Grid(
        unit=0.5 / 64 * 2.0**30, numbers=10 * 8, shared=math.sqrt(3 / 5), rest=math.sqrt(2 / 5)
    )
    flat = grid_of(in_ring(**{"privacy.gradients.clipping": "flat", "train.loss_reduction": "sum"}), 10)
    assert flat is not None
    assert (flat.shared, flat.rest) == (1.0, 0.0)
    assert grid_of(scenario(), 10) is None


def test_noise_that_is_too_large_for_the_ring_is_refused() -> None:
    """With the number of weight bits that would do, which is accepted."""
    keys = {"train.loss_reduction": "sum", "train.learning_rate": 1.0, "privacy.epsilon": None}
    keys |= {"privacy.gradients.noise_multiplier": 1000.0}
    with pytest.raises(ScenarioError, match=r"privacy\.gradients\.weight_bits: .*; 20 would do") as caught:
        with_noise(in_ring(**keys), schedule(), 10)
    assert "1.07e+12 units" in str(caught.value)
    with_noise(in_ring(**keys, **{"privacy.gradients.weight_bits": 20}), schedule(), 10)
    with pytest.raises(ScenarioError, match="a smaller step would do"):
        with_noise(in_ring(**keys | {"train.learning_rate": 1e9}), schedule(), 10)
