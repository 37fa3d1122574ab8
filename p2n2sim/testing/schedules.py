"""A test under many schedules: which seeds, and how each run begins anew."""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import pytest


def seeds_of(item: pytest.Function) -> Sequence[int | None] | None:
    """The seeds that a test is to run under: those of its marker, or the one of the command line.

    Returns:
        None if the test has no such marker.

    Raises:
        pytest.UsageError: the marker does not say how many.
    """
    marker = item.get_closest_marker("schedules")
    if marker is None:
        return None
    match marker.args, marker.kwargs:
        case (int(count),), {} if count > 0 and not marker.kwargs:
            chosen = item.config.getoption("schedule_seed")
            return list(range(count)) if chosen is None else [chosen]
    raise pytest.UsageError(f"{item.nodeid}: say how many schedules, as in pytest.mark.schedules(200)")


def run_under(
    seeds: Sequence[int | None], item: pytest.Function, function: Callable[..., Any], inner: Any, worlds: Any
) -> None:
    """Runs a test under each seed, up to the first that fails.

    For every seed the worlds are renewed; an asynchronous test also gets a loop of its own. Other fixtures
    are set up once for all seeds.

    Args:
        seeds: in this order.
        item: the test.
        function: the test's own function.
        inner: the asynchronous function that hypothesis calls, if it does.
        worlds: what is told of each seed.

    Raises:
        BaseException: what the test raised, with a note about the seed.
    """
    names = item._fixtureinfo.argnames  # those of the test function's own parameters, as pytest passes them
    for position, seed in enumerate(seeds):
        arguments = {name: item.funcargs[name] for name in names}
        for world in worlds:
            world.renew(seed)
        call = _on_own_loop(function, seed)
        if inner is not None:
            vars(function)["hypothesis"].inner_test = _on_own_loop(inner, seed)
        try:
            call(**arguments)
            for world in worlds:
                world.check()
        except (KeyboardInterrupt, pytest.skip.Exception):
            raise
        except BaseException as error:
            _tell(error, item, seed, position, len(seeds))
            raise
        finally:
            if inner is not None:
                vars(function)["hypothesis"].inner_test = inner


def _on_own_loop(function: Callable[..., Any], seed: int | None) -> Callable[..., Any]:
    """An ordinary function as it is; an asynchronous one on a loop of its own under the seed."""
    if not inspect.iscoroutinefunction(function):
        return function

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> None:
        importlib.import_module("p2n2sim.net.simloop").run(function(*args, **kwargs), schedule=seed)

    return run


def _tell(error: BaseException, item: pytest.Function, seed: int | None, position: int, count: int) -> None:
    if seed is None:
        return
    item.user_properties.append(("schedule_seed", seed))
    passed = f", after {position} that passed" if position else ""
    error.add_note(
        f"schedule {seed} failed{passed} (of {count}); replay it: "
        f"pytest '{item.nodeid}' --schedule-seed {seed}"
    )
