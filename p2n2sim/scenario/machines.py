"""Machine profiles: how fast each role computes.

How the times of named operations in the reference profile came about, on the same core as the rates:

- "paillier encrypt", "add" and "decrypt": one ciphertext of 4,096 bits, by :mod:`p2n2sim.mpc.paillier`;
  "paillier scale": one modular power with an exponent of 64 bits, by gmpy2. All with a modulus of 2,048 bits;
  `machine` converts them to the scenario's.
- "ckks encrypt", "add" and "decrypt": one ciphertext of 4,096 numbers, what SEAL itself takes. Real runs take
  longer, because Python passes its numbers on one by one.
- "x25519": one multiplication on Curve25519, an exchange of the package cryptography; "base ot": two of them.
- "ot extension" is derived: the hash of one transfer as three blocks of AES at the rate of random bytes,
  and its part in the transposition of a bit matrix of 128 columns: log2(128) = 7 passes over its 16 bytes,
  each of which reads and writes them.
"""

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
        "paillier encrypt": 9.0e-3,
        "paillier add": 8.9e-6,
        "paillier scale": 3.2e-4,
        "paillier decrypt": 2.6e-3,
        "ckks encrypt": 1.3e-3,
        "ckks add": 1.7e-5,
        "ckks decrypt": 2.7e-4,
        "x25519": 3.0e-5,
        "base ot": 6.0e-5,
        "ot extension": 1.7e-8,
    },
}

PAILLIER_BITS = 2048
"""The modulus for which a profile says how long Paillier's operations take."""

# How the work grows with the modulus, by schoolbook multiplication: a product of two numbers modulo n^2 with
# the square of its bits, and a power by as many products as its exponent has bits, which are those of n for
# encryption and decryption and always 64 for "scale". GMP multiplies large numbers faster than that.
_GROWTH = {"paillier encrypt": 3, "paillier decrypt": 3, "paillier scale": 2, "paillier add": 2}


def machine(
    compute: Compute, role: Literal["holder", "server", "dealer"], *, paillier_bits: int = PAILLIER_BITS
) -> Machine:
    """The machine of a role: the preset, then what differs for everybody, then for the role.

    Args:
        compute: the profile.
        role: whose machine.
        paillier_bits: of the modulus in use, to which the times of Paillier's operations are converted.
    """
    rates: dict[str, Any] = dict(REFERENCE)
    if compute.preset == "instant":
        rates = dict.fromkeys(REFERENCE, math.inf) | {"message_overhead_s": 0.0, "operations_s": None}
    for processor in (compute.default, getattr(compute, role)):
        rates |= _given(processor)
        if processor.operations:
            named = {name: duration.value for name, duration in processor.operations.items()}
            free = dict.fromkeys(REFERENCE["operations_s"], 0.0)
            rates["operations_s"] = (free if rates["operations_s"] is None else rates["operations_s"]) | named
    if rates["operations_s"] is not None:
        larger = paillier_bits / PAILLIER_BITS
        rates["operations_s"] = {
            name: seconds * larger ** _GROWTH.get(name, 0) for name, seconds in rates["operations_s"].items()
        }
    return Machine(**rates)


def _given(processor: Processor) -> dict[str, float]:
    rates = {name: getattr(processor, name) for name in REFERENCE if name.endswith("_per_s")}
    if processor.message_overhead is not None:
        rates["message_overhead_s"] = processor.message_overhead.value
    return {name: rate for name, rate in rates.items() if rate is not None}
