"""The strongest attacks on a finished run, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from p2n2sim.adversary.attack import attack
from p2n2sim.adversary.kinds import Asked

STEP = "attacked"


def attacks(folder: Path, data_dir: Path | None, options: Mapping[str, Any]) -> dict[str, Any]:
    """Attacks a run by everything that its recorded views allow.

    Args:
        folder: the run's.
        data_dir: where to look for data files first.
        options: ``kinds`` of attack, and ``shadows``, how many shadow models membership inference trains.

    Returns:
        ``findings``: of each kind, adversary and target the strongest attacker, its measure, and what a guess
        comes to that ignores the view.
    """
    asked = Asked(data_dir=data_dir, shadows=options["shadows"])
    rows = []
    for found in attack(folder, wanted=options["kinds"], asked=asked).findings:
        floors = [score.metrics[found.measure] for score in found.floors]
        rows.append(
            {
                "kind": found.kind,
                "adversary": found.adversary,
                "target": found.target,
                "measure": found.measure,
                "lower_is_stronger": found.lower_is_stronger,
                "attack": found.headline.attack,
                "value": found.headline.metrics[found.measure],
                "floor": (min(floors) if found.lower_is_stronger else max(floors)) if floors else None,
            }
        )
    return {"findings": rows}
