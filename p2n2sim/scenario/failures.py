"""What a scenario's faults and delivery mean for a network."""

from __future__ import annotations

import math
from collections.abc import Sequence

from p2n2sim.mpc.prg import derive_key
from p2n2sim.net import faults
from p2n2sim.net.delivery import Delivery, Retry
from p2n2sim.net.faults import Corrupt, Delay, Drop, Duplicate, Rule, Selection, Slowdown, Verdict
from p2n2sim.scenario.faults import Fault
from p2n2sim.scenario.network import Network


def rules_of(listed: Sequence[Fault], seed: int, parties: Sequence[str]) -> list[Rule]:
    """What a network's rules say of the faults that hit messages, and of crashes at a message."""
    out = []
    for place, fault in enumerate(listed):
        if fault.kind == "crash" and fault.number is not None:
            assert fault.party is not None  # it was checked
            restart = None if fault.restart is None else fault.restart.value
            out.append(faults.crash_at_message(fault.party, fault.number, restart))
        elif fault.kind not in ("crash", "slow"):
            key = derive_key(seed, "fault", place)
            out.append(faults.on(_selection(fault, key, parties), _verdict(fault)))
    return out


def _selection(fault: Fault, key: bytes, parties: Sequence[str]) -> Selection:
    links: tuple[tuple[str, str], ...] | None = None
    if fault.group:
        links = faults.between(fault.group, [party for party in parties if party not in fault.group])
    elif fault.links:
        links = tuple(pair for link in fault.links for pair in _pairs(link))
    return Selection(
        links=links,
        kind=fault.message,
        numbers=fault.numbers,
        probability=fault.probability,
        after=0.0 if fault.after is None else fault.after.value,
        until=math.inf if fault.until is None else fault.until.value,
        attempts=1 if fault.attempts is None and fault.numbers else fault.attempts,
        key=key,
    )


def _pairs(link: str) -> list[tuple[str, str]]:
    if "->" in link:
        sender, receiver = link.split("->")
        return [(sender, receiver)]
    first, second = link.split("-")
    return [(first, second), (second, first)]


def _verdict(fault: Fault) -> Verdict:
    if fault.kind == "duplicate":
        return Duplicate(fault.copies)
    if fault.kind == "corrupt":
        return Corrupt(fault.bits, forged=fault.forged)
    if fault.by is not None:
        return Delay(fault.by.value, overtaken=fault.kind == "reorder")
    return Drop()  # also a cut


def slowdowns_of(listed: Sequence[Fault], party: str) -> list[Slowdown]:
    """When a party's processor is slower."""
    return [
        Slowdown(
            fault.factor or 1.0,
            after=0.0 if fault.after is None else fault.after.value,
            until=math.inf if fault.until is None else fault.until.value,
        )
        for fault in listed
        if fault.kind == "slow" and fault.party == party
    ]


def delivery_of(network: Network, seed: int) -> Delivery:
    """The same for a network."""
    retry = Retry(timeout=network.retry_timeout.value, attempts=network.attempts) if network.retry else None
    key = derive_key(seed, "authentication") if network.authenticate else None
    return Delivery(retry=retry, key=key, deadline=network.deadline.value)
