"""A run on many links, by replaying its events: one run draws a whole curve."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from p2n2sim.evaluation.item import Finished
from p2n2sim.report.read import read_events
from p2n2sim.report.text import rate
from p2n2sim.retime import retime
from p2n2sim.scenario.load import parse
from p2n2sim.scenario.units import Bandwidth

STEP = "retimed"


def retimes(folder: Path, data_dir: Path | None, options: Mapping[str, Any]) -> dict[str, Any]:
    """Replays a run.

    Args:
        folder: the run's.
        data_dir: not needed.
        options: ``points``: pairs of swept values and the scenario there as TOML.

    Returns:
        ``points``: swept values and the times of each point, in virtual seconds.
    """
    recorded = read_events(folder)
    rows = []
    for values, text in options["points"]:
        tree = tomllib.loads(text)
        tree["data"]["fingerprint"] = recorded.scenario.data.fingerprint
        result = retime(recorded, parse(tree, str(folder)), str(folder))
        times = {f"time.{name}": result.summary["time"][name] for name in ("train_s", "virtual_s")}
        rows.append({**values, **times})
    return {"points": rows}


def short_rate(bit_per_s: float) -> str:
    """A bandwidth in two digits, for example ``240 Mbit/s``."""
    return rate(round(bit_per_s, 1 - math.floor(math.log10(bit_per_s))))


def times(runs: Iterable[Finished]) -> pd.DataFrame:
    """The points of re-timed runs.

    Returns:
        A row for every point: ``run`` (the recorded run), the swept keys, ``time.train_s``,
        ``time.virtual_s``, and ``bit_per_s`` if bandwidths were swept.
    """
    rows = [{"run": run.name, **point} for run in runs for point in run.found[STEP]["points"]]
    frame = pd.DataFrame(rows)
    if "network.bandwidth" in frame:
        frame["bit_per_s"] = [Bandwidth.parse(text).value for text in frame["network.bandwidth"]]
    return frame
