"""From the [compute] table to the machines."""

from __future__ import annotations

import math
from typing import Any

from p2n2sim.net.cpu import Cost, Machine
from p2n2sim.scenario.load import parse
from p2n2sim.scenario.machines import REFERENCE, machine


def of(role: Any, **compute: Any) -> Machine:
    """The machine of a role in a [compute] table."""
    return machine(parse({"name": "x", "compute": compute}, "f").compute, role)


def test_the_reference_is_the_default_for_every_role() -> None:
    """Without a table, everybody has the reference machine."""
    assert of("holder") == of("server") == of("dealer") == Machine(**REFERENCE)


def test_instant_work_takes_no_time() -> None:
    """The instant preset charges nothing for anything."""
    cost = Cost(ring_madds=10**12, flops=10**12, random_bytes=10**12, moved_bytes=10**12, messages=10**6)
    assert of("server", preset="instant").seconds(cost) == 0.0


def test_the_role_overrides_everybody_who_overrides_the_preset() -> None:
    """Preset, then [compute.default], then the role, each key by itself."""
    tables = {
        "preset": "instant",
        "default": {"flops_per_s": 1e9, "ring_madds_per_s": 1e9},
        "dealer": {"flops_per_s": 2e9, "message_overhead": "3 us"},
    }
    dealer, holder = of("dealer", **tables), of("holder", **tables)
    assert (dealer.flops_per_s, dealer.ring_madds_per_s, dealer.message_overhead_s) == (2e9, 1e9, 3e-6)
    assert (holder.flops_per_s, holder.ring_madds_per_s, holder.message_overhead_s) == (1e9, 1e9, 0.0)
    assert dealer.moved_bytes_per_s == math.inf
