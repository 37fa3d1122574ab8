"""From the [compute] table to the machines."""

from __future__ import annotations

import math
from typing import Any

import pytest

from p2n2sim.errors import InputError
from p2n2sim.mpc import homomorphic, offline
from p2n2sim.net.cpu import Cost, Machine
from p2n2sim.parties.first_layer.masked_sum import AGREE
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


def test_the_reference_knows_every_operation_that_is_counted_by_name() -> None:
    """Those of homomorphic encryption, key agreement and the modelled offline phase, and no others."""
    pairs = [offline.ot_setup(), offline.ot_triple(2, 3, 4), offline.he_setup(), offline.he_triple(2, 3, 4)]
    counted = {name for pair in pairs for side in (pair.first, pair.second) for name in side}
    counted -= {"random bytes", "ring add"}  # which the rates of every machine cover
    assert counted | {AGREE, *homomorphic.OPERATIONS} == set(REFERENCE["operations_s"])


@pytest.mark.parametrize(("bits", "power", "product"), [(1024, 1 / 8, 1 / 4), (2048, 1, 1), (4096, 8, 4)])
def test_paillier_takes_longer_with_a_larger_modulus(bits: int, power: float, product: float) -> None:
    """Encryption and decryption grow with the cube of the modulus, other operations with the square."""
    compute = parse({"name": "x"}, "f").compute
    base, other = machine(compute, "holder"), machine(compute, "holder", paillier_bits=bits)
    assert base.operations_s is not None
    assert other.operations_s is not None
    grows = {"paillier encrypt": power, "paillier decrypt": power}
    grows |= {"paillier add": product, "paillier scale": product}
    for name, seconds in base.operations_s.items():
        assert other.operations_s[name] == pytest.approx(seconds * grows.get(name, 1), rel=1e-12)


def test_an_operation_of_ones_own() -> None:
    """A role's operation replaces that of everybody, which replaces the reference; all are for 2,048 bits."""
    tables = {
        "default": {"operations": {"paillier encrypt": "4 ms", "paillier add": "4 us"}},
        "server": {"operations": {"paillier encrypt": "8 ms"}},
    }
    compute = parse({"name": "x", "compute": tables}, "f").compute
    cost = Cost(operations={"paillier encrypt": 1})
    assert machine(compute, "server").seconds(cost) == 8e-3
    assert machine(compute, "holder").seconds(cost) == 4e-3
    assert machine(compute, "holder", paillier_bits=1024).seconds(cost) == 0.5e-3
    with pytest.raises(InputError, match="known operations: paillier encrypt"):
        machine(compute, "holder").seconds(Cost(operations={"paillier encypt": 1}))


def test_instant_operations_take_no_time_unless_named() -> None:
    """With the instant preset only what the scenario names takes time."""
    compute = {"preset": "instant", "server": {"operations": {"ckks encrypt": "1 ms"}}}
    cost = Cost(operations={"ckks encrypt": 2, "ckks add": 5, "base ot": 7})
    assert (of("server", **compute).seconds(cost), of("holder", **compute).seconds(cost)) == (2e-3, 0.0)
