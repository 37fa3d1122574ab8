"""Audits in the protocol: mistakes planted into it are found, and what is right is not disproved."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from p2n2sim.assemble import Setup
from p2n2sim.auditing.audit import Audited, audited
from p2n2sim.auditing.canaries import FEATURES, LABEL, MEMBERSHIP, plant
from p2n2sim.auditing.observed import averaged, noise_drawn, pooled
from p2n2sim.auditing.outsider import Outsider, Rows, d_1
from p2n2sim.commands import run_audit
from p2n2sim.errors import InputError
from p2n2sim.inputs import Inputs
from p2n2sim.outcome import Outcome
from p2n2sim.parties import schedule
from p2n2sim.parties.perturbation.owner import Perturbation
from p2n2sim.privacy.adversaries import OUTSIDER
from p2n2sim.recording import kept
from p2n2sim.run import one_float_thread
from p2n2sim.scenario.load import load
from p2n2sim.simulate import simulate
from tests.small import small_setup

CANARIES = 300


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """As the command has it: the matrices are small."""
    with one_float_thread():
        yield


def hidden(**changes: object) -> Setup:
    """Noise on h1 and on gradients that promises an epsilon below 1 against the server."""
    h1 = {"clip": 1.0, "noise_multiplier": 16.0} | changes
    keys = {"privacy.h1": h1, "privacy.delta": 1e-6, "protocol.fractional_bits": 12}
    keys |= {"privacy.gradients": {"clip": 1.0, "noise_multiplier": 16.0}}
    keys |= {"train.batch_size": 300, "train.learning_rate": 1e-4, "protocol.first_layer": "masked-sum"}
    return small_setup(rows=1200, overrides=keys)


def local() -> Setup:
    """Features and labels with noise of their own."""
    keys = {"privacy.features": {"epsilon": 1.0, "clip": 2.0}, "privacy.labels.epsilon": 1.0}
    keys |= {"train.batch_size": 300, "protocol.first_layer": "masked-sum"}
    return small_setup(rows=1200, overrides=keys)


def sampled(**changes: object) -> Setup:
    """DP-SGD on Poisson samples of four rows, of which the outsider's small epsilon comes."""
    keys: dict[str, object] = {"privacy.gradients": {"clip": 1.0, "noise_multiplier": 1.5}}
    keys |= {"privacy.delta": 1e-6, "train.sampler": "poisson", "train.batch_size": 4}
    keys |= {"train.learning_rate": 1e-3, "protocol.first_layer": "plaintext"}
    return small_setup(rows=240, features=400, overrides=keys | changes)


@pytest.mark.parametrize("make", [hidden, local])
def test_what_is_right_is_not_disproved(make: object) -> None:
    """Without a mistake every bound is below its claim."""
    lines = audited(make(), canaries=CANARIES, confidence=0.999)  # type: ignore[operator]
    assert {(line.adversary, line.about) for line in lines} == {
        ("server", FEATURES), ("server", LABEL), ("A", FEATURES), ("B", LABEL),
        ("server + A", FEATURES), ("server + B", LABEL),
        (OUTSIDER, FEATURES), (OUTSIDER, LABEL), (OUTSIDER, MEMBERSHIP),
    }  # fmt: skip
    assert not any(line.disproved for line in lines)


def disproved(setup: Setup) -> set[tuple[str, str]]:
    """Whose claims about what an audit disproves."""
    lines = audited(setup, canaries=CANARIES, confidence=0.999)
    return {(line.adversary, line.about) for line in lines if line.disproved}


def test_forgotten_noise_on_h1_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server's view alone tells that the noise of the claim is not there."""
    monkeypatch.setattr(Inputs, "noise", lambda self: {})
    assert ("server", FEATURES) in disproved(hidden())


def test_forgotten_clipping_of_h1_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Canaries longer than the clipping norm stand out of the noise where nothing clips them."""
    monkeypatch.setattr(Inputs, "clip", lambda self: None)
    setup = hidden(clip=0.05)
    setup.dataset.X_train[:] *= 20
    assert ("server", FEATURES) in disproved(setup)


def test_forgotten_randomized_response_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """True labels are read off the gradients of server and holders."""
    monkeypatch.setattr(Inputs, "labels", lambda self: self.setup.dataset.y_train)
    assert {("server", LABEL), ("B", LABEL)} <= disproved(local())


def test_forgotten_noise_on_features_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clean features show in h1."""

    def clean(self: Inputs, name: str) -> tuple[np.ndarray, np.ndarray]:
        block = self.setup.blocks[self.setup.layer.holders.index(name)]
        return self.setup.dataset.X_train[:, block].copy(), self.setup.dataset.X_test[:, block].copy()

    monkeypatch.setattr(Inputs, "features", clean)
    assert ("server", FEATURES) in disproved(local())


def outside(setup: Setup, confidence: float) -> dict[str, Audited]:
    """About what -> what an audit says of the outsider."""
    lines = audited(setup, canaries=60, confidence=confidence)
    return {line.about: line for line in lines if line.adversary == OUTSIDER}


def test_sampling_that_is_not_as_claimed_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every row is in every batch, of which the claim of a sixtieth does not know."""
    right = outside(sampled(), 0.99)
    assert not any(line.disproved for line in right.values())
    everything = partial(schedule._by_coins, rate=1.0)
    monkeypatch.setattr(
        schedule, "_by_coins", lambda seed, number, rows, rate: everything(seed, number, rows)
    )
    wrong = outside(sampled(), 0.99)
    assert wrong[FEATURES].claim == right[FEATURES].claim
    assert all(line.disproved for line in wrong.values())


def test_noise_on_gradients_that_is_forgotten_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing hides them, the few batches of a canary show in the weights."""
    monkeypatch.setattr(Perturbation, "draw", lambda self, step, count: np.zeros(count, np.float32))
    assert outside(sampled(), 0.95)[FEATURES].disproved


def test_noise_forgotten_by_one_holder_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A's part alone hides B's features from the server, but not from a server that A tells its part."""
    noise = Inputs.noise
    monkeypatch.setattr(Inputs, "noise", lambda self: {"A": noise(self)["A"]})
    assert disproved(hidden()) == {("server + A", FEATURES)}


@pytest.mark.parametrize("first_layer", ["masked-sum", "algorithm1", "plaintext", "ckks"])
def test_noise_that_its_holders_know_comes_off(first_layer: str) -> None:
    """All parts taken off the h1 that the server has seen leave X theta of the first batch."""
    keys = {"privacy.h1": {"clip": 100.0, "noise_multiplier": 1.0}, "privacy.delta": 1e-6}
    keys |= {"protocol.fractional_bits": 11, "protocol.first_layer": first_layer}
    keys |= {"protocol.crypto": "modelled"} if first_layer == "ckks" else {}
    setup = small_setup(rows=12, overrides=keys | {"record.views": ["server"]})
    expected, outcome = setup.dataset.X_train @ setup.parts.theta.numpy(), Outcome()
    simulate(setup, outcome)
    view = kept(setup, outcome)["server"]
    drawn, first = noise_drawn(setup, view), view["train/h1/steps"] == 0
    assert set(drawn) == {"A", "B"}
    noisy, rows = view["train/h1/values"][first], view["train/h1/rows"][first]
    assert np.abs(noisy - expected[rows]).max() > 10
    clean = noisy - sum(drawn.values())[first]
    np.testing.assert_allclose(clean, expected[rows], atol=1e-2)


def test_pooled_views_stand_side_by_side() -> None:
    """The server's h1 less what its accomplices drew, and what all holders were told alike once."""
    rows, at = np.array([0, 1]), {"train/h1/rows": np.array([1, 0])}
    told = {"train/d/values": np.array([[5.0], [6.0]]), "train/d/rows": np.array([0, 1])}
    views = {"server": at | {"train/h1/values": np.array([[3.0], [4.0]])}, "A": told, "B": told, "C": {}}
    drawn = {"A": np.array([[0.5], [0.25]]), "C": np.array([[1.0], [1.0]])}
    np.testing.assert_array_equal(pooled(views, ["B", "A"], rows, drawn), [[5.0], [6.0]])
    np.testing.assert_array_equal(pooled(views, ["server"], rows, drawn), [[4.0], [3.0]])
    np.testing.assert_array_equal(pooled(views, ["server", "A"], rows, drawn), [[3.75, 5.0], [2.5, 6.0]])


def test_canaries_are_what_their_coins_say() -> None:
    """Opposite features, labels 1 and 0, on rows of their own; all else stays, the given set-up too."""
    setup = local()
    before = setup.dataset.X_train.copy()
    planted = plant(setup, "B", 100, 1)
    np.testing.assert_array_equal(setup.dataset.X_train, before)
    block = setup.blocks[1]
    features, label = planted.canaries[FEATURES], planted.canaries[LABEL]
    X, rows, coins = planted.setup.dataset.X_train, features.rows, features.coins
    heads = X[rows[coins]][:, block]
    assert (heads == heads[0]).all()
    assert (X[rows[~coins]][:, block] == -heads[0]).all()
    np.testing.assert_array_equal(planted.setup.dataset.y_train[label.rows], label.coins)
    untouched = np.setdiff1d(np.arange(len(X)), rows)
    np.testing.assert_array_equal(X[untouched], before[untouched])
    chosen = np.concatenate([found.rows for found in planted.canaries.values()])
    assert len(set(chosen.tolist())) == 300
    assert len(planted.known[0]) == len(X) - 300


def test_canaries_of_membership_are_in_batches_or_not() -> None:
    """With the coin at tails a row is in none; every other row is in as many as it was."""
    setup = local()
    planted = plant(setup, "B", 100, 1)
    found = planted.canaries[MEMBERSHIP]
    before, after = (
        np.bincount(np.concatenate([batch.rows for batch in one.schedule if batch.stage == "train"]))
        for one in (setup, planted.setup)
    )
    left_out = found.rows[~found.coins]
    assert 0 < len(left_out) < 100
    assert not after[left_out].any()
    np.testing.assert_array_equal(np.delete(after, left_out), np.delete(before, left_out))


def test_canaries_have_directions_of_their_own_under_dp_sgd() -> None:
    """As long as there is room they are orthogonal, and none moves h1 at the beginning."""
    setup = sampled()
    planted = plant(setup, "B", 60, 1)
    block, natural = setup.blocks[1], setup.dataset.X_train
    found = planted.canaries[LABEL]
    own = (found.heads[0] - natural[found.rows])[:, block].astype(np.float64)
    sizes = np.linalg.norm(own, axis=1)
    np.testing.assert_allclose((own / sizes[:, None]) @ (own / sizes[:, None]).T, np.eye(60), atol=1e-4)
    assert np.abs(own @ setup.parts.theta[block].numpy()).max() < 1e-3 * sizes.min()


def test_views_are_averaged_by_row() -> None:
    """Means over the batches that a row was in; rows that were in none have zeros."""
    view = {
        "train/h1/values": np.array([[1.0], [3.0], [5.0], [7.0]]),
        "train/h1/rows": np.array([2, 4, 2, 9]),
        "predict/h1/values": np.array([[100.0]]),
        "predict/h1/rows": np.array([2]),
    }
    np.testing.assert_array_equal(averaged(view, np.array([2, 4, 5])), [[3.0], [3.0], [0.0]])


def test_the_way_of_the_weights_fits_what_a_canary_has_done() -> None:
    """A step along a row's gradient fits the value that made it; a step of known rows fits nothing."""
    setup = small_setup(rows=30, features=60)
    known = setup.dataset.X_train, setup.dataset.y_train
    row = setup.dataset.X_test[:1]
    heads, tails = (row, np.ones(1, np.float32)), (row, np.zeros(1, np.float32))

    def fit(*gone: Rows) -> np.ndarray:
        after = setup.parts.copy()
        for X, y in gone:
            after.theta.sub_(torch.from_numpy(X.T @ d_1(setup.parts, (X, y)).astype(np.float32)))
        seen = Outsider(setup.parts, after, setup.blocks, None, known).sees(heads, tails)
        return np.asarray(seen[0, 4:6])  # of A's and B's weights, by gradients of the initial network

    assert (fit(heads) > 1e-3).all()
    assert (fit(tails) < -1e-3).all()
    assert np.abs(fit(known)).max() < 1e-5
    np.testing.assert_allclose(fit(known, heads), fit(heads), rtol=1e-2)


def test_what_cannot_be_audited() -> None:
    """A holder that there is not, and more canaries than rows."""
    with pytest.raises(InputError, match="no data holder"):
        audited(local(), of="Z")
    with pytest.raises(InputError, match="from 4 to 300"):
        audited(local(), canaries=301)


def test_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`p2n2sim audit` prints every claim and its bound, and fails when one is disproved."""
    file = tmp_path / "small.toml"
    file.write_text(
        'name = "small"\n[data]\nsource = "digits"\n[train]\nepochs = 1\nbatch_size = 500\n'
        '[protocol]\nfirst_layer = "masked-sum"\n[privacy.labels]\nepsilon = 1.0\n'
    )
    settings = load(file)
    assert run_audit(settings, data_dir=None, of=None, canaries=300, seed=0, as_json=True)
    lines = json.loads(capsys.readouterr().out)
    assert {"adversary", "about", "claimed", "at_least", "disproved"} <= set(lines[0])
    assert {line["claimed"] for line in lines if line["about"] == LABEL} == {1.0}
    monkeypatch.setattr(Inputs, "labels", lambda self: self.setup.dataset.y_train)
    assert not run_audit(settings, data_dir=None, of=None, canaries=300, seed=0, as_json=False)
    assert "disproved" in capsys.readouterr().out
