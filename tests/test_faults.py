"""A holder that drops out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from p2n2sim.assemble import assemble
from p2n2sim.errors import PartyLostError, ScenarioError
from p2n2sim.run import run
from p2n2sim.scenario.load import load
from p2n2sim.simulate import Outcome, simulate
from tests.small import small_setup
from tests.tiny import Call, write_scenario

FAULT = '\n[[fault]]\nkind = "crash"\nparty = "B"\nbatch = 3\n'


@pytest.mark.parametrize("party", ["A", "B", "C"])
@pytest.mark.parametrize("secret_layers", [0, 1, 2, 3])
def test_a_lost_holder_is_named_with_the_batch(party: str, secret_layers: int) -> None:
    """Whoever drops out, in whatever protocol, the error names it, the batch and who waits for it."""
    keys: dict[str, Any] = {
        "protocol.secret_layers": secret_layers,
        "fault": [{"kind": "crash", "party": party, "batch": 2}],
    }
    setup, outcome = small_setup(holders=3, overrides=keys), Outcome()
    with pytest.raises(PartyLostError) as caught:
        simulate(setup, outcome)
    lost = caught.value
    assert (lost.party, lost.batch) == (party, 2)
    assert str(lost).startswith(f"{party} dropped out as batch 2 began, at t = {lost.time:.9g} s\n")
    assert party in {wait.sender for wait in lost.waits}
    assert lost.time >= max(time for batch, time in outcome.began if batch.step < 1)
    assert outcome.ledger.frame().query("step == 0").kind.nunique() > 1


def test_what_was_computed_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: Call) -> None:
    """The command line says who is lost, keeps the batches so far and ends with 1."""
    monkeypatch.chdir(tmp_path)
    write_scenario(tmp_path, FAULT)
    code, _, err = call("run", "tiny.toml", "--out", "out")
    assert code == 1
    assert "error: B dropped out as batch 3 began" in err
    kept = tmp_path / "out.interrupted"
    assert "B is lost; the 3 batches so far are in out.interrupted" in err
    assert set(pd.read_parquet(kept / "ledger.parquet").step) >= {0, 1}
    assert not (tmp_path / "out").exists()


def test_a_batch_that_never_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault in a batch that the run does not have is refused before the run."""
    monkeypatch.chdir(tmp_path)
    write_scenario(tmp_path, FAULT.replace("3", "300"))
    with pytest.raises(ScenarioError, match=r"fault\.0\.batch: found 300; the run has \d+ batches"):
        run(load("tiny.toml"), threads=1)


def test_a_message_that_there_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault of a misspelt message would never happen, and is refused; an acknowledgement is a message."""
    monkeypatch.chdir(tmp_path)
    write_scenario(tmp_path)
    fault = "fault=[{{kind='delay',by='1 s',message='{}'}}]".format
    with pytest.raises(
        ScenarioError,
        match=r"^fault\.0\.message: there is no message 'InputShar'; did you mean 'InputShare'\? known: ",
    ):
        assemble(load("tiny.toml", [fault("InputShar")]))
    for message in ("Ack", "InputShare", "HiddenPart"):
        assemble(load("tiny.toml", [fault(message)]))
