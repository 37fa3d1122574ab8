"""Table 1: AUC of the plain network and of P2N2 on both data sets."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pandas as pd

from p2n2sim.evaluation.item import Evidence, Item, Section, Source, Table, Verdict
from p2n2sim.evaluation.repeats import aucs, mean_and_spread, spread
from p2n2sim.paper.numbers import GUESSED_EPOCHS, PAPER, tolerance
from p2n2sim.report.provenance import data_line
from p2n2sim.report.text import listed
from p2n2sim.scenario.sections import Scenario

_RULE = (
    "a setting gives the paper's numbers if the means of both networks lie within one standard error of a "
    "single AUC of the paper's size on its test set (Hanley and McNeil 1982: ±{fraud:.3f} fraud, "
    "±{distress:.3f} distress), and those of P2N2 and the plain network are no further apart than the "
    "paper's. Reproduced if the literal settings do, under stated conditions if only the chosen ones do, "
    "on both data sets."
)
_SETTINGS = {"": "chosen", "-literal": "literal"}


def _present(evidence: Evidence) -> Section:
    frames = {
        (data, setting): aucs(evidence[f"table1-{data}{suffix}"])
        for data in PAPER
        for suffix, setting in _SETTINGS.items()
        if evidence[f"table1-{data}{suffix}"]
    }
    reported = [(f"{one.title}, paper", one.auc_plain, one.auc) for one in PAPER.values()]
    rows = []
    for number, (data, one) in enumerate(PAPER.items()):
        title, plain, p2n2 = reported[number]
        rows.append([title, f"{plain:.4f}", f"{p2n2:.4f}", f"{abs(plain - p2n2):.4f}", "not stated", "5"])
        for setting in _SETTINGS.values():
            if (data, setting) in frames:
                rows.append(
                    _row(
                        f"{one.title}, {setting} settings",
                        frames[data, setting],
                        _told(evidence, data, setting),
                    )
                )
    numbers = pd.concat(
        [frame.assign(data=data, settings=setting) for (data, setting), frame in frames.items()]
    )[["data", "settings", "seed", "plain", "p2n2", "run"]]
    table = Table(
        "table1",
        "AUC on the test rows, mean ± standard deviation of the repeats",
        numbers,
        ["", "NN", "P2N2", "apart", "settings", "repeats"],
        rows,
        _caption(evidence),
    )
    return Section(
        verdict(frames),
        "AUC of NN and P2N2 0.9270 and 0.9231 (fraud), 0.9379 and 0.9314 (distress), averages of five "
        "repeats; "
        '"almost the same prediction performance".',
        tables=[table],
        notes=[
            "NN trains on the same rows, from the same weights, on the same batches as P2N2, so what is "
            "left between them is fixed-point arithmetic; in the paper it may be another split or "
            "initialisation, too. Every repeat has a split, an initialisation and an order of batches of "
            "its own.",
            _uncertainty(frames),
        ],
    )


def _uncertainty(frames: Mapping[tuple[str, str], pd.DataFrame]) -> str:
    """How far the means would be from those of other repeats."""
    errors = [
        f"{spread(frame['p2n2']) / math.sqrt(len(frame)):.3f} on {data}"
        for (data, setting), frame in frames.items()
        if setting == "chosen"
    ]
    return (
        f"The means of the chosen settings have a standard error of {listed(errors)}: other repeats would "
        "have given other means."
    )


def _told(evidence: Evidence, data: str, setting: str) -> Scenario:
    suffix = {value: key for key, value in _SETTINGS.items()}[setting]
    return evidence[f"table1-{data}{suffix}"][0].told.scenario


def _row(title: str, frame: pd.DataFrame, scenario: Scenario) -> list[str]:
    train = scenario.train
    settings = (
        f"batch {train.batch_size:,}, {'summed' if train.loss_reduction == 'sum' else 'mean'} loss, "
        f"{train.epochs} epochs, {scenario.model.initialisation}"
        + (f", clipped at {scenario.data.clip:g}" if scenario.data.clip else "")
    )
    apart = f"{(frame['plain'] - frame['p2n2']).abs().mean():.4f}"
    return [
        title,
        mean_and_spread(frame["plain"]),
        mean_and_spread(frame["p2n2"]),
        apart,
        settings,
        str(len(frame)),
    ]


def _caption(evidence: Evidence) -> str:
    data = [evidence[f"table1-{name}"][0].summary["data"] for name in PAPER]
    return (
        "AUC of the test rows after the last epoch; P2N2's went through the protocol. Apart: mean distance "
        f"of the two networks within a repeat. {' '.join(map(data_line, data))} Learning rates, networks "
        "and activations are the paper's. Literal: the mean loss that libraries have by default, the batch "
        f"of Table 2, {GUESSED_EPOCHS} epochs, which is a guess. Chosen: what is not stated was looked for "
        "until the paper's AUC came out."
    )


def near(frame: pd.DataFrame, data: str) -> bool:
    """Whether repeats give the paper's numbers.

    Args:
        frame: as `p2n2sim.evaluation.repeats.aucs` makes it.
        data: key of `PAPER`.
    """
    one = PAPER[data]
    within = tolerance(one)
    plain, p2n2 = float(frame["plain"].mean()), float(frame["p2n2"].mean())
    return (
        abs(plain - one.auc_plain) <= within
        and abs(p2n2 - one.auc) <= within
        and abs(plain - p2n2) <= abs(one.auc_plain - one.auc)
    )


def verdict(frames: Mapping[tuple[str, str], pd.DataFrame]) -> Verdict:
    """The verdict on Table 1.

    Args:
        frames: (key of `PAPER`, ``literal`` or ``chosen``) -> the repeats, see `aucs`.
    """
    rule = _RULE.format(**{data: tolerance(one) for data, one in PAPER.items()})
    good = {key: near(frame, key[0]) for key, frame in frames.items()}

    def means(setting: str) -> str:
        return listed(
            [
                f"{frame['p2n2'].mean():.3f} ({data})"
                for (data, which), frame in frames.items()
                if which == setting
            ]
        )

    if all(good.get((data, "literal"), False) for data in PAPER):
        return Verdict("reproduced", f"The literal settings give P2N2 an AUC of {means('literal')}.", rule)
    literal = (
        f"the literal ones give {means('literal')}"
        if _has_literal(frames)
        else "the literal ones were left out"
    )
    if all(good[data, "chosen"] for data in PAPER):
        reason = (
            "With the summed loss, few epochs and on the distress data a smaller batch P2N2 has an AUC of "
            f"{means('chosen')}; {literal}."
        )
        return Verdict("reproduced only under stated conditions", reason, rule)
    off = listed([data for data in PAPER if not good[data, "chosen"]])
    reason = (
        f"On {off} the chosen settings do not give the paper's AUC: P2N2 has {means('chosen')}; {literal}."
    )
    return Verdict("not reproduced", reason, rule)


def _has_literal(frames: Mapping[tuple[str, str], pd.DataFrame]) -> bool:
    return any(setting == "literal" for _, setting in frames)


TABLE1 = Item(
    "table1",
    "Table 1: AUC",
    (
        Source("table1-fraud-literal.toml", left_out_if_quick=True),
        Source("table1-distress-literal.toml", left_out_if_quick=True),
        Source("table1-fraud.toml"),
        Source("table1-distress.toml"),
    ),
    _present,
)
