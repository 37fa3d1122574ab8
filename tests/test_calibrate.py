"""The profile of this machine."""

from __future__ import annotations

import dataclasses
import math
import tomllib

import pytest

from p2n2sim.calibrate import measure, to_table
from p2n2sim.net.cpu import Machine
from p2n2sim.scenario.load import parse
from p2n2sim.scenario.machines import REFERENCE, machine


def test_the_table_is_one_that_scenarios_understand() -> None:
    """What calibrate prints, put into a scenario, is the measured machine to three digits."""
    measured = Machine(
        ring_madds_per_s=2.3456e9,
        flops_per_s=1.9999e10,
        random_bytes_per_s=4.4444e9,
        moved_bytes_per_s=1.2345e10,
        message_overhead_s=12.345e-6,
        operations_s={name: 1.23456e-9 * 1000**i for i, name in enumerate(("a", "b b", "c"))}
        | dict.fromkeys(REFERENCE["operations_s"], 0.12345e-9),
    )
    text = to_table(measured)
    assert "[compute.default]" in text
    assert "[compute.default.operations]" in text
    assert '"b b" = "1.23 us"' in text
    scenario = parse({"name": "x", **tomllib.loads(text)}, "f")
    for role in ("holder", "server", "dealer"):
        understood = machine(scenario.compute, role)  # type: ignore[arg-type]
        operations = {"a": 1.23e-9, "b b": 1.23e-6, "c": 1.23e-3}
        operations |= dict.fromkeys(REFERENCE["operations_s"], 0.123e-9)
        assert understood.operations_s == pytest.approx(operations, rel=1e-12)
        assert dataclasses.replace(understood, operations_s=None) == Machine(
            ring_madds_per_s=2.35e9,
            flops_per_s=2e10,
            random_bytes_per_s=4.44e9,
            moved_bytes_per_s=1.23e10,
            message_overhead_s=12.3e-6,
            operations_s=None,
        )


def test_measured_rates_are_those_of_a_computer() -> None:
    """Every rate is finite and between a slow machine's and a fast one's."""
    measured = measure()
    assert 1e7 < measured.ring_madds_per_s < 1e12
    assert 1e8 < measured.flops_per_s < 1e14
    assert 1e7 < measured.random_bytes_per_s < 1e12
    assert 1e8 < measured.moved_bytes_per_s < 1e13
    assert 1e-7 < measured.message_overhead_s < 1e-2
    assert math.isfinite(measured.flops_per_s)
    operations = measured.operations_s
    assert operations is not None
    assert operations.keys() == REFERENCE["operations_s"].keys()
    for name, reference in REFERENCE["operations_s"].items():
        assert reference / 30 < operations[name] < reference * 30, name
