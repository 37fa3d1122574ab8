"""Who waits where when nothing moves: the tasks' part of a deadlock report."""

from __future__ import annotations

import asyncio
import types
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from p2n2sim.net._private import awaited_by, is_gathering

_OWN_PACKAGE = __name__.rpartition(".")[0] + "."


def describe_tasks(
    tasks: Iterable[asyncio.Task[Any]], *, without_receivers: bool, watchers: Iterable[asyncio.Future[Any]]
) -> list[str]:
    """One sentence for each task that waits for something other than a task or a reported message.

    Args:
        tasks: the pending tasks, in the order in which to tell of them.
        without_receivers: leave out the tasks whose innermost frame lies in this package (they wait for a
            message); true when the network's own report names them.
        watchers: futures of those who wait for the deadlock itself; who waits for one is left out.
    """
    told = [id(watcher) for watcher in watchers]
    lines = []
    for task in tasks:
        frames = list(_frames(task.get_coro()))
        awaited = awaited_by(task)
        if id(awaited) in told or _waits_for_tasks(awaited, frames):
            continue
        if without_receivers and frames and _module(frames[-1]).startswith(_OWN_PACKAGE):
            continue
        lines.append(_sentence(task, frames))
    return lines


def _frames(awaitable: object) -> Iterator[types.FrameType]:
    """The frames of a suspended coroutine, outermost first."""
    while awaitable is not None:
        if isinstance(awaitable, types.CoroutineType):
            frame, awaitable = awaitable.cr_frame, awaitable.cr_await
        elif isinstance(awaitable, types.GeneratorType):
            frame, awaitable = awaitable.gi_frame, awaitable.gi_yieldfrom
        elif isinstance(awaitable, types.AsyncGeneratorType):
            frame, awaitable = awaitable.ag_frame, awaitable.ag_await
        else:
            return
        if frame is not None:
            yield frame


def _module(frame: types.FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))


def _waits_for_tasks(awaited: object, frames: list[types.FrameType]) -> bool:
    """Whether the task only waits for other tasks, which tell the story themselves."""
    if isinstance(awaited, asyncio.Task) or is_gathering(awaited):
        return True
    return bool(frames) and _module(frames[-1]) == "asyncio.taskgroups"


def _sentence(task: asyncio.Task[Any], frames: list[types.FrameType]) -> str:
    """Names the innermost line outside asyncio, and the asyncio call in which it waits."""
    own = [frame for frame in frames if not f"{_module(frame)}.".startswith("asyncio.")]
    if not own:
        return f"task {task.get_name()!r} waits"
    place = own[-1]
    sentence = (
        f"task {task.get_name()!r} waits at {Path(place.f_code.co_filename).name}:{place.f_lineno} "
        f"in {place.f_code.co_name}"
    )
    return sentence if place is frames[-1] else f"{sentence}, in {frames[-1].f_code.co_qualname}"
