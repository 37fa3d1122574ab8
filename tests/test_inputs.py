"""Features and labels perturbed at their holders: what the protocols then work on, and what it costs."""

from __future__ import annotations

import json
import math
import tomllib

import numpy as np
import pytest

from p2n2sim.assemble import Setup
from p2n2sim.errors import ScenarioError
from p2n2sim.guarantees import protected, statement
from p2n2sim.inputs import Inputs, row_noises
from p2n2sim.recording import kept
from p2n2sim.run import weights_sha256
from p2n2sim.scenario.load import parse, to_toml
from tests.laws import listen
from tests.small import small_setup


def setup_with(features: dict[str, object] | None = None, **keys: object) -> Setup:
    """A run with noise on features, and further keys whose dots are written as two underscores."""
    overrides = {key.replace("__", "."): value for key, value in keys.items()}
    if features is not None:
        overrides["privacy.features"] = features
    return small_setup(rows=60, overrides=overrides)


LAPLACE = {"epsilon": 2.0, "clip": 3.0}


@pytest.mark.parametrize("first_layer", ["algorithm1", "algorithm1-masked-once", "masked-sum", "plaintext"])
def test_the_protocol_never_meets_the_clean_rows(first_layer: str) -> None:
    """h1 of the first batch is that of the noised features, in every first layer."""
    keys = {"protocol__first_layer": first_layer, "record__views": ["server"], "record__epochs": "all"}
    setup = setup_with(LAPLACE, **keys)
    noisy = np.hstack([Inputs(setup).features(name)[0] for name in setup.layer.holders])
    batch, theta = next(iter(setup.schedule)), setup.parts.theta.numpy().copy()
    outcome, _ = listen(setup)
    view = kept(setup, outcome)["server"]
    h1 = view["train/h1/values"][view["train/h1/steps"] == 0]
    np.testing.assert_allclose(h1, noisy[batch.rows] @ theta, atol=1e-3)
    assert np.abs(h1 - setup.dataset.X_train[batch.rows] @ theta).max() > 0.1


def test_several_layers_under_sharing_take_the_same_rows() -> None:
    """Noise belongs to the holder and not to the protocol: one seed, one noise; another seed, another."""
    outcomes = []
    for features in (None, LAPLACE):
        setup = setup_with(features, protocol__secret_layers=2)
        listen(setup)
        outcomes.append(weights_sha256(setup.parts))
    assert outcomes[0] != outcomes[1]
    first, again = (Inputs(setup_with(LAPLACE)).features("A")[0] for _ in range(2))
    np.testing.assert_array_equal(first, again)
    other = Inputs(setup_with(LAPLACE, train__seed=4)).features("A")[0]
    assert not np.array_equal(first, other)


def test_each_holder_has_its_own_epsilon() -> None:
    """Who is not named adds nothing; the smaller epsilon has the larger noise."""
    setup = setup_with({"epsilon": {"B": 1.0}, "clip": 3.0})
    block = setup.blocks[0]
    np.testing.assert_array_equal(Inputs(setup).features("A")[0], setup.dataset.X_train[:, block])
    assert list(row_noises(setup.scenario, setup.layer.holders)) == ["B"]
    wide = setup_with({"epsilon": {"A": 0.1, "B": 10.0}, "clip": 3.0})
    deviations = [Inputs(wide).features(name)[0].std() for name in "AB"]
    assert deviations[0] > 20 * deviations[1]


def test_predictions_are_of_noised_rows_unless_asked_otherwise() -> None:
    """`rows = "train"` leaves test rows as they are, and the claim about them says so."""
    both, trained = (setup_with(LAPLACE | {"rows": rows}) for rows in ("all", "train"))
    clean = both.dataset.X_test[:, both.blocks[0]]
    np.testing.assert_array_equal(Inputs(trained).features("A")[1], clean)
    assert not np.array_equal(Inputs(both).features("A")[1], clean)
    claims = [
        next(
            line["epsilon"]
            for line in statement(setup)["per_adversary"]
            if line["adversary"] == "server" and line["about"].endswith("test row")
        )
        for setup in (both, trained)
    ]
    assert claims == [2.0, "inf"]


def test_labels_answer_at_random() -> None:
    """The share of true labels is e^epsilon / (1 + e^epsilon), and debiasing keeps the mean."""
    setup = small_setup(rows=8000, overrides={"privacy.labels.epsilon": 1.0})
    reported, true = Inputs(setup).labels(), setup.dataset.y_train
    assert (reported == true).mean() == pytest.approx(1 / (1 + math.exp(-1.0)), abs=0.02)
    debiased = small_setup(rows=8000, overrides={"privacy.labels": {"epsilon": 1.0, "debias": True}})
    assert Inputs(debiased).labels().mean() == pytest.approx(true.mean(), abs=0.05)
    assert len(np.unique(Inputs(debiased).labels())) == 2


def test_a_holder_that_lies_trains_another_network() -> None:
    """Randomized labels and debiased ones are what the label's owner trains on."""
    keys = ({}, {"privacy__labels__epsilon": 0.5}, {"privacy__labels": {"epsilon": 0.5, "debias": True}})
    hashes = set()
    for more in keys:
        setup = setup_with(None, **more)
        listen(setup)
        hashes.add(weights_sha256(setup.parts))
    assert len(hashes) == 3


def test_work_is_charged_before_the_first_batch() -> None:
    """Where a random byte takes a second, perturbing takes its random bytes' time, once."""
    keys = {"compute__holder": {"random_bytes_per_s": 1.0}, "protocol__first_layer": "plaintext"}
    outcome, _ = listen(setup_with(LAPLACE, **keys))
    work = [i for i in outcome.intervals["B"] if i[2] == "perturb own data"]
    assert len(work) == 1
    assert work[0][1] - work[0][0] == Inputs(setup_with(LAPLACE)).cost("B").random_bytes
    outcome, _ = listen(setup_with(None, **keys))
    assert not [i for i in outcome.intervals["B"] if i[2] == "perturb own data"]


def test_a_summary_names_every_adversary() -> None:
    """What is told is plain JSON: who, about what, epsilon or "inf", delta, why."""
    setup = setup_with(LAPLACE)
    told = statement(setup)
    assert json.loads(json.dumps(told)) == told
    assert {"server", "A", "B", "server + A", "server + B", "outsider with the model"} <= {
        line["adversary"] for line in told["per_adversary"]
    }
    assert told["assumes"]
    assert protected(setup.scenario)
    assert not protected(setup_with(None).scenario)


@pytest.mark.parametrize(
    ("keys", "place"),
    [
        ({"privacy.features": {"epsilon": -1.0, "clip": 1.0}}, "privacy.features.epsilon"),
        ({"privacy.features": {"epsilon": {"Z": 1.0}, "clip": 1.0}}, "privacy.features.epsilon"),
        ({"privacy.features.epsilon": 1.0}, "privacy.features.clip"),
        ({"privacy.features.clip": 1.0}, "privacy.features.clip"),
        ({"privacy.features": {"epsilon": 1.0, "clip": 1.0, "mechanism": "gaussian"}}, "privacy.delta"),
        ({"privacy.labels.epsilon": 0.0}, "privacy.labels.epsilon"),
        ({"privacy.labels.debias": True}, "privacy.labels.debias"),
    ],
)
def test_what_is_refused(keys: dict[str, object], place: str) -> None:
    """The place is named, and what would do."""
    with pytest.raises(ScenarioError, match=place):
        small_setup(overrides=keys)


def test_a_scenario_file_has_it_all() -> None:
    """What is written is read as the same scenario, a table of holders' epsilons included."""
    scenario = setup_with({"epsilon": {"A": 1.0, "B": 2.0}, "clip": 3.0}).scenario
    assert parse(tomllib.loads(to_toml(scenario)), "again") == scenario
