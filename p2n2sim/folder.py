"""A run folder: written whole or not at all."""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from p2n2sim.checkpoint import SCENARIO, holds_any, write_scenario
from p2n2sim.errors import InputError, P2N2SimError
from p2n2sim.report.picture import draw
from p2n2sim.report.tables import Recorded
from p2n2sim.scenario.kept import load_kept, to_file
from p2n2sim.scenario.sections import Scenario
from p2n2sim.simulate import Outcome
from p2n2sim.summary import batches_frame
from p2n2sim.views import FOLDER

SUMMARY = "summary.json"


def is_finished(path: Path) -> bool:
    """Whether a folder holds a finished run: the summary only ever appears with everything else."""
    return (path / SUMMARY).is_file()


def check_free(path: Path, *, force: bool = False) -> None:
    """Checks that a run may be written to a folder, before the work is done.

    Raises:
        InputError: something is there, and it is no run or may not be replaced.
    """
    remedy = "name another folder with --out"
    with writing(path):
        if Path.cwd().is_relative_to(path.resolve()):
            raise InputError(str(path), "this is the working directory, or around it", remedy)
        check_writable(path)
        if not path.exists() or (path.is_dir() and not any(path.iterdir())):
            return
        if not path.is_dir() or not is_finished(path):
            raise InputError(str(path), "it is there and holds no finished run", remedy)
    if not force:
        raise InputError(str(path), "it already holds a run", f"{remedy}, or add --force")


def check_writable(path: Path) -> None:
    """Checks that a folder can be made where there may be none yet.

    Raises:
        InputError: what is there already of its path is no directory, or may not be written to.
    """
    above = path.absolute().parent
    while not above.exists():
        above = above.parent
    if not above.is_dir():
        raise InputError(str(path), f"{above} is no directory", "name another folder with --out")
    if not os.access(above, os.W_OK | os.X_OK):
        raise InputError(str(path), f"{above} may not be written to", "name another folder with --out")


@contextlib.contextmanager
def writing(path: Path, remedy: str = "name another folder with --out") -> Iterator[None]:
    """Turns the errors of the file system into ones that name the folder, or a file.

    Raises:
        InputError: instead of an OSError.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(str(path), f"it cannot be written ({reason})", remedy) from error


def save(
    run: Recorded,
    path: Path | str,
    *,
    force: bool = False,
    views: Mapping[str, Mapping[str, NDArray[Any]]] = MappingProxyType({}),
) -> Path:
    """Writes a run folder.

    It holds ``summary.json``, ``scenario.toml`` (resolved: running it again gives the same bytes),
    ``ledger.parquet``, ``metrics.parquet``, ``batches.parquet``, ``compute.parquet``, ``events.parquet`` and
    ``picture.png``. Everything is written beside the folder first and moved there at once.

    Args:
        run: a finished run, a `p2n2sim.run.Run` for example.
        path: the folder.
        force: replace a finished run that is there.
        views: files of the folder ``views`` -> their arrays; there is no such folder if there are none.

    Raises:
        InputError: something else is there.
    """
    path = Path(path)
    check_free(path, force=force)
    target = path.resolve()  # where a symbolic link leads
    with writing(path):
        unfinished = _empty(target.with_name(f".{target.name}.unfinished"))
        try:
            _write_views(views, unfinished / FOLDER)
            _write(run, unfinished)
            _replace(unfinished, target)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)  # nothing is left of it after success
    return path


def _write(run: Recorded, folder: Path) -> None:
    run.ledger.to_parquet(folder / "ledger.parquet", index=False)
    run.metrics.to_parquet(folder / "metrics.parquet", index=False)
    run.batches.to_parquet(folder / "batches.parquet", index=False)
    run.compute.to_parquet(folder / "compute.parquet", index=False)
    run.events.to_parquet(folder / "events.parquet", index=False)
    (folder / SCENARIO).write_bytes(to_file(run.scenario))
    (folder / "picture.png").write_bytes(draw(run))
    (folder / SUMMARY).write_text(to_json(run.summary), "utf-8")


def _write_views(views: Mapping[str, Mapping[str, NDArray[Any]]], folder: Path) -> None:
    if views:
        folder.mkdir()
    for name, arrays in views.items():
        of_any: Any = arrays
        np.savez(folder / f"{name}.npz", **of_any)


def to_json(summary: Mapping[str, Any]) -> str:
    """A summary as `summary.json` and the command line have it.

    Training that diverged ends in infinities and NaN, which JSON cannot say: they become null.
    """
    return json.dumps(_finite(summary), indent=2, allow_nan=False) + "\n"


def _finite(value: object) -> object:
    if isinstance(value, Mapping):
        return {name: _finite(item) for name, item in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def save_interrupted(scenario: Scenario, outcome: Outcome, path: Path) -> Path:
    """Keeps what an interrupted run has computed, in a folder beside the one that it was meant for.

    It has no summary, so it cannot be taken for a finished run.

    Raises:
        InputError: it cannot be written.
    """
    kept = next_free(path.with_name(f"{path.name}.interrupted"))
    with writing(kept):
        kept.mkdir(parents=True)
        (kept / SCENARIO).write_bytes(to_file(scenario))
        outcome.ledger.frame().to_parquet(kept / "ledger.parquet", index=False)
        batches_frame(outcome).to_parquet(kept / "batches.parquet", index=False)
        outcome.compute_frame().to_parquet(kept / "compute.parquet", index=False)
        outcome.events.to_parquet(kept / "events.parquet", index=False)
    return kept


def working_folder(path: Path) -> Path:
    """Where a run that is to end in a folder keeps what it needs to go on after it was killed."""
    return path.with_name(f"{path.name}.partial")


@contextlib.contextmanager
def working_on(scenario: Scenario, path: Path, *, force: bool = False) -> Iterator[Path]:
    """The working folder of a run; it goes when the run is over, but stays if the run is interrupted.

    Args:
        scenario: what is run.
        path: the folder that the run is meant for.
        force: begin anew if an interrupted run is there.

    Raises:
        InputError: an interrupted run is there, or the folder cannot be written.
    """
    folder = working_folder(path)
    with writing(folder):
        if folder.exists() and not force:
            raise InputError(
                str(folder),
                "an interrupted run is there",
                f"go on with: p2n2sim run --resume {path}, name another folder with --out, or add --force",
            )
        if force:
            shutil.rmtree(folder, ignore_errors=True)
        made = [above for above in folder.parents if not above.exists()]
        folder.mkdir(parents=True)
        write_scenario(folder, scenario)
    try:
        with _until_over(folder):
            yield folder
    except InputError:
        with contextlib.suppress(OSError):  # it holds something
            for above in made:
                above.rmdir()
        raise


@contextlib.contextmanager
def resuming(path: Path) -> Iterator[tuple[Scenario, Path]]:
    """The scenario and the working folder of an interrupted run, as `working_on` left them.

    Raises:
        InputError: there is none, or its scenario is not as it was written.
    """
    folder = working_folder(path)
    if not (folder / SCENARIO).is_file():
        found = (
            "it holds a finished run"
            if is_finished(path)
            else "no run with checkpoints was interrupted there"
        )
        raise InputError(str(path), found, "name the folder of a run with train.checkpoint_every")
    scenario = load_kept(folder / SCENARIO)
    with _until_over(folder, resumed=True):
        yield scenario, folder


@contextlib.contextmanager
def _until_over(folder: Path, *, resumed: bool = False) -> Iterator[None]:
    """Removes a working folder when its run has ended, or failed as it always would."""
    try:
        yield
    except P2N2SimError as error:
        again = isinstance(error, InputError)  # a full disk, missing data: it may go better next time
        if not again or not (resumed or holds_any(folder)):
            shutil.rmtree(folder, ignore_errors=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)


def next_free(path: Path) -> Path:
    """The path itself, or with the first number behind it that is not taken."""
    number, free = 1, path
    while free.exists() or working_folder(free).exists():
        number += 1
        free = path.with_name(f"{path.name}-{number}")
    return free


def read_summary(path: Path) -> pd.Series:
    """The scalars of a run's summary, named like ``time.train_s``."""
    flat = pd.json_normalize(json.loads((path / SUMMARY).read_text("utf-8")), sep=".").iloc[0]
    return flat[[not isinstance(value, (list, dict)) for value in flat]]


def _empty(path: Path) -> Path:
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    return path


def _replace(source: Path, target: Path) -> None:
    if not target.exists():
        source.rename(target)
        return
    old = target.with_name(f".{target.name}.replaced")
    shutil.rmtree(old, ignore_errors=True)
    target.rename(old)
    source.rename(target)
    shutil.rmtree(old)
