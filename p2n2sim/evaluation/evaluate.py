"""An evaluation: plan, run what is missing, render."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from p2n2sim.evaluation.item import Edition, Item
from p2n2sim.evaluation.plan import plan
from p2n2sim.evaluation.render import check_out, render
from p2n2sim.evaluation.work import OnEnd, claim, finish


def evaluate(
    edition: Edition,
    items: Sequence[Item],
    out: Path,
    *,
    work: Path,
    scenarios: Path,
    quick: bool = False,
    data_dir: Path | None = None,
    jobs: int | None = None,
    on_end: OnEnd = lambda name, done, total: None,
    on_other_program: Callable[[], object] = lambda: None,
) -> Path:
    """Makes what is missing of an evaluation and writes its report.

    Args:
        edition: what the report is of.
        items: what to evaluate.
        out: the report's folder; a report of an evaluation that is there is replaced.
        work: where finished runs are kept; what this program has run there is not run again.
        scenarios: the folder of the items' scenario files.
        quick: fewer repeats, epochs and points.
        data_dir: where to look for data files first.
        jobs: how many processes at a time, by default one a core.
        on_end: told of everything that is finished.
        on_other_program: told if another program was the last to keep runs there, which are not used.

    Returns:
        The path of the page.

    Raises:
        InputError: a folder holds something else, or a scenario or its data cannot be used.
        EvaluationError: runs failed.
    """
    check_out(out, edition)
    planned = plan(items, scenarios, work, quick=quick, data_dir=data_dir)
    if claim(work):
        on_other_program()
    evidence = finish(planned, data_dir=data_dir, jobs=jobs, on_end=on_end)
    return render(edition, items, evidence, out, quick=quick)
