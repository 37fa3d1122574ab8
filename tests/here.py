"""Work for other processes, done in this one, which saves the seconds that each takes to start."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from p2n2sim import folder, sweep
from p2n2sim.errors import P2N2SimError
from p2n2sim.evaluation import work
from p2n2sim.processes import Call


def work_here(patch: pytest.MonkeyPatch) -> None:
    """Points of a sweep and runs of an evaluation are made in this process, and without a picture each."""
    for module in (sweep, work):
        patch.setattr(module, "call_all", call_here)
    leave_out_pictures(patch)


def leave_out_pictures(patch: pytest.MonkeyPatch) -> None:
    """Run folders get an empty picture: drawing takes longer than a small run, and is tested elsewhere."""
    patch.setattr(folder, "draw", lambda run: b"")


def call_here(
    calls: Sequence[Call], *, jobs: int | None, on_end: Callable[[int, P2N2SimError | None], object]
) -> None:
    """As `p2n2sim.processes.call_all`, one call after the other."""
    for number, (function, arguments) in enumerate(calls):
        failure = None
        try:
            function(*arguments)
        except P2N2SimError as error:
            failure = error
        on_end(number, failure)
