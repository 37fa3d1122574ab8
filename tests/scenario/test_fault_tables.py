"""[[fault]] tables and the keys of delivery: what is refused, and what the rest means."""

from __future__ import annotations

from typing import Any

import pytest

from p2n2sim.errors import ScenarioError
from p2n2sim.net.faults import Corrupt, Delay, Drop, Duplicate, Sending, Verdict
from p2n2sim.scenario.failures import delivery_of, rules_of, slowdowns_of
from p2n2sim.scenario.faults import Fault
from p2n2sim.scenario.load import parse, to_toml, to_tree
from p2n2sim.scenario.sections import Scenario
from p2n2sim.wire import Message

PARTIES = ("A", "B", "server", "dealer")
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"kind": "crash", "batch": 1}, 'fault.0.party: this key is missing; add party = "B"'),
    ({"kind": "crash", "party": "A"}, "fault.0.batch: this key is missing; add batch = 3, at ="),
    ({"kind": "crash", "party": "A", "batch": 1, "at": "1 s"}, "fault.0.at: batch is there, too; keep one"),
    (
        {"kind": "crash", "party": "server", "batch": 1},
        "fault.0.party: 'server' is no data holder; name one of A, B",
    ),
    (
        {"kind": "crash", "party": "Z", "at": "1 s"},
        "fault.0.party: 'Z' is no party; name one of A, B, server, de",
    ),
    ({"kind": "slow", "party": "A"}, "fault.0.factor: this key is missing; add factor = 2.0"),
    ({"kind": "delay"}, 'fault.0.by: this key is missing; add by = "50 ms"'),
    ({"kind": "drop", "by": "1 s"}, "fault.0.by: it says nothing about 'drop'; known: links, message"),
    ({"kind": "drop", "links": ["A-Z"]}, "fault.0.links: 'A-Z' names no pair of parties; write"),
    ({"kind": "cut"}, "fault.0.links: a cut needs links or a group; give one of the two"),
    ({"kind": "cut", "group": ["A"], "links": ["A-B"]}, "fault.0.links: a cut needs links or a group"),
    ({"kind": "cut", "group": ["Q"]}, "fault.0.group: 'Q' is no party"),
    (
        {"kind": "drop", "after": "2 s", "until": "1 s"},
        "fault.0.until: '1 s' is not after '2 s'; a later time",
    ),
    (
        {"kind": "corrupt", "forged": True},
        "fault.0.forged: a forged message would be taken for a genuine one",
    ),
    ({"kind": "drop", "probability": 1.5}, "fault.0.probability: found 1.5"),
]


def scenario(*faults: dict[str, Any], **network: Any) -> Scenario:
    """A scenario with these faults."""
    return parse({"name": "x", "fault": list(faults), "network": network}, "f")


@pytest.mark.parametrize(("fault", "message"), WRONG, ids=[message[:50] for _, message in WRONG])
def test_what_is_refused(fault: dict[str, Any], message: str) -> None:
    """A fault that makes no sense is refused, with the place, what was found and what would do."""
    with pytest.raises(ScenarioError) as caught:
        scenario(fault)
    assert str(caught.value).startswith(f"f: {message}")


def test_faults_survive_a_round_trip() -> None:
    """A resolved scenario says the same of its faults."""
    faults = [
        {"kind": "crash", "party": "A", "at": "1 s", "restart": "2 s"},
        {"kind": "cut", "group": ["A", "B"], "after": "1 s"},
        {"kind": "corrupt", "numbers": [1, 2], "bits": 4},
    ]
    before = scenario(*faults)
    assert parse(to_tree(before), "f") == before
    assert 'kind = "cut"' in to_toml(before)


def verdict(fault: dict[str, Any], sender: str = "A", receiver: str = "B", **other: Any) -> Verdict | None:
    """What the rule of a fault says of a transmission."""
    (rule,) = rules_of(scenario(fault).fault, 1, PARTIES)
    fields = {"now": 0.0, "message": Message(0), "number": 1, "total": 1, "attempt": 1} | other
    return rule(Sending(sender=sender, receiver=receiver, **fields))


def test_what_faults_mean() -> None:
    """Each kind becomes its verdict, for the transmissions that it names and no others."""
    assert verdict({"kind": "drop"}) == Drop()
    assert verdict({"kind": "duplicate", "copies": 2}) == Duplicate(2)
    assert verdict({"kind": "delay", "by": "5 ms"}) == Delay(0.005)
    assert verdict({"kind": "reorder", "by": "5 ms"}) == Delay(0.005, overtaken=True)
    flipped = verdict({"kind": "corrupt", "bits": 3})
    assert isinstance(flipped, Corrupt)
    assert (flipped.flips, flipped.forged) == (3, False)
    assert verdict({"kind": "drop", "links": ["A-B"]}, "B", "A") == Drop()
    assert verdict({"kind": "drop", "links": ["A->B"]}, "B", "A") is None
    assert verdict({"kind": "drop", "message": "Other"}) is None
    assert verdict({"kind": "drop", "numbers": [1]}, attempt=2) is None
    assert verdict({"kind": "drop", "numbers": [1], "attempts": 2}, attempt=2) == Drop()
    assert verdict({"kind": "cut", "group": ["A", "B"], "until": "1 s"}, "server", "B") == Drop()
    assert verdict({"kind": "cut", "group": ["A", "B"], "until": "1 s"}, "B", "A") is None
    assert verdict({"kind": "cut", "group": ["A", "B"], "until": "1 s"}, "server", "B", now=1.0) is None


def test_faults_of_one_scenario_draw_for_themselves() -> None:
    """Two faults of the same probability do not hit the same transmissions, nor do two seeds."""
    fault = Fault(kind="drop", probability=0.5)
    rules = [*rules_of([fault, fault], 1, PARTIES), *rules_of([fault], 2, PARTIES)]
    hits = [[rule(Sending(0.0, "A", "B", Message(0), n, n, 1)) for n in range(100)] for rule in rules]
    assert hits[0] != hits[1] != hits[2] != hits[0]


def test_slowdowns_and_delivery() -> None:
    """Durations become seconds; keys are there only where they were asked for."""
    slow = scenario({"kind": "slow", "party": "B", "factor": 2.5, "after": "10 ms"})
    assert [tuple(s) for s in slowdowns_of(slow.fault, "B")] == [(2.5, 0.01, float("inf"))]
    assert slowdowns_of(slow.fault, "A") == []
    bare = delivery_of(slow.network, 1)
    assert (bare.retry, bare.key, bare.deadline) == (None, None, 60.0)
    whole = delivery_of(scenario(retry=True, retry_timeout="20 ms", attempts=3, authenticate=True).network, 1)
    assert whole.retry is not None
    assert whole.retry.patience == pytest.approx(0.14)
    assert whole.key != delivery_of(scenario(authenticate=True).network, 2).key
