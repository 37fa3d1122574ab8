"""Machine profiles: how fast each role computes."""

from __future__ import annotations

import math
from typing import Any, Literal

from p2n2sim.net.cpu import Machine
from p2n2sim.scenario.sections import Compute, Processor

# One core of a cloud server with AVX-512 (AMD EPYC, Zen 4), measured by `p2n2sim calibrate` and rounded.
REFERENCE: dict[str, float] = {
    "ring_madds_per_s": 4e9,
    "flops_per_s": 5.5e9,
    "random_bytes_per_s": 5e9,
    "moved_bytes_per_s": 3e10,
    "message_overhead_s": 15e-6,
}


def machine(compute: Compute, role: Literal["holder", "server", "dealer"]) -> Machine:
    """The machine of a role: the preset, then what differs for everybody, then for the role."""
    rates: dict[str, Any] = dict(REFERENCE)
    if compute.preset == "instant":
        rates = dict.fromkeys(REFERENCE, math.inf) | {"message_overhead_s": 0.0}
    for processor in (compute.default, getattr(compute, role)):
        rates |= _given(processor)
    return Machine(**rates)


def _given(processor: Processor) -> dict[str, float]:
    rates = {name: getattr(processor, name) for name in REFERENCE if name != "message_overhead_s"}
    if processor.message_overhead is not None:
        rates["message_overhead_s"] = processor.message_overhead.value
    return {name: rate for name, rate in rates.items() if rate is not None}
