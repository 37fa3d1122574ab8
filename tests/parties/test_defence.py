"""The defender within the protocol: the joint training of Eq. 5, by messages whose bytes are known."""

from __future__ import annotations

import concurrent.futures
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from p2n2sim.assemble import Setup
from p2n2sim.checkpoint import Checkpoints
from p2n2sim.defences import penalties_of
from p2n2sim.errors import FixedPointError
from p2n2sim.messages import SERVER, DefenceGradient, FirstHidden
from p2n2sim.parties.first_layer import traffic
from p2n2sim.parties.first_layer.family import MEMBERS
from p2n2sim.run import weights_sha256
from p2n2sim.simulate import Outcome, simulate
from p2n2sim.state import State
from p2n2sim.summary import metrics_frame, summarise
from tests.laws import batch_goes, declared_as_it_is, listen, waits_when_silent
from tests.parties.joint import Joint
from tests.small import small_setup

READINGS: dict[str, dict[str, Any]] = {
    "literal": {"defender.layers": [5], "defender.learning_rate": 0.01},
    "minmax": {"defender.layers": [5], "defender.learning_rate": 0.01, "defender.steps": 3},
    "best-response": {"defender.ridge": 0.05},
}
MEAN = {"train.loss_reduction": "mean", "train.learning_rate": 0.3, "train.momentum": 0.5}


def defended(reading: str, *, holders: int = 2, weight: float = 0.2, **overrides: Any) -> Setup:
    """A small run with a defender, of eight training batches in two epochs."""
    keys = {"defender.weight": weight, "defender.reading": reading, "train.epochs": 2}
    return small_setup(rows=24, holders=holders, overrides=keys | READINGS[reading] | overrides)


def follows_joint_training(setup: Setup, tolerance: float = 3e-5) -> None:
    """All weights, the decoders' included, equal those of one place that has everything."""
    before = setup.parts.copy()
    joint = Joint(setup)
    joint.train()
    states: list[State] = []
    simulate(setup, Outcome(), on_checkpoint=states.append)
    parts = setup.parts
    own = [parts.theta, *parts.server.parameters(), *parts.head.parameters()]
    theirs = [joint.theta, *joint.server.parameters(), *joint.head.parameters()]
    for mine, other in zip(own, theirs, strict=True):
        torch.testing.assert_close(mine, other.detach().float(), atol=tolerance, rtol=0, check_stride=False)
    for kept, decoder in zip(states[-1].defended.values(), joint.decoders, strict=bool(joint.decoders)):
        for name, value in decoder.state_dict().items():
            torch.testing.assert_close(
                kept[f"distance/weights/{name}"], value.float(), atol=tolerance, rtol=0
            )
    assert (before.theta - parts.theta).abs().max() > 1e-2


@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize("holders", [2, 3])
@pytest.mark.parametrize("train", [{}, MEAN], ids=["sum", "mean"])
@pytest.mark.parametrize("bound", [None, 0.7])
def test_joint_training(reading: str, holders: int, train: dict[str, Any], bound: float | None) -> None:
    """However it is read, the protocol trains what autograd on all data in one place trains."""
    keys = {"train.checkpoint_every": 100} | ({"defender.bound": bound} if bound else {})
    follows_joint_training(defended(reading, holders=holders, **train, **keys))


@pytest.mark.parametrize("first_layer", MEMBERS)
def test_every_first_layer_with_everything(first_layer: str) -> None:
    """With any first layer, decoders and NoPeek together, the same."""
    keys = {"protocol.first_layer": first_layer, "defence.nopeek": 0.3, "train.checkpoint_every": 100}
    keys |= {"protocol.crypto": "modelled", "defender.optimiser": "sgd"}
    follows_joint_training(defended("minmax", **keys), tolerance=2e-4 if first_layer == "ckks" else 3e-5)


def link_bytes(outcome: Outcome, step: int) -> dict[str, int]:
    """Payload bytes of a batch by link, as the ledger has them."""
    frame = outcome.ledger.frame().query(f"step == {step}")
    sizes = frame.groupby(frame.sender + "->" + frame.receiver).payload_bytes.sum().to_dict()
    return {link: size for link, size in sizes.items() if size}


@pytest.mark.parametrize("first_layer", ["algorithm1", "algorithm1-masked-once", "masked-sum", "plaintext"])
@pytest.mark.parametrize("holders", [2, 3])
def test_bytes_by_formula(first_layer: str, holders: int) -> None:
    """A training batch costs 4 m n h^2 bytes of payload more, on the links that the formula names."""
    setup = defended("literal", holders=holders, **{"protocol.first_layer": first_layer})
    outcome, _ = listen(setup)
    sizes = [
        traffic.payload_by_link(setup.layer, "A", 6, 3, first_layer=first_layer, defended=defended_)
        for defended_ in (True, False)
    ]
    assert link_bytes(outcome, 1) == sizes[0]
    assert sum(sizes[0].values()) - sum(sizes[1].values()) == 4 * 6 * 4 * holders**2
    plain, _ = listen(defended("literal", holders=holders, weight=0, **{"protocol.first_layer": first_layer}))
    assert link_bytes(plain, 1) == sizes[1]
    predictions = [batch.step for batch in setup.schedule if batch.stage == "predict"]
    assert all(link_bytes(outcome, step) == link_bytes(plain, step) for step in predictions)


@pytest.mark.parametrize("reading", READINGS)
def test_rounds(reading: str) -> None:
    """A batch takes the six rounds that it takes without a defender, which talks beside the others."""
    setup = defended(reading, holders=3)
    outcome, _ = listen(setup)
    (_, second), (_, third) = outcome.began[1:3]
    assert third - second == MEMBERS["algorithm1"].rounds == 6
    sent = outcome.ledger.frame().query("step == 1 and phase == 'online'").groupby("kind")["sent_s"]
    assert (sent.nunique() == 1).all()
    offsets = (sent.first() - second).to_dict()
    assert offsets == {
        "InputShare": 0,
        "MaskedShare": 1,
        "HiddenShare": 2,
        "FirstHidden": 3,
        "LastHidden": 3,
        "DefenceGradient": 4,
        "LastHiddenGradient": 4,
        "FirstHiddenGradient": 5,
    }
    without = defended(reading, holders=3, weight=0)
    others = {"InputShare": 6, "MaskedShare": 6, "HiddenShare": 3, "LastHidden": 1, "LastHiddenGradient": 1}
    batch_goes(without, [*others, "FirstHiddenGradient"], others | {"FirstHiddenGradient": 3})


def test_views() -> None:
    """The holders come to see h1 and the others' gradients; the server sees what it saw, and the dealer."""
    views = []
    for weight in (0.2, 0.0):
        outcome, _ = listen(defended("minmax", holders=3, weight=weight))
        views.append(outcome.ledger.views(outcome.parties))
    defended_, plain = views
    elements = 8 * 6 * 4  # training batches, rows, units
    for holder in "ABC":
        more = {"h1": elements, "dD_j/dh1": 2 * elements}
        assert defended_[holder].clear == plain[holder].clear | more
        assert defended_[holder].uniform == plain[holder].uniform
    for party in (SERVER, "dealer"):
        assert defended_[party] == plain[party]


def test_what_is_said_is_what_was_computed() -> None:
    """The server shows the h1 that it has; a holder's gradient is its penalty's, and goes to holders only."""
    setup = defended("literal", **{"train.epochs": 1})
    _, spoken = listen(setup)
    said = [(s, r, m) for s, r, m in spoken if isinstance(m, DefenceGradient)]
    assert Counter((s, r) for s, r, _ in said) == {("A", "B"): 4, ("B", "A"): 4}
    shown = {(r, m.step): m.h1 for _, r, m in spoken if isinstance(m, FirstHidden)}
    assert {holder for holder, _ in shown} == {"A", "B"}
    for holder, block in zip("AB", setup.blocks, strict=True):
        (penalty,) = penalties_of(setup.scenario, 4, block.stop - block.start, holder)
        for batch in list(setup.schedule)[:4]:
            X, h1 = setup.dataset.X_train[batch.rows, block], shown[holder, batch.step]
            assert np.array_equal(shown["A", batch.step], shown["B", batch.step])
            (g,) = [m.g for s, _, m in said if s == holder and m.step == batch.step]
            assert np.array_equal(g, penalty.gradient(X, h1))
            penalty.update(X, h1)


def test_what_is_shown_is_declared() -> None:
    """The new fields are numbers in the clear, which no test of uniformity takes for shares."""
    tested = declared_as_it_is(
        small_setup(rows=1200, overrides={"train.batch_size": 600, "defender.weight": 0.1})
    )
    assert {"FirstHidden.h1", "DefenceGradient.g"} <= tested


@pytest.mark.parametrize("holders", [2, 3])
def test_weight_0_is_no_defender(holders: int) -> None:
    """With a weight of 0 and no noise, no other key of the tables changes a byte, a weight or a second."""
    keys = {"compute.preset": "reference"}
    others = {
        "defender.steps": 4,
        "defender.layers": [3],
        "defender.bound": 0.5,
        "defender.reading": "minmax",
    }
    results = []
    for extra in ({}, others | {"defender.weight": 0.0, "defence.nopeek": 0.0, "defence.noise": 0.0}):
        setup = small_setup(rows=24, holders=holders, overrides=keys | extra)
        outcome, _ = listen(setup)
        results.append((weights_sha256(setup.parts), outcome.ledger.sha256(), outcome.defender))
    assert results[0] == results[1]
    assert results[0][2] == {}


@pytest.mark.parametrize("reading", READINGS)
def test_operations_by_formula(reading: str) -> None:
    """Where nothing but floating-point work takes time, a second each, a defender's is its formula."""
    worked = []
    for weight in (0.2, 0.0):
        keys = {"compute.holder": {"flops_per_s": 1.0}, "train.epochs": 1, "defence.nopeek": weight}
        setup = defended(reading, holders=3, weight=weight, **keys)
        outcome, _ = listen(setup)
        worked.append({p: sum(end - start for start, end, _ in w) for p, w in outcome.intervals.items()})
    setup = defended(reading, holders=3, **{"defence.nopeek": 0.2})
    for name, width in zip(setup.layer.holders, setup.layer.widths, strict=True):
        penalties = penalties_of(setup.scenario, 4, width, name)
        flops = sum(sum(penalty.flops(6)) for penalty in penalties)
        sums = 3 * 6 * 4  # two other holders' gradients, and dL/dh1
        assert worked[0][name] - worked[1][name] == pytest.approx(4 * (flops + sums))


def test_seconds_of_messages() -> None:
    """Every message of a defender costs the overhead of being sent and of being received."""
    total = []
    for weight in (0.2, 0.0):
        keys = {"compute.default": {"message_overhead": "1 s"}, "train.epochs": 1}
        outcome, spoken = listen(defended("minmax", holders=3, weight=weight, **keys))
        worked = sum(end - start for work in outcome.intervals.values() for start, end, _ in work)
        total.append((worked, len(spoken)))
    (with_, many), (without, few) = total
    assert many - few == 4 * 9  # training batches; h messages of the server, h (h - 1) of the holders
    assert with_ - without == 2 * (many - few)


KEEPS = {"literal": {"defender.layers": [3]}, "minmax": {"train.momentum": 0.5}, "best-response": {}}


@pytest.mark.parametrize("reading", READINGS)
def test_sessions_and_crashes_change_no_weight(reading: str) -> None:
    """However a run is divided, and whoever comes back, weights and measured distances are the same bits."""
    results = []
    for keys in (
        {},
        {"train.checkpoint_every": 1},
        {"train.checkpoint_every": 3},
        {"fault": [{"kind": "crash", "party": "B", "number": 9, "restart": "20 s"}]},
        {
            "train.checkpoint_every": 2,
            "fault": [{"kind": "crash", "party": "A", "batch": 6, "restart": "20 s"}],
        },
    ):
        setup = defended(reading, **KEEPS[reading], **keys, **{"defence.noise": 0.1, "defence.nopeek": 0.1})
        outcome, _ = listen(setup)
        results.append((weights_sha256(setup.parts), outcome.defender))
    assert all(result == results[0] for result in results)
    assert set(results[0][1]["A"]) == {"distance", "floor", "distance_correlation"}


@pytest.mark.parametrize("reading", READINGS)
def test_what_is_stored_is_what_was_there(reading: str, tmp_path: Path) -> None:
    """From every checkpoint on disk a run goes on to the same weights, ledger and distances."""
    keys = {"train.checkpoint_every": 3, "defence.noise": 0.1}
    setup, outcome = defended(reading, **keys), Outcome()
    checkpoints = Checkpoints(tmp_path, setup, outcome)
    simulate(setup, outcome, on_checkpoint=checkpoints.store)
    for folder in sorted((path for path in tmp_path.iterdir() if path.is_dir()), reverse=True):
        again, other = defended(reading, **keys), Outcome()
        state = Checkpoints(tmp_path, again, other).load()
        assert state is not None
        assert set(state.defended) == {"A", "B"}
        simulate(again, other, state=state)
        assert weights_sha256(again.parts) == weights_sha256(setup.parts)
        assert other.ledger.sha256() == outcome.ledger.sha256()
        assert other.defender == outcome.defender
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()


def test_threads_and_schedules_change_no_bit() -> None:
    """Neither threads nor the order of what happens at one instant nor encoding changes weights."""
    results = []
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        for keys, options in (
            ({}, {}),
            ({}, {"pool": pool, "threads": 3}),
            ({}, {"encode_all": True}),
            ({"schedule_seed": 5}, {}),
        ):
            setup = defended("literal", holders=3, **{"compute.preset": "reference"}, **keys)
            listen(setup, **options)
            results.append(weights_sha256(setup.parts))
    assert len(set(results)) == 1


def test_the_summary_tells_distances() -> None:
    """Its part `defender` has each holder's mean distance in the last epoch, and the floor without h1."""
    setup = defended("best-response", **{"train.epochs": 2})
    outcome, spoken = listen(setup)
    metrics = metrics_frame(outcome.passes, outcome.passes, setup.dataset.y_test)
    told = summarise(setup, outcome, metrics)["defender"]
    assert list(told) == ["A", "B"]
    last = [batch for batch in setup.schedule if batch.stage == "train" and batch.epoch == 2]
    shown = {m.step: m.h1 for _, r, m in spoken if isinstance(m, FirstHidden) and r == "A"}
    for holder, block in zip("AB", setup.blocks, strict=True):
        (penalty,) = penalties_of(setup.scenario, 4, block.stop - block.start, holder)
        distances = []
        for batch in last:
            penalty.gradient(setup.dataset.X_train[batch.rows, block], shown[batch.step])
            distances.append(penalty.measured)
        assert told[holder]["distance"] == pytest.approx(np.mean(distances))
        assert told[holder]["floor"] == pytest.approx(setup.dataset.X_train[:, block].var(axis=0).mean())
        assert told[holder]["distance"] < told[holder]["floor"]
    without = defended("best-response", weight=0)
    outcome, _ = listen(without)
    assert "defender" not in summarise(without, outcome, metrics)


def test_the_defender_defends() -> None:
    """With a weight, the best linear decoders are together further away than in the same run without."""
    ends = []
    for weight in (1e-9, 1.0):
        keys = {"defender.weight": weight, "defender.reading": "best-response", "train.learning_rate": 0.1}
        keys |= {"train.epochs": 6, "train.batch_size": 50, "train.loss_reduction": "mean"}
        outcome, _ = listen(small_setup(rows=400, features=6, overrides=keys))
        ends.append(sum(told["distance"] for told in outcome.defender.values()))
    assert ends[1] > ends[0] + 0.05


@pytest.mark.parametrize("silent", ["B", SERVER])
def test_who_is_silent_is_named(silent: str) -> None:
    """Who waits for a silent party says so, with a defender as without."""
    assert waits_when_silent(defended("literal"), silent)


@pytest.mark.parametrize("first_layer", ["algorithm1", "algorithm1-masked-once", "masked-sum"])
def test_what_leaves_the_ring_is_refused(first_layer: str) -> None:
    """A decoder maximised without a bound drives h1 out of the ring, which is said; a bound does not."""
    keys = {"protocol.first_layer": first_layer, "train.epochs": 30, "defender.learning_rate": 0.1}
    keys |= {"defender.layers": [], "defender.optimiser": "sgd"}
    with pytest.raises(FixedPointError):
        listen(defended("literal", weight=5, **keys))
    listen(defended("literal", weight=5, **keys, **{"defender.bound": 1.0}))
