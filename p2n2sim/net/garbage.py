"""Python's search for garbage cycles, during a simulation."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator

_COLLECT_AFTER = 20_000  # new objects


@contextlib.contextmanager
def rare_collections() -> Iterator[None]:
    """Looks for cycles less often, as messages by the million make none but set off the search.

    It took a third of the time of a hundred parties that all send to each other.
    """
    before = gc.get_threshold()
    gc.set_threshold(max(before[0], _COLLECT_AFTER) if before[0] else 0, *before[1:])  # 0: switched off
    try:
        yield
    finally:
        gc.set_threshold(*before)
