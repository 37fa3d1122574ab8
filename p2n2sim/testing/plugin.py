"""The pytest plugin: virtual time for the tests that ask for it, a world, and schedules.

A test runs in virtual time if it uses the fixture ``world``, has one of the markers ``virtual_time`` and
``schedules``, or if the configuration says ``virtual_time = true``, which is for projects all of whose
asynchronous tests do. All other tests, and their loops, are left alone. So is a test with anyio's marker.

Importing this takes no time worth mentioning: what needs numpy is imported by the first test that uses it.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import inspect
from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING, Any

import pytest

from p2n2sim.testing.schedules import run_under, seeds_of

if TYPE_CHECKING:
    from p2n2sim.testing.world import World

_FUNCTION = pytest.StashKey[Any]()
_SEED = "schedule_seed"  # a user property of the reports of tests that failed under a schedule


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the option that replays one schedule, and the setting that puts all tests in virtual time."""
    group = parser.getgroup("p2n2sim")
    group.addoption(
        "--schedule-seed",
        type=_seed,
        default=None,
        metavar="K",
        help="run tests in virtual time under this one schedule: another legal order of equal times",
    )
    parser.addini("virtual_time", "run every asynchronous test in virtual time", type="bool", default=False)


def _seed(text: str) -> int:
    seed = int(text)
    if seed < 0:
        raise argparse.ArgumentTypeError(f"{seed} is negative; seeds are 0, 1, 2, ...")
    return seed


def pytest_configure(config: pytest.Config) -> None:
    """Declares the markers."""
    config.addinivalue_line("markers", "virtual_time: run this asynchronous test in virtual time (p2n2sim)")
    config.addinivalue_line(
        "markers", "schedules(n): run this test under n schedules, legal orders of equal times (p2n2sim)"
    )


def make_world(request: pytest.FixtureRequest) -> Generator[World]:
    """Parties joined by links of one second each, so that the clock counts rounds."""
    module = importlib.import_module("p2n2sim.testing.world")
    made: World = module.World(schedule=request.config.getoption("schedule_seed"))
    yield made
    made.check()


world = pytest.fixture(name="world")(make_world)


# -- The loop ----------------------------------------------------------------------------------------


class LoopFactories:
    """Tells pytest-asyncio the loop of one test. Registered only while such a test is collected."""

    def __init__(self, factory: Callable[[], Any]) -> None:
        self._factory = factory

    @pytest.hookimpl(tryfirst=True, optionalhook=True)
    def pytest_asyncio_loop_factories(self) -> dict[str, Callable[[], Any]]:
        """The one loop."""
        return {"virtual": self._factory}


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> Generator[None, object, object]:
    """Within it, pytest-asyncio asks for the loops of a test."""
    if not _is_virtual(metafunc.definition):
        return (yield)
    manager = metafunc.config.pluginmanager
    factories = LoopFactories(functools.partial(_new_loop, metafunc.config.getoption("schedule_seed")))
    manager.register(factories)
    try:
        return (yield)
    finally:
        manager.unregister(factories)


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makeitem(collector: pytest.Module | pytest.Class, name: str, obj: object) -> None:
    """Marks asynchronous tests that use the world for pytest-asyncio, which may be in its strict mode."""
    if not collector.config.pluginmanager.hasplugin("asyncio") or not collector.istestfunction(obj, name):
        return
    marks = {mark.name for mark in getattr(obj, "pytestmark", ())}
    if not inspect.iscoroutinefunction(obj) or marks & {"asyncio", "anyio"}:
        return
    uses_world = "world" in inspect.signature(obj).parameters and _is_ours(
        collector.session._fixturemanager.getfixturedefs("world", collector)
    )
    if (uses_world or marks & {"virtual_time", "schedules"}) and not collector.get_closest_marker("anyio"):
        pytest.mark.asyncio(obj)


def _is_virtual(item: pytest.Function) -> bool:
    """Whether a test asks for virtual time."""
    if item.get_closest_marker("anyio"):
        return False
    marked = item.get_closest_marker("virtual_time") or item.get_closest_marker("schedules")
    uses_world = _is_ours(item._fixtureinfo.name2fixturedefs.get("world"))
    return bool(marked or uses_world or item.config.getini("virtual_time"))


def _is_ours(definitions: Sequence[pytest.FixtureDef[Any]] | None) -> bool:
    """Whether a fixture called world is this plugin's or made from it, not something else of the user's."""
    if not definitions:
        return False
    closest = definitions[-1]
    return closest.func is make_world or "world" in closest.argnames


def _asks_for_loops(config: pytest.Config) -> bool:
    """Whether there is a pytest-asyncio, and one that has the hook for loops."""
    hook = getattr(config.hook, "pytest_asyncio_loop_factories", None)
    return hook is not None and hook.spec is not None


def _new_loop(schedule: int | None) -> Any:
    return importlib.import_module("p2n2sim.net.simloop").SimLoop(schedule=schedule)


# -- Schedules ---------------------------------------------------------------------------------------


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    """Keeps the test's own function: pytest-asyncio puts another in its place, which runs on its loop.

    In its automatic mode anyio would run an asynchronous test in virtual time, too, if it had a backend.
    """
    if isinstance(item, pytest.Function):
        if _is_virtual(item) and "anyio_backend" not in item._fixtureinfo.argnames:
            item.funcargs.pop("anyio_backend", None)
        item.stash[_FUNCTION] = item.obj, getattr(getattr(item.obj, "hypothesis", None), "inner_test", None)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Runs a test that has schedules under each of them, and an asynchronous one that nobody else would."""
    seeds = seeds_of(pyfuncitem)
    function, inner = pyfuncitem.stash[_FUNCTION]
    asynchronous = inspect.iscoroutinefunction(inner or function)
    if not _is_virtual(pyfuncitem):
        return None
    if seeds is None:
        if not asynchronous or _asks_for_loops(pyfuncitem.config):
            return None
        seeds = [pyfuncitem.config.getoption("schedule_seed")]
    worlds = [value for value in [pyfuncitem.funcargs.get("world")] if hasattr(value, "renew")]
    if not worlds and not asynchronous:
        raise pytest.UsageError(f"{pyfuncitem.nodeid}: schedules reach an ordinary test by the fixture world")
    run_under(seeds, pyfuncitem, function, inner if asynchronous else None, worlds)
    return True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Shows the messages of the latest run of a failed test."""
    report = yield
    used: Any = getattr(item, "funcargs", {}).get("world")
    if report.when == "call" and report.failed and call.excinfo and hasattr(used, "table"):
        table = used.table()
        if table not in str(call.excinfo.value):  # world.expect shows it, too
            report.sections.append(("Messages of the latest run", table))
    return report


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Lists the first failing schedule of each test, with the command that replays it."""
    failed = [
        (report.nodeid, value)
        for report in terminalreporter.getreports("failed")
        for name, value in report.user_properties
        if name == _SEED
    ]
    if failed:
        terminalreporter.section("first failing schedules")
        for nodeid, seed in failed:
            terminalreporter.line(f"seed {seed}: pytest '{nodeid}' --schedule-seed {seed}")
