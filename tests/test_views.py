"""Recorded views: what a party was told is what the declared fields give, whatever the protocol."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from p2n2sim.assemble import Setup
from p2n2sim.errors import InputError, ScenarioError
from p2n2sim.messages import FirstHiddenGradient, HiddenShare, LastHiddenGradient
from p2n2sim.mpc import fixed_point
from p2n2sim.parties.schedule import Batch
from p2n2sim.recording import kept
from p2n2sim.run import Silent, run, weights_sha256
from p2n2sim.scenario.load import load
from p2n2sim.simulate import Outcome, simulate
from p2n2sim.views import PartyView, read_views
from tests import tiny
from tests.small import small_setup
from tests.tiny import Call

FIRST_LAYERS = (
    "algorithm1",
    "algorithm1-prg",
    "algorithm1-masked-once",
    "masked-sum",
    "plaintext",
    "ckks",
)


def run_small(holders: int = 2, **overrides: Any) -> tuple[Setup, Outcome, dict[str, Any]]:
    """A small run of two epochs that keeps the views of all parties."""
    keys = {"train.epochs": 2, "record.views": ["server", "A", "B"]}
    setup, outcome = small_setup(rows=18, holders=holders, overrides=keys | overrides), Outcome()
    simulate(setup, outcome)
    return setup, outcome, kept(setup, outcome)


@pytest.mark.parametrize("name", FIRST_LAYERS)
@pytest.mark.parametrize("holders", [2, 3])
def test_the_servers_h1_is_x_theta(name: str, holders: int) -> None:
    """After the last update the server's h1 of the test rows is X theta, under every protocol."""
    setup, _, views = run_small(holders, **{"protocol.first_layer": name})
    expected = setup.dataset.X_test @ setup.parts.theta.numpy()
    assert np.array_equal(views["server"]["predict/h1/rows"], np.arange(9))
    assert np.allclose(views["server"]["predict/h1/values"], expected, atol=1e-5)
    assert views["server"]["train/h1/values"].shape == (18, 4)
    if name == "plaintext":  # the parts as well, one for each holder
        parts = [value for key, value in views["server"].items() if key.startswith("predict/X_i")]
        assert len(parts) == 4 * holders


def test_views_are_what_was_sent() -> None:
    """Every recorded number equals what the messages of that step carry, rows in the batch's order."""
    spoken: list[Any] = []
    keys = {"record.views": ["server", "B"], "record.epochs": "all", "train.epochs": 2}
    setup, outcome = small_setup(rows=18, overrides=keys), Outcome()
    simulate(setup, outcome, tap=lambda *what: spoken.append(what))
    views = kept(setup, outcome)
    bits = 2 * setup.scenario.protocol.fractional_bits
    for batch in setup.schedule:
        mine = [(to, m) for _, to, m in spoken if m.step == batch.step]
        shares = [m.h1 for _, m in mine if isinstance(m, HiddenShare)]
        prefix = f"{batch.stage}/h1"
        at = views["server"][f"{prefix}/steps"] == batch.step
        assert np.array_equal(views["server"][f"{prefix}/rows"][at], batch.rows)
        assert set(views["server"][f"{prefix}/epochs"][at]) == {batch.epoch}
        assert np.array_equal(
            views["server"][f"{prefix}/values"][at], fixed_point.decode(shares[0] + shares[1], bits)
        )
        if batch.stage == "train":
            [d_L] = [m.d_L for _, m in mine if isinstance(m, LastHiddenGradient)]
            [d_1] = [m.d_1 for to, m in mine if isinstance(m, FirstHiddenGradient) and to == "B"]
            assert np.array_equal(views["server"]["train/dL/dh_L/values"][at], d_L)
            assert np.array_equal(views["B"]["train/dL/dh1/values"][at], d_1)
    assert not any("h_L" in key for key in views["B"])  # B does not own the label
    assert "train/sent dL/dh1/values" in views["server"]


def test_the_last_epoch_alone_unless_all_are_asked_for() -> None:
    """The default keeps one value for every row and stage; `all` keeps one for each epoch."""
    _, _, last = run_small()
    _, _, everything = run_small(**{"record.epochs": "all"})
    assert set(last["server"]["train/h1/epochs"]) == {2}
    assert np.array_equal(np.sort(last["server"]["train/h1/rows"]), np.arange(18))
    for epoch in (1, 2):
        rows = everything["server"]["train/h1/rows"][everything["server"]["train/h1/epochs"] == epoch]
        assert np.array_equal(np.sort(rows), np.arange(18))


@pytest.mark.parametrize(
    "keys",
    [
        {"protocol.secret_layers": 2},
        {"protocol.secret_layers": 2, "protocol.opened": "activation", "model.hidden": [4, 3, 2]},
        {"protocol.secret_layers": 2, "protocol.ring_bits": 32, "protocol.fractional_bits": 10},
    ],
    ids=["product", "activation", "narrow ring"],
)
def test_several_secret_layers_show_what_is_opened(keys: dict[str, Any]) -> None:
    """The server's view is the layer that was opened and nothing below it."""
    setup, _, views = run_small(**keys)
    parts, hidden = setup.parts, setup.scenario.model.hidden
    X = setup.dataset.X_test @ parts.theta.numpy()
    bias, linear = parts.server[0].bias, parts.server[2]  # type: ignore[index]
    first = np.clip(X + bias.detach().numpy() + 0.5, 0, 1)  # the three-piece sigmoid
    second = first @ linear.weight.detach().numpy().T
    if "protocol.opened" in keys:
        second = np.clip(second + linear.bias.detach().numpy() + 0.5, 0, 1)
    seen = views["server"]["predict/h_s/values"]
    assert seen.shape == (9, hidden[1])
    assert np.allclose(seen, second, atol=0.05 if "protocol.ring_bits" in keys else 1e-3)
    assert not any(key.startswith("predict/h1/") for key in views["server"])


def test_with_everything_secret_the_label_owner_knows_its_predictions() -> None:
    """Without a server the label's owner has its logits of the test rows, and others have nothing."""
    _, outcome, views = run_small(**{"protocol.secret_layers": 3, "record.views": ["A", "B"]})
    assert np.array_equal(views["A"]["predict/logits/values"][:, 0], outcome.passes[-1].logits)
    assert views["B"] == {}


@pytest.mark.parametrize("name", ["algorithm1", "masked-sum", "plaintext"])
def test_what_goes_wrong_changes_no_view(name: str) -> None:
    """Checkpoints, a crash with a restart, duplicates and repeats: every step is recorded once, the same."""
    keys: dict[str, Any] = {"protocol.first_layer": name, "record.epochs": "all", "train.epochs": 2}
    _, _, calm = run_small(**keys)
    crash = {"kind": "crash", "party": "B", "number": 7, "restart": "20 s"}
    twice = {"kind": "duplicate", "probability": 0.5}
    for wrong in (
        {"train.checkpoint_every": 2},
        {"fault": [crash]},
        {"fault": [crash], "train.checkpoint_every": 3},
        {"fault": [twice]},
    ):
        _, _, disturbed = run_small(**keys, **wrong)
        assert disturbed.keys() == calm.keys()
        for party, arrays in calm.items():
            assert arrays.keys() == disturbed[party].keys()
            for key, value in arrays.items():
                assert np.array_equal(value, disturbed[party][key]), (party, key)


def test_recording_changes_nothing() -> None:
    """A run that records has the ledger and the weights of one that does not; that one keeps nothing."""
    setup, outcome, views = run_small()
    other, quiet, none = run_small(**{"record.views": []})
    assert weights_sha256(setup.parts) == weights_sha256(other.parts)
    assert outcome.ledger.sha256() == quiet.ledger.sha256()
    assert views
    assert not none
    assert not quiet.sights


@pytest.mark.parametrize(
    ("views", "words"),
    [
        (["C"], "neither a data holder nor the server"),
        (["dealer"], "neither a data holder nor the server"),
        (["A", "A"], "stands there twice"),
    ],
)
def test_views_of_nobody_are_refused(views: list[str], words: str) -> None:
    """Parties that there are not, and those named twice, are bad input that names the key."""
    with pytest.raises(ScenarioError, match=words) as caught:
        small_setup(overrides={"record.views": views})
    assert "record.views" in caught.value.where


def test_no_server_no_view() -> None:
    """With all layers under sharing there is no server whose view could be kept."""
    with pytest.raises(ScenarioError, match="there is no server"):
        small_setup(overrides={"record.views": ["server"], "protocol.secret_layers": 3})


# -- in a run folder

RECORD = '[record]\nviews = ["server", "A"]\n'


def test_a_folder_keeps_views_and_gives_them_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: Call
) -> None:
    """What is read from the folder has one value for every row; the same run makes the same bytes."""
    here = tiny.move_into(tmp_path, monkeypatch)
    tiny.write_scenario(here, RECORD)
    for out in ("one", "two"):
        assert call("run", "tiny.toml", "--quiet", "--out", out)[0] == 0
    names = ["A.npz", "model.npz", "server.npz"]
    assert sorted(path.name for path in (here / "one" / "views").iterdir()) == names
    for name in names:
        assert (here / "one" / "views" / name).read_bytes() == (here / "two" / "views" / name).read_bytes()
    views = read_views(here / "one")
    server: PartyView = views["server"]
    assert server.labels("train") == ("h1", "sent h_L", "dL/dh_L", "sent dL/dh1")
    assert server.labels("predict") == ("h1", "sent h_L")
    rows, values, _ = server.seen["train", "h1"].by_row()
    assert np.array_equal(rows, np.arange(96))
    assert values.shape == (96, 4)
    assert views["A"].labels("train") == ("h_L", "sent dL/dh_L", "dL/dh1")
    assert views["A"].labels("predict") == ("h_L", "logits")
    assert load(here / "one" / "scenario.toml").record.views == ("server", "A")


def test_an_interrupted_run_goes_on_to_the_same_views(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that goes on from its checkpoints keeps what it saw before it was cut off."""
    here = tiny.move_into(tmp_path, monkeypatch)
    text = tiny.SCENARIO.replace("epochs = 2", "epochs = 2\ncheckpoint_every = 3")
    scenario = load(tiny.write_scenario(here, RECORD + 'epochs = "all"\n', text))

    class CutOff(Silent):
        def batch(self, batch: Batch) -> None:
            """Ends the process, as it were."""
            if batch.step == 8:
                raise InterruptedError

    (here / "working").mkdir()
    with pytest.raises(InterruptedError):
        run(scenario, working=here / "working", threads=1, progress=CutOff())
    again = run(scenario, working=here / "working", threads=1)
    whole = run(scenario, threads=1)
    assert again.summary["time"]["resumed_after_batches"] == 6
    for name, arrays in whole.views.items():
        assert arrays.keys() == again.views[name].keys()
        assert all(np.array_equal(value, again.views[name][key]) for key, value in arrays.items())


def test_damaged_and_missing_views_are_named(tmp_path: Path) -> None:
    """A folder without views says how to get some; a file that was cut short is named."""
    with pytest.raises(InputError, match=r"\[record\] views"):
        read_views(tmp_path)
    (tmp_path / "views").mkdir()
    np.savez(tmp_path / "views" / "B.npz", **{"train/dL/dh1/values": np.zeros((3, 2), np.float32)})
    with pytest.raises(InputError, match="dL/dh1 is not complete"):
        read_views(tmp_path)
    (tmp_path / "views" / "B.npz").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(InputError, match="damaged"):
        read_views(tmp_path)
