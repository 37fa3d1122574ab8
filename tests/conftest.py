"""Every asynchronous test runs in virtual time."""

from __future__ import annotations

from p2n2sim.net.simloop import SimLoop


def pytest_asyncio_loop_factories() -> dict[str, type[SimLoop]]:
    """The one loop on which pytest-asyncio runs the tests."""
    return {"virtual": SimLoop}
