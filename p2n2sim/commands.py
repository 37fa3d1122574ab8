"""What each command does. Importing this takes seconds, because torch does."""

from __future__ import annotations

import contextlib
import json
import math
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from rich.console import Console

from p2n2sim import folder
from p2n2sim.adversary.attack import attack
from p2n2sim.adversary.kinds import Asked
from p2n2sim.adversary.write import save_attacks, tables, to_json, to_tree
from p2n2sim.assemble import assemble
from p2n2sim.auditing.audit import audit, audit_table, told
from p2n2sim.calibrate import measure, to_table
from p2n2sim.compare import compare, folder_name, plan
from p2n2sim.console import STAND_IN, RunProgress, comparison_tables, progress_bar, summary_tables
from p2n2sim.data.catalogue import catalogue
from p2n2sim.data.fetch import fetch_creditcard
from p2n2sim.errors import DeliveryError, InputError, PartyLostError
from p2n2sim.evaluation.evaluate import evaluate
from p2n2sim.evaluation.item import Edition, Item
from p2n2sim.evaluation.select import select
from p2n2sim.explore import OrderError, explore
from p2n2sim.gate import run_twice
from p2n2sim.report.build import build
from p2n2sim.report.comparison import footnotes, screens
from p2n2sim.report.read import StoredComparison, read, read_events
from p2n2sim.retime import on_network, retime
from p2n2sim.run import Silent, run
from p2n2sim.scenario.faults import said
from p2n2sim.scenario.inline import inline
from p2n2sim.scenario.load import points
from p2n2sim.scenario.sections import Scenario
from p2n2sim.simulate import Outcome
from p2n2sim.sweep import Point, sweep
from p2n2sim.trace.contents import contents
from p2n2sim.trace.critical import critical_path, divide
from p2n2sim.trace.scene import step_of
from p2n2sim.trace.story import tell
from p2n2sim.trace.tables import critical_tables
from p2n2sim.trace.write import CHARTS, WRITERS

RUNS = Path("runs")


def run_scenario(
    scenario: Scenario,
    out: Path | None,
    *,
    force: bool,
    data_dir: Path | None,
    threads: int | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Runs a scenario, writes the run folder (by default the next free one) and shows the summary."""
    target = out or folder.next_free(RUNS / scenario.name)
    folder.check_free(target, force=force)
    if scenario.train.checkpoint_every is None:
        _run(scenario, target, None, force, data_dir, threads, as_json, quiet, fixed=out is not None)
        return
    with folder.working_on(scenario, target, force=force) as working:
        _run(scenario, target, working, force, data_dir, threads, as_json, quiet)


def resume_run(
    target: Path, *, data_dir: Path | None, threads: int | None, as_json: bool, quiet: bool
) -> None:
    """Goes on with an interrupted run, from its last checkpoint or the beginning."""
    with folder.resuming(target) as (scenario, working):
        _run(scenario, target, working, True, data_dir, threads, as_json, quiet)


def _run(
    scenario: Scenario,
    target: Path,
    working: Path | None,
    force: bool,
    data_dir: Path | None,
    threads: int | None,
    as_json: bool,
    quiet: bool,
    *,
    fixed: bool = True,
) -> None:
    err, outcome = Console(stderr=True, quiet=quiet), Outcome()
    try:
        with progress_bar(err) as bar:
            progress = Silent() if quiet else RunProgress(err, bar)
            result = run(
                scenario,
                data_dir=data_dir,
                threads=threads,
                progress=progress,
                outcome=outcome,
                working=working,
            )
        if not fixed:
            target = folder.next_free(RUNS / scenario.name)  # another run may have come first
        folder.save(result, target, force=force, views=result.views)
    except (KeyboardInterrupt, DeliveryError, PartyLostError) as error:
        if outcome.ledger.rows:
            kept = folder.save_interrupted(scenario, outcome, target)
            _say(err, f"{_why(error)}; the {len(outcome.began)} batches so far are in {kept}")
        if working is not None and isinstance(error, KeyboardInterrupt):
            _say(err, f"p2n2sim run --resume {target} goes on")
        raise
    if as_json:
        write(folder.to_json(result.summary))
    elif not quiet:
        console = Console()
        console.print(summary_tables(result.summary))
        _say(console, f"\nrun folder: {target}\npicture:    {target / 'picture.png'}")


def _why(error: BaseException) -> str:
    if isinstance(error, PartyLostError):
        return f"{error.party} is lost"
    return "a message is lost" if isinstance(error, DeliveryError) else "interrupted"


def run_sweep(
    scenario: Scenario,
    out: Path | None,
    *,
    data_dir: Path | None,
    jobs: int | None,
    retimed: bool,
    quiet: bool,
) -> None:
    """Runs what is missing of a sweep."""
    target = out or RUNS / scenario.name
    with _showing_points(scenario, target, Console(stderr=True, quiet=quiet)) as show:
        table = sweep(scenario, target, data_dir=data_dir, jobs=jobs, retimed=retimed, on_point=show)
    if not quiet:
        _say(Console(), f"sweep folder: {target}\ntable:        {table}")


def retime_run(
    source: Path, network: str, out: Path | None, *, force: bool, as_json: bool, quiet: bool
) -> None:
    """Replays a run on other links, shows the summary, and writes a run folder where one is named."""
    if out is not None:
        folder.check_free(out, force=force)
    recorded = read_events(source)
    result = retime(recorded, on_network(recorded.scenario, network), str(source))
    if out is not None:
        folder.save(result, out, force=force)
    if as_json:
        write(folder.to_json(result.summary))
    elif not quiet:
        console = Console()
        console.print(summary_tables(result.summary))
        if out is not None:
            _say(console, f"\nrun folder: {out}\npicture:    {out / 'picture.png'}")


def trace_run(
    source: Path,
    files: Mapping[str, Path],
    *,
    batch: int | None,
    payload: bool,
    critical: bool,
    as_json: bool,
    data_dir: Path | None,
) -> None:
    """Writes what is asked for of a run, and shows what its virtual time consists of."""
    critical = critical or as_json
    if "sequence" in files and files["sequence"].suffix.lower() not in CHARTS:
        raise InputError(
            f"--sequence {files['sequence']}", "a chart is no such file", f"{' or '.join(CHARTS)} would do"
        )
    if payload and "pcapng" not in files:
        raise InputError("--payload", "there is no capture to put it into", "add --pcapng with a file")
    if not files and not critical:
        remedy = "add --perfetto, --sequence or --pcapng with a file, or --critical-path"
        raise InputError("trace", "there is nothing to do", remedy)
    run = read_events(source)
    story = tell(run)
    told = {}
    if payload:
        told = contents(run, story, step_of(run, batch), str(source), data_dir=data_dir)
    for kind, path in files.items():
        with folder.writing(path, remedy="name another file"):
            WRITERS[kind](run, story, path, batch=batch, contents=told)
        if not as_json:
            _say(Console(), f"{kind}: {path}")
    if not critical:
        return
    divided = divide(critical_path(story), run.batches)
    if as_json:
        write(json.dumps(divided, indent=2) + "\n")
    else:
        Console().print(critical_tables(divided))


def attack_run(
    source: Path,
    asked: Asked,
    *,
    wanted: Sequence[str],
    adversaries: Sequence[str],
    out: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Attacks a run, writes what that came to into its folder or another one, and shows it."""
    err = Console(stderr=True, quiet=quiet)
    with progress_bar(err) as bar:
        task, done = bar.add_task("attacking", total=None), 0

        def show(name: str) -> None:
            nonlocal done
            done += 1
            bar.update(task, completed=done, description=name)
            if not err.is_terminal:
                _say(err, name)

        attacked = attack(source, wanted=wanted, adversaries=adversaries, asked=asked, on_attack=show)
    tree = to_tree(attacked, source, asked)
    written = save_attacks(attacked, tree, out or source)
    if as_json:
        write(to_json(tree))
    elif not quiet:
        console = Console()
        if attacked.stand_in:
            console.print(STAND_IN)
        console.print(tables(attacked), crop=False)
        _say(console, f"attacks: {written}")


def run_audit(
    scenario: Scenario, *, data_dir: Path | None, of: str | None, canaries: int, seed: int, as_json: bool
) -> bool:
    """Audits a scenario and shows what that came to; whether no claim was disproved."""
    lines = audit(scenario, data_dir=data_dir, of=of, canaries=canaries, seed=seed)
    if as_json:
        write(json.dumps(told(lines), indent=2) + "\n")
    else:
        Console().print(audit_table(lines), crop=False)
    return not any(line.disproved for line in lines)


def run_comparison(
    scenario: Scenario,
    key: str,
    values: str | None,
    out: Path | None,
    *,
    data_dir: Path | None,
    jobs: int | None,
    quiet: bool,
) -> None:
    """Runs what is missing of a comparison, renders its report, and shows the table."""
    planned = plan(scenario, key, values)
    target = out or RUNS / folder_name(scenario, key)
    err = Console(stderr=True, quiet=quiet)
    for value, reason in planned.note.left_out.items():
        _say(err, f"left out: {value} ({reason})")
    with _showing_points(planned.scenario, target, err) as show:
        page = compare(planned, target, data_dir=data_dir, jobs=jobs, on_point=show)
    if quiet:
        return
    stored = read(target)
    assert isinstance(stored, StoredComparison)  # just written
    console = Console()
    if stored.first.summary["data"]["stand_in"]:
        console.print(STAND_IN)
    console.print(comparison_tables(screens(stored)))
    _say(console, "\n".join(["", *footnotes(stored)]))
    _say(console, f"\ncomparison folder: {target}\npage:              {page}")


def run_exploration(
    scenario: Scenario,
    seeds: range,
    replay: Sequence[str],
    *,
    data_dir: Path | None,
    jobs: int | None,
    quiet: bool,
) -> None:
    """Runs a scenario under many schedules; of the first that fails it shows how to replay it."""
    err, done, replay = Console(stderr=True, quiet=quiet), 0, list(replay)
    failing: int | None = None
    try:
        with progress_bar(err) as bar:
            task = bar.add_task(scenario.name, total=len(seeds))

            def show(seed: int, kind: str) -> None:
                nonlocal done
                done += 1
                bar.update(task, completed=done)
                if not done % max(1, len(seeds) // 10):
                    _say(err, f"{done}/{len(seeds)} schedule {seed}: {kind}")

            def show_failure(seed: int) -> None:
                nonlocal failing
                failing = seed
                replay.extend(("--schedule-seed", str(seed)))
                if len(scenario.fault) > 1:
                    _say(err, f"schedule {seed} fails; looking for the faults that are enough")

            endings = explore(
                scenario, seeds, data_dir=data_dir, jobs=jobs, on_seed=show, on_failure=show_failure
            )
    except KeyboardInterrupt:
        passed = f"the first {done} schedules, from seed {seeds[0]} on, change nothing"
        _say(err, f"interrupted; {passed if failing is None else f'schedule {failing} fails'}")
        if failing is not None:
            _say(err, f"replay it: {shlex.join(replay)}")
        raise
    except OrderError as error:
        if len(error.faults) < len(scenario.fault):
            faults = [said(fault) for fault in error.faults]
            replay += ["--set", f"fault={inline(faults)}"]
            _say(err, f"of {len(scenario.fault)} faults {len(faults)} are enough: {inline(faults)}")
        _say(err, f"replay it: {shlex.join(replay)}")
        raise
    if not quiet:
        told = ", ".join(f"{count} {kind}" for kind, count in endings.items())
        _say(Console(), f"{len(seeds)} schedules from seed {seeds[0]} on change no result: {told}")


def run_gate(scenario: Scenario, *, data_dir: Path | None, quiet: bool) -> None:
    """Runs a scenario twice and compares every event."""
    assemble(scenario, data_dir=data_dir)  # tells what does not fit before any process is started
    weights = run_twice(scenario, data_dir=data_dir)
    if not quiet:
        _say(Console(), f"both runs have the same events, metrics and weights: weights_sha256 {weights}")


@contextlib.contextmanager
def _showing_points(
    scenario: Scenario, target: Path, err: Console
) -> Iterator[Callable[[Point, int, int], None]]:
    """Within it, a function that shows the points of a sweep as they are finished."""
    with progress_bar(err) as bar:
        task = bar.add_task(scenario.name, total=math.prod(map(len, scenario.sweep.values())))

        def show(point: Point, done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)
            _say(err, f"{done}/{total} {point}")

        try:
            yield show
        except KeyboardInterrupt:
            _say(err, f"interrupted; finished points are kept in {target}, the same command continues")
            raise


def run_evaluation(
    edition: Edition,
    known: Sequence[Item],
    out: Path,
    names: str | None,
    *,
    work: Path,
    scenarios: Path,
    quick: bool,
    data_dir: Path | None,
    jobs: int | None,
    quiet: bool,
) -> None:
    """Runs what is missing of an evaluation and renders its report."""
    items, err = select(names, known), Console(stderr=True, quiet=quiet)
    try:
        with progress_bar(err) as bar:
            task = bar.add_task(edition.command, total=None)

            def show(name: str, done: int, total: int) -> None:
                bar.update(task, completed=done, total=total)
                _say(err, f"{done}/{total} {name}")

            page = evaluate(
                edition,
                items,
                out,
                work=work,
                scenarios=scenarios,
                quick=quick,
                data_dir=data_dir,
                jobs=jobs,
                on_end=show,
                on_other_program=lambda: _say(
                    err, f"what another version of the program has kept in {work} is left aside"
                ),
            )
    except KeyboardInterrupt:
        _say(err, f"interrupted; finished runs are kept in {work}, the same command continues")
        raise
    if not quiet:
        _say(Console(), f"report: {page}")


def render(folders: Sequence[Path], out: Path) -> None:
    """Renders folders of runs, sweeps and comparisons as a page."""
    _say(Console(), f"report: {build(folders, out)}")


def fits(scenario: Scenario, *, data_dir: Path | None) -> str:
    """Checks a scenario and all points of its sweep against the data; returns what the data are.

    Raises:
        InputError: something does not fit.
    """
    checked = assemble(scenario, data_dir=data_dir)
    seen = [(scenario.data, scenario.model, scenario.train)]
    for _, point in points(scenario):
        parts = (point.data, point.model, point.train)
        if parts not in seen:
            seen.append(parts)
            try:
                assemble(point, data_dir=data_dir)
            except InputError as error:
                raise error.within("sweep") from error
    return checked.dataset.source


def list_data(data_dir: Path | None) -> None:
    """Shows the data sets and where each was found."""
    console = Console()
    for entry in catalogue(data_dir):
        console.print(entry.name, style="bold", highlight=False)
        found = "shipped with scikit-learn" if entry.shipped else entry.path or "nowhere"
        _say(console, f"  {entry.title}\n  found: {found}")
        if entry.problem:
            _say(console, f"  cannot be used: {entry.problem}")
        else:
            _say(console, f"  a run would use: {entry.source}")
            classes = f"{entry.positives:,} of class 1" if entry.classes == 2 else f"{entry.classes} classes"
            _say(console, f"  {entry.rows:,} rows, {entry.features} features, {classes}")


def fetch(name: str, to: Path) -> None:
    """Brings a published data set."""
    if name != "creditcard":
        raise InputError(f"data fetch {name}", "it cannot be fetched", "creditcard would do")
    _say(Console(), f"fetched: {fetch_creditcard(to)}")


def calibrate() -> None:
    """Measures this machine and prints a profile."""
    write(to_table(measure()))


def write(text: str) -> None:
    """Writes to standard output at once, so that a reader who has left is noticed here."""
    sys.stdout.write(text)
    sys.stdout.flush()


def _say(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)
