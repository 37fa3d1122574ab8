"""Where triples come from: the same values and weights, other bytes, and an offline phase that runs ahead."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from p2n2sim.assemble import Setup
from p2n2sim.errors import PartyLostError
from p2n2sim.messages import DEALER, SERVER, TripleAnswer, TripleOpening, TripleShare
from p2n2sim.mpc import offline, ring
from p2n2sim.net.ledger import Ledger
from p2n2sim.parties.first_layer import traffic
from p2n2sim.parties.first_layer.family import MEMBERS
from p2n2sim.parties.layer import FirstLayer
from p2n2sim.parties.triples import generated
from p2n2sim.simulate import Outcome, simulate
from tests.laws import bytes_agree, chi_square, listen, opened_is_the_ring_product, waits_when_silent
from tests.small import small_setup

DEALT = [name for name, member in MEMBERS.items() if member.dealt]
SOURCES = ["dealer", "dealer-full", "ot", "he"]


def setup_with(first_layer: str, source: str, **options: Any) -> Setup:
    """A small run of a protocol with triples from a source."""
    keys = {"protocol.first_layer": first_layer, "protocol.triples": source}
    return small_setup(overrides=keys | options.pop("overrides", {}), **options)


@pytest.mark.parametrize("first_layer", DEALT)
@pytest.mark.parametrize("holders", [2, 3])
def test_triples_from_anywhere_train_the_same(first_layer: str, holders: int) -> None:
    """Wherever the triples come from, the weights are the same to the bit."""
    weights = []
    for source in SOURCES:
        setup = setup_with(first_layer, source, rows=30, holders=holders, overrides={"train.epochs": 2})
        listen(setup)
        weights.append(setup.parts.theta.clone())
    assert all(torch.equal(weights[0], other) for other in weights[1:])


@pytest.mark.parametrize("first_layer", DEALT)
@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("holders", [2, 3])
def test_triples_bytes_three_ways(first_layer: str, source: str, holders: int) -> None:
    """Formula, ledger and encoded messages agree to the byte, in a batch and before the first."""
    bytes_agree(setup_with(first_layer, source, holders=holders))


@pytest.mark.parametrize("source", ["dealer-full", "ot"])
def test_triples_server_reconstructs_h1_to_the_bit(source: str) -> None:
    """The shares that reach the server add up to the ring product of the encoded inputs, exactly."""
    opened_is_the_ring_product(setup_with("algorithm1", source, rows=20, holders=3))


def test_full_dealer_sends_triples() -> None:
    """What the dealer sends adds up to U V = Z, is uniform, and takes 8 (mk + kn + mn) bytes a holder."""
    overrides = {"train.batch_size": 400}
    _, spoken = listen(setup_with("algorithm1", "dealer-full", rows=1200, holders=3, overrides=overrides))
    for step in (0, 1):
        shares = [m for _, _, m in spoken if isinstance(m, TripleShare) and m.step == step]
        assert len(shares) == 3
        U, V, Z = (np.add.reduce([getattr(share, name) for share in shares]) for name in "UVZ")
        assert np.array_equal(ring.matmul(U, V), Z)
        for share in shares:
            assert abs(chi_square(share.U.tobytes())) < 6
            assert abs(chi_square(share.Z.tobytes())) < 6


@pytest.mark.parametrize("source", ["ot", "he"])
def test_modelled_bytes_are_those_of_the_formulas(source: str) -> None:
    """Each holder sends each other both cross products' share of what `p2n2sim.mpc.offline` counts."""
    setup = setup_with("algorithm1", source, holders=3)
    outcome, _ = listen(setup)
    frame = outcome.ledger.frame().query("phase == 'offline' and sender == 'A' and receiver == 'B'")
    sent, before = frame.query("step == 1"), frame.query("step == -1")
    pair = offline.ot_triple(6, 7, 4) if source == "ot" else offline.he_triple(6, 7, 4)
    assert list(sent["kind"]) == ["TripleOpening", "TripleAnswer"]
    assert sent["payload_bytes"].sum() == pair.both_ways().to_second
    once = offline.ot_setup() if source == "ot" else offline.he_setup()
    assert before["payload_bytes"].sum() == once.to_second
    assert len(before) == once.rounds


@pytest.mark.parametrize("shape", [(6, 7, 4), (4, 7, 6)])
def test_modelled_opening_is_the_chooser_s(shape: tuple[int, int, int]) -> None:
    """Who has fewer elements begins: the opening has kappa bits for each bit of the smaller matrix."""
    m, k, n = shape
    exchange = generated.triple_exchange("ot", *shape, 2048)
    assert exchange.sizes[0] == 64 * min(m * k, k * n) * 128 // 8
    assert sum(exchange.sizes) == offline.ot_triple(*shape).total_bytes


def test_modelled_messages_take_no_memory() -> None:
    """A triple of the distress data's size is some hundred gigabytes of messages and no memory."""
    sizes = generated.triple_exchange("ot", 2570, 556, 400, 2048).sizes
    assert sum(sizes) > 100e9
    blocks = generated.modelled_blocks(sizes[1])
    assert sum(block.nbytes for block in blocks) == sizes[1]
    assert all(block.strides == (0,) and block.size < 1 << 32 for block in blocks)


def test_modelled_is_said_in_the_views() -> None:
    """What a holder was sent of a modelled phase is counted as modelled, not as uniform or clear."""
    outcome, _ = listen(setup_with("algorithm1", "ot"))
    view = outcome.ledger.views(["A", "B", SERVER])["A"]
    assert set(view.modelled) == {"set-up of triples", "generation of triples"}
    assert DEALER not in outcome.parties


@pytest.mark.parametrize("ahead", [0, 1, 3])
def test_modelled_phase_runs_ahead_and_no_further(ahead: int) -> None:
    """The exchange for batch t begins when batch t - ahead begins, not before, and may overlap others."""
    setup = setup_with("algorithm1", "ot", rows=60, overrides={"protocol.triples_ahead": ahead})
    outcome, _ = listen(setup)
    began = [time for _, time in outcome.began]
    frame = outcome.ledger.frame()
    opened = frame[frame["kind"] == "TripleOpening"].groupby("step")["sent_s"].min()
    setup_ends = frame[frame["kind"] == "TripleSetup"]["arrived_s"].max()
    for step, time in opened.items():
        assert time >= (began[step - ahead] if step >= ahead else setup_ends)
    if ahead:
        later = [step for step in opened.index if step > ahead + 1]
        assert all(opened[step] == began[step - ahead] for step in later)
        assert all(opened[step] < began[step] for step in later)


def test_ahead_hides_the_offline_phase() -> None:
    """Ahead of the batches the exchange costs no virtual time; with 0 a batch waits for its second round."""
    lengths = []
    for ahead in (0, 1):
        overrides = {"protocol.triples_ahead": ahead}
        began = listen(setup_with("algorithm1-prg", "ot", rows=60, overrides=overrides))[0].began
        lengths.append(began[4][1] - began[3][1])
    assert lengths == [6, 5]
    assert MEMBERS["algorithm1-prg"].rounds == 5


def test_offline_work_is_charged_to_a_second_processor() -> None:
    """Its operations are the formula's, on a lane of its own, and the batches' own work is not delayed."""
    operations = {"base ot": "1 ms", "ot extension": "1 us"}
    overrides = {"compute.holder.operations": operations}
    setup = setup_with("algorithm1", "ot", overrides=overrides)
    outcome, _ = listen(setup)
    own = outcome.intervals["A (offline)"]
    assert {label for _, _, label in own} == {generated.MODELLED}
    cost = offline.ot_triple(6, 7, 4).both_ways().first["ot extension"]
    lengths = [end - start for start, end, _ in own]
    assert lengths[0] == pytest.approx(256e-3)  # kappa base transfers each way
    assert lengths[1] == pytest.approx(cost * 1e-6)
    assert all(start == end for start, end, _ in outcome.intervals["A"])  # instant, as the scenario has it


@pytest.mark.parametrize("first_layer", DEALT)
@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("party", ["A", "C"])
def test_a_crash_ends_the_run_with_the_party_s_name(first_layer: str, source: str, party: str) -> None:
    """A holder that crashes is named with its batch; the offline phase neither hangs nor hides it."""
    fault = {"kind": "crash", "party": party, "batch": 3}
    setup = setup_with(first_layer, source, rows=30, holders=3, overrides={"fault": [fault]})
    outcome = Outcome()
    with pytest.raises(PartyLostError) as caught:
        simulate(setup, outcome)
    assert caught.value.party == party
    assert caught.value.batch == 3
    offline_sent = outcome.ledger.frame().query(f"phase == 'offline' and sender == '{party}'")
    lost_at = outcome.lost[party][1]
    assert (offline_sent["sent_s"] <= lost_at).all()


@pytest.mark.parametrize("source", ["dealer-full", "ot", "he"])
@pytest.mark.parametrize("silent", ["A", "B", SERVER])
def test_triples_one_party_stays_silent(source: str, silent: str) -> None:
    """When one party says nothing, the run ends with who waits for it."""
    waits_when_silent(setup_with("algorithm1-prg", source, holders=3), silent)


def test_full_dealer_stays_silent() -> None:
    """When the dealer says nothing, the holders wait for its triples."""
    waits = waits_when_silent(setup_with("algorithm1", "dealer-full"), DEALER)
    waiting = [(wait.party, wait.kind) for wait in waits if wait.sender == DEALER]
    assert waiting == [("A", "TripleShare"), ("B", "TripleShare")]


@pytest.mark.parametrize("source", SOURCES)
def test_triples_twice_the_same_ledger(source: str) -> None:
    """A run is a function of scenario and seed, the offline phase too."""
    hashes = {
        listen(setup_with("algorithm1-masked-once", source, holders=3))[0].ledger.sha256() for _ in range(2)
    }
    assert len(hashes) == 1


@pytest.mark.parametrize("source", ["dealer-full", "ot", "he"])
def test_triples_encoding_every_message_changes_nothing(source: str) -> None:
    """With every message encoded and decoded on its way the ledger is the same."""
    hashes = set()
    for encode_all in (False, True):
        outcome, _ = listen(setup_with("algorithm1", source), encode_all=encode_all)
        hashes.add(outcome.ledger.sha256())
    assert len(hashes) == 1


def test_formula_of_the_fraud_batch() -> None:
    """The offline phase of one fraud batch, both ways of the two holders together."""
    layer = FirstLayer(holders=("A", "B"), widths=(14, 14), units=8, fractional_bits=20)
    online = sum(MEMBERS["algorithm1"].payload(layer, 5000).values())

    def total(source: Any) -> int:
        return sum(traffic.payload_by_link(layer, "A", 5000, 8, triples=source).values())

    rest = online + 2 * 4 * 5000 * 8 + 2 * 4 * 5000 * 8  # h_L and its gradient, dL/dh1 to two
    assert total("dealer") - rest == 320_000
    assert total("dealer-full") - rest == 2 * 8 * (5000 * 28 + 28 * 8 + 5000 * 8)
    transfers, products = 64 * 28 * 8, 5000 * 28 * 8
    assert total("ot") - rest == 2 * (transfers * 16 + products * 260)
    assert total("he") - rest == 2 * offline.he_triple(5000, 28, 8).total_bytes


def test_ledger_marks_the_phase() -> None:
    """Only correlated randomness is offline; seeds and masked rows belong to the online phase."""
    ledger: Ledger = listen(setup_with("algorithm1-masked-once", "ot"))[0].ledger
    kinds = ledger.frame().groupby("phase")["kind"].unique()
    assert set(kinds["offline"]) == {"TripleSetup", TripleOpening.__name__, TripleAnswer.__name__}
    assert {"ShareSeed", "MaskedRows", "MaskedWeights", "HiddenShare"} <= set(kinds["online"])
