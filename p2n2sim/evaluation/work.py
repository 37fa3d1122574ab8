"""Makes the planned runs and what is calculated on them, on all cores; what is there is not made again."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from p2n2sim import folder
from p2n2sim.errors import InputError, P2N2SimError
from p2n2sim.evaluation.item import Calculation, Evidence, Finished
from p2n2sim.evaluation.plan import PlannedItem, PlannedRun
from p2n2sim.evaluation.program import program
from p2n2sim.processes import Call, call_all
from p2n2sim.run import run
from p2n2sim.scenario.load import parse, to_toml

_MARK = "evaluation.txt"
_SAYS = "What an evaluation has run and calculated so far; it goes on from here. It may be deleted.\n"

OnEnd = Callable[[str, int, int], object]
"""Is told what has been finished, how much is, and how much there is."""


class EvaluationError(P2N2SimError):
    """Some runs failed; those that did not are kept."""


def claim(work: Path) -> bool:
    """Makes the folder in which runs are kept.

    Returns:
        Whether what is there was last used by another program, whose runs are not used by this one.

    Raises:
        InputError: something else is there, or it cannot be written.
    """
    remedy = "name another folder with --work"
    with folder.writing(work, remedy):
        if work.exists() and not (work / _MARK).is_file() and (not work.is_dir() or any(work.iterdir())):
            raise InputError(str(work), "it is there and holds no runs of an evaluation", remedy)
        work.mkdir(parents=True, exist_ok=True)
        mark, says = work / _MARK, f"{_SAYS}program: {program()}\n"
        others = mark.is_file() and mark.read_text("utf-8") != says
        mark.write_text(says, "utf-8")
    return others


def finish(
    planned: Sequence[PlannedItem], *, data_dir: Path | None, jobs: int | None, on_end: OnEnd
) -> list[Evidence]:
    """Makes what is missing.

    Args:
        planned: the items.
        data_dir: where to look for data files first.
        jobs: how many processes at a time, by default one a core.
        on_end: is told of everything that is finished.

    Returns:
        For every item its finished runs.

    Raises:
        InputError: a run cannot be made.
        EvaluationError: runs failed.
    """
    runs = list({run.folder: run for item in planned for own in item.runs.values() for run in own}.values())
    found = {path: (step, run) for run in runs for step, path in run.steps}
    total = len(runs) + len(found)
    done = sum(folder.is_finished(run.folder) for run in runs) + sum(path.is_file() for path in found)
    if done:
        on_end("finished before", done, total)
    missing = [run for run in runs if not folder.is_finished(run.folder)]
    calls: list[Call] = [(_run, (to_toml(run.scenario), run.folder, data_dir)) for run in missing]
    done = _call(calls, [run.name for run in missing], done, total, jobs, on_end)
    left = [(path, step, run) for path, (step, run) in found.items() if not path.is_file()]
    calls = [
        (_calculate, (step.calculate, run.folder, data_dir, step.options, path)) for path, step, run in left
    ]
    _call(calls, [f"{run.name}: {step.name}" for _, step, run in left], done, total, jobs, on_end)
    return [{name: [_finished(run) for run in own] for name, own in item.runs.items()} for item in planned]


def _call(
    calls: Sequence[Call], names: Sequence[str], done: int, total: int, jobs: int | None, on_end: OnEnd
) -> int:
    """Makes calls; returns how many things are finished then."""
    failures: list[tuple[str, P2N2SimError]] = []

    def ended(number: int, error: P2N2SimError | None) -> None:
        nonlocal done
        if error is not None:
            failures.append((names[number], error))
            return
        done += 1
        on_end(names[number], done, total)

    if calls:
        call_all(calls, jobs=jobs, on_end=ended)
    if failures:
        name, error = failures[0]
        kept = f"{len(failures)} of {total} runs and calculations failed, the others are kept"
        if isinstance(error, InputError):
            raise InputError(f"{name}: {error.where}", error.found, f"{error.remedy} ({kept})")
        raise EvaluationError(f"{name}: {error} ({kept})")
    return done


def _finished(run: PlannedRun) -> Finished:
    found = {step.name: json.loads(path.read_text("utf-8")) for step, path in run.steps}
    return Finished(run.name, run.folder, run.values, found)


def _run(toml: str, path: Path, data_dir: Path | None) -> None:
    """In another process: a run on one thread."""
    scenario = parse(tomllib.loads(toml), path.name)
    result = run(scenario, data_dir=data_dir, threads=1)
    folder.save(result, path, views=result.views)


def _calculate(
    calculate: Calculation, source: Path, data_dir: Path | None, options: Mapping[str, Any], path: Path
) -> None:
    """In another process: a calculation, whose result appears when it is complete."""
    result = json.dumps(calculate(source, data_dir, options), indent=1) + "\n"
    with folder.writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f".{path.name}.unfinished")
        unfinished.write_text(result, "utf-8")
        unfinished.rename(path)
