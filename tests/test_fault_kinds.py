"""Faults in whole runs: the right weights, or a typed error that names party, message and time."""

from __future__ import annotations

from typing import Any

import pytest

from p2n2sim.errors import (
    AuthenticationError,
    DeliveryError,
    MessageLostError,
    PartyLostError,
    ScenarioError,
)
from p2n2sim.run import weights_sha256
from p2n2sim.simulate import Outcome, simulate
from tests.faulty import DEADLINE_S, LINKS, PROTOCOLS, RETRY, SECOND, WITHOUT, random_faults, right, run
from tests.small import small_setup


@pytest.mark.parametrize("name", PROTOCOLS)
@pytest.mark.parametrize("kind", WITHOUT)
def test_without_retries(kind: str, name: str) -> None:
    """Late, repeated and overtaken messages do no harm; lost and damaged ones are named in time."""
    keys, error = WITHOUT[kind]
    fault = {"kind": kind, **keys}
    if error is None:
        assert run(name, fault)[0] == right(name)
        return
    with pytest.raises(error) as caught:
        run(name, fault)
    found = caught.value
    assert isinstance(found, DeliveryError)
    assert "A" in (found.sender, found.receiver)
    assert found.number >= 1
    assert found.sent < found.time <= found.sent + 1.0 + DEADLINE_S


@pytest.mark.parametrize("name", PROTOCOLS)
@pytest.mark.parametrize("kind", WITHOUT)
def test_with_retries(kind: str, name: str) -> None:
    """Whatever happens to single messages, and while a link is cut: the same weights, byte for byte."""
    weights, outcome = run(name, {"kind": kind, **WITHOUT[kind][0]}, **RETRY)
    assert weights == right(name)
    assert (outcome.ledger.frame().kind == "Ack").any()


@pytest.mark.parametrize("name", PROTOCOLS)
def test_what_never_arrives(name: str) -> None:
    """When the attempts run out, the message is named, timeout times (2^attempts - 1) after it was sent."""
    with pytest.raises(MessageLostError, match="was not acknowledged after 5 attempts") as caught:
        run(name, {"kind": "drop", "links": ["A->B", "A->server"], "numbers": [2], "attempts": 5}, **RETRY)
    found = caught.value
    assert (found.sender, found.number) == ("A", 2)
    assert (
        found.time == found.sent + 3.0 * (2**5 - 1) + 5 * 2 * 1.0
    )  # each waits for twice the latency before


@pytest.mark.parametrize("name", PROTOCOLS)
@pytest.mark.parametrize("retry", [{}, RETRY], ids=["", "retry"])
def test_tampering(name: str, retry: dict[str, Any]) -> None:
    """A message that was changed, with a checksum that fits, is named when it arrives."""
    forged = {"kind": "corrupt", "forged": True, **SECOND}
    with pytest.raises(AuthenticationError, match=r"from A to .* was changed on its way") as caught:
        run(name, forged, **retry, **{"network.authenticate": True})
    assert caught.value.time == caught.value.sent + 1.0
    with pytest.raises(ScenarioError, match=r"fault\.0\.forged: .*add network.authenticate"):
        run(name, forged, **retry)


@pytest.mark.parametrize("name", PROTOCOLS)
@pytest.mark.parametrize("retry", [{}, RETRY], ids=["", "retry"])
@pytest.mark.parametrize(
    "crash", [{"at": "6.5 s"}, {"number": 3}, {"batch": 2}], ids=["time", "message", "batch"]
)
def test_crashes(name: str, retry: dict[str, Any], crash: dict[str, Any]) -> None:
    """Who crashes for good is named, with the time; who comes back goes on to the right weights."""
    fault = {"kind": "crash", "party": "B", **crash}
    with pytest.raises(PartyLostError) as caught:
        run(name, fault, **retry)
    assert caught.value.party == "B"
    assert caught.value.back is None
    assert caught.value.time > 0.0
    assert run(name, fault | {"restart": "10 s"}, **retry)[0] == right(name)


@pytest.mark.parametrize("name", ["algorithm1", "masked-once", "whole network"])
def test_without_the_dealer(name: str) -> None:
    """A dealer that is lost in the midst of the run is named; one that comes back is as good as none lost."""
    lost = {"kind": "crash", "party": "dealer", "at": "5.5 s"}
    with pytest.raises(PartyLostError, match=r"dealer dropped out at t = 5\.5 s") as caught:
        run(name, lost, **{"train.epochs": 2})
    assert caught.value.waits
    weights = run(name, lost | {"restart": "10 s"}, **{"train.epochs": 2})[0]
    assert weights == run(name, **{"train.epochs": 2})[0]


def test_a_crash_for_good_is_not_undone() -> None:
    """Another party's restart brings nobody back who stays away."""
    for gone in ({"at": "4.5 s"}, {"batch": 2}):
        with pytest.raises(PartyLostError, match="A dropped out") as caught:
            run(
                "algorithm1",
                {"kind": "crash", "party": "A", **gone},
                {"kind": "crash", "party": "B", "at": "9.2 s", "restart": "3 s"},
            )
        assert caught.value.back is None


def test_who_takes_no_part_cannot_crash() -> None:
    """A fault of a party that the protocol does not have is refused."""
    with pytest.raises(ScenarioError, match=r"fault\.0\.party: 'dealer' takes no part in this protocol"):
        run("plaintext", {"kind": "crash", "party": "dealer", "at": "1 s"})


def test_a_slow_party_takes_time() -> None:
    """A factor of 100 for one holder makes a run longer, and while it is not in force changes nothing."""
    reference = {"compute.preset": "reference"}
    plain, slow, later = (
        run("algorithm1", *faults, **reference)[1].virtual_s
        for faults in (
            (),
            ({"kind": "slow", "party": "A", "factor": 100.0},),
            ({"kind": "slow", "party": "A", "factor": 100.0, "after": "1000 s"},),
        )
    )
    assert slow > plain == later


def test_a_run_with_faults_is_repeatable() -> None:
    """The same scenario gives the same ledger, with everything encoded too; another seed gives another."""
    storm = [
        {"kind": kind, "probability": 0.2, **({"by": "2.5 s"} if kind in ("reorder", "delay") else {})}
        for kind in ("drop", "duplicate", "corrupt", "reorder", "delay")
    ]
    keys = RETRY | {"network.authenticate": True, "network.attempts": 12}
    ledgers = []
    for encode_all, seed in ((False, 3), (True, 3), (False, 4)):
        setup, outcome = small_setup(overrides={"fault": storm, "train.seed": seed, **keys}), Outcome()
        simulate(setup, outcome, encode_all=encode_all)
        ledgers.append(outcome.ledger.sha256())
    assert ledgers[0] == ledgers[1] != ledgers[2]


def test_a_thousand_seeds() -> None:
    """A batch of P2N2 and its prediction under a thousand random lists of faults: never a wrong number.

    Nor a hang: virtual time is bounded by the faults' own length and what a sender's patience allows. The
    seeds take turns with the kinds of links.
    """
    ends = {(name, end): 0 for name in LINKS for end in ("right", "error")}
    batch = {"train.batch_size": 12}
    expected = run("algorithm1", **batch)[0]
    for seed in range(1_000):
        name = list(LINKS)[seed % len(LINKS)]
        faults, keys = random_faults(seed)
        overrides = {"fault": faults} | keys | batch | LINKS[name]
        setup, outcome = small_setup(overrides=overrides), Outcome()
        try:
            simulate(setup, outcome)
        except (DeliveryError, PartyLostError):
            ends[name, "error"] += 1
        else:
            assert weights_sha256(setup.parts) == expected, seed
            ends[name, "right"] += 1
        assert outcome.virtual_s < 1_000.0, seed
    assert min(ends.values()) > 20
