"""The homomorphic first layers: value, bytes, rounds and order, what everybody sees, and their model."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from p2n2sim.assemble import Setup
from p2n2sim.baselines.plain import train_plain
from p2n2sim.errors import DeadlockError, PlaintextError
from p2n2sim.messages import (
    SERVER,
    VOCABULARY,
    EncryptedHidden,
    EncryptedSum,
    FirstHiddenGradient,
    HomomorphicKey,
)
from p2n2sim.mpc import fixed_point
from p2n2sim.mpc.prg import Purpose, Stream, derive_key
from p2n2sim.net import simloop
from p2n2sim.net.network import Network
from p2n2sim.nn.network import PlainNetwork
from p2n2sim.nn.training import product
from p2n2sim.parties.first_layer import homomorphic, traffic
from p2n2sim.parties.first_layer.family import MEMBERS
from p2n2sim.parties.first_layer.homomorphic import SCHEMES
from p2n2sim.run import weights_sha256
from p2n2sim.simulate import Outcome, simulate, tasks_of
from p2n2sim.state import plain_optimiser
from p2n2sim.wire import Message, decode, encode, layout
from tests.small import small_setup

Spoken = list[tuple[str, str, Message]]
both = pytest.mark.parametrize("first_layer", ["ckks", "paillier"])


def homomorphic_setup(first_layer: str, *, overrides: dict[str, Any] | None = None, **options: Any) -> Setup:
    """A small set-up with this first layer, and with a modulus that is quick to compute with."""
    chosen = {"protocol.first_layer": first_layer, "protocol.paillier_bits": 1024}
    return small_setup(overrides=chosen | (overrides or {}), **options)


def listen(setup: Setup, **options: Any) -> tuple[Outcome, Spoken]:
    """Runs a set-up and keeps every message."""
    outcome = Outcome()
    spoken: Spoken = []
    simulate(setup, outcome, tap=lambda *what: spoken.append(what), **options)
    return outcome, spoken


def secret_key(setup: Setup) -> Any:
    """The server's secret key, which it makes from the seed."""
    scheme = SCHEMES[setup.scenario.protocol.first_layer]
    key = derive_key(setup.scenario.train.seed, "key pair", SERVER)
    return scheme.generate(scheme.parameters(setup.layer), Stream(key, 0, purpose=Purpose.KEY_PAIR))


def summands(setup: Setup, theta: np.ndarray) -> list[np.ndarray]:
    """X_i theta_i of the first batch, in units of 2^-f, (mn,) each."""
    X = setup.dataset.X_train[next(iter(setup.schedule)).rows]
    f = setup.scenario.protocol.fractional_bits
    parts = [product(np.ascontiguousarray(X[:, b]), theta[b]) for b in setup.blocks]
    return [fixed_point.encode(part, f).reshape(-1) for part in parts]


@both
@pytest.mark.parametrize("holders", [2, 3])
def test_server_decrypts_the_sum_of_the_rounded_summands(first_layer: str, holders: int) -> None:
    """What reaches the server decrypts to the exact integer sum; what passes between holders to its parts."""
    setup = homomorphic_setup(first_layer, holders=holders, overrides={"protocol.fractional_bits": 12})
    parts = summands(setup, setup.parts.theta.numpy().copy())
    _, spoken = listen(setup)
    secret = secret_key(setup)
    sent = [m for _, _, m in spoken if m.step == 0 and isinstance(m, EncryptedSum | EncryptedHidden)]
    batches = [m.total if isinstance(m, EncryptedSum) else m.h1 for m in sent]
    assert len(batches) == holders
    for i, batch in enumerate(batches, start=1):
        np.testing.assert_array_equal(secret.decrypt(batch, parts[0].size), np.sum(parts[:i], axis=0))


@both
@pytest.mark.parametrize("holders", [2, 3])
def test_rounds_and_order_of_a_training_batch(first_layer: str, holders: int) -> None:
    """A batch takes h + 3 rounds, which the clock counts: the chain of holders, then as everywhere."""
    setup = homomorphic_setup(first_layer, holders=holders)
    outcome, spoken = listen(setup)
    member = MEMBERS[first_layer]
    first, second = outcome.began[:2]
    assert second[1] - first[1] == member.rounds + (holders - 2) * member.further_rounds == holders + 3
    chain = [*setup.layer.holders, SERVER]
    kinds = ["EncryptedSum"] * (holders - 1) + ["EncryptedHidden", "LastHidden", "LastHiddenGradient"]
    expected = [*itertools.pairwise(chain), (SERVER, "A"), ("A", SERVER)]
    ledger = outcome.ledger.frame().query("step == 1")
    begins = second[1]
    for i, (kind, (sender, receiver)) in enumerate(zip(kinds, expected, strict=True)):
        row = ledger.iloc[i]
        assert (row.kind, row.sender, row.receiver, row.sent_s) == (kind, sender, receiver, begins + i)
    assert list(ledger["kind"].iloc[len(kinds) :]) == ["FirstHiddenGradient"] * holders
    keys = [(s, r, m.step, type(m).phase) for s, r, m in spoken if isinstance(m, HomomorphicKey)]
    assert keys == [(SERVER, holder, -1, "offline") for holder in setup.layer.holders]


@both
@pytest.mark.parametrize("crypto", ["real", "modelled"])
def test_bytes_three_ways(first_layer: str, crypto: str) -> None:
    """Formula, ledger and encoded messages agree to the byte, for a batch of several ciphertexts and once."""
    setup = homomorphic_setup(
        first_layer, rows=1800, holders=3, overrides={"protocol.crypto": crypto, "train.batch_size": 900}
    )
    outcome, spoken = listen(setup)
    layer = setup.layer
    ledger = outcome.ledger.frame()
    for step, formula in (
        (-1, MEMBERS[first_layer].setup(layer, 1800, 900)),
        (1, traffic.payload_by_link(layer, "A", 900, 3, first_layer=first_layer)),
    ):
        mine = ledger[ledger["step"] == step]
        by_link = mine.assign(link=mine.sender + "->" + mine.receiver).groupby("link").payload_bytes.sum()
        encoded = Counter[str]()
        for sender, receiver, message in spoken:
            if message.step == step:
                again = decode(encode(message), VOCABULARY)
                arrays = [getattr(again, name) for name, _ in layout(type(again)).arrays]
                encoded[f"{sender}->{receiver}"] += sum(len(array.tobytes()) for array in arrays)
        assert formula == dict(by_link) == encoded
        assert mine.wire_bytes.sum() == sum(len(encode(m)) for _, _, m in spoken if m.step == step)


def test_bytes_of_a_fraud_batch() -> None:
    """40,000 numbers take 10 CKKS ciphertexts of 64 KiB, or 834 Paillier ciphertexts of 512 bytes."""
    layer = replace(small_setup(features=28).layer, units=8, fractional_bits=20, paillier_bits=2048)
    ckks, paillier = (homomorphic.payload_by_link(SCHEMES[s], layer, 5000) for s in ("ckks", "paillier"))
    assert ckks == {"A->B": 10 * 65_536, "B->server": 10 * 65_536}
    assert paillier == {"A->B": 834 * 512, "B->server": 834 * 512}


@pytest.mark.parametrize("holders", [2, 3, 5])
@both
def test_weights_follow_plain_training(first_layer: str, holders: int) -> None:
    """After the same steps from the same weights, all weights equal the plain network's up to rounding."""
    setup = homomorphic_setup(
        first_layer, rows=60, holders=holders, overrides={"train.epochs": 2, "train.batch_size": 15}
    )
    before, train, data, layer = setup.parts.theta.clone(), setup.scenario.train, setup.dataset, setup.layer
    plain = PlainNetwork(setup.parts)
    train_plain(
        plain,
        setup.schedule,
        data.X_train,
        data.y_train,
        data.X_test,
        data.y_test,
        optimiser=plain_optimiser(train, plain, dict(zip(layer.holders, layer.widths, strict=True))),
        reduction=train.loss_reduction,
    )
    listen(setup)
    parts = setup.parts
    own = [parts.theta, *parts.server.parameters(), *parts.head.parameters()]
    others = [plain.theta, *plain.server.parameters(), *plain.head.parameters()]
    for mine, theirs in zip(own, others, strict=True):
        torch.testing.assert_close(mine, theirs.detach(), atol=2e-5, rtol=0, check_stride=False)
    assert (before - parts.theta).abs().max() > 1e-2  # it has learnt something to compare


def test_all_back_ends_train_to_the_same_bit() -> None:
    """CKKS, Paillier and their models end with the same weights; a model's ledger is that of the real one."""
    weights, ledgers = set(), {}
    for first_layer in ("ckks", "paillier"):
        for crypto in ("real", "modelled", "real"):
            setup = homomorphic_setup(
                first_layer,
                holders=3,
                overrides={"protocol.crypto": crypto, "compute.preset": "reference"},
            )
            outcome, _ = listen(setup)
            weights.add(weights_sha256(setup.parts))
            ledgers.setdefault(first_layer, set()).add(outcome.ledger.sha256())
    assert len(weights) == 1
    assert [len(ledger) for ledger in ledgers.values()] == [1, 1]


@both
def test_a_run_is_deterministic_to_the_ciphertext(first_layer: str) -> None:
    """The same seed gives the same ciphertexts, another seed others; none is ever sent twice."""
    runs = []
    for seed in (3, 3, 4):
        setup = homomorphic_setup(first_layer, overrides={"train.seed": seed, "train.learning_rate": 1e-9})
        _, spoken = listen(setup, encode_all=seed == 3)
        runs.append([m.total.tobytes() for _, _, m in spoken if isinstance(m, EncryptedSum)])
    assert runs[0] == runs[1]
    assert not set(runs[0]) & set(runs[2])
    assert len(set(runs[0])) == len(runs[0]) == len(setup.schedule)


@both
def test_what_each_party_sees(first_layer: str) -> None:
    """The server sees h1, holders see dL/dh1 and ciphertexts, and no key reaches anybody but as public."""
    setup = homomorphic_setup(first_layer, holders=3)
    outcome, spoken = listen(setup)
    views = outcome.ledger.views(["A", "B", "C", SERVER])
    train, predict, units = 12, 6, 4
    assert views[SERVER].clear == {"h1": (train + predict) * units, "dL/dh_L": train * 3}
    assert not views[SERVER].encrypted
    assert list(views["A"].clear) == ["h_L", "dL/dh1"]
    assert not views["A"].encrypted
    ciphertexts, size = SCHEMES[first_layer].parameters(setup.layer).shape(6 * units)
    for holder in ("B", "C"):
        assert list(views[holder].clear) == ["dL/dh1"]
        assert views[holder].encrypted == {"X_1 theta_1 + ...": 3 * ciphertexts * size}
    assert not any(view.uniform or view.modelled for view in views.values())
    to_server = {type(m) for _, receiver, m in spoken if receiver == SERVER}
    assert EncryptedSum not in to_server
    to_holders = {type(m) for _, receiver, m in spoken if receiver in ("B", "C")}
    assert to_holders == {HomomorphicKey, EncryptedSum, FirstHiddenGradient}


@pytest.mark.parametrize(("crypto", "readable"), [("real", False), ("modelled", True)])
@both
def test_only_a_model_shows_the_values_on_their_way(first_layer: str, crypto: str, readable: bool) -> None:
    """The values of a summand stand in the bytes that a holder sends if and only if they are modelled."""
    setup = homomorphic_setup(first_layer, overrides={"protocol.crypto": crypto})
    values = summands(setup, setup.parts.theta.numpy().copy())[0]
    _, spoken = listen(setup)
    sent = next(m.total for _, _, m in spoken if isinstance(m, EncryptedSum)).tobytes()
    assert all((value.tobytes() in sent) == readable for value in values[:8])


@pytest.mark.parametrize("silent", ["A", "B", "C", SERVER])
@both
def test_one_party_stays_silent(first_layer: str, silent: str) -> None:
    """When one party says nothing, the run ends with who waits for what from whom."""
    setup = homomorphic_setup(first_layer, holders=3, overrides={"protocol.crypto": "modelled"})
    expected = {
        "A": ("B", "A", "EncryptedSum"),
        "B": ("C", "B", "EncryptedSum"),
        "C": (SERVER, "C", "EncryptedHidden"),
        SERVER: ("A", SERVER, "HomomorphicKey"),
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


@pytest.mark.parametrize("crypto", ["real", "modelled"])
@both
def test_a_summand_that_is_too_large(first_layer: str, crypto: str) -> None:
    """A summand that the encryption has no room for ends the run with an error, and is not cut off."""
    setup = homomorphic_setup(first_layer, overrides={"protocol.crypto": crypto})
    setup.dataset.X_train[:, 0] = 2.0**22
    with pytest.raises(PlaintextError, match=r"is not below 2\^40"):
        listen(setup)


@both
def test_local_work_is_charged_by_named_operations(first_layer: str) -> None:
    """On a machine where only named operations take time, a batch's work is that of the closed form."""
    seconds = {"encrypt": 7, "add": 3, "decrypt": 2}
    operations = {f"{first_layer} {name}": f"{value} s" for name, value in seconds.items()}
    setup = homomorphic_setup(
        first_layer,
        holders=3,
        overrides={"compute.default.operations": operations, "protocol.paillier_bits": 2048},
    )
    outcome, _ = listen(setup)
    counts = homomorphic.operations(SCHEMES[first_layer], setup.layer, 6)
    assert counts == {f"{first_layer} {name}": n for name, n in (("encrypt", 3), ("add", 2), ("decrypt", 1))}
    frame = outcome.compute_frame()
    spent = (frame.end_s - frame.start_s).groupby(frame.label).sum()
    batches = len(setup.schedule)
    assert spent["encrypt"] == batches * 3 * 7
    assert spent["add ciphertexts"] == batches * 2 * 3
    assert spent["decrypt h1"] == batches * 2
    first, second = outcome.began[:2]
    # All encrypt at the same time; two additions and the decryption follow each other, as do 6 messages.
    assert second[1] - first[1] == 7 + 2 * 3 + 2 + 6
