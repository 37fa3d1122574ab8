"""Every asynchronous test runs in virtual time, and no test is timed."""

from __future__ import annotations

from hypothesis import settings

from p2n2sim.net.simloop import SimLoop

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


def pytest_asyncio_loop_factories() -> dict[str, type[SimLoop]]:
    """The one loop on which pytest-asyncio runs the tests."""
    return {"virtual": SimLoop}
