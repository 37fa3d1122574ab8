"""Label and property inference: exact where a gradient gives the label away, chance where it does not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from p2n2sim.attacks.labels import LabelMaterial, common_direction, infer, unit_rows
from p2n2sim.attacks.properties import above_median, infer_property
from p2n2sim.attacks.recovery import leak
from p2n2sim.attacks.regress import LEARNERS
from p2n2sim.attacks.result import Finding

Matrix = NDArray[np.float64]
FAST = {"ridge regression": LEARNERS["ridge regression"]}


def by_name(finding: Finding, metric: str = "auc") -> dict[str, float]:
    """Every attacker's metric."""
    return {score.attack: score.metrics[metric] for score in finding.scores}


def attacked(
    gradients: dict[str, Matrix], y: NDArray[np.int64], features: dict[str, Matrix] | None = None
) -> Finding:
    """All label attacks, a tenth of the labels leaked."""
    leaked, scored = leak(len(y), 0.1, 0)
    material = LabelMaterial(gradients, features or {}, y, leaked, scored)
    return infer(material, seed=0, adversary="server", target="y")


@given(st.integers(0, 2**32 - 1), st.integers(1, 8), st.floats(0.02, 0.98))
@settings(max_examples=30)
def test_the_sign_of_an_exact_binary_head_is_the_label(seed: int, q: int, share: float) -> None:
    """dL/dh_L = (sigmoid(z) - y) w of a head with one logit: the direction is the label, up to its sign."""
    random = np.random.default_rng(seed)
    y = (random.random(200) < share).astype(np.int64)
    y[:2] = 0, 1
    p = random.uniform(0.01, 0.99, size=200)
    scores = common_direction(unit_rows((p - y)[:, None] * random.normal(size=q)))
    divided = (scores > 0).astype(np.int64)
    assert np.array_equal(divided, y) or np.array_equal(divided, 1 - y)


def test_the_sign_attack_has_an_area_of_one() -> None:
    """The report says so: AUC 1, every row right, whichever sign the head's weights have."""
    random = np.random.default_rng(0)
    y = (random.random(1000) < 0.1).astype(np.int64)
    p = random.uniform(0.01, 0.6, size=1000)
    for sign in (1.0, -1.0):
        finding = attacked({"dL/dh_L": sign * (p - y)[:, None] * random.normal(size=6)}, y)
        assert by_name(finding)["direction of dL/dh_L"] == 1.0
        assert by_name(finding, "accuracy")["direction of dL/dh_L"] == 1.0
        assert finding.headline.metrics["auc"] == 1.0


def test_the_norm_tells_rare_labels() -> None:
    """Rows of the rare class are guessed badly, so their gradients are long (Li and others 2021)."""
    random = np.random.default_rng(1)
    y = (random.random(4000) < 0.05).astype(np.int64)
    p = np.full(4000, 0.05)
    directions = unit_rows(random.normal(size=(4000, 5)))  # all the rest is hidden
    finding = attacked({"dL/dh1": (p - y)[:, None] * directions}, y)
    found = by_name(finding)
    assert found["norm of dL/dh1"] > 0.999
    assert found["direction of dL/dh1"] < 0.6
    assert finding.headline.attack == "norm of dL/dh1"


def test_gradients_without_the_label_give_chance() -> None:
    """What has nothing to do with the labels gives no attacker more than chance."""
    random = np.random.default_rng(2)
    y = (random.random(4000) < 0.4).astype(np.int64)
    finding = attacked({"dL/dh1": random.normal(size=(4000, 4))}, y, {"h1": random.normal(size=(4000, 3))})
    assert all(0.45 < value < 0.55 for value in by_name(finding).values())


def test_many_classes_point_in_their_own_directions() -> None:
    """dL/dh_L = (softmax - onehot) W^T of ten classes: clusters and a classifier find them."""
    random = np.random.default_rng(3)
    y = random.integers(0, 10, size=2000)
    p = random.dirichlet(np.full(10, 0.5), size=2000) * 0.3 + 0.07
    finding = attacked({"dL/dh_L": (p - np.eye(10)[y]) @ random.normal(size=(10, 16))}, y)
    assert by_name(finding, "accuracy")["clusters of dL/dh_L"] > 0.95
    assert by_name(finding)["classifier on dL/dh_L"] > 0.99


def test_model_completion_beats_the_raw_columns_where_training_has_sorted_them() -> None:
    """A bottom model that carries the label in one unit needs fewer labels than its columns do."""
    random = np.random.default_rng(4)
    X = random.normal(size=(1500, 60))
    w = random.normal(size=60)
    y = (X @ w > 0).astype(np.int64)
    leaked, scored = leak(1500, 0.03, 0)
    material = LabelMaterial({}, {"X_i theta_i": X @ w[:, None]}, y, leaked, scored, floor=X)
    finding = infer(material, seed=0, adversary="B", target="y")
    floor = next(score for score in finding.floors if score.attack == "own columns alone")
    assert finding.headline.metrics["auc"] > 0.999
    assert floor.metrics["auc"] < 0.9


def test_leaked_labels_of_one_class_leave_the_rarer_end_as_class_one() -> None:
    """Without a leaked positive the orientation is stated and right where positives are rare."""
    random = np.random.default_rng(5)
    y = np.zeros(1000, np.int64)
    y[-30:] = 1
    G = (0.1 - y)[:, None] * random.normal(size=3)
    material = LabelMaterial({"dL/dh_L": G}, {}, y, np.arange(50), np.arange(50, 1000))
    found = by_name(infer(material, seed=0, adversary="server", target="y"))
    assert found["direction of dL/dh_L"] == 1.0
    assert found["classifier on dL/dh_L"] == 0.5


# -- properties


def test_a_property_that_h1_carries_is_inferred_and_another_one_is_not() -> None:
    """Whether a column that is mixed into h1 is large is found; of an independent column it is chance."""
    random = np.random.default_rng(6)
    X, aside = random.normal(size=(3000, 4)), random.normal(size=3000)
    h1 = X @ random.normal(size=(4, 4))
    leaked, scored = leak(3000, 0.2, 0)
    aucs = []
    for values in (X[:, 2], aside):
        finding = infer_property(
            h1, above_median(values), leaked, scored, seed=0, adversary="server", target="p", learners=FAST
        )
        aucs.append(finding.headline.metrics["auc"])
        assert finding.floors[0].metrics["accuracy"] == pytest.approx(0.5, abs=0.03)
    assert aucs[0] > 0.99
    assert aucs[1] < 0.56


def test_above_the_median_or_the_larger_of_two() -> None:
    """Half of the rows of a varied column; of a column of 0 and 1 the ones, however few."""
    assert above_median(np.arange(10.0)).sum() == 5
    assert list(above_median(np.array([0.0, 1.0, 0.0, 0.0]))) == [0, 1, 0, 0]
