"""One application: AUC and calibration by epsilon, with and without the other holder, and attacks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from p2n2sim.dp.attacked import STEP, attacks
from p2n2sim.evaluation.item import Evidence, Finished, Item, Section, Source, Step, Table, Verdict
from p2n2sim.evaluation.repeats import mean_and_spread, spread
from p2n2sim.report import style
from p2n2sim.report.figures import Exhibit
from p2n2sim.report.provenance import data_line

EPSILON, SEED = "privacy.epsilon", "train.seed"
EPSILONS = [0.5, 1.0, 3.0, 8.0, float("inf")]
_SIZE = (7.2, 4.0)  # inches
_RULE = (
    "shown if the mean AUC at epsilon {known:g} is above one half by more than two standard deviations of "
    "its repeats, and that without noise is not below it by more than two."
)
_ATTACKS = Step(STEP, attacks, {"kinds": ["membership", "labels", "recovery"], "shadows": 4})


def table_of(runs: Sequence[Finished]) -> pd.DataFrame:
    """A row for every run, columns epsilon, seed, auc, plain_auc, brier, ece, noise and run."""
    return pd.DataFrame(
        [
            {
                "epsilon": float(run.told.scenario.privacy.epsilon or np.inf),
                "seed": run.summary["seed"],
                "auc": run.summary["metrics"]["auc"],
                "plain_auc": run.summary["baseline"]["auc"],
                "brier": run.summary["calibration"]["brier"],
                "ece": run.summary["calibration"]["ece"],
                "noise": run.summary["privacy"]["mechanism"]["noise_multiplier"],
                "run": run.name,
            }
            for run in runs
        ]
    )


def _present(evidence: Evidence, *, name: str, paper: str) -> Section:
    both, alone = table_of(evidence[name]), table_of(evidence[f"{name}-alone"])
    numbers = pd.concat([both.assign(features="both holders"), alone.assign(features="label's owner alone")])
    told = evidence[name][0].summary
    caption = (
        f"Mean ± standard deviation of the repeats over seeds (split, weights, batches and noise); without: "
        f"the model of the label's owner's columns alone, of fewer repeats. ECE over ten bins of equal size. "
        f"{data_line(told['data'])} Preprocessing: {told['preprocessing']['normalisation']}."
    )
    return Section(
        _verdict(both),
        paper,
        tables=[_utility(name, both, alone, numbers, caption), _attacked(name, evidence[f"{name}-attacked"])],
        exhibits=[_figure(name, numbers, caption)],
    )


def _verdict(both: pd.DataFrame) -> Verdict:
    groups = {float(str(epsilon)): group["auc"] for epsilon, group in both.groupby("epsilon")}
    known = 3.0 if 3.0 in groups else float(min(groups))
    with_noise, without = groups[known], groups[max(groups)]
    margin = 2 * max(spread(with_noise), spread(without))
    shown = with_noise.mean() - 0.5 > margin and without.mean() >= with_noise.mean() - margin
    reason = (
        f"AUC {mean_and_spread(with_noise, 3)} at epsilon {known:g} for the released model, "
        f"{mean_and_spread(without, 3)} clipped but without noise, "
        f"{both['plain_auc'].mean():.3f} for the plain network."
    )
    return Verdict("shown" if shown else "not shown", reason, _RULE.format(known=known))


def _utility(
    name: str, both: pd.DataFrame, alone: pd.DataFrame, numbers: pd.DataFrame, caption: str
) -> Table:
    others = dict(iter(alone.groupby("epsilon")))
    rows = []
    for epsilon, group in both.groupby("epsilon"):
        other = others.get(epsilon)
        rows.append(
            [
                f"{epsilon:g}",
                f"{group['noise'].mean():.3g}",
                mean_and_spread(group["auc"], 3),
                "–" if other is None else mean_and_spread(other["auc"], 3),
                mean_and_spread(group["ece"], 3),
                mean_and_spread(group["brier"], 4),
                str(len(group)),
            ]
        )
    plain = [
        "plain network",
        "–",
        mean_and_spread(both["plain_auc"], 3),
        mean_and_spread(alone["plain_auc"], 3),
    ]
    head = ["epsilon", "noise multiplier", "AUC", "without the other holder", "ECE", "Brier", "repeats"]
    rows.append([*plain, "–", "–", "–"])
    return Table(f"{name}-utility", "Utility by epsilon of the released model", numbers, head, rows, caption)


def _figure(name: str, numbers: pd.DataFrame, caption: str) -> Exhibit:
    places = {epsilon: place for place, epsilon in enumerate(sorted(numbers["epsilon"].unique()))}
    with style.look():
        figure = style.new_figure(*_SIZE)
        axes = figure.add_subplot()
        for number, (features, line) in enumerate(numbers.groupby("features", sort=False)):
            groups = line.groupby("epsilon")["auc"]
            axes.errorbar(
                [places[epsilon] + 0.06 * number for epsilon in groups.groups],
                groups.mean(),
                yerr=groups.std(ddof=1).fillna(0.0),
                marker="os"[number],
                capsize=3,
                color=style.SERIES[number],
                label=str(features),
            )
        plain = numbers[numbers["features"] == "both holders"]["plain_auc"].mean()
        axes.axhline(plain, color=style.SERIES[2], linewidth=1.0, linestyle="--", label="plain network")
        axes.set_xticks(list(places.values()), [f"{e:g}" if np.isfinite(e) else "no noise" for e in places])
        axes.set_xlabel("epsilon of the released model")
        axes.set_ylabel("AUC on the test rows")
        style.legend_below(figure, axes, 3)
    return Exhibit(f"{name}-auc", "AUC by epsilon", figure, numbers, f"Bars: a standard deviation. {caption}")


def _attacked(name: str, runs: Sequence[Finished]) -> Table:
    frame = pd.DataFrame(
        [
            {"epsilon": float(run.told.scenario.privacy.epsilon or np.inf), "run": run.name, **found}
            for run in runs
            for found in run.found[STEP]["findings"]
        ]
    )
    best = strongest(frame)
    rows = [
        [
            f"{row['epsilon']:g}",
            row["kind"],
            row["adversary"],
            row["target"],
            row["attack"],
            f"{row['measure']} {row['value']:.3f}",
            "–" if row["floor"] is None or row["floor"] != row["floor"] else f"{row['floor']:.3f}",
        ]
        for row in best
    ]
    head = ["epsilon", "attack", "adversary", "target", "strongest", "reaches", "a guess"]
    caption = (
        "The strongest of every kind. Membership is asked of the released model; labels and inputs of what "
        "the server sees in the last epoch, which DP-SGD does not protect: no epsilon is claimed against it, "
        "and the attacks show it."
    )
    return Table(f"{name}-attacks", "What the strongest attack still gets", frame, head, rows, caption)


def strongest(frame: pd.DataFrame) -> list[dict[Any, Any]]:
    """Of every epsilon and kind of attack the finding that is furthest from a guess.

    Args:
        frame: a row for every finding.
    """
    rows = []
    for _, group in frame.groupby(["epsilon", "kind"], sort=False):
        lower = bool(group["lower_is_stronger"].iloc[0])
        place = group["value"].idxmin() if lower else group["value"].idxmax()
        rows.append(group.to_dict("index")[place])
    return rows


def application(name: str, title: str, paper: str, alone: Mapping[str, Any]) -> Item:
    """An application's item.

    Args:
        name: of it and of its scenario file.
        title: its heading.
        paper: what the second paper says of it.
        alone: keys that leave the label's owner's columns alone, which two of its departments hold.
    """
    file = f"{name}.toml"
    recorded = {"record.views": ["server"], EPSILON: [1.0, float("inf")], SEED: None}
    return Item(
        name,
        title,
        (
            Source(file, quick={EPSILON: [1.0, 8.0, float("inf")], SEED: [1, 2]}),
            Source(
                file,
                name=f"{name}-alone",
                changed={"name": f"{name}-alone", SEED: [1, 2, 3], **alone},
                quick={EPSILON: [1.0, float("inf")], SEED: [1]},
            ),
            Source(
                file,
                name=f"{name}-attacked",
                changed={"name": f"{name}-attacked", **recorded},
                quick={"data.fraction": 0.05 if name in ("fraud", "credit") else 0.2},
                steps=(_ATTACKS,),
            ),
        ),
        partial(_present, name=name, paper=paper),
    )


CREDIT = application(
    "credit",
    "Credit scoring",
    '"Employing differential privacy protection models to model and evaluate users\' credit history".',
    {
        "data.columns": ["age", "DebtRatio", "MonthlyIncome", "NumberOfDependents", "NumberRealEstate*"],
        "data.split": [["age", "NumberOfDependents"], ["DebtRatio", "MonthlyIncome", "NumberRealEstate*"]],
        "data.logarithm": ["DebtRatio", "MonthlyIncome"],
        "data.bounds": {
            "age": [18, 100],
            "DebtRatio": [0, 10_000],
            "MonthlyIncome": [0, 50_000],
            "NumberOfDependents": [0, 10],
            "NumberRealEstateLoansOrLines": [0, 20],
        },
    },
)
LOAN = application(
    "loan",
    "Loan assessment",
    "\"accurate assessment and analysis of users' personal information can be conducted while preserving "
    'user privacy".',
    {
        "data.columns": ["LIMIT_BAL", "AGE", "SEX", "EDUCATION", "MARRIAGE", "PAY_0"],
        "data.split": [["LIMIT_BAL", "PAY_0"], ["AGE", "SEX", "EDUCATION", "MARRIAGE"]],
        "data.logarithm": ["LIMIT_BAL"],
        "data.bounds": {"LIMIT_BAL": [0, 1_000_000], "AGE": [18, 100], "PAY_0": [-2, 8]},
        "model.kind": "perceptron",
        "model.steps": [],
    },
)
RISK = application(
    "risk",
    "Risk assessment",
    '"identifying potential risks ... while protecting user privacy".',
    {
        "data.columns": ["x?@*", "x1?@*", "x2?@*", "x3?@*", "x80"],
        "data.split": [["x?@*", "x1?@*"], ["x2?@*", "x3?@*", "x80"]],
    },
)
FRAUD = application(
    "fraud",
    "Anti-fraud",
    '"accurately detect fraudulent behaviour while preserving user privacy".',
    {
        "data.columns": ["V?", "V10", "V11", "V12", "V13", "V14"],
        "data.split": [["V?"], ["V10", "V11", "V12", "V13", "V14"]],
    },
)
