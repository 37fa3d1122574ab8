"""A tiny evaluation: two of the paper's items on a small file of one's own."""

from __future__ import annotations

from pathlib import Path

from p2n2sim.evaluation.evaluate import evaluate
from p2n2sim.evaluation.select import select
from p2n2sim.evaluation.work import OnEnd
from p2n2sim.paper.catalogue import ITEMS
from p2n2sim.paper.edition import PAPER
from tests import tiny

BOTH = "figure3,figure5"
FIGURE3 = '[sweep]\n"train.seed" = [1, 2]\n'
FIGURE5 = """
[sweep]
"protocol.first_layer" = ["algorithm1", "masked-sum"]
"network.bandwidth" = ["1 Mbit/s", "10 Mbit/s", "100 Mbit/s", "1 Gbit/s", "10 Gbit/s"]
"""


def write_scenarios(home: Path) -> Path:
    """The folder of scenario files of figure 3 (two repeats) and figure 5 (two protocols)."""
    folder = home / "scenarios"
    folder.mkdir()
    for name, table in (("figure3", FIGURE3), ("figure5", FIGURE5)):
        path = tiny.write_scenario(folder, table, tiny.SCENARIO.replace("tiny", name))
        path.rename(folder / f"{name}.toml")
    return folder


def evaluated(home: Path, out: str, items: str = BOTH, on_end: OnEnd = lambda *told: None) -> Path:
    """Makes the evaluation; returns the folder of its report."""
    folders = {"work": home / "work", "scenarios": home / "scenarios"}
    return evaluate(PAPER, select(items, ITEMS), home / out, **folders, on_end=on_end).parent
