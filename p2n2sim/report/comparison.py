"""A comparison as numbers and as texts: what each value costs, how good the model is, and who learns what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from p2n2sim.messages import DEALER, SERVER
from p2n2sim.report.provenance import VIRTUAL, data_line, machine_line, modelled_line
from p2n2sim.report.read import StoredComparison, Told
from p2n2sim.report.text import rate, size, span, three_digits, written
from p2n2sim.scenario.topology import PRESETS
from p2n2sim.summary import in_digits

SIGN = "†"
"""Stands by everything that was modelled in part instead of run."""

ROLES = ("server", "label owner", "other holders", "dealer")
_FIRST_LAYER = "protocol.first_layer"


@dataclass(frozen=True)
class Column:
    """A column of the table that people see.

    Attributes:
        title: its heading on a page, where there is one table.
        short: the same on a screen.
        table: title of the table that it belongs to on a screen; none where it is left out there.
        wordy: it holds words and may be folded.
    """

    title: str
    short: str
    table: str
    wordy: bool = False


_BATCH, _RUN = "Quality, and one training batch", "The whole run"
COLUMNS = (
    Column("AUC", "AUC", _BATCH),
    Column("test loss", "test loss", ""),
    Column("online, a batch", "online", _BATCH),
    Column("offline, a batch", "offline", _BATCH),
    Column("rounds, a batch", "rounds", _BATCH),
    Column("lan, a batch", "lan", _BATCH),
    Column("wan, a batch", "wan", _BATCH),
    Column("online, whole run", "online", _RUN),
    Column("offline, whole run", "offline", _RUN),
    Column("training, lan", "train lan", _RUN),
    Column("training, wan", "train wan", _RUN),
    Column("processor time (to plain)", "processor", _RUN),
    *(Column(f"{role} sees", role, "Seen in the clear", wordy=True) for role in ROLES),
)
"""Of `texts`, after the value; see `columns_of`."""


def columns_of(comparison: StoredComparison) -> tuple[Column, ...]:
    """`COLUMNS`, and the accuracy where there are more than two classes."""
    if not _many_classes(comparison):
        return COLUMNS
    return (COLUMNS[0], Column("accuracy", "accuracy", _BATCH), *COLUMNS[1:])


def _many_classes(comparison: StoredComparison) -> bool:
    return any("accuracy" in run.summary["metrics"] for _, runs in comparison.runs for run in runs.values())


def numbers(comparison: StoredComparison) -> pd.DataFrame:
    """A row for every value.

    Columns: value, label (with the sign of what is modelled), protocol, modelled, auc, with more than two
    classes accuracy, loss_test; the payload
    of one training batch and of the whole run by phase, rounds of the batch; virtual seconds of the batch and
    of the whole training, what comes before the first batch included, on each preset; processor seconds of
    the simulation and of the plain network (the lower ones of both presets, which do the same work) and their
    ratio; for each role what it learned in the clear, with counts.
    """
    frame = pd.DataFrame([_row(value, runs) for value, runs in comparison.runs])
    if comparison.note.key.split(".")[0] in ("protocol", "compute"):  # the same plain network every time
        frame["plain_processor_s"] = frame["plain_processor_s"].min()
    ratio = frame["simulation_processor_s"] / frame["plain_processor_s"]
    frame.insert(list(frame).index("plain_processor_s") + 1, "processor_ratio", ratio)
    if comparison.note.key != _FIRST_LAYER and frame["protocol"].nunique() > 1:
        frame["label"] += " · " + frame["protocol"]
    frame["label"] += np.where(frame["modelled"], f" {SIGN}", "")
    return frame


def _row(value: object, runs: Mapping[str, Told]) -> dict[str, Any]:
    one = next(iter(runs.values()))
    summary, batch = one.summary, one.summary["traffic"]["one_batch"]
    by_phase = summary["traffic"]["by_phase"]
    return {
        "value": written(value),
        "label": written(value),
        "protocol": summary["protocol"],
        "modelled": bool(summary["modelled"]),
        "auc": summary["metrics"]["auc"],
        **{name: value for name, value in summary["metrics"].items() if name == "accuracy"},
        "loss_test": summary["metrics"]["loss_test"],
        **{f"batch_{phase}_bytes": batch[f"{phase}_payload_bytes"] for phase in ("online", "offline")},
        "batch_rounds": batch["rounds"],
        **{f"batch_s_{name}": run.summary["traffic"]["one_batch"]["seconds"] for name, run in runs.items()},
        **{f"run_{phase}_bytes": by_phase[phase]["payload_bytes"] for phase in ("online", "offline")},
        **{f"train_s_{name}": _training(run.summary["time"]) for name, run in runs.items()},
        **{
            f"{what}_processor_s": min(run.summary["time"][f"{what}_processor_s"] for run in runs.values())
            for what in ("simulation", "plain")
        },
        **{role.replace(" ", "_"): _counted(seen) for role, seen in learned(one).items()},
    }


def _training(time: Mapping[str, float]) -> float:
    """Virtual seconds from the start to the last training batch's end, without predictions between."""
    return time["setup_s"] + time["train_s"]


def learned(run: Told) -> dict[str, dict[str, int] | None]:
    """Role -> what it was sent in the clear and how many numbers of it; None where nobody has the role."""
    views, owner = run.summary["views"], run.scenario.data.label_owner
    others: dict[str, int] = {}
    for party, view in views.items():
        if party not in (SERVER, DEALER, owner):
            for what, count in view["clear"].items():
                others[what] = others.get(what, 0) + count
    clear = {party: dict(view["clear"]) for party, view in views.items()}
    return dict(zip(ROLES, (clear.get(SERVER), clear.get(owner), others, clear.get(DEALER)), strict=True))


def _counted(seen: Mapping[str, int] | None) -> str:
    if seen is None:
        return "–"
    return "; ".join(f"{what} ({count})" for what, count in seen.items()) or "nothing"


def screens(comparison: StoredComparison) -> Iterator[tuple[str, list[str], list[list[str]]]]:
    """The table in parts that fit a screen: title, headings, and a row for every value."""
    rows, columns = texts(comparison), columns_of(comparison)
    for title in dict.fromkeys(column.table for column in columns if column.table):
        chosen = [place for place, column in enumerate(columns) if column.table == title]
        heads = [comparison.note.key, *(columns[place].short for place in chosen)]
        yield title, heads, [[row[0], *(row[1 + place] for place in chosen)] for row in rows]


def texts(comparison: StoredComparison) -> list[list[str]]:
    """A row for every value: its label and a text for each of `columns_of`."""
    rows, accuracy = [], ["accuracy"] if _many_classes(comparison) else []
    records = numbers(comparison).to_dict("records")
    for row, (_, runs) in zip(records, comparison.runs, strict=True):
        seen = learned(next(iter(runs.values())))
        rows.append(
            [
                str(row["label"]),
                *(in_digits(row[name], 4) for name in ("auc", *accuracy)),
                in_digits(row["loss_test"], 5),
                size(row["batch_online_bytes"]),
                size(row["batch_offline_bytes"]),
                str(row["batch_rounds"]),
                span(row["batch_s_lan"]),
                span(row["batch_s_wan"]),
                size(row["run_online_bytes"]),
                size(row["run_offline_bytes"]),
                span(row["train_s_lan"]),
                span(row["train_s_wan"]),
                f"{span(row['simulation_processor_s'])} ({three_digits(row['processor_ratio'])}×)",
                *("–" if what is None else ", ".join(what) or "nothing" for what in seen.values()),
            ]
        )
    return rows


def notes(comparison: StoredComparison) -> list[str]:
    """What must be known to read the table, a paragraph each."""
    return [
        "Bytes, rounds and times are as for the figure. Training takes from the start, with what is sent "
        "once for all batches, to the end, without predictions; the whole run has them in it. Processor time "
        "is that of the simulated protocol alone, all parties, arithmetic and accounts, measured where they "
        "were run (the lower one of both presets); in brackets its ratio to that of the plain network on "
        "the same batches. "
        "What a role sees is what it was sent in the clear, its own data aside; – where nobody has the role.",
        *footnotes(comparison),
    ]


def caption(comparison: StoredComparison) -> str:
    """How the numbers of the figure came about."""
    scenario, note = comparison.scenario, comparison.note
    data, train = comparison.first.summary["data"], scenario.train
    facts = {
        "train.seed": f"seed {train.seed}",
        "data.holders": f"{data['holders']} holders",
        _FIRST_LAYER: f"first layer {scenario.protocol.first_layer}",
        "train.epochs": f"{train.epochs} epoch{'s' * (train.epochs > 1)}",
        "train.batch_size": f"batches of {train.batch_size:,}",
    }
    fixed = ", ".join(fact for key, fact in facts.items() if key != note.key)
    source = "" if note.key == "data.source" else f" {data_line(data)}"
    return (
        f"Scenario {scenario.name} by {note.key}, a run on each of {_presets()}; {fixed}.{source} "
        f"{_bytes_line(comparison)} {VIRTUAL}: ideal links; {machine_line(scenario.compute)}. Processor time "
        f"is measured: simulating the whole protocol, over training the plain network on the same batches."
        + modelled_line(comparison.modelled)
    )


def _bytes_line(comparison: StoredComparison) -> str:
    rows = {
        run.summary["traffic"]["one_batch"]["rows"] for _, runs in comparison.runs for run in runs.values()
    }
    of = f" of {min(rows):,} rows" if len(rows) == 1 else ""
    return (
        f"Bytes are payload, counted message by message. A batch is the second training batch{of}: the bytes "
        "of its messages, the rounds of its online phase, the virtual time until the next one begins."
    )


def _presets() -> str:
    told = [
        f"{name} ({rate(PRESETS[name].bandwidth)}, {span(PRESETS[name].latency)})" for name in ("lan", "wan")
    ]
    return f"the presets {' and '.join(told)}"


def footnotes(comparison: StoredComparison) -> Iterator[str]:
    """What is modelled, left aside and left out."""
    for value, runs in comparison.runs:
        if modelled := next(iter(runs.values())).summary["modelled"]:
            told = "; ".join(modelled)
            yield f"{SIGN} {written(value)}, modelled: {told}. Its processor time is without that."
    if aside := comparison.note.aside:
        yield f"The presets stand in place of the scenario's own {', '.join(aside)}."
    for value, reason in comparison.note.left_out.items():
        yield f"Left out: {value} ({reason})."
