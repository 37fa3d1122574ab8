"""The command line, as a user meets it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from p2n2sim.scenario.load import load, parse
from tests import tiny
from tests.tiny import Call

SCENARIOS = Path(__file__).parents[1] / "scenarios"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the tiny scenario."""
    inside = tiny.move_into(tmp_path, monkeypatch)
    tiny.write_scenario(inside)
    return inside


def files(path: Path) -> set[str]:
    """Everything below a directory."""
    return {str(inside.relative_to(path)) for inside in path.rglob("*") if "__pycache__" not in str(inside)}


# -- run


def test_run_shows_progress_and_tables_and_says_where(here: Path, call: Call) -> None:
    """Progress goes to standard error, tables and the folder to standard output; the folder is runs/NAME."""
    code, out, err = call("run", "tiny.toml")
    assert code == 0
    assert "epoch 2: loss" in err
    assert "Quality" in out
    assert out.endswith("run folder: runs/tiny\npicture:    runs/tiny/picture.png\n")
    assert (here / "runs" / "tiny" / "summary.json").is_file()
    assert (here / "runs" / "tiny" / "picture.png").is_file()


@pytest.mark.usefixtures("without_pictures")
def test_run_never_overwrites_by_itself(here: Path, call: Call) -> None:
    """Without --out the next free name is taken; with it a run that is there needs --force."""
    for _ in range(2):
        assert call("run", "tiny.toml", "--quiet")[0] == 0
    assert files(here / "runs") >= {"tiny/summary.json", "tiny-2/summary.json"}
    code, out, err = call("run", "tiny.toml", "--out", "runs/tiny")
    assert (code, out) == (2, "")
    assert err == (
        "error: runs/tiny: it already holds a run; name another folder with --out, or add --force\n"
    )
    assert call("run", "tiny.toml", "--quiet", "--out", "runs/tiny", "--force") == (0, "", "")


@pytest.mark.usefixtures("without_pictures")
def test_json_is_the_summary_alone(here: Path, call: Call) -> None:
    """Standard output is one JSON document, the one in the folder; progress stays on standard error."""
    code, out, err = call("run", "tiny.toml", "--json", "--out", "out", "--set", "train.epochs=1")
    assert code == 0
    assert "epoch 1: loss" in err
    summary = json.loads(out)
    assert summary == json.loads((here / "out" / "summary.json").read_text())
    assert summary.keys() >= {
        "scenario",
        "seed",
        "protocol",
        "data",
        "metrics",
        "baseline",
        "time",
        "traffic",
        "views",
        "ledger_sha256",
        "weights_sha256",
    }
    assert summary["data"].keys() >= {"name", "source", "rows_train", "rows_test", "features", "holders"}
    assert summary["metrics"].keys() >= {"auc", "loss_train", "loss_test"}
    assert summary["baseline"].keys() >= {"auc"}
    assert summary["time"].keys() >= {"virtual_s", "wall_s"}
    assert summary["traffic"].keys() >= {
        "messages",
        "payload_bytes",
        "wire_bytes",
        "rounds",
        "by_phase",
        "by_link",
    }
    assert call("run", "tiny.toml", "--json", "--quiet", "--threads", "1")[2] == ""


@pytest.mark.usefixtures("without_pictures")
def test_set_overrides_are_in_the_resolved_scenario(here: Path, call: Call) -> None:
    """What --set says is what runs, and the run folder's scenario says it too."""
    overrides = ("train.epochs=1", 'network.bandwidth="10 Mbit/s"', "network.links.A->B.latency=9 ms")
    arguments = [part for override in overrides for part in ("--set", override)]
    assert call("run", "tiny.toml", "--quiet", "--out", "out", *arguments)[0] == 0
    scenario = load(here / "out" / "scenario.toml")
    assert scenario.train.epochs == 1
    assert scenario.network.bandwidth is not None
    assert scenario.network.bandwidth.text == "10 Mbit/s"
    assert scenario.network.links["A->B"].latency is not None


@pytest.mark.parametrize("name", ["fraud", "distress", "four-holders", "ckks", "paillier"])
def test_shipped_scenarios_run(here: Path, call: Call, name: str) -> None:
    """They run as they are, here on a stand-in and on few rows; the summary and the screen say stand-in."""
    small = ("data.fraction=0.02", "train.batch_size=50", "train.epochs=1", "data.test_fraction=0.01")
    if name == "paillier":
        small = ("data.test_fraction=0.002", "data.fraction=0.004", "protocol.paillier_bits=1024")
    if name == "distress":
        small = ("data.fraction=0.2", "train.batch_size=200", "train.epochs=1", "model.hidden=[8, 4, 4]")
    arguments = [part for override in small for part in ("--set", override)]
    code, out, _ = call("run", SCENARIOS / f"{name}.toml", *arguments, "--out", "out")
    assert code == 0
    assert "These are stand-in data, not the published set." in out
    summary = json.loads((here / "out" / "summary.json").read_text())
    assert summary["data"]["stand_in"]
    assert summary["data"]["source"].startswith("stand-in generated")


@pytest.mark.usefixtures("without_pictures")
def test_own_data_beside_the_scenario(here: Path, call: Call) -> None:
    """A relative path is seen from the scenario file, CSV and Parquet alike."""
    (here / "sub").mkdir()
    path = tiny.write_scenario(here / "sub")
    assert call("run", "sub/tiny.toml", "--quiet", "--out", "csv")[0] == 0
    pd.read_csv(here / "sub" / "own.csv").to_parquet(here / "sub" / "own.parquet")
    path.write_text(tiny.SCENARIO.replace("own.csv", "own.parquet"))
    assert call("run", "sub/tiny.toml", "--quiet", "--out", "parquet")[0] == 0
    summaries = [json.loads((here / name / "summary.json").read_text()) for name in ("csv", "parquet")]
    assert summaries[0]["weights_sha256"] == summaries[1]["weights_sha256"]


# -- bad input


def _wrong_files(here: Path) -> None:
    rows = (here / "own.csv").read_text()
    (here / "cut.csv").write_text(rows[:1500])
    (here / "one.csv").write_text("a,y\n1,1\n2,1\n")
    pd.read_csv(here / "own.csv").to_parquet(here / "whole.parquet")
    content = (here / "whole.parquet").read_bytes()
    (here / "cut.parquet").write_bytes(content[: len(content) // 2])
    (here / "cut.toml").write_text(tiny.SCENARIO[:45])
    (here / "bytes.toml").write_bytes(b"\xff\xfe\x00")
    (here / "folder").mkdir()
    (here / "folder" / "thesis.tex").write_text("x")
    (here / "mis.toml").write_text(tiny.SCENARIO.replace("epochs", "epoks"))
    (here / "big.toml").write_text(tiny.SCENARIO.replace("batch_size = 20", "batch_size = 200"))
    (here / "many.toml").write_text(tiny.SCENARIO.replace('label = "y"', 'label = "y"\nholders = 9'))


BAD: list[tuple[list[str], str]] = [
    (["run", "mis.toml"], "mis.toml: train.epoks: there is no such key; did you mean 'epochs'?"),
    (
        ["run", "tiny.toml", "--set", "network.latency=3 parsec"],
        "--set network.latency=3 parsec: network.latency: ",
    ),
    (
        ["run", "tiny.toml", "--set", "network.bandwidth=-5 Mbit/s"],
        "--set network.bandwidth=-5 Mbit/s: network.bandwidth: found '-5 Mbit/s'; it must be finite and",
    ),
    (["run", "tiny.toml", "--set", "data.label=gone"], "--set data.label=gone: data.label: "),
    (["run", "tiny.toml", "--set", "data.drop=['gone']"], "--set data.drop=['gone']: data.drop: "),
    (["run", "cut.toml"], "cut.toml: it is not TOML: "),
    (["run", "tiny.toml", "--set", "data.source=cut.csv"], "cut.csv: cannot be read (CSV parse error"),
    (["run", "tiny.toml", "--set", "data.source=cut.parquet"], "cut.parquet: cannot be read ("),
    (
        ["run", "tiny.toml", "--set", "data.source=one.csv"],
        "one.csv: label column 'y': labels of one class only",
    ),
    (["run", "tiny.toml", "--set", "data.source=gone.csv"], "gone.csv: no such file; "),
    (
        ["run", "tiny.toml", "--set", "data.source=credicard"],
        "--set data.source=credicard: data.source: 'credicard'",
    ),
    (
        ["run", "big.toml"],
        "big.toml: train.batch_size: 200 is larger than the data, which have 96 training rows; ",
    ),
    (
        ["run", "many.toml"],
        "many.toml: data.holders: 9 holders for 6 features; every holder needs one: at most 6 ",
    ),
    (
        ["run", "tiny.toml", "--set", "train.epochs"],
        "--set train.epochs: there is no '='; write key=value, for ",
    ),
    (["run", "gone.toml"], "gone.toml: there is no such file; name an existing TOML file"),
    (["run", "tinny.toml"], "tinny.toml: there is no such file; did you mean tiny.toml?"),
    (["run", "folder"], "folder: it cannot be read ("),
    (["run", "bytes.toml"], "bytes.toml: it cannot be read ('utf-8' codec"),
    (
        ["run", "tiny.toml", "--out", "folder"],
        "folder: it is there and holds no finished run; name another folder",
    ),
    (
        ["run", "tiny.toml", "--out", "folder", "--force"],
        "folder: it is there and holds no finished run; name ",
    ),
    (
        ["run", "tiny.toml", "--out", "own.csv"],
        "own.csv: it is there and holds no finished run; name another",
    ),
    (["run", "tiny.toml", "--out", "own.csv/out"], "own.csv/out: "),
    (["run", "tiny.toml", "--out", "/proc/p2n2sim/out"], "/proc/p2n2sim/out: it cannot be written ("),
    (
        ["run", "tiny.toml", "--out", "."],
        ".: this is the working directory, or around it; name another folder",
    ),
    (["run", "tiny.toml", "--data", "gone"], "--data: gone is no directory; name a directory that exists"),
    (
        ["run", "tiny.toml", "--set", "model.server=gone:f"],
        "--set model.server=gone:f: model.server: 'gone:f' cannot",
    ),
    (["sweep", "tiny.toml"], "tiny.toml: sweep: there is no [sweep] table; add one, for example"),
    (
        ["sweep", "tiny.toml", "--set", "sweep.train.epoks=[1]"],
        "--set sweep.train.epoks=[1]: sweep: train.epoks: ",
    ),
    (
        ["sweep", "tiny.toml", "--set", "sweep.train.epochs=[1]", "--out", "folder"],
        "folder: it is there and holds no",
    ),
    (
        ["compare", "tiny.toml", "--vary", "data.holders"],
        "--vary data.holders: there is no fixed list of its values; name some, for example --values 2,4,8",
    ),
    (
        ["compare", "tiny.toml", "--vary", "data.holders", "--values", "9", "--out", "out"],
        "tiny.toml: sweep: data.holders = 9, network.preset = ",
    ),
    (
        ["compare", "tiny.toml", "--values", "algorithm1", "--out", "folder"],
        "folder: it is there and holds no sweep; name another folder with --out",
    ),
    (["data", "--data", "gone"], "--data: gone is no directory; name a directory that exists"),
    (["data", "fetch", "mnist"], "data fetch mnist: it cannot be fetched; creditcard would do"),
]


@pytest.mark.usefixtures("in_this_process")
@pytest.mark.parametrize(("arguments", "message"), BAD, ids=[" ".join(case[0])[:60] for case in BAD])
def test_bad_input_is_one_line_and_exit_code_2(
    here: Path, call: Call, arguments: list[str], message: str
) -> None:
    """One message with file, place, what was found and what would do; no traceback, nothing written."""
    _wrong_files(here)
    before = files(here)
    code, out, err = call(*arguments)
    shown = [line for line in err.splitlines() if line.startswith("error: ")]
    assert code == 2
    assert out == ""
    assert shown == err.splitlines()[-1:]
    assert shown[0].startswith(f"error: {message}")
    assert "; " in shown[0]
    assert "Traceback" not in err
    assert files(here) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["frobnicate"], "p2n2sim: No such command 'frobnicate'; p2n2sim --help"),
        (["runn", "tiny.toml"], "p2n2sim: No such command 'runn'. Did you mean 'run'?; p2n2sim --help"),
        (["data", "fetchh"], "p2n2sim data: No such command 'fetchh'. Did you mean 'fetch'?"),
        (["--frobnicate"], "p2n2sim: No such option: --frobnicate; p2n2sim --help"),
        (
            ["run", "tiny.toml", "--forec"],
            "p2n2sim run: No such option: --forec (Possible options: --force)",
        ),
        (["run"], "p2n2sim run: Missing argument 'SCENARIO.toml'; name a file"),
        (["run", "tiny.toml", "--resume", "x"], "--resume: it takes none of SCENARIO.toml"),
        (["run", "tiny.toml", "--set"], "p2n2sim: Option '--set' requires an argument; "),
        (["run", "tiny.toml", "--threads", "0"], "p2n2sim run: Invalid value for '--threads': "),
        (["run", "tiny.toml", "again.toml"], "p2n2sim run: Got unexpected extra argument"),
        (["retime", "out"], "p2n2sim retime: Missing option '--network'; p2n2sim retime --help"),
        (["report", "--out", "page"], "p2n2sim report: Missing argument 'DIR...'; p2n2sim report --help"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(
    here: Path, call: Call, arguments: list[str], message: str
) -> None:
    """Unknown commands and options, missing and impossible arguments: what it is, a guess, where to look."""
    before = files(here)
    code, out, err = call(*arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"error: {message}")
    assert files(here) == before


def test_without_a_command_there_is_help(call: Call) -> None:
    """It is the usual help, and exit code 2, because nothing was done."""
    code, out, err = call()
    assert (code, out) == (2, "")
    assert err.startswith("Usage: p2n2sim [OPTIONS] COMMAND [ARGS]...")
    assert "Run a scenario and write a run folder." in err


def test_a_data_directory_that_is_not_there(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """A P2N2SIM_DATA that names no directory is told, not passed over for a stand-in."""
    monkeypatch.setenv("P2N2SIM_DATA", "/gone")
    code, _, err = call("run", SCENARIOS / "distress.toml")
    assert code == 2
    assert err == "error: P2N2SIM_DATA: /gone is no directory; name a directory that exists, or none at all\n"


def test_a_failed_protocol_is_exit_code_1(here: Path, call: Call) -> None:
    """When a number outgrows the ring there is one message that says what helps, and no run folder."""
    code, out, err = call("run", "tiny.toml", "--set", "train.learning_rate=1e30")
    assert (code, out) == (1, "")
    assert err.splitlines()[-1].startswith("error: epoch 1: the number ")
    assert "a smaller train.learning_rate" in err
    assert not (here / "runs").exists()


# -- check, data, calibrate, help


def test_check_tells_of_every_file(here: Path, call: Call) -> None:
    """Good files are named with their data, bad ones with what is wrong; one bad file makes exit code 2."""
    _wrong_files(here)
    code, out, err = call("check", "tiny.toml", "mis.toml", "big.toml", "folder")
    assert code == 2
    assert out == "tiny.toml: ok, own file own.csv (120 rows)\n"
    assert [line.split(";")[0] for line in err.splitlines()][:2] == [
        "error: mis.toml: train.epoks: there is no such key",
        "error: big.toml: train.batch_size: 200 is larger than the data, which have 96 training rows",
    ]
    assert err.splitlines()[2].startswith("error: folder: it cannot be read")


def test_check_looks_at_every_point_of_a_sweep(here: Path, call: Call) -> None:
    """A point that does not fit the data is found before anything is run."""
    tiny.write_scenario(
        here, '[sweep]\ntrain.batch_size = [20, 30, 400]\n"network.latency" = ["1 s", "2 s"]\n'
    )
    code, out, err = call("check", "tiny.toml")
    assert (code, out) == (2, "")
    assert err.startswith("error: tiny.toml: sweep: train.batch_size: 400 is larger than the data")


def test_shipped_scenarios_pass_the_check(call: Call) -> None:
    """Every file in scenarios/ fits its data, here the stand-ins."""
    shipped = sorted(SCENARIOS.glob("*.toml"))
    code, out, err = call("check", *shipped)
    assert (code, err) == (0, "")
    assert [line.split(": ok, stand-in")[0] for line in out.splitlines()] == list(map(str, shipped))


def test_data_says_where_each_set_was_found(call: Call) -> None:
    """Without files, the published sets are found nowhere and stand-ins would be used; digits are there."""
    code, out, _ = call("data")
    assert code == 0
    assert out.count("found: nowhere") == 6
    assert out.count("a run would use: stand-in generated") == 5
    assert out.count("a run would use: stand-in: scikit-learn's 8x8 digits") == 1
    assert "found: shipped with scikit-learn" in out
    assert "1,797 rows, 64 features, 10 classes" in out
    assert "284,807 rows, 28 features, 492 of class 1" in out


def test_calibrate_prints_a_table_for_a_scenario(call: Call) -> None:
    """Its output is TOML that a scenario may hold."""
    code, out, err = call("calibrate")
    assert (code, err) == (0, "")
    assert parse({"name": "x", **tomllib.loads(out)}, "f").compute.default.flops_per_s


@pytest.mark.parametrize(
    "command", [[], ["run"], ["sweep"], ["compare"], ["report"], ["check"], ["data"], ["calibrate"]]
)
def test_help(call: Call, command: list[str]) -> None:
    """Every command explains itself in 80 columns, and nothing is cut off."""
    code, out, err = call(*command, "--help")
    assert (code, err) == (0, "")
    assert out.startswith("Usage: p2n2sim")
    assert "..." not in out.replace("COMMAND [ARGS]...", "").replace("DIR...", "").replace(
        "FILE...", ""
    ).replace("}...", "")
    assert max(map(len, out.splitlines())) <= 80


# -- processes


def start(*arguments: str) -> subprocess.Popen[str]:
    """A real process with the command line, in a group of its own, as a shell would start it."""
    return subprocess.Popen(
        [sys.executable, "-m", "p2n2sim", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def lines_until(process: subprocess.Popen[str], word: str) -> Iterator[str]:
    """Standard error up to the first line with a word in it."""
    assert process.stderr is not None
    for line in process.stderr:
        yield line
        if word in line:
            return


def interrupt(process: subprocess.Popen[str], word: str) -> tuple[str, str]:
    """Ctrl-C after the first line with a word in it: what was written before, and after."""
    before = "".join(lines_until(process, word))
    assert word in before
    os.killpg(process.pid, signal.SIGINT)
    return before, process.communicate(timeout=60)[1]


def test_the_module_is_the_command() -> None:
    """python -m p2n2sim is p2n2sim, and help does not wait for torch."""
    code = (
        "import sys; sys.argv = ['p2n2sim', '--help']; from p2n2sim import cli\n"
        "try: cli.main()\n"
        "finally: print(any(name in sys.modules for name in ('torch', 'sklearn', 'pandas')))"
    )
    module = start("--help")
    light = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert module.communicate(timeout=60)[0].startswith("Usage: ")
    assert module.returncode == 0
    assert light.stdout.splitlines()[-1] == "False"


def test_ctrl_c_in_a_run_keeps_what_was_done(here: Path) -> None:
    """Exit code 130, no traceback, the ledger so far in NAME.interrupted, and no run folder."""
    process = start("run", "tiny.toml", "--set", "train.epochs=1000000", "--out", "out")
    _, after = interrupt(process, "epoch 3: ")
    assert process.returncode == 130
    assert "Traceback" not in after
    assert after.splitlines()[-1].startswith("interrupted; the ")
    assert after.endswith(" batches so far are in out.interrupted\n")
    assert {path.name for path in here.iterdir()} == {"own.csv", "tiny.toml", "out.interrupted"}
    ledger = pd.read_parquet(here / "out.interrupted" / "ledger.parquet")
    assert ledger["step"].max() >= 20
    assert not (here / "out.interrupted" / "summary.json").exists()


@pytest.mark.usefixtures("without_pictures")
def test_a_killed_run_leaves_nothing_that_looks_finished(here: Path, call: Call) -> None:
    """After kill -9 there is no run folder, and the same command runs."""
    process = start("run", "tiny.toml", "--set", "train.epochs=1000000", "--out", "out")
    assert "epoch 1: " in "".join(lines_until(process, "epoch 1: "))
    process.kill()
    process.communicate(timeout=60)
    assert not (here / "out").exists()
    assert call("run", "tiny.toml", "--quiet", "--out", "out")[0] == 0
    assert {path.name for path in here.iterdir()} == {"own.csv", "tiny.toml", "out"}


@pytest.mark.usefixtures("in_this_process")
def test_ctrl_c_in_a_sweep_keeps_finished_points(here: Path, call: Call) -> None:
    """Exit code 130, no traceback from any process, and the same command continues to the same table."""
    tiny.write_scenario(here, "[sweep]\ntrain.epochs = [1, 60]\n")
    process = start("sweep", "tiny.toml", "--out", "out", "--jobs", "1")
    _, after = interrupt(process, "1/2 ")
    assert process.returncode == 130
    assert after.endswith("interrupted; finished points are kept in out, the same command continues\n")
    assert "Traceback" not in after
    finished = here / "out" / "points" / "000_epochs-1" / "summary.json"
    written = finished.stat().st_mtime_ns
    assert not (here / "out" / "sweep.parquet").exists()

    code, out, err = call("sweep", "tiny.toml", "--out", "out")
    assert code == 0
    assert err == "1/2 train.epochs = 1\n2/2 train.epochs = 60\n"
    assert out == "sweep folder: out\ntable:        out/sweep.parquet\n"
    assert finished.stat().st_mtime_ns == written
    assert call("sweep", "tiny.toml", "--out", "whole", "--quiet") == (0, "", "")
    tables = [pd.read_parquet(here / name / "sweep.parquet") for name in ("out", "whole")]
    walls = [f"time.{name}_s" for name in ("wall", "processor", "simulation_processor", "plain_processor")]
    pd.testing.assert_frame_equal(*(table.drop(columns=walls) for table in tables))


def test_a_reader_who_leaves_does_no_harm(here: Path) -> None:
    """A pipe that is closed early ends the output, not with a traceback, and the run is saved."""
    with start("run", "tiny.toml", "--json", "--quiet", "--out", "out") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
    assert (here / "out" / "summary.json").is_file()


def test_an_orphan_of_a_killed_sweep_ends_too(here: Path) -> None:
    """When the parent is killed, its processes end by themselves."""
    tiny.write_scenario(here, "[sweep]\ntrain.epochs = [1, 1000000]\n")
    with start("sweep", "tiny.toml", "--out", "out", "--jobs", "1") as process:
        assert "1/2" in "".join(lines_until(process, "1/2 "))
        process.kill()
    until = time.monotonic() + 30
    while _group_lives(process.pid) and time.monotonic() < until:
        time.sleep(0.1)
    assert not _group_lives(process.pid)


def _group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
