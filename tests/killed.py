"""Runs a command line in children that kill themselves: ``python -m tests.killed ARGUMENT...``.

For every place in `PLACES` a child runs the arguments, ``{}`` standing for the number of the place, and
ends by SIGKILL when it comes there. One process forks them all, because importing takes longer than running.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from p2n2sim import checkpoint, cli, commands, folder, run, simulate


class Place(NamedTuple):
    """Where a child is killed.

    Attributes:
        owner: what has the function.
        name: of the function.
        call: in which call of it, from 1.
        after: when it has returned, not when it begins.
    """

    owner: Any
    name: str
    call: int = 1
    after: bool = False


PLACES = (
    Place(run, "assemble"),  # before anything
    Place(simulate.Outcome, "finish", 3),  # in the midst of the protocol
    Place(checkpoint.Checkpoints, "store", 1, after=True),
    Place(pd.DataFrame, "to_parquet", 4),  # half of the second checkpoint is written
    Place(checkpoint, "_arrays", 3),
    Place(checkpoint.Checkpoints, "store", 2, after=True),
    Place(run, "_train_plain"),  # the protocol is done
    Place(folder, "draw"),  # half of the run folder is written
    Place(folder, "_replace"),  # all of it, under another name
    Place(folder, "_replace", after=True),  # it has its name, the working folder is still there
)


def plant(place: Place) -> None:
    """Puts the killer in place."""
    function: Callable[..., Any] = getattr(place.owner, place.name)
    calls = 0

    def killing(*args: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == place.call and not place.after:
            os.kill(os.getpid(), signal.SIGKILL)
        result = function(*args, **options)
        if calls == place.call:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(place.owner, place.name, killing)


def main() -> None:
    """Runs the children one after the other and says how each ended."""
    assert commands  # imported, so that the children need not
    run._import_what_torch_imports_late()
    for number, place in enumerate(PLACES):
        child = os.fork()
        if not child:
            plant(place)
            sys.argv = ["p2n2sim", *(argument.format(number) for argument in sys.argv[1:])]
            cli.main()
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status) or os.WTERMSIG(status) != signal.SIGKILL:
            sys.exit(f"{Path(__file__).name}: {place} was never reached")


if __name__ == "__main__":
    main()
