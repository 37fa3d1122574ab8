"""Machine profiles: how fast each role computes."""

from __future__ import annotations

import math
from typing import Any, Literal

from p2n2sim.net.cpu import Machine
from p2n2sim.scenario.sections import Compute, Processor

# One core of a cloud server with AVX-512 (AMD EPYC, Zen 4), measured by `p2n2sim calibrate` and rounded.
REFERENCE: dict[str, Any] = {
    "ring_madds_per_s": 4e9,
    "flops_per_s": 5.5e9,
    "random_bytes_per_s": 5e9,
    "moved_bytes_per_s": 3e10,
    "message_overhead_s": 15e-6,
    "operations_s": {
        "x25519": 45e-6,
        # Paillier with a modulus of 2048 bits: gmpy2's powers of numbers of that size.
        "paillier encrypt": 9e-3,
        "paillier decrypt": 2.5e-3,
        "paillier add": 4.5e-6,
        "paillier scale": 310e-6,
        # Estimates: two multiplications on a curve, and a compiled transposition of 128 bits.
        "base ot": 100e-6,
        "ot extension": 50e-9,
    },
}


def machine(compute: Compute, role: Literal["holder", "server", "dealer"]) -> Machine:
    """The machine of a role: the preset, then what differs for everybody, then for the role."""
    rates: dict[str, Any] = dict(REFERENCE)
    if compute.preset == "instant":
        rates = dict.fromkeys(REFERENCE, math.inf) | {"message_overhead_s": 0.0, "operations_s": None}
    for processor in (compute.default, getattr(compute, role)):
        rates |= _given(processor)
        if processor.operations:
            named = {name: duration.value for name, duration in processor.operations.items()}
            free = dict.fromkeys(REFERENCE["operations_s"], 0.0)
            rates["operations_s"] = (free if rates["operations_s"] is None else rates["operations_s"]) | named
    return Machine(**rates)


def _given(processor: Processor) -> dict[str, float]:
    rates = {name: getattr(processor, name) for name in REFERENCE if name.endswith("_per_s")}
    if processor.message_overhead is not None:
        rates["message_overhead_s"] = processor.message_overhead.value
    return {name: rate for name, rate in rates.items() if rate is not None}
