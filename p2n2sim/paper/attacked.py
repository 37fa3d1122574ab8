"""What the attacks of `p2n2sim.paper.recovered` came to, as tables over runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from p2n2sim.attacks.recovery import PAIRS
from p2n2sim.evaluation.item import ATTACKS, Finished

MEAN, CLASS_MEAN = "mean", "class mean"
BOUND = "best linear estimate"
TEST = "test rows"
PAPERS = "the paper's MLP"


def judged(run: Finished) -> pd.DataFrame:
    """Everything that a run's attacks were measured by.

    Returns:
        Columns ``run``, ``rows`` (attacked, ``training rows`` or ``test rows``), ``part`` (``scores``,
        ``floors`` or ``bounds``), ``attack``, ``assumes``, and the metrics.
    """
    rows: list[dict[str, Any]] = []
    for finding in run.found[ATTACKS]["findings"]:
        where = TEST if TEST in finding["target"] else "training rows"
        for part in ("scores", "floors", "bounds"):
            rows += [
                {
                    "run": run.name,
                    "rows": where,
                    "part": part,
                    "attack": score["attack"],
                    "assumes": score["assumes"],
                    **score["metrics"],
                }
                for score in finding[part]
            ]
    return pd.DataFrame(rows)


def outcome(run: Finished, values: Mapping[str, Any]) -> dict[str, Any]:
    """A run in one row.

    The strongest attack is that with the least mean squared error of all that learn from leaked pairs, on the
    training rows or the test rows; all distances are shares of what the features' means alone leave, so that
    rows of different variance compare.

    Args:
        run: attacked.
        values: what else the row says.

    Returns:
        ``run``, ``seed``, the values, ``measure`` (``accuracy`` or AUC) and ``test``, its value on the test
        rows; ``best``, ``best_attack``, ``best_rows`` and ``best_mse`` of the strongest attack, ``papers`` of
        the paper's, ``class_mean`` of who knows the class, ``bound`` of the best linear estimate on the test
        rows.
    """
    table, metrics = judged(run), run.summary["metrics"]
    floor = table[table["attack"] == MEAN].set_index("rows")["mse"]
    table["share"] = table["mse"] / table["rows"].map(floor)
    learned = table[(table["part"] == "scores") & (table["assumes"] == PAIRS)]
    best = learned.sort_values("share", kind="stable").iloc[0]
    bounds = table[(table["attack"] == BOUND) & (table["rows"] == TEST)]["share"]
    measure = "accuracy" if "accuracy" in metrics else "auc"
    return {
        "run": run.name,
        "seed": run.summary["seed"],
        **values,
        "measure": measure,
        "test": float(metrics[measure]),
        "best": float(best["share"]),
        "best_attack": best["attack"],
        "best_rows": best["rows"],
        "best_mse": float(best["mse"]),
        "papers": float(learned[learned["attack"] == PAPERS]["share"].min()),
        "class_mean": float(table[table["attack"] == CLASS_MEAN]["share"].min()),
        "bound": float(bounds.iloc[0]) if len(bounds) else float("nan"),
    }


def averaged(frame: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """Repeats of `outcome`, averaged.

    Args:
        frame: rows of `outcome`.
        keys: columns by which repeats are told apart, in whose order they appear.

    Returns:
        The keys, ``repeats``, and mean and standard deviation (``NAME_sd``, 0 of one) of ``test``,
        ``best``, ``papers``, ``class_mean`` and ``bound``; ``best_attack``, the most
        frequent one; ``run``, all of them.
    """
    rows = []
    for values, group in frame.groupby(list(keys), sort=False, dropna=False):
        row = dict(zip(keys, values, strict=True))
        for name in ("test", "best", "papers", "class_mean", "bound"):
            row[name] = float(group[name].mean())
            row[f"{name}_sd"] = float(group[name].std(ddof=1)) if len(group) > 1 else 0.0
        row["best_attack"] = group["best_attack"].mode().iloc[0]
        rows.append({**row, "repeats": len(group), "run": " ".join(group["run"])})
    return pd.DataFrame(rows)
