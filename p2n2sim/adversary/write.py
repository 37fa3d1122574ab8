"""What attacks came to: as a table, and as JSON and CSV in files that replace no others."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from p2n2sim.adversary.attack import Attacked
from p2n2sim.adversary.kinds import QUERIES, Asked
from p2n2sim.attacks.result import Finding, Score
from p2n2sim.folder import writing

NAME = "attacks"


def save_attacks(attacked: Attacked, tree: dict[str, Any], folder: Path) -> Path:
    """Writes ``attacks.json`` and ``attacks.csv`` into a folder, numbered where there are some already.

    Args:
        attacked: what was found.
        tree: as of `to_tree`.
        folder: is made if there is none.

    Returns:
        The JSON file.

    Raises:
        InputError: they cannot be written.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        number, name = 1, NAME
        while any((folder / f"{name}{suffix}").exists() for suffix in (".json", ".csv")):
            number += 1
            name = f"{NAME}-{number}"
        for suffix, text in ((".csv", to_csv(attacked.findings)), (".json", to_json(tree))):
            unfinished = folder / f".{name}{suffix}"
            unfinished.write_text(text, "utf-8")
            unfinished.replace(folder / f"{name}{suffix}")
    return folder / f"{name}.json"


def tables(attacked: Attacked) -> RenderableType:
    """A table for every finding, the strongest attack first, the others, floors and bounds below."""
    parts: list[RenderableType] = []
    for finding in attacked.findings:
        parts += [_title(finding), _table(finding), *(Text(f"  {note}.") for note in finding.notes), Text("")]
    parts += [Text(f"left out: {sentence}") for sentence in attacked.left_out]
    return Group(*parts)


def _title(finding: Finding) -> Text:
    first = finding.headline
    return Text(
        f"{finding.kind} by {finding.adversary}: {finding.target}\n"
        f"strongest: {first.attack}, {finding.measure} {_shown(first.metrics[finding.measure])}, "
        f"knowing {first.assumes}",
        style="bold",
        no_wrap=True,
        overflow="ignore",
    )


def _table(finding: Finding) -> Table:
    first = finding.headline
    table = Table(box=None, pad_edge=False)
    table.add_column("", no_wrap=True)
    metrics = list(first.metrics)
    for name in metrics:
        table.add_column(name.replace("_", " "), justify="right")
    others = [score for score in finding.scores if score is not first]
    for score in (first, *others):
        _row(table, score, metrics, score.attack, style="bold" if score is first else "")
    for part, scores in (("floor", finding.floors), ("bound", finding.bounds)):
        for score in scores:
            _row(table, score, metrics, f"{part}: {score.attack}", style="italic")
    return table


def _row(table: Table, score: Score, metrics: Sequence[str], name: str, *, style: str) -> None:
    values = [_shown(score.metrics[metric]) if metric in score.metrics else "" for metric in metrics]
    table.add_row(name, *values, style=style)


def _shown(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.4f}" if 1e-3 <= abs(value) < 1e4 else f"{value:.3g}"


def to_tree(attacked: Attacked, folder: Path, asked: Asked) -> dict[str, Any]:
    """What `attacks.json` says.

    Args:
        attacked: what was found.
        folder: of the run.
        asked: with what.
    """
    findings = attacked.findings
    return {
        "run": folder.resolve().name,
        "data": attacked.source,
        "stand_in": attacked.stand_in,
        "leaked": asked.leaked,
        "seed": asked.seed,
        "property": asked.prop,
        "shadow_models": asked.shadows if any(f.adversary == QUERIES for f in findings) else 0,
        "findings": [_finding(finding) for finding in findings],
        "left_out": attacked.left_out,
    }


def _finding(finding: Finding) -> dict[str, Any]:
    first = finding.headline
    return {
        "kind": finding.kind,
        "adversary": finding.adversary,
        "target": finding.target,
        "headline": {
            "attack": first.attack,
            "assumes": first.assumes,
            "measure": finding.measure,
            "lower_is_stronger": finding.lower_is_stronger,
            "value": _cleaned(first.metrics[finding.measure]),
            "metrics": _cleaned(dict(first.metrics)),
        },
        **{part: [_score(score) for score in scores] for part, scores in _parts(finding)},
        "notes": list(finding.notes),
        **_cleaned(dict(finding.details)),
    }


def _score(score: Score) -> dict[str, Any]:
    return {"attack": score.attack, "assumes": score.assumes, "metrics": _cleaned(dict(score.metrics))}


def _parts(finding: Finding) -> Iterator[tuple[str, Sequence[Score]]]:
    yield "scores", finding.scores
    yield "floors", finding.floors
    yield "bounds", finding.bounds


def _cleaned(values: Any) -> Any:
    """JSON has neither infinities nor NaN: they become null."""
    if isinstance(values, dict):
        return {name: _cleaned(value) for name, value in values.items()}
    if isinstance(values, list):
        return [_cleaned(value) for value in values]
    return None if isinstance(values, float) and not math.isfinite(values) else values


def to_csv(findings: Sequence[Finding]) -> str:
    """A row for every metric of every score, floor and bound."""
    text = io.StringIO()
    out = csv.writer(text, lineterminator="\n")
    out.writerow(["kind", "adversary", "target", "is", "attack", "assumes", "metric", "value", "headline"])
    for finding in findings:
        for part, scores in _parts(finding):
            for score in scores:
                for metric, value in score.metrics.items():
                    first = score is finding.headline and metric == finding.measure
                    about = (finding.kind, finding.adversary, finding.target, part.removesuffix("s"))
                    out.writerow(
                        [*about, score.attack, score.assumes, metric, repr(float(value)), int(first)]
                    )
    return text.getvalue()


def to_json(tree: dict[str, Any]) -> str:
    """As it is written and shown."""
    return json.dumps(tree, indent=2, allow_nan=False) + "\n"
