"""Algorithms 1 and 2: value, bytes, rounds and order, against the paper and against plain training."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch

from p2n2sim.assemble import Setup
from p2n2sim.baselines.plain import train_plain
from p2n2sim.errors import DeadlockError, FixedPointError
from p2n2sim.messages import DEALER, SERVER, VOCABULARY, HiddenShare, InputShare, MaskedShare
from p2n2sim.mpc import fixed_point
from p2n2sim.net import simloop
from p2n2sim.net.network import Network
from p2n2sim.nn.network import PlainNetwork
from p2n2sim.parties import traffic
from p2n2sim.parties.family import MEMBERS
from p2n2sim.parties.layer import FirstLayer
from p2n2sim.simulate import Outcome, simulate, tasks_of
from p2n2sim.wire import Message, decode, encode, layout
from tests.small import small_setup

Spoken = list[tuple[str, str, Message]]


def listen(setup: Setup, **options: Any) -> tuple[Outcome, Spoken]:
    """Runs a set-up and keeps every message."""
    outcome = Outcome()
    spoken: Spoken = []
    simulate(setup, outcome, tap=lambda *what: spoken.append(what), **options)
    return outcome, spoken


def plain_after(setup: Setup) -> PlainNetwork:
    """The plain network after the same schedule from the same initial weights."""
    train, data = setup.scenario.train, setup.dataset
    network = PlainNetwork(setup.parts)
    arguments = setup.schedule, data.X_train, data.y_train, data.X_test, data.y_test
    train_plain(
        network,
        *arguments,
        learning_rate=train.learning_rate,
        momentum=train.momentum,
        reduction=train.loss_reduction,
    )
    return network


@pytest.mark.parametrize("holders", [2, 3, 5])
def test_server_reconstructs_h1_to_the_bit(holders: int) -> None:
    """The shares that reach the server add up to the ring product of the encoded inputs, exactly."""
    setup = small_setup(holders=holders, overrides={"protocol.fractional_bits": 16})
    theta = setup.parts.theta.numpy().copy()
    _, spoken = listen(setup)
    shares = [m.h1 for _, _, m in spoken if isinstance(m, HiddenShare) and m.step == 0]
    assert len(shares) == holders
    X = setup.dataset.X_train[next(iter(setup.schedule)).rows]
    product = fixed_point.encode(X, 16).astype(object) @ fixed_point.encode(theta, 16).astype(object)
    assert (np.add.reduce(shares).astype(object) - product == 0).all()


@pytest.mark.parametrize("holders", [2, 3])
def test_rounds_order_and_bytes_of_a_training_batch(holders: int) -> None:
    """A batch takes six rounds, which the clock counts, in the order of the algorithm."""
    setup = small_setup(holders=holders)
    outcome, _ = listen(setup)
    first, second = outcome.began[:2]
    assert second[1] - first[1] == MEMBERS["algorithm1"].rounds == 6
    ledger = outcome.ledger.frame().query("step == 1 and phase == 'online'")
    order = [
        "InputShare",
        "MaskedShare",
        "HiddenShare",
        "LastHidden",
        "LastHiddenGradient",
        "FirstHiddenGradient",
    ]
    begins = outcome.began[1][1]
    assert [(kind, begins + i) for i, kind in enumerate(order)] == list(
        ledger.groupby("kind", sort=False)["sent_s"].first().items()
    )
    assert (ledger.groupby("kind")["sent_s"].nunique() == 1).all()
    pairs = holders * (holders - 1)
    assert Counter(ledger["kind"]) == {
        "InputShare": pairs,
        "MaskedShare": pairs,
        "HiddenShare": holders,
        "LastHidden": 1,
        "LastHiddenGradient": 1,
        "FirstHiddenGradient": holders,
    }


@pytest.mark.parametrize(
    ("rows", "widths", "units", "last", "total"),
    [(5000, (14, 14), 8, 8, 4_965_376), (2570, (278, 278), 400, 8, 72_692_160)],
    ids=["fraud", "distress"],
)
def test_bytes_three_ways(rows: int, widths: tuple[int, int], units: int, last: int, total: int) -> None:
    """Formula, ledger and encoded messages agree to the byte with 4.965 MB and 72.69 MB."""
    hidden = [units, last]
    setup = small_setup(
        rows=2 * rows, features=sum(widths), overrides={"model.hidden": hidden, "train.batch_size": rows}
    )
    outcome, spoken = listen(setup)
    layer = FirstLayer(holders=("A", "B"), widths=widths, units=units, fractional_bits=20)
    formula = traffic.payload_by_link(layer, "A", rows, last)
    ledger = outcome.ledger.frame().query("step == 1")
    by_link = ledger.assign(link=ledger.sender + "->" + ledger.receiver).groupby("link").payload_bytes.sum()
    encoded = Counter[str]()
    for sender, receiver, message in spoken:
        if message.step == 1:
            again = decode(encode(message), VOCABULARY)
            arrays = [getattr(again, name) for name, _ in layout(type(again)).arrays]
            encoded[f"{sender}->{receiver}"] += len(b"".join(array.tobytes() for array in arrays))
    assert formula == {link: n for link, n in by_link.items() if n} == {k: n for k, n in encoded.items() if n}
    assert sum(formula.values()) == total
    assert ledger.wire_bytes.sum() == sum(len(encode(m)) for _, _, m in spoken if m.step == 1)


@pytest.mark.parametrize("holders", [2, 3, 5])
@pytest.mark.parametrize("first_layer", ["algorithm1", "plaintext"])
@pytest.mark.parametrize(
    "train",
    [{}, {"train.momentum": 0.9, "train.loss_reduction": "mean", "train.epochs": 4}],
    ids=["sum", "mean"],
)
def test_weights_follow_plain_training(holders: int, first_layer: str, train: dict[str, Any]) -> None:
    """After the same steps from the same weights, all weights equal the plain network's up to rounding."""
    setup = small_setup(rows=60, holders=holders, overrides={"protocol.first_layer": first_layer, **train})
    before = setup.parts.theta.clone()
    plain = plain_after(setup)
    listen(setup)
    parts = setup.parts
    own = [parts.theta, *parts.server.parameters(), *parts.head.parameters()]
    for mine, theirs in zip(
        own, [plain.theta, *plain.server.parameters(), *plain.head.parameters()], strict=True
    ):
        torch.testing.assert_close(mine, theirs.detach(), atol=2e-5, rtol=0, check_stride=False)
    assert (before - parts.theta).abs().max() > 1e-2  # it has learnt something to compare


def test_fixed_point_error_shrinks_with_the_bits() -> None:
    """The distance to plain training falls with the fractional bits: it is their error and no other."""
    distances = []
    for bits in (4, 8, 12, 16):
        setup = small_setup(rows=60, overrides={"protocol.fractional_bits": bits, "train.epochs": 3})
        plain = plain_after(setup)
        listen(setup)
        distances.append(float((setup.parts.theta - plain.theta.detach()).abs().max()))
    assert all(later < earlier / 4 for earlier, later in itertools.pairwise(distances))


def test_label_owner_may_be_any_holder() -> None:
    """With the label at C, h_L and its gradient travel between C and the server; the weights are the same."""
    weights = []
    for owner in ("A", "C"):
        setup = small_setup(holders=3, overrides={"data.label_owner": owner})
        _, spoken = listen(setup)
        kinds = {(s, r) for s, r, m in spoken if type(m).__name__ in ("LastHidden", "LastHiddenGradient")}
        assert kinds == {(SERVER, owner), (owner, SERVER)}
        weights.append(setup.parts.theta.clone())
    assert torch.equal(*weights)


@pytest.mark.parametrize("ahead", [0, 1, 2, 100])
def test_triples_ahead(ahead: int) -> None:
    """However far the dealer works ahead, every batch gets one triple and the weights are the same."""
    setup = small_setup(rows=60, overrides={"protocol.triples_ahead": ahead})
    reference = small_setup(rows=60)
    outcome, _ = listen(setup)
    listen(reference)
    ledger = outcome.ledger.frame()
    for kind in ("TripleRequest", "TripleCorrection"):
        assert list(ledger.query(f"kind == '{kind}'")["step"]) == list(range(len(setup.schedule)))
    assert torch.equal(setup.parts.theta, reference.parts.theta)


@pytest.mark.parametrize("silent", ["A", "B", "C", SERVER, DEALER])
def test_one_party_stays_silent(silent: str) -> None:
    """When one party says nothing, the run ends with who waits for what from whom."""
    setup = small_setup(holders=3)
    expected = {
        "A": ("B", "A", "InputShare"),
        "B": ("A", "B", "InputShare"),
        "C": ("A", "C", "InputShare"),
        SERVER: ("A", SERVER, "FirstHiddenGradient"),
        DEALER: ("A", DEALER, "DealerKey"),
    }[silent]

    async def main() -> None:
        loop = simloop.asyncio.get_running_loop()
        network = Network(loop)  # type: ignore[arg-type]
        tasks = tasks_of(setup, network)
        tasks.pop(silent).close()
        await network.run(tasks)

    with pytest.raises(DeadlockError) as caught:
        simloop.run(main())
    assert expected in [(w.party, w.sender, w.kind) for w in caught.value.waits]
    assert silent in {wait.sender for wait in caught.value.waits}


def chi_square(data: bytes) -> float:
    """Pearson's statistic of the bytes against the uniform distribution, in standard deviations."""
    counts = np.bincount(np.frombuffer(data, np.uint8), minlength=256)
    expected = len(data) / 256
    return float(((counts - expected) ** 2 / expected).sum() - 255) / (2 * 255) ** 0.5


def test_what_is_declared_uniform_is_uniform() -> None:
    """What is declared uniform or a share passes a chi-square test of its bytes; what is clear does not."""
    setup = small_setup(rows=4000, features=20, overrides={"train.batch_size": 500})
    _, spoken = listen(setup)
    seen: dict[tuple[str, str, str], list[bytes]] = {}
    for sender, receiver, message in spoken:
        for name, _ in layout(type(message)).arrays:
            field = f"{type(message).__name__}.{name}"
            seen.setdefault((sender, receiver, field), []).append(getattr(message, name).tobytes())
    how = {
        f"{k.__name__}.{n}": r.how
        for k in VOCABULARY
        for (n, _), r in zip(layout(k).arrays, layout(k).reveals, strict=True)
    }
    tested = 0
    for (_, _, field), chunks in seen.items():
        data = b"".join(chunks)
        if len(data) >= 256 * 20:
            deviation = abs(chi_square(data))
            assert deviation < 6 if how[field] in ("uniform", "opens") else deviation > 100, field
            tested += 1
    assert tested >= 10


def test_a_planted_leak_is_not_uniform() -> None:
    """The same test catches an encoded input that is sent without a mask."""
    X = fixed_point.encode(small_setup(rows=4000).dataset.X_train, 20)
    assert chi_square(InputShare(0, X, X).X.tobytes()) > 1000


def test_masks_are_fresh_in_every_batch() -> None:
    """No share and no masked share is ever sent twice, though the rows repeat in every epoch."""
    setup = small_setup(overrides={"train.epochs": 3, "train.learning_rate": 1e-9})
    _, spoken = listen(setup)
    sent = [
        (sender, getattr(m, name).tobytes())
        for sender, receiver, m in spoken
        if isinstance(m, InputShare | MaskedShare) and {sender, receiver} == {"A", "B"}
        for name, _ in layout(type(m)).arrays
    ]
    assert len(set(sent)) == len(sent)


def test_encoding_every_message_changes_nothing() -> None:
    """With every message encoded and decoded on its way, ledger and weights are the same to the bit."""
    results = []
    for encode_all in (False, True):
        setup = small_setup(rows=30)
        outcome, _ = listen(setup, encode_all=encode_all)
        results.append((outcome.ledger.sha256(), setup.parts.theta.numpy().tobytes()))
    assert results[0] == results[1]


def test_a_feature_too_large_for_the_ring() -> None:
    """A feature that the fixed-point ring cannot hold ends the run with an error that shows it."""
    setup = small_setup(overrides={"protocol.fractional_bits": 30})
    setup.dataset.X_train[3, 2] = 2.0**40
    with pytest.raises(FixedPointError):
        listen(setup)


def test_dealer_learns_nothing() -> None:
    """The dealer receives no array at all, the holders see only gradients, the server h1 and dL/dh_L."""
    outcome, _ = listen(small_setup(holders=3))
    views = outcome.ledger.views(["A", "B", "C", SERVER, DEALER])
    assert not any(views[DEALER])
    assert list(views["A"].clear) == ["h_L", "dL/dh1"]
    assert list(views["B"].clear) == list(views["C"].clear) == ["dL/dh1"]
    assert set(views[SERVER].clear) == {"h1", "dL/dh_L"}
    train, predict, units = 12, 6, 4
    assert views[SERVER].clear["h1"] == (train + predict) * units
    assert views[SERVER].uniform == {"share of h1": 3 * (train + predict) * units}
