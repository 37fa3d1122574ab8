"""The README tells the truth: its blocks are run as they stand there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from p2n2sim.parties.first_layer import traffic
from p2n2sim.parties.first_layer.family import MEMBERS
from p2n2sim.parties.layer import FirstLayer
from p2n2sim.parties.secret_layers import traffic as secret_traffic
from p2n2sim.scenario.load import parse
from p2n2sim.under_sharing import agreement_of
from tests.small import small_setup

ROOT = Path(__file__).parents[1]


def blocks() -> list[str]:
    """The indented blocks of the README, without their indentation."""
    text = (ROOT / "README.md").read_text("utf-8")
    found = re.findall(r"(?:^    .*\n|^\n(?=    ))+", text, re.MULTILINE)
    return [re.sub(r"^    ", "", block, flags=re.MULTILINE).strip("\n") + "\n" for block in found]


def the_block(word: str) -> str:
    """The one block that contains a word."""
    (block,) = [block for block in blocks() if word in block]
    return block


def test_scenario() -> None:
    """The scenario file of the README is valid, its sweep included."""
    scenario = parse(tomllib.loads(the_block("[data]")), "README.md")
    assert scenario.data.holders == 2
    assert len(scenario.sweep["network.bandwidth"]) == 3


def test_own_protocol() -> None:
    """The small protocol of the README runs and prints its ledger."""
    printed = subprocess.run(
        [sys.executable, "-c", the_block("class Ping")], capture_output=True, text=True, check=True
    )
    assert "Alice" in printed.stdout
    assert "Ping" in printed.stdout


PARTIES = """
from dataclasses import dataclass
import numpy as np
import pytest
from p2n2sim.errors import DeadlockError
from p2n2sim.wire import Message, clear, uniform

@dataclass(frozen=True, slots=True)
class Question(Message):
    text: np.ndarray = uniform("question", np.uint8)

@dataclass(frozen=True, slots=True)
class Answer(Message):
    value: np.ndarray = clear("answer", np.float64)

async def alice(end):
    end.send("B", Question(0, np.zeros(16, np.uint8)))
    return float((await end.recv("B", Answer)).value[0])

async def bob(end):
    await end.recv("A", Question)
    end.send("A", Answer(0, np.full(1, 42.0)))

async def silent(end):
    pass

"""


def test_tests_of_ones_own_protocol(tmp_path: Path) -> None:
    """The tests that the README shows pass, given two parties."""
    (tmp_path / "test_it.py").write_text(PARTIES + the_block("schedules(200)"))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "p2n2sim.testing.plugin", str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert "2 passed" in done.stdout, done.stdout


def test_python_example(monkeypatch: pytest.MonkeyPatch) -> None:
    """The Python example of the README runs on the shipped scenario (here with a few rows of it)."""
    program = the_block("from p2n2sim.run import run").replace(
        '["train.epochs=1"]', '["train.epochs=1", "data.fraction=0.1", "train.batch_size=2000"]'
    )
    assert "data.fraction" in program
    monkeypatch.chdir(ROOT)
    exec(compile(program, "README.md", "exec"), {"__name__": "__main__"})


def test_every_link_leads_somewhere() -> None:
    """Files that the README and the documents refer to exist."""
    for document in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        text = document.read_text("utf-8")
        targets = re.findall(r"\]\(([^)#:]+)\)", text)
        targets += [f"../{path}" if document.parent.name == "docs" else path for path in _mentioned(text)]
        for target in targets:
            assert (document.parent / target).exists(), f"{document.name}: {target}"


def _mentioned(text: str) -> list[str]:
    return re.findall(r"`((?:p2n2sim|tests|docs|scenarios|reports|benchmarks)/[\w./-]+)`", text)


def test_numbers_of_the_protocols_document() -> None:
    """The byte counts in docs/protocols.md are those of the closed form."""
    text = (ROOT / "docs" / "protocols.md").read_text("utf-8")
    fraud = FirstLayer(holders=("A", "B"), widths=(14, 14), units=8, fractional_bits=20)
    for name in ("ckks", "paillier"):
        for payload in MEMBERS[name].payload(fraud, 5000).values():
            assert f"{payload:,} |" in text
    assert f"{MEMBERS['ckks'].setup(fraud, 1, 1)['server->A']:,}" in text
    for rows, width, units in ((5000, 14, 8), (2570, 278, 400)):
        layer = FirstLayer(holders=("A", "B"), widths=(width, width), units=units, fractional_bits=20)
        assert f"{sum(traffic.payload_by_link(layer, 'A', rows, 8).values()):,}" in text


@pytest.mark.parametrize(
    ("row", "activations", "activation"),
    [
        ("three-piece sigmoid", "sigmoid", "piecewise"),
        ("ReLU hidden, three-piece head", "relu", "piecewise"),
        ("square hidden, three-piece head", "square", "piecewise"),
        ("polynomial of degree 3", "sigmoid", "polynomial"),
    ],
)
def test_numbers_of_the_secret_layers_document(row: str, activations: str, activation: str) -> None:
    """The table of docs/secret-layers.md, bytes and rounds of a training step, is that of the closed form."""
    overrides = {
        "model.hidden": [8, 8],
        "model.activations": activations,
        "protocol.secret_layers": 3,
        "protocol.first_layer": "algorithm1-masked-once",
        "protocol.activation": activation,
    }
    agreement = agreement_of(small_setup(features=28, overrides=overrides))
    links = secret_traffic.payload_by_link(agreement, 5000, 8)
    online, offline = links["A->B"] / 1e6, links["dealer->B"] / 1e6
    rounds = secret_traffic.rounds(agreement, 5000)
    text = (ROOT / "docs" / "secret-layers.md").read_text("utf-8")
    assert f"| p2n2sim, {row} | {online:.2f} | {rounds} | {offline:.2f} |" in text
