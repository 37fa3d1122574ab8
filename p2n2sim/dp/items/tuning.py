"""Tuning: the clipping norm at a fixed epsilon, the noise, the model, and what preprocessing spends."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from p2n2sim.evaluation.item import Evidence, Finished, Item, Section, Source, Table, Verdict
from p2n2sim.evaluation.repeats import mean_and_spread
from p2n2sim.report.provenance import data_line

CLIP, NOISE = "privacy.gradients.clip", "privacy.gradients.noise_multiplier"
KIND, SEED = "model.kind", "train.seed"
_RULE = (
    "shown if more noise spends less at every step of the sweep, and the smallest noise has a mean AUC that "
    "is not below the largest noise's."
)


def _frame(runs: Sequence[Finished], key: str) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                key: run.values[key],
                "seed": run.summary["seed"],
                "noise_multiplier": run.summary["privacy"]["mechanism"]["noise_multiplier"],
                "epsilon": float(run.summary["privacy"]["spent"]["epsilon"]),
                "auc": run.summary["metrics"]["auc"],
                "run": run.name,
            }
            for run in runs
        ]
    )


def _swept(
    runs: Sequence[Finished], key: str, name: str, title: str, called: str
) -> tuple[Table, pd.DataFrame]:
    frame = _frame(runs, key)
    rows = [
        [
            str(value),
            f"{group['noise_multiplier'].mean():.3g}",
            f"{group['epsilon'].mean():.3g}",
            mean_and_spread(group["auc"], 3),
            str(len(group)),
        ]
        for value, group in frame.groupby(key, sort=False)
    ]
    head = [called, "noise multiplier", "epsilon of the released model", "AUC", "repeats"]
    caption = (
        f"{data_line(runs[0].summary['data'])} All points are of the same rows: choosing among them by their "
        "AUC would release each, and cost the sum."
    )
    return Table(name, title, frame, head, rows, caption), frame


def _present(evidence: Evidence) -> Section:
    clips, _ = _swept(evidence["tuning"], CLIP, "tuning-clip", "Clipping norm at epsilon 3", "clipping norm")
    noises, frame = _swept(
        evidence["noise"], NOISE, "tuning-noise", "Noise multiplier", "noise multiplier asked for"
    )
    models, _ = _swept(
        evidence["models"], KIND, "tuning-model", "Model choice, loan assessment at epsilon 3", "model"
    )
    spent = frame.groupby(NOISE)["epsilon"].mean().sort_index()
    auc = frame.groupby(NOISE)["auc"].mean().sort_index()
    shown = bool((spent.diff().dropna() < 0).all()) and auc.iloc[0] >= auc.iloc[-1]
    reason = (
        f"Noise multipliers from {spent.index[0]:g} to {spent.index[-1]:g} spend from {spent.iloc[0]:.3g} "
        f"down to {spent.iloc[-1]:.3g} and leave an AUC from {auc.iloc[0]:.3f} to {auc.iloc[-1]:.3f}."
    )
    return Section(
        Verdict("shown" if shown else "not shown", reason, _RULE),
        '"it is necessary to fine-tune the parameters of the model in order to improve its performance".',
        tables=[clips, noises, models, _prepared(evidence["german"])],
    )


def _prepared(runs: Sequence[Finished]) -> Table:
    rows, numbers = [], []
    for run in runs:
        told = run.summary["preprocessing"]
        rows += [[what, "", ""] for what in told["on"]]
        rows.append(["all of it", f"{float(told['epsilon']):.3g}", f"{told['delta']:.2g}"])
        total = run.summary["privacy"]["spent"]
        rows.append(["with the training", f"{float(total['epsilon']):.3g}", f"{total['delta']:.2g}"])
        numbers += [
            {"run": run.name, "holder": holder, "kept": name}
            for holder, names in told.get("kept", {}).items()
            for name in names
        ]
    kept = "; ".join(
        f"{holder} kept {', '.join(names)}"
        for holder, names in runs[0].summary["preprocessing"].get("kept", {}).items()
    )
    caption = f"{data_line(runs[0].summary['data'])} {kept}."
    head = ["charged", "epsilon", "delta"]
    return Table(
        "preprocessing", "Preprocessing charged to the budget", pd.DataFrame(numbers), head, rows, caption
    )


TUNING = Item(
    "tuning",
    "Tuning",
    (
        Source("tuning.toml", quick={CLIP: [0.1, 1.0, 10.0], SEED: [1]}),
        Source("noise.toml", quick={NOISE: [0.5, 2.0, 8.0], SEED: [1]}),
        Source(
            "models.toml",
            quick={KIND: ["perceptron", "cnn", "gru"], SEED: [1]},
        ),
        Source("german.toml"),
    ),
    _present,
)
