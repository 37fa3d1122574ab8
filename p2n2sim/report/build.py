"""Run and sweep folders -> a self-contained page, a README, and the numbers behind each figure."""

from __future__ import annotations

import html
import shutil
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined, select_autoescape

from p2n2sim.errors import InputError
from p2n2sim.report import style
from p2n2sim.report.bars import side_by_side
from p2n2sim.report.comparison import columns_of, notes, texts
from p2n2sim.report.figures import Exhibit, of_run, of_sweep
from p2n2sim.report.read import Stored, StoredComparison, StoredRun, StoredSweep, read
from p2n2sim.report.text import size, span, without_folders
from p2n2sim.summary import in_digits, privacy_sentence

MARKER = "p2n2sim report"
PAGE, README, FIGURES = "index.html", "README.md", "figures"


def build(folders: Sequence[Path], out: Path) -> Path:
    """Writes a report.

    ``index.html`` needs no other file. ``README.md`` shows the same on a code host. ``figures/`` has every
    figure as SVG and PNG, with a CSV of its numbers. The bytes depend on the folders' contents alone.

    Args:
        folders: run and sweep folders, in the order in which they are to appear.
        out: where to; a report that is there is replaced.

    Returns:
        The path of the page.

    Raises:
        InputError: a folder cannot be read, two have the same name, or something else is at `out`.
    """
    check_free(out)
    unfinished = out.with_name(f".{out.name}.unfinished")
    _render(folders, unfinished)
    if out.exists():
        shutil.rmtree(out)
    unfinished.rename(out)
    return out / PAGE


def build_within(folder: Path) -> Path:
    """Renders a folder into itself: the page and what goes with it lie beside what they were made of.

    Returns:
        The path of the page.

    Raises:
        InputError: the folder cannot be read.
    """
    unfinished = folder / ".report.unfinished"
    _render([folder], unfinished)
    shutil.rmtree(folder / FIGURES, ignore_errors=True)
    for name in (FIGURES, README, PAGE):
        (unfinished / name).rename(folder / name)
    unfinished.rmdir()
    return folder / PAGE


def _render(folders: Sequence[Path], out: Path) -> None:
    """Writes a report's files to a new folder."""
    stored = [read(folder) for folder in folders]
    names = [item.name for item in stored]
    for name in names:
        if names.count(name) > 1:
            raise InputError(
                name, "two folders hold a scenario of this name", "report them apart, or rename one"
            )
    shutil.rmtree(out, ignore_errors=True)
    (out / FIGURES).mkdir(parents=True)
    sections = [_section(item, out / FIGURES) for item in stored]
    runs = [item if isinstance(item, StoredRun) else item.first for item in stored]
    templates = environment()
    for template, name in (("page.html.j2", PAGE), ("readme.md.j2", README)):
        text = templates.get_template(template).render(
            marker=MARKER,
            sections=sections,
            results=_results(stored),
            accuracy=any("accuracy" in r.summary["metrics"] for r in runs),
            stand_in=any(r.summary["data"]["stand_in"] for r in runs),
            modelled=any(r.summary["modelled"] if isinstance(r, StoredRun) else r.modelled for r in stored),
        )
        (out / name).write_text(text, "utf-8")


def check_free(out: Path, marker: str = MARKER, *, besides: Collection[str] = ()) -> None:
    """Checks that a report may be written to a folder.

    Args:
        out: the folder.
        marker: what the page of a report of this kind says of itself.
        besides: what such a report holds beside its page, its README and its figures.

    Raises:
        InputError: something else is there.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    page = out / PAGE
    said = f'name="generator" content="{marker}"'
    if not page.is_file() or said not in page.read_text("utf-8", errors="replace")[:2000]:
        raise InputError(str(out), "it is there and holds no report", "name another folder with --out")
    if others := sorted({path.name for path in out.iterdir()} - {PAGE, README, FIGURES, *besides}):
        raise InputError(str(out), f"beside a report it holds {others[0]}", "name another folder with --out")


def environment(*packages: str) -> Environment:
    """The templates of these packages, and of reports in general."""
    made = Environment(
        loader=ChoiceLoader([PackageLoader(package, ".") for package in (*packages, "p2n2sim.report")]),
        autoescape=select_autoescape(["html.j2"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters["span"] = span
    made.filters["size"] = size
    made.filters["in_digits"] = in_digits
    made.filters["cell"] = _cell
    return made


def _cell(text: object) -> str:
    """A text as a cell of a Markdown table."""
    return str(text).replace("|", "\\|")


def _section(item: Stored, figures: Path) -> dict[str, object]:
    """What the templates say of one folder; writes its figures."""
    table = None
    if isinstance(item, StoredComparison):
        exhibits, table = [side_by_side(item)], _comparison_rows(item)
    elif isinstance(item, StoredSweep):
        exhibits, table = list(of_sweep(item)), _sweep_rows(item)
    else:
        exhibits = list(of_run(item))
    return {
        "name": item.name,
        "title": without_folders(item.scenario.title or item.scenario.name),
        "summary": item.summary if isinstance(item, StoredRun) else None,
        "modelled": item.summary["modelled"] if isinstance(item, StoredRun) else item.modelled,
        "shadow": item.summary["shadow"] if isinstance(item, StoredRun) else [],
        "privacy": privacy_sentence(item.summary) if isinstance(item, StoredRun) else "",
        "views": _views(item) if isinstance(item, StoredRun) else None,
        "exhibits": [write_exhibit(exhibit, figures) for exhibit in exhibits],
        "table": table,
    }


def write_exhibit(exhibit: Exhibit, figures: Path) -> dict[str, str]:
    """Writes the files of one figure.

    Returns:
        What templates say of it: name, title, caption, and the drawing for a page.
    """
    svg = style.svg(exhibit.figure, exhibit.name)
    (figures / f"{exhibit.name}.svg").write_text(svg, "utf-8")
    (figures / f"{exhibit.name}.png").write_bytes(style.png(exhibit.figure, dpi=110))
    exhibit.table.to_csv(figures / f"{exhibit.name}.csv", index=False, lineterminator="\n")
    return {
        "name": exhibit.name,
        "title": exhibit.title,
        "caption": exhibit.caption,
        "svg": _themed(svg[svg.index("<svg") :], exhibit.title),
    }


def _themed(svg: str, title: str) -> str:
    """The figure with the page's colours instead of its own, and a name for those who cannot see it."""
    for name, colour in (
        ("ink", style.INK),
        ("muted", style.MUTED),
        ("grid", style.GRID),
        ("paper", style.PAPER),
    ):
        svg = svg.replace(colour, f"var(--{name})")
    return svg.replace("<svg ", f'<svg role="img" aria-label="{html.escape(title)}" ', 1)


def _results(stored: Sequence[Stored]) -> list[dict[str, object]]:
    """A row for every run; sweeps and comparisons have tables of their own."""
    return [{**item.summary, "name": item.name} for item in stored if isinstance(item, StoredRun)]


def _views(run: StoredRun) -> dict[str, list[Any]]:
    """What each party saw, as texts: in the clear, as uniform, and what it cannot read where there is any."""
    views = run.summary["views"]
    columns = {"clear": "in the clear (numbers)", "uniform": "uniformly random (elements)"}
    columns |= {
        how: title
        for how, title in (("encrypted", "encrypted (bytes)"), ("modelled", "modelled (bytes)"))
        if any(view[how] for view in views.values())
    }
    rows = [
        [
            party,
            *(
                "; ".join(f"{what} ({count:,})" for what, count in view[how].items()) or "nothing"
                for how in columns
            ),
        ]
        for party, view in views.items()
    ]
    return {"head": ["party", *columns.values()], "rows": rows}


def _sweep_rows(sweep: StoredSweep) -> dict[str, object]:
    """The sweep's table as texts."""
    columns: dict[str, tuple[str, Callable[[Any], str]]] = {
        "time.train_s": ("training, virtual s", lambda v: f"{v:.3f}"),
        "time.virtual_s": ("whole run, virtual s", lambda v: f"{v:.3f}"),
        "metrics.auc": ("AUC", lambda v: in_digits(v, 4)),
        "baseline.auc": ("AUC, plain", lambda v: in_digits(v, 4)),
        "metrics.accuracy": ("accuracy", lambda v: in_digits(v, 4)),
        "baseline.accuracy": ("accuracy, plain", lambda v: in_digits(v, 4)),
        "traffic.wire_bytes": ("on the wire", size),
        "traffic.messages": ("messages", lambda v: f"{v:,}"),
        "traffic.rounds": ("rounds", lambda v: f"{v:,}"),
        "time.wall_s": ("wall s", lambda v: f"{v:.1f}"),
    }
    table: pd.DataFrame = sweep.table
    columns = {name: column for name, column in columns.items() if name in table or "accuracy" not in name}
    rows = [
        [*(str(row[key]) for key in sweep.keys), *(form(row[name]) for name, (_, form) in columns.items())]
        for row in table.to_dict("records")
    ]
    return {"head": [*sweep.keys, *(title for title, _ in columns.values())], "rows": rows, "notes": []}


def _comparison_rows(comparison: StoredComparison) -> dict[str, object]:
    """The comparison's table as texts; the columns of words come last."""
    columns = columns_of(comparison)
    return {
        "head": [comparison.note.key, *(column.title for column in columns)],
        "rows": texts(comparison),
        "words_from": 1 + [column.wordy for column in columns].index(True),
        "notes": notes(comparison),
    }
