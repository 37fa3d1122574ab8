"""`p2n2sim attack`: what a user sees, what is written, and what is refused."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from p2n2sim.adversary.attack import attack
from p2n2sim.adversary.kinds import Asked
from p2n2sim.adversary.observed import pixels
from p2n2sim.data.prepare import column, prepare
from p2n2sim.errors import DataError, InputError
from tests import tiny
from tests.tiny import Call

pytestmark = pytest.mark.usefixtures("without_pictures")

RECORD = '[record]\nviews = ["server", "B"]\n'
QUICK = ("--shadows", "2")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory with a finished run in `out`, which tests copy nothing of and only add to."""
    return tmp_path_factory.mktemp("attacked")


@pytest.fixture(autouse=True)
def here(made: Path, monkeypatch: pytest.MonkeyPatch, call: Call) -> Path:
    """The working directory; the run is made once."""
    monkeypatch.chdir(made)
    monkeypatch.delenv("P2N2SIM_DATA", raising=False)
    if not (made / "out").exists():
        tiny.write_scenario(made, RECORD)
        for out, more in (("out", ()), ("bare", ("--set", "record.views=[]"))):
            assert call("run", "tiny.toml", "--quiet", "--out", out, *more)[0] == 0
    return made


def attacked(call: Call, *arguments: str) -> dict[str, Any]:
    """The JSON document of an attack whose files go to a folder of their own."""
    code, out, err = call("attack", "out", "--json", "--quiet", *QUICK, *arguments)
    assert (code, err) == (0, "")
    tree: dict[str, Any] = json.loads(out)
    return tree


def test_everything_possible_is_attacked(here: Path, call: Call) -> None:
    """Each kind's table has its strongest attack first, floors beside it; what was left out is said."""
    code, out, err = call("attack", "out", *QUICK, "--out", "first")
    assert code == 0
    for words in (
        "recovery by server: X of training rows from h1",
        "recovery by server: X of test rows from h1",
        "labels by server: y of training rows",
        "labels by B: y of training rows",
        "membership by queries",
        "strongest: direction of dL/dh_L, auc 1.0000",
        "floor: mean",
        "bound: best linear estimate",
        "left out: properties: the data have no 'Amount'",
        "attacks: first/attacks.json",
    ):
        assert words in out
    assert "recovery by server: ridge regression" in err
    tree = json.loads((here / "first" / "attacks.json").read_text())
    assert {finding["kind"] for finding in tree["findings"]} == {"recovery", "labels", "membership"}
    for finding in tree["findings"]:
        measure = finding["headline"]["measure"]
        values = [score["metrics"][measure] for score in finding["scores"]]
        assert finding["headline"]["value"] == (min if finding["headline"]["lower_is_stronger"] else max)(
            values
        )
    rows = list(csv.DictReader((here / "first" / "attacks.csv").read_text().splitlines()))
    assert sum(row["headline"] == "1" for row in rows) == len(tree["findings"])


def test_the_same_seed_gives_the_same_bytes(here: Path, call: Call) -> None:
    """Results are a function of the run and the arguments; another seed leaks other rows."""
    for out, seed in (("one", "3"), ("two", "3"), ("three", "4")):
        assert call("attack", "out", "--quiet", *QUICK, "--seed", seed, "--out", out)[0] == 0
    one, two, three = ((here / out / "attacks.json").read_bytes() for out in ("one", "two", "three"))
    assert one == two
    assert one != three


def test_results_go_into_the_run_and_replace_nothing(here: Path, call: Call) -> None:
    """By default they go to the run's folder, numbered; the run itself stays as it is."""
    before = {path: path.read_bytes() for path in (here / "out").rglob("*") if path.is_file()}
    for _ in range(2):
        assert call("attack", "out", "--quiet", "--kind", "labels") == (0, "", "")
    assert (here / "out" / "attacks.json").is_file()
    assert (here / "out" / "attacks-2.json").is_file()
    assert all(path.read_bytes() == data for path, data in before.items())


def test_a_property_of_the_own_file_is_a_column_of_it(here: Path, call: Call) -> None:
    """A feature that is mixed into h1; the holder's own columns are no target for that holder."""
    tree = attacked(call, "--kind", "properties", "--property", "a", "--adversary", "server", "--out", "p")
    assert len(tree["findings"]) == 2
    assert tree["findings"][0]["target"] == "whether a of training rows is above its median, from h1"
    code, _, err = call("attack", "out", "--kind", "properties", "--property", "nobody")
    assert code == 2
    assert "no column 'nobody'" in err


def test_a_column_that_is_no_feature_stands_with_its_rows(here: Path) -> None:
    """A dropped column of the file comes in the order of the prepared rows."""
    keys: dict[str, Any] = {"source": str(here / "own.csv"), "seed": 1, "label": "y", "fraction": 0.7}
    data = prepare(**keys, standardise=False)
    for name, at in (("a", 0), ("c", 2)):
        train, test = column(name, **keys | {"drop": [name]})
        assert np.allclose(train.astype(np.float32), data.X_train[:, at])
        assert np.allclose(test.astype(np.float32), data.X_test[:, at])
    with pytest.raises(DataError, match="no column 'Amount'"):
        column("Amount", source="digits", seed=1)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("bare",), '[record] views = ["server"]'),
        (("nowhere",), "there is no such folder"),
        (("out", "--kind", "theft"), "there is no such kind of attack; known: recovery"),
        (
            ("out", "--adversary", "A"),
            'its view was not recorded; recorded are B, server; [record] views = ["A"]',
        ),
        (("out", "--kind", "recovery", "--adversary", "B"), "B was given nothing of a hidden layer"),
        (("out", "--kind", "properties"), "the data have no 'Amount'"),
        (("out", "--leaked", "1.5"), "between 0 and 1"),
    ],
)
def test_what_is_not_possible_is_refused_with_the_remedy(
    call: Call, arguments: tuple[str, ...], words: str
) -> None:
    """Exit code 2, one message, nothing on standard output."""
    code, out, err = call("attack", *arguments)
    assert (code, out) == (2, "")
    assert words in " ".join(err.replace("│", " ").split())
    assert "Traceback" not in err


def test_the_label_owner_does_not_attack_the_label(here: Path, call: Call) -> None:
    """A owns the label; what it is given of h_L it can attack the others' inputs with."""
    assert call("run", "tiny.toml", "--quiet", "--out", "owner", "--set", 'record.views=["A"]')[0] == 0
    with pytest.raises(InputError, match="A owns the label"):
        attack(Path("owner"), wanted=["labels"])
    found = attack(Path("owner"), wanted=["recovery"]).findings
    assert [finding.target for finding in found] == [
        "the other holders' columns of training rows from h_L",
        "the other holders' columns of test rows from h_L",
    ]
    assert all("own columns" in {score.attack for score in finding.floors} for finding in found)


def test_several_epochs_are_put_beside_each_other(here: Path, call: Call) -> None:
    """With all epochs recorded there is an attack on all of them; on a narrow cut it is the stronger one."""
    keys = ("record.epochs=all", "model.hidden=[2, 2]", "train.epochs=6", "train.learning_rate=0.3")
    sets = [part for key in keys for part in ("--set", key)]
    assert call("run", "tiny.toml", "--quiet", "--out", "epochs", *sets)[0] == 0
    found = attack(Path("epochs"), wanted=["recovery"], asked=Asked(leaked=0.5)).findings
    by_target = {finding.target: finding.headline.metrics["mse"] for finding in found}
    assert by_target["X of test rows from h1 of 6 epochs"] < 0.7 * by_target["X of test rows from h1"]


def test_split_learning_gives_every_summand_away(here: Path, call: Call) -> None:
    """The server of split learning sees more, and the bound knows it: with 4 units for 3 columns it is 0."""
    sets = ("--set", "protocol.first_layer=plaintext", "--out", "split")
    assert call("run", "tiny.toml", "--quiet", *sets)[0] == 0
    found = attack(
        Path("split"), wanted=["recovery"], adversaries=["server"], asked=Asked(leaked=0.5)
    ).findings
    test_rows = found[-1]
    assert test_rows.bounds[0].metrics["mse"] < 1e-12
    assert test_rows.headline.metrics["mse"] < 1e-6


def test_with_theta_under_sharing_no_holder_completes_it(here: Path, call: Call) -> None:
    """With two secret layers B has the opened layer's gradient but no X_i theta_i; with all nothing."""
    for layers, views in ((2, '["server", "B"]'), (3, '["B"]')):
        sets = ("--set", f"protocol.secret_layers={layers}", "--set", f"record.views={views}")
        assert call("run", "tiny.toml", "--quiet", "--out", f"secret{layers}", *sets)[0] == 0
    [finding] = attack(Path("secret2"), wanted=["labels"], adversaries=["B"]).findings
    assert finding.target == "y of training rows from dL/dh_s"
    found = attack(Path("secret2"), wanted=["recovery"], adversaries=["server"]).findings
    assert all(not finding.bounds for finding in found)  # what was opened is not linear in X
    with pytest.raises(InputError, match="told nothing that depends on the label"):
        attack(Path("secret3"), wanted=["labels"])


def test_a_single_leaked_row_is_enough_to_ask(here: Path, call: Call) -> None:
    """With one pair nothing can be learned; with all rows leaked none is left to judge."""
    kinds = ("--kind", "recovery,labels,properties", "--property", "a")
    tree = attacked(call, *kinds, "--leaked", "0.01", "--out", "x")
    assert tree["findings"][0]["rows_leaked"] == 1
    code, _, err = call("attack", "out", "--leaked", "0.999")
    assert code == 2
    assert "none is left" in err


def test_images_are_put_together_line_by_line() -> None:
    """Holders have strips of an image; its pixels are ordered by their names."""
    assert list(pixels(("0,1", "1,1", "0,0", "1,0"))) == [2, 0, 3, 1]


def test_ctrl_c_ends_with_130_and_writes_nothing(here: Path) -> None:
    """An interrupted attack leaves no file behind and says so by its exit code."""
    command = [sys.executable, "-m", "p2n2sim", "attack", "out", "--shadows", "1000", "--out", "cut"]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    process = subprocess.Popen(command, cwd=here, env=environment, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if "membership" in line:
            break
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert not (here / "cut").exists()


def test_copies_of_leaked_rows_are_no_targets(here: Path, call: Call) -> None:
    """Where every row stands in the file four times, learning the leaked ones by heart recovers nothing."""
    text = (here / "own.csv").read_text().splitlines()
    (here / "four.csv").write_text(
        "\n".join([text[0], *(line for line in text[1:] for _ in range(4))]) + "\n"
    )
    keys = (f"data.source={here / 'four.csv'}", "model.hidden=[1, 2]", 'record.views=["server"]')
    sets = [part for key in keys for part in ("--set", key)]
    assert call("run", "tiny.toml", "--quiet", "--out", "copies", *sets)[0] == 0
    for finding in attack(Path("copies"), wanted=["recovery"], asked=Asked(leaked=0.5)).findings:
        assert finding.details["rows_leaked"] + finding.details["rows_scored"] <= 120
        floor = next(score.metrics["mse"] for score in finding.floors if score.attack == "mean")
        assert finding.headline.metrics["mse"] > 0.6 * floor  # one unit carries a sixth of six columns
