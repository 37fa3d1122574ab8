"""The runs on digits that several items look at, and what they say of them alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from p2n2sim.evaluation.item import ATTACKS, Evidence, Finished, Source
from p2n2sim.paper.recovered import recovering
from p2n2sim.report.provenance import data_line

READING, WEIGHT, HIDDEN, SEED = "defender.reading", "defender.weight", "model.hidden", "train.seed"
NOPEEK_WEIGHT, NOISE_DEVIATION, TEMPERATURE = "defence.nopeek", "defence.noise", "train.temperature"
FULL = 64
"""Width of the cut at which the other defences stand."""
_STEPS = (recovering(leaked=0.25),)
_QUICK = {SEED: [1]}
WIDTH: Final = Source(
    "digits-width.toml", quick={**_QUICK, HIDDEN: [[1, 32], [8, 32], [64, 32]]}, steps=_STEPS
)
DEFENDER: Final = Source("digits-defender.toml", quick={**_QUICK, WEIGHT: [100.0]}, steps=_STEPS)
NOPEEK: Final = Source("digits-nopeek.toml", quick={**_QUICK, NOPEEK_WEIGHT: [3.0]}, steps=_STEPS)
NOISE: Final = Source("digits-noise.toml", quick={**_QUICK, NOISE_DEVIATION: [1.0]}, steps=_STEPS)
SGLD: Final = Source("digits-sgld.toml", quick={**_QUICK, TEMPERATURE: [1e-4]}, steps=_STEPS)
HEAD: Final = (
    "test measure",
    "strongest attack",
    "its error",
    "the paper's MLP",
    "class mean",
    "bound of the cut",
)


def width(run: Finished) -> int:
    """Units of the cut."""
    return int(run.values[HIDDEN][0])


def undefended(evidence: Evidence) -> list[Finished]:
    """The runs at full width without any defence."""
    return [run for run in evidence["digits-width"] if width(run) == FULL]


def cells(row: Mapping[Any, Any]) -> list[str]:
    """A row of `averaged` as texts under `HEAD`."""

    def text(name: str) -> str:
        value, sd = row[name], row[f"{name}_sd"]
        if value != value:
            return ""
        return f"{value:.4f} ± {sd:.4f}" if row["repeats"] > 1 else f"{value:.4f}"

    return [
        text("test"),
        row["best_attack"],
        *(text(name) for name in ("best", "papers", "class_mean", "bound")),
    ]


def caption(evidence: Evidence, files: Sequence[str]) -> str:
    """Whose runs, and what the attackers know.

    Args:
        evidence: of the item.
        files: scenario files whose first runs are told of.
    """
    parts = []
    for file in files:
        run = evidence[file][0]
        finding = run.found[ATTACKS]["findings"][-1]
        train = run.told.scenario.train
        parts.append(
            f"{data_line(run.summary['data'])} {train.epochs} epochs; the server knows "
            f"{finding['rows_leaked']:,} "
            f"rows of the test set with their h1 and is judged on {finding['rows_scored']:,} others."
        )
    repeats = len({run.summary["seed"] for run in evidence[files[0]]})
    return (
        f"Input recovery by the server from its recorded h1, every attacker trained afresh on leaked "
        f"pairs, {repeats} "
        f"repeat{'s' if repeats > 1 else ''}, standard deviation as error bars. Error: mean squared error "
        f"as a share "
        f"of what the features' means leave. {' '.join(parts)}"
    )
