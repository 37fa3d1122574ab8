"""Finished items -> the report: a README, a page, figures with numbers, and what every run says of itself."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from p2n2sim import folder
from p2n2sim.evaluation.item import ATTACKS, PICTURES, Edition, Evidence, Finished, Item, Table
from p2n2sim.report.build import FIGURES, PAGE, README, check_free, environment, write_exhibit
from p2n2sim.report.text import without_folders
from p2n2sim.scenario.load import to_toml

RUNS = "runs"


def check_out(out: Path, edition: Edition) -> None:
    """Checks that a report may be written to a folder.

    Raises:
        InputError: something else is there.
    """
    check_free(out, edition.command, besides=[RUNS])
    folder.check_writable(out)


def render(
    edition: Edition, items: Sequence[Item], evidence: Sequence[Evidence], out: Path, *, quick: bool
) -> Path:
    """Writes the report; one that is there is replaced.

    Args:
        edition: what the report is of.
        items: the items, in the order in which they are to appear.
        evidence: the finished runs of each.
        out: where to.
        quick: whether there were fewer repeats.

    Returns:
        The path of the page.

    Raises:
        InputError: something else is there, or it cannot be written.
    """
    check_out(out, edition)
    unfinished = out.with_name(f".{out.name}.unfinished")
    with folder.writing(out):
        shutil.rmtree(unfinished, ignore_errors=True)
        (unfinished / FIGURES).mkdir(parents=True)
        runs = {run.name: run for found in evidence for own in found.values() for run in own}
        for run in runs.values():
            _keep(run, unfinished / RUNS / run.name)
        sections = [_section(item, found, unfinished) for item, found in zip(items, evidence, strict=True)]
        warnings = [*(_QUICK for _ in range(quick)), *_warnings(list(runs.values()))]
        templates = environment("p2n2sim.evaluation")
        for template, name in (("evaluation.html.j2", PAGE), ("evaluation.md.j2", README)):
            text = templates.get_template(template).render(
                edition=edition, warnings=warnings, sections=sections
            )
            (unfinished / name).write_text(text, "utf-8")
        if out.exists():
            shutil.rmtree(out)
        unfinished.rename(out)
    return out / PAGE


_QUICK = "This is a quick evaluation: fewer repeats, epochs and points than the scenario files have."


def _warnings(runs: Sequence[Finished]) -> list[str]:
    data = [run.summary["data"] for run in runs]
    stand_ins = dict.fromkeys(without_folders(str(one["name"])) for one in data if one["stand_in"])
    return [f"STAND-IN data, not the published set, for: {', '.join(stand_ins)}."] if stand_ins else []


def _keep(run: Finished, target: Path) -> None:
    """What is small of a run folder, without paths of this machine."""
    target.mkdir(parents=True)
    told = run.told
    (target / folder.SUMMARY).write_text(without_folders(folder.to_json(told.summary)), "utf-8")
    (target / "scenario.toml").write_text(without_folders(to_toml(told.scenario)), "utf-8")
    if (attacks := run.found.get(ATTACKS)) is not None:
        kept = {name: value for name, value in attacks.items() if name != PICTURES}
        (target / "attacks.json").write_text(without_folders(folder.to_json(kept)), "utf-8")


def _section(item: Item, evidence: Evidence, out: Path) -> dict[str, Any]:
    """What the templates say of an item; writes its figures and numbers."""
    section = item.present(evidence)
    for table in section.tables:
        _write_numbers(table, out / FIGURES)
    return {
        "name": item.name,
        "title": item.title,
        "verdict": section.verdict,
        "paper": section.paper,
        "tables": section.tables,
        "exhibits": [write_exhibit(exhibit, out / FIGURES) for exhibit in section.exhibits],
        "notes": section.notes,
        "files": [source.file for source in item.sources],
        "runs": [run.name for own in evidence.values() for run in own],
    }


def _write_numbers(table: Table, figures: Path) -> None:
    table.numbers.to_csv(figures / f"{table.name}.csv", index=False, lineterminator="\n")
