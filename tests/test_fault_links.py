"""Faults over every kind of link: the right weights, or an error that names party, message and time."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from p2n2sim.errors import AuthenticationError, DeliveryError, MessageLostError, PartyLostError
from p2n2sim.net.tcp import record_bytes, wire_bytes
from p2n2sim.simulate import Outcome, simulate
from tests.faulty import DEADLINE_S, LINKS, RETRY, SECOND, WITHOUT, random_faults, right, run
from tests.small import small_setup

OTHERS = tuple(name for name in LINKS if name != "ideal")
LONGEST_S = 8.0  # a message on its way: a handshake with TLS, a lost segment, and what was sent before it
ON_FLOWS = ("max-min", "tcp", "tls, shared, lossy", "grpc")


@pytest.mark.parametrize("links", OTHERS)
@pytest.mark.parametrize("kind", WITHOUT)
def test_without_retries(kind: str, links: str) -> None:
    """What is late, repeated or overtaken does no harm; what is lost or damaged is named in time."""
    keys, error = WITHOUT[kind]
    fault = {"kind": kind, **keys}
    if error is None:
        assert run("algorithm1", fault, **LINKS[links])[0] == right("algorithm1")
        return
    with pytest.raises(error) as caught:
        run("algorithm1", fault, **LINKS[links])
    found = caught.value
    assert isinstance(found, DeliveryError)
    assert "A" in (found.sender, found.receiver)
    assert found.number >= 1
    assert found.sent < found.time <= found.sent + LONGEST_S + DEADLINE_S


@pytest.mark.parametrize("links", OTHERS)
@pytest.mark.parametrize("kind", WITHOUT)
def test_with_retries_and_codes(kind: str, links: str) -> None:
    """Whatever happens to single messages, and while a link is cut: the same weights, byte for byte."""
    sealed = RETRY | {"network.authenticate": True} | LINKS[links]
    weights, outcome = run("algorithm1", {"kind": kind, **WITHOUT[kind][0]}, **sealed)
    assert weights == right("algorithm1")
    assert (outcome.ledger.frame().kind == "Ack").any()


@pytest.mark.parametrize("links", OTHERS)
def test_what_never_arrives(links: str) -> None:
    """When the attempts run out the message is named, within its sender's patience."""
    lost = {"kind": "drop", **SECOND, "attempts": 5}
    with pytest.raises(MessageLostError, match="was not acknowledged after 5 attempts") as caught:
        run("algorithm1", lost, **RETRY, **LINKS[links])
    found = caught.value
    patience = 3.0 * (2**5 - 1)
    assert (found.sender, found.number) == ("A", 2)
    assert found.sent + patience < found.time <= found.sent + patience + 5 * 2 * LONGEST_S


@pytest.mark.parametrize("links", OTHERS)
@pytest.mark.parametrize("retry", [{}, RETRY], ids=["", "retry"])
def test_tampering(links: str, retry: dict[str, Any]) -> None:
    """A changed message with a checksum that fits is found out by its code as it arrives."""
    forged = {"kind": "corrupt", "forged": True, **SECOND}
    with pytest.raises(AuthenticationError, match=r"from A to .* was changed on its way") as caught:
        run("algorithm1", forged, **retry, **LINKS[links], **{"network.authenticate": True})
    assert 1.0 <= caught.value.time - caught.value.sent <= LONGEST_S


@pytest.mark.parametrize("links", OTHERS)
@pytest.mark.parametrize(
    "crash", [{"at": "6.5 s"}, {"number": 3}, {"batch": 2}], ids=["time", "message", "batch"]
)
def test_crashes(links: str, crash: dict[str, Any]) -> None:
    """Who crashes for good is named, with the time; who comes back goes on to the right weights."""
    fault = {"kind": "crash", "party": "B", **crash}
    with pytest.raises(PartyLostError) as caught:
        run("algorithm1", fault, **LINKS[links])
    assert (caught.value.party, caught.value.back) == ("B", None)
    assert run("algorithm1", fault | {"restart": "10 s"}, **LINKS[links])[0] == right("algorithm1")


@pytest.mark.parametrize("transport", ["tcp", "grpc"])
@pytest.mark.parametrize("protocol", ["algorithm1", "masked-once", "whole network"])
def test_a_crash_at_any_message(protocol: str, transport: str) -> None:
    """Whichever message a party crashes at, it goes on from its checkpoint to bit-identical weights."""
    keys = RETRY | {"train.checkpoint_every": 1} | LINKS[transport]
    crashed = 0
    for number in (1, 2, 4, 7, 11):
        crash = {"kind": "crash", "party": "B", "number": number, "restart": "5 s"}
        weights, outcome = run(protocol, crash, **keys)
        assert weights == right(protocol), number
        sent = outcome.ledger.frame()
        crashed += len(sent) > len(run(protocol, **keys)[1].ledger.rows)
    assert crashed >= 4  # the others come where little is repeated


@pytest.mark.parametrize("links", OTHERS)
def test_without_the_dealer(links: str) -> None:
    """A dealer that is lost in the midst of the run is named, or comes back."""
    lost = {"kind": "crash", "party": "dealer", "at": "5.5 s"}
    twice = {"train.epochs": 2} | LINKS[links]
    with pytest.raises(PartyLostError, match=r"dealer dropped out at t = 5\.5 s"):
        run("algorithm1", lost, **twice)
    weights = run("algorithm1", lost | {"restart": "10 s"}, **twice)[0]
    assert weights == run("algorithm1", **{"train.epochs": 2})[0]


@pytest.mark.parametrize("links", OTHERS)
def test_a_run_with_faults_is_repeatable(links: str) -> None:
    """The same ledger twice, with everything encoded too, whatever the faults are."""
    ends = []
    for seed in (11, 25):
        faults, keys = random_faults(seed)
        for encode_all in (False, True):
            setup, outcome = small_setup(overrides={"fault": faults} | keys | LINKS[links]), Outcome()
            try:
                simulate(setup, outcome, encode_all=encode_all)
            except (DeliveryError, PartyLostError) as error:
                ends.append((outcome.ledger.sha256(), str(error)))
            else:
                ends.append((outcome.ledger.sha256(), ""))
    assert ends[0] == ends[1] != ends[2] == ends[3]


def sent_once(frame: pd.DataFrame) -> pd.DataFrame:
    """The messages of the protocol, in an order that does not depend on times."""
    frame = frame[frame.kind != "Ack"]
    return frame.sort_values(["sender", "receiver", "kind", "step"], kind="stable").reset_index(drop=True)


@pytest.mark.parametrize("links", ["tcp", "tls, shared, lossy"])
def test_bytes_are_accounted(links: str) -> None:
    """A frame is 16 bytes more than its message, 32 with a code, and TCP and TLS add theirs to all of it."""
    plain = sent_once(run("algorithm1")[1].ledger.frame())
    for authenticate in (False, True):
        keys = RETRY | {"network.authenticate": authenticate} | LINKS[links]
        framed = sent_once(run("algorithm1", **keys)[1].ledger.frame())
        assert (framed.payload_bytes == plain.payload_bytes).all()
        handed = plain.wire_bytes + (32 if authenticate else 16)
        if LINKS[links].get("network.tls"):
            handed = handed.map(record_bytes)
        assert (framed.wire_bytes == handed.map(wire_bytes)).all()


@pytest.mark.parametrize("links", ON_FLOWS)
def test_every_transmission_is_in_the_ledger(links: str) -> None:
    """Lost ones without an arrival, and the bytes of a repetition are those of the first transmission."""
    frame = run("algorithm1", {"kind": "drop", **SECOND}, **RETRY, **LINKS[links])[1].ledger.frame()
    lost = frame[frame.arrived_s.isna()]
    assert len(lost) == 2
    assert (lost.start_s < frame.start_s.max()).all()
    for row in lost.itertuples():
        same = frame[(frame.sender == row.sender) & (frame.receiver == row.receiver)]
        again = same[(same.kind == row.kind) & (same.step == row.step) & same.arrived_s.notna()]
        assert list(again.wire_bytes) == [row.wire_bytes]
        assert list(again["round"]) == [row.round]
        assert (again.sent_s > row.sent_s + 3.0).all()
