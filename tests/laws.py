"""Laws that every first-layer protocol obeys, and the helpers to hold a run to them."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any, cast

import numpy as np
import pytest
import torch

from p2n2sim.assemble import Setup
from p2n2sim.baselines.plain import train_plain
from p2n2sim.errors import DeadlockError, Wait
from p2n2sim.messages import VOCABULARY, HiddenShare
from p2n2sim.mpc import fixed_point
from p2n2sim.net import simloop
from p2n2sim.net.network import Network
from p2n2sim.net.simloop import SimLoop
from p2n2sim.nn.network import PlainNetwork
from p2n2sim.parties.first_layer import traffic
from p2n2sim.parties.first_layer.family import MEMBERS
from p2n2sim.simulate import Outcome, simulate, tasks_of
from p2n2sim.state import plain_optimiser
from p2n2sim.wire import Message, decode, encode, layout
from tests.small import small_setup

Spoken = list[tuple[str, str, Message]]

LAST_ROUNDS = ["LastHidden", "LastHiddenGradient", "FirstHiddenGradient"]
"""How a training batch ends, in every protocol."""


def listen(setup: Setup, **options: Any) -> tuple[Outcome, Spoken]:
    """Runs a set-up and keeps every message."""
    outcome = Outcome()
    spoken: Spoken = []
    simulate(setup, outcome, tap=lambda *what: spoken.append(what), **options)
    return outcome, spoken


def plain_after(setup: Setup) -> PlainNetwork:
    """The plain network after the same schedule from the same initial weights."""
    train, data, layer = setup.scenario.train, setup.dataset, setup.layer
    network = PlainNetwork(setup.parts)
    arguments = setup.schedule, data.X_train, data.y_train, data.X_test, data.y_test
    train_plain(
        network,
        *arguments,
        optimiser=plain_optimiser(train, network, dict(zip(layer.holders, layer.widths, strict=True))),
        reduction=train.loss_reduction,
    )
    return network


def follows_plain_training(setup: Setup) -> None:
    """After the same steps from the same weights, all weights equal the plain network's up to rounding."""
    before = setup.parts.theta.clone()
    plain = plain_after(setup)
    listen(setup)
    parts = setup.parts
    own = [parts.theta, *parts.server.parameters(), *parts.head.parameters()]
    theirs = [plain.theta, *plain.server.parameters(), *plain.head.parameters()]
    for mine, other in zip(own, theirs, strict=True):
        torch.testing.assert_close(mine, other.detach(), atol=2e-5, rtol=0, check_stride=False)
    assert (before - parts.theta).abs().max() > 1e-2  # it has learnt something to compare


def opened_is_the_ring_product(setup: Setup) -> None:
    """What reaches the server adds up to the ring product of the encoded inputs, to the bit, every time."""
    bits = setup.scenario.protocol.fractional_bits
    thetas: list[np.ndarray] = []  # at the beginning of each batch
    outcome, spoken = Outcome(), cast(Spoken, [])
    simulate(
        setup,
        outcome,
        tap=lambda *what: spoken.append(what),
        on_batch=lambda batch: thetas.append(setup.parts.theta.numpy().copy()),
    )
    data = setup.dataset
    for batch, theta in zip(setup.schedule, thetas, strict=True):
        shares = [m.h1 for _, _, m in spoken if isinstance(m, HiddenShare) and m.step == batch.step]
        assert len(shares) == len(setup.blocks)
        X = (data.X_train if batch.stage == "train" else data.X_test)[batch.rows]
        product = fixed_point.encode(X, bits).astype(object) @ fixed_point.encode(theta, bits).astype(object)
        assert (np.add.reduce(shares).astype(object) - product == 0).all()


def batch_goes(setup: Setup, order: list[str], counts: dict[str, int]) -> None:
    """A training batch takes the rounds that its protocol names, which the clock counts, in this order.

    Args:
        setup: on links of one second, at least two training batches.
        order: the message types of the second batch, one a round.
        counts: how often each is sent.
    """
    outcome, _ = listen(setup)
    first, second = outcome.began[:2]
    member = MEMBERS[setup.scenario.protocol.first_layer_in_use]
    third = outcome.began[2]
    further = member.further_rounds * (len(setup.layer.holders) - 2)
    assert third[1] - second[1] == member.rounds + further == len(order)
    ledger = outcome.ledger.frame().query("step == 1 and phase == 'online'")
    assert [(kind, second[1] + i) for i, kind in enumerate(order)] == list(
        ledger.groupby("kind", sort=False)["sent_s"].first().items()
    )
    assert (ledger.groupby("kind")["sent_s"].nunique() == 1).all()
    assert Counter(ledger["kind"]) == counts
    assert first[1] >= 0


def bytes_agree(setup: Setup) -> int:
    """Formula, ledger and encoded messages of the second batch, and of the set-up, agree to the byte.

    Returns:
        Payload bytes of the second batch.
    """
    protocol, data = setup.scenario.protocol, setup.dataset
    options: Any = {"first_layer": protocol.first_layer_in_use, "triples": protocol.triples}
    rows, last = setup.scenario.train.batch_size, setup.scenario.model.hidden[-1]
    outcome, spoken = listen(setup)
    frame = outcome.ledger.frame()
    frame["link"] = frame.sender + "->" + frame.receiver
    formulas = {
        1: traffic.payload_by_link(setup.layer, setup.scenario.data.label_owner, rows, last, **options),
        -1: traffic.setup_by_link(setup.layer, len(data.y_train), len(data.y_test), **options),
    }
    for step, formula in formulas.items():
        ledger = frame[frame["step"] == step]
        encoded = Counter[str]()
        for sender, receiver, message in spoken:
            if message.step == step:
                again = decode(encode(message), VOCABULARY)
                arrays = [getattr(again, name) for name, _ in layout(type(again)).arrays]
                encoded[f"{sender}->{receiver}"] += sum(len(array.tobytes()) for array in arrays)
        measured = ledger.groupby("link").payload_bytes.sum()
        assert _not_zero(formula) == _not_zero(measured) == _not_zero(encoded)
        assert ledger.wire_bytes.sum() == sum(len(encode(m)) for _, _, m in spoken if m.step == step)
    return sum(formulas[1].values())


def _not_zero(sizes: Any) -> dict[str, int]:
    return {link: size for link, size in sizes.items() if size}


def sized(rows: int, features: int, hidden: list[int], **overrides: Any) -> Setup:
    """Two training batches of a size, two holders."""
    keys = {name.replace("__", "."): value for name, value in overrides.items()}
    return small_setup(
        rows=2 * rows, features=features, overrides={"model.hidden": hidden, "train.batch_size": rows, **keys}
    )


def waits_when_silent(setup: Setup, silent: str) -> tuple[Wait, ...]:
    """Who waits for what from whom when one task of a run never begins; the silent party is named."""

    async def main() -> None:
        loop = cast(SimLoop, asyncio.get_running_loop())
        network = Network(loop)
        tasks = tasks_of(setup, network)
        tasks.pop(silent).close()
        await network.run(tasks)

    with pytest.raises(DeadlockError) as caught:
        simloop.run(main())
    assert silent in {wait.sender for wait in caught.value.waits}
    return tuple(caught.value.waits)


def chi_square(data: bytes) -> float:
    """Pearson's statistic of the bytes against the uniform distribution, in standard deviations."""
    counts = np.bincount(np.frombuffer(data, np.uint8), minlength=256)
    expected = len(data) / 256
    return float(((counts - expected) ** 2 / expected).sum() - 255) / (2 * 255) ** 0.5


def declared_as_it_is(setup: Setup) -> set[str]:
    """What is declared uniform or a share passes a chi-square test of its bytes; what is clear does not.

    Returns:
        The fields, as ``Message.field``, of which there were enough bytes for a test.
    """
    _, spoken = listen(setup)
    seen: dict[tuple[str, str, str], list[bytes]] = {}
    how = {}
    for sender, receiver, message in spoken:
        plan = layout(type(message))
        for (name, _), reveal in zip(plan.arrays, plan.reveals, strict=True):
            field = f"{type(message).__name__}.{name}"
            how[field] = reveal.how
            if reveal.how in ("uniform", "opens", "clear"):
                seen.setdefault((sender, receiver, field), []).append(getattr(message, name).tobytes())
    tested = set()
    for (_, _, field), chunks in seen.items():
        data = b"".join(chunks)
        if len(data) >= 256 * 20:
            deviation = abs(chi_square(data))
            assert deviation > 100 if how[field] == "clear" else deviation < 6, field
            tested.add(field)
    return tested


def same_when_encoded(**options: Any) -> None:
    """With every message encoded and decoded on its way, ledger and weights are the same to the bit."""
    results = []
    for encode_all in (False, True):
        setup = small_setup(rows=30, **options)
        outcome, _ = listen(setup, encode_all=encode_all)
        results.append((outcome.ledger.sha256(), setup.parts.theta.numpy().tobytes()))
    assert results[0] == results[1]
