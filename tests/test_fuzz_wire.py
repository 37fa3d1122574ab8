"""Mutated messages: a part of what `benchmarks/fuzz_wire.py` does."""

from __future__ import annotations

import importlib.util
from pathlib import Path

PATH = Path(__file__).parents[1] / "benchmarks" / "fuzz_wire.py"


def test_only_typed_errors() -> None:
    """Thirty thousand mutated messages are refused by WireError, or decode to what encodes to the same."""
    spec = importlib.util.spec_from_file_location("fuzz_wire", PATH)
    assert spec is not None
    assert spec.loader is not None
    fuzz_wire = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fuzz_wire)
    ends = fuzz_wire.fuzz(30_000, seed=7)
    assert sum(ends[end] for end in ("refused", "decoded", "unchanged")) == 30_000
    assert min(ends[end] for end in ("refused", "decoded", "noticed")) > 1_000
