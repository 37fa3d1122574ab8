"""The command line: what can be said. What is then done stands in `commands`."""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from p2n2sim.errors import InputError, P2N2SimError
from p2n2sim.interrupt import ending_at_once
from p2n2sim.scenario.load import load, located
from p2n2sim.usage import OneLineGroup

if TYPE_CHECKING:
    from p2n2sim.evaluation.item import Edition, Item

app = typer.Typer(
    help="A deterministic simulator for privacy-preserving learning protocols.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    cls=OneLineGroup,
)
data_app = typer.Typer(help="List the data sets. Says where each was found; `fetch` brings a published one.")
app.add_typer(data_app, name="data")

ScenarioFile = Annotated[Path, typer.Argument(metavar="SCENARIO.toml", show_default=False)]
RunFolder = Annotated[Path, typer.Argument(metavar="DIR", help="A finished run.", show_default=False)]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key; repeatable.")
]
DataDir = Annotated[
    Path | None, typer.Option("--data", metavar="DIR", help="Look for data files here first.")
]
Jobs = Annotated[int | None, typer.Option(min=1, help="Processes at a time; default: one a core.")]
ScheduleSeed = Annotated[
    int | None,
    typer.Option(min=0, metavar="K", help="Another legal order of equal times: the key schedule_seed."),
]
Quiet = Annotated[bool, typer.Option("--quiet", help="Show no progress and no tables.")]
ReportDir = Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the report goes.")]
QuickEdition = Annotated[bool, typer.Option("--quick", help="Fewer repeats, epochs and points.")]
Items = Annotated[str | None, typer.Option(metavar="A,B,C", help="Which tables and figures; by default all.")]
WorkDir = Annotated[Path, typer.Option("--work", metavar="DIR", help="Where finished runs are kept.")]
ScenariosDir = Annotated[
    Path, typer.Option("--scenarios", metavar="DIR", help="The scenario files of the tables and figures.")
]


@app.command("run")
def run_command(
    scenario: Annotated[Path | None, typer.Argument(metavar="SCENARIO.toml", show_default=False)] = None,
    overrides: Overrides = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Run folder; by default runs/NAME.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a run that is already there.")] = False,
    resume: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Go on with the run that was interrupted on its way to DIR."),
    ] = None,
    data: DataDir = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads for real work; default: all cores.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary alone, as JSON.")] = False,
    quiet: Quiet = False,
    schedule_seed: ScheduleSeed = None,
) -> None:
    """Run a scenario and write a run folder."""
    if resume is not None:
        if scenario or overrides or out or force or schedule_seed is not None:
            refused = "SCENARIO.toml, --set, --out, --force and --schedule-seed"
            raise InputError("--resume", f"it takes none of {refused}", "leave them out")
        _commands().resume_run(resume, data_dir=data, threads=threads, as_json=as_json, quiet=quiet)
        return
    if scenario is None:
        remedy = "name a file, or a folder with --resume"
        raise InputError("p2n2sim run", "Missing argument 'SCENARIO.toml'", remedy)
    if schedule_seed is not None:
        overrides = [*(overrides or ()), f"schedule_seed={schedule_seed}"]
    settings = load(scenario, overrides or ())
    with _naming(scenario, overrides or ()):
        _commands().run_scenario(
            settings, out, force=force, data_dir=data, threads=threads, as_json=as_json, quiet=quiet
        )


@app.command("sweep")
def sweep_command(
    scenario: ScenarioFile,
    overrides: Overrides = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Sweep folder; by default runs/NAME.")
    ] = None,
    data: DataDir = None,
    jobs: Jobs = None,
    retime: Annotated[
        bool, typer.Option("--retime", help="Run one of the points that differ in their links alone.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Run every point of a [sweep] table. What is finished already is not run again."""
    settings = load(scenario, overrides or ())
    with _naming(scenario, overrides or ()):
        _commands().run_sweep(settings, out, data_dir=data, jobs=jobs, retimed=retime, quiet=quiet)


@app.command("trace")
def trace_command(
    folder: RunFolder,
    perfetto: Annotated[
        Path | None, typer.Option(metavar="OUT.json", help="Chrome trace events, for ui.perfetto.dev.")
    ] = None,
    sequence: Annotated[
        Path | None, typer.Option(metavar="OUT.svg", help="Message sequence chart of a batch; or .png.")
    ] = None,
    batch: Annotated[
        int | None, typer.Option(min=1, help="Which batch the chart shows, or whose payload is captured.")
    ] = None,
    pcapng: Annotated[
        Path | None, typer.Option(metavar="OUT.pcapng", help="Packet capture, for Wireshark.")
    ] = None,
    payload: Annotated[
        bool, typer.Option("--payload", help="Capture a batch's true bytes; runs the scenario again.")
    ] = False,
    data: DataDir = None,
    critical: Annotated[
        bool, typer.Option("--critical-path", help="Show what the virtual time consists of.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the critical path as JSON.")] = False,
) -> None:
    """Look into a finished run: who waited for what, and when."""
    wanted = {"perfetto": perfetto, "sequence": sequence, "pcapng": pcapng}
    files = {kind: path for kind, path in wanted.items() if path is not None}
    _commands().trace_run(
        folder, files, batch=batch, payload=payload, critical=critical, as_json=as_json, data_dir=data
    )


@app.command("retime")
def retime_command(
    folder: RunFolder,
    network: Annotated[
        str, typer.Option(metavar="PRESET|KEY=VALUE,...", help="For example wan, or latency=5 ms.")
    ],
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Run folder; none by default.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a run that is already there.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary alone, as JSON.")] = False,
    quiet: Quiet = False,
) -> None:
    """Replay a finished run on other links. Exact, and computes nothing again."""
    _commands().retime_run(folder, network, out, force=force, as_json=as_json, quiet=quiet)


@app.command("attack")
def attack_command(
    folder: RunFolder,
    kinds: Annotated[
        str | None,
        typer.Option(
            "--kind",
            metavar="A,B",
            help="recovery, labels, properties, membership; by default all that are possible.",
        ),
    ] = None,
    adversary: Annotated[
        list[str] | None,
        typer.Option(metavar="PARTY", help="Whose view; by default every recorded one's. Repeatable."),
    ] = None,
    leaked: Annotated[
        float, typer.Option(metavar="SHARE", help="Share of the rows that the adversary knows.")
    ] = 0.1,
    prop: Annotated[
        str | None, typer.Option("--property", metavar="COLUMN", help="Whose size is inferred.")
    ] = None,
    shadows: Annotated[int, typer.Option(min=2, max=1000, help="Shadow models for membership.")] = 8,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Of everything that is drawn.")] = 0,
    data: DataDir = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder for the results; by default the run's.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the results alone, as JSON.")] = False,
    quiet: Quiet = False,
) -> None:
    """Attack what parties saw in a finished run. The strongest attacker's result comes first."""
    if not 0 < leaked < 1:
        raise InputError(f"--leaked {leaked:g}", "it is no share", "a number between 0 and 1 would do")
    wanted = [kind.strip() for kind in kinds.split(",")] if kinds is not None else []
    commands = _commands()
    commands.attack_run(
        folder,
        commands.Asked(leaked=leaked, seed=seed, prop=prop, shadows=shadows, data_dir=data),
        wanted=wanted,
        adversaries=adversary or (),
        out=out,
        as_json=as_json,
        quiet=quiet,
    )


@app.command("compare")
def compare_command(
    scenario: ScenarioFile,
    vary: Annotated[str, typer.Option(metavar="KEY", help="Whose values.")] = "protocol.first_layer",
    values: Annotated[
        str | None, typer.Option(metavar="A,B,C", help="Which; by default all that are allowed.")
    ] = None,
    overrides: Overrides = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder; by default runs/NAME-compare-KEY.")
    ] = None,
    data: DataDir = None,
    jobs: Jobs = None,
    quiet: Quiet = False,
) -> None:
    """Put the values of a key side by side on LAN and WAN links. Continues where it stopped."""
    settings = load(scenario, overrides or ())
    with _naming(scenario, overrides or ()):
        _commands().run_comparison(settings, vary, values, out, data_dir=data, jobs=jobs, quiet=quiet)


@app.command("explore")
def explore_command(
    scenario: ScenarioFile,
    seeds: Annotated[int, typer.Option(min=1, metavar="N", help="How many schedules.")] = 100,
    first: Annotated[int, typer.Option(min=0, metavar="K", help="The first one's seed.")] = 0,
    twice: Annotated[
        bool, typer.Option("--twice", help="Run twice instead, and show the first event that differs.")
    ] = False,
    overrides: Overrides = None,
    data: DataDir = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Processes at a time; default: one a core where that is faster.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Run a scenario in other legal orders of equal times. Stops at the first that changes a result."""
    settings = load(scenario, overrides or ())
    with _naming(scenario, overrides or ()):
        if twice:
            _commands().run_gate(settings, data_dir=data, quiet=quiet)
            return
        replay = ["p2n2sim", "run", str(scenario)]
        replay += [part for override in overrides or () for part in ("--set", override)]
        replay += [] if data is None else ["--data", str(data)]
        _commands().run_exploration(
            settings, range(first, first + seeds), replay, data_dir=data, jobs=jobs, quiet=quiet
        )


@app.command("audit")
def audit_command(
    scenario: ScenarioFile,
    overrides: Overrides = None,
    data: DataDir = None,
    of: Annotated[
        str | None,
        typer.Option("--of", metavar="HOLDER", help="Whose features; the last holder's by default."),
    ] = None,
    canaries: Annotated[int, typer.Option(metavar="N", help="So many of each kind.")] = 500,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Of the canaries and their coins.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Audit what a scenario claims. One run with canaries: a lower bound on epsilon beside every claim."""
    settings = load(scenario, overrides or ())
    with _naming(scenario, overrides or ()):
        right = _commands().run_audit(
            settings, data_dir=data, of=of, canaries=canaries, seed=seed, as_json=as_json
        )
    if not right:
        raise typer.Exit(1)


@app.command("report")
def report_command(
    folders: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Finished folders.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the page goes.")],
) -> None:
    """Render runs, sweeps, comparisons as a page. One HTML file, with figures and CSV files beside it."""
    _commands().render(folders, out)


def _paper() -> tuple[Edition, Sequence[Item]]:
    from p2n2sim.paper.catalogue import ITEMS  # noqa: PLC0415
    from p2n2sim.paper.edition import PAPER  # noqa: PLC0415

    return PAPER, ITEMS


def _dp() -> tuple[Edition, Sequence[Item]]:
    from p2n2sim.dp.catalogue import ITEMS  # noqa: PLC0415
    from p2n2sim.dp.edition import DP  # noqa: PLC0415

    return DP, ITEMS


def _add_evaluation(name: str, says: str, found: Callable[[], tuple[Edition, Sequence[Item]]]) -> None:
    """Adds the command of an evaluation, whose modules are imported when it runs."""

    def command(
        out: ReportDir,
        quick: QuickEdition = False,
        items: Items = None,
        data: DataDir = None,
        jobs: Jobs = None,
        work: WorkDir = Path("runs", name),
        scenarios: ScenariosDir = Path("scenarios", name),
        quiet: Quiet = False,
    ) -> None:
        edition, known = found()
        _commands().run_evaluation(
            edition,
            known,
            out,
            items,
            work=work,
            scenarios=scenarios,
            quick=quick,
            data_dir=data,
            jobs=jobs,
            quiet=quiet,
        )

    app.command(name, help=says)(command)


_add_evaluation(
    "paper", "Make the P2N2 paper's tables and figures again. Continues where it stopped.", _paper
)
_add_evaluation(
    "dp", "Show differential privacy in four financial applications. Continues where it stopped.", _dp
)


@app.command("check")
def check_command(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Scenario files.")],
    data: DataDir = None,
) -> None:
    """Validate scenario files, also against their data."""
    wrong = False
    for file in files:
        try:
            settings = load(file)
            with _naming(file):
                source = _commands().fits(settings, data_dir=data)
        except InputError as error:
            wrong = True
            _complain(error)
        else:
            _commands().write(f"{file}: ok, {source}\n")
    if wrong:
        raise typer.Exit(2)


@data_app.callback(invoke_without_command=True)
def data_command(context: typer.Context, data: DataDir = None) -> None:
    """List the data sets. Says where each was found; `fetch` brings a published one."""
    if context.invoked_subcommand is None:
        _commands().list_data(data)


@data_app.command("fetch")
def fetch_command(
    name: Annotated[str, typer.Argument(metavar="NAME", help="creditcard")],
    to: Annotated[Path, typer.Option(metavar="DIR", help="Where to put it.")] = Path("data"),
) -> None:
    """Bring a published data set through scikit-learn's OpenML client."""
    _commands().fetch(name, to)


@app.command("calibrate")
def calibrate_command() -> None:
    """Measure one core of this machine. Prints a [compute.default] table for scenario files."""
    _commands().calibrate()


def _commands() -> ModuleType:
    """Imported when a command is run, because torch takes seconds: help and misspelt keys do not wait."""
    with ending_at_once():
        return importlib.import_module("p2n2sim.commands")


@contextlib.contextmanager
def _naming(scenario: Path, overrides: Sequence[str] = ()) -> Iterator[None]:
    """Lets errors about a key say which file or which --set has it."""
    try:
        yield
    except InputError as error:
        raise located(error, scenario, overrides) from error


def _complain(error: Exception) -> None:
    lines = str(error).splitlines()
    text = " ".join(lines) if isinstance(error, InputError) else "\n".join(lines)
    sys.stderr.write(f"error: {text}\n")


def main() -> NoReturn:
    """Runs the command line; exits with 0, 2 for bad input, or 1 for a failed protocol."""
    try:
        app(prog_name="p2n2sim")
    except InputError as error:
        _complain(error)
        sys.exit(2)
    except P2N2SimError as error:
        _complain(error)
        sys.exit(1)
    except OSError as error:
        _complain(error)
        sys.exit(2)
    sys.exit(0)
