"""Repeats over seeds: mean and spread, and curves with a band."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from p2n2sim.evaluation.item import Finished


def aucs(runs: Sequence[Finished]) -> pd.DataFrame:
    """The AUC of every repeat.

    Returns:
        Columns ``run``, ``seed``, ``plain`` and ``p2n2``: AUC on the test rows.
    """
    rows = []
    for run in runs:
        summary = run.summary
        pair = {"plain": summary["baseline"]["auc"], "p2n2": summary["metrics"]["auc"]}
        rows.append({"run": run.name, "seed": summary["seed"], **pair})
    return pd.DataFrame(rows).astype({"plain": float, "p2n2": float})


def spread(values: pd.Series) -> float:
    """Standard deviation between repeats; 0 for a single one."""
    return float(values.std(ddof=1)) if len(values) > 1 else 0.0


def mean_and_spread(values: pd.Series, digits: int = 4) -> str:
    """``0.9271 ± 0.0102``; a single value has no spread."""
    mean = f"{values.mean():.{digits}f}"
    return f"{mean} ± {spread(values):.{digits}f}" if len(values) > 1 else mean


def loss_by_epoch(runs: Sequence[Finished]) -> pd.DataFrame:
    """Average loss by iteration: one iteration of the figures is a pass over the training rows.

    Returns:
        A row for every epoch after which the test rows were predicted: ``epoch``, and of ``train``, ``test``,
        ``plain_train`` and ``plain_test`` mean and standard deviation over the repeats.
    """
    columns = ("loss_train", "loss_test", "plain_loss_train", "plain_loss_test")
    tables = [run.stored.metrics.dropna(subset=["loss_test"]) for run in runs]
    frame = pd.DataFrame({"epoch": tables[0]["epoch"].to_numpy()})
    for column in columns:
        values = np.stack([table[column].to_numpy(float) for table in tables])  # (repeats, epochs)
        name = column.replace("loss_", "")
        frame[f"{name}_mean"] = values.mean(axis=0)
        frame[f"{name}_sd"] = values.std(axis=0, ddof=1) if len(values) > 1 else 0.0
    return frame
