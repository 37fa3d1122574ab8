"""Attackers run as the command runs them: floating-point work on one thread."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from p2n2sim.run import one_float_thread


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """For every test here."""
    with one_float_thread():
        yield
