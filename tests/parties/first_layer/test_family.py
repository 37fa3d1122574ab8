"""All exact members of the family: the same training, the same result."""

from __future__ import annotations

from collections import Counter
from typing import Any, get_args, get_type_hints

import pytest

from p2n2sim.parties.first_layer import traffic
from p2n2sim.parties.first_layer.family import MEMBERS
from p2n2sim.parties.first_layer.homomorphic import SCHEMES
from p2n2sim.parties.passes import Pass
from p2n2sim.scenario.sections import Protocol
from p2n2sim.summary import auc
from tests.laws import follows_plain_training, listen
from tests.small import small_setup

WITHOUT_CIPHERTEXTS = [name for name in MEMBERS if name not in SCHEMES]  # the others have tests of their own


def test_a_scenario_may_name_every_member_and_no_other() -> None:
    """The values of protocol.first_layer are the family."""
    assert set(get_args(get_type_hints(Protocol)["first_layer"])) == set(MEMBERS)


@pytest.mark.parametrize("holders", [2, 3, 5])
@pytest.mark.parametrize("first_layer", WITHOUT_CIPHERTEXTS)
@pytest.mark.parametrize(
    "train",
    [{}, {"train.momentum": 0.9, "train.loss_reduction": "mean", "train.epochs": 4}],
    ids=["sum", "mean"],
)
def test_weights_follow_plain_training(holders: int, first_layer: str, train: dict[str, Any]) -> None:
    """After the same steps from the same weights, all weights equal the plain network's up to rounding."""
    follows_plain_training(
        small_setup(rows=60, holders=holders, overrides={"protocol.first_layer": first_layer, **train})
    )


def test_same_seed_same_auc() -> None:
    """With one seed, every member ends with the same AUC to 1e-3 and with logits that agree."""
    aucs, logits = [], []
    for first_layer in MEMBERS:
        overrides = {"protocol.first_layer": first_layer, "train.epochs": 5, "train.batch_size": 50}
        overrides |= {"protocol.paillier_bits": 1024}
        setup = small_setup(rows=300, overrides=overrides)
        outcome, _ = listen(setup)
        last: Pass = outcome.passes[-1]
        assert last.stage == "predict"
        aucs.append(auc(setup.dataset.y_test, last.logits))
        logits.append(last.logits)
    assert max(aucs) - min(aucs) < 1e-3
    assert aucs[0] > 0.8  # it has learnt something
    assert max(abs(other - logits[0]).max() for other in logits) < 1e-3


@pytest.mark.parametrize("first_layer", WITHOUT_CIPHERTEXTS)
@pytest.mark.parametrize("triples", ["dealer", "dealer-full", "he"])
@pytest.mark.parametrize("holders", [2, 3])
def test_ring_operations_by_formula_and_by_the_clock(first_layer: str, triples: str, holders: int) -> None:
    """Where nothing but ring multiply-adds takes time, a second each, the parties' work is the formula."""
    overrides = {"protocol.first_layer": first_layer, "protocol.triples": triples}
    overrides |= {"compute.default": {"ring_madds_per_s": 1.0}, "train.batch_size": 6}
    setup = small_setup(holders=holders, overrides=overrides)
    outcome, _ = listen(setup)
    batches = [len(batch.rows) for batch in setup.schedule]
    total = Counter[str]()
    for rows in batches:
        total.update(
            traffic.ring_madds_by_party(setup.layer, rows, first_layer=first_layer, triples=triples)  # type: ignore[arg-type]
        )
    worked = {party: sum(end - start for start, end, _ in work) for party, work in outcome.intervals.items()}
    assert {party: seconds for party, seconds in worked.items() if seconds} == dict(total)
