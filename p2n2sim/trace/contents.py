"""The true bytes of a batch's messages, which a run folder does not keep: its scenario is run again."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from p2n2sim.assemble import assemble
from p2n2sim.errors import InputError
from p2n2sim.net import frame
from p2n2sim.net.faults import Ack
from p2n2sim.report.tables import Recorded
from p2n2sim.run import one_float_thread
from p2n2sim.scenario.failures import delivery_of
from p2n2sim.scenario.faults import hits_messages
from p2n2sim.scenario.sections import Scenario
from p2n2sim.simulate import Outcome, simulate
from p2n2sim.trace.flights import Flight
from p2n2sim.trace.story import Story
from p2n2sim.wire import Message, encode


def contents(
    run: Recorded, story: Story, step: int, where: str, *, data_dir: Path | None
) -> dict[int, bytes]:
    """What the messages of a batch consist of, as they left their sender, by their rows in the ledger.

    A run is a function of its scenario and its data, so running it again gives the same messages. That it
    does is checked by the ledger.

    Args:
        run: the recorded run.
        story: the same.
        step: number of the batch.
        where: names the recorded run in errors.
        data_dir: where to look for data files first.

    Raises:
        InputError: the data are not those of the run, or the ledger comes out another one.
    """
    encoded = _encoded(run.scenario, step, run.summary["ledger_sha256"], where, data_dir)
    firsts = [flight for flight in story.flights if flight.attempt == 1 and not flight.acknowledges]
    by_row = {flight.row: encoded[place] for place, flight in enumerate(firsts) if place in encoded}
    seal = _Sealer(run.scenario, firsts)
    out = {}
    for flight in story.flights:
        if flight.entry.step != step:
            continue
        if flight.acknowledges:
            out[flight.row] = seal(flight, encode(Ack(step, flight.number)))
            continue
        first = flight
        while first.attempt > 1:
            first = story.flights[first.earlier]
        out[flight.row] = seal(flight, by_row[first.row])
    return out


def _encoded(
    scenario: Scenario, step: int, ledger_sha256: str, where: str, data_dir: Path | None
) -> dict[int, bytes]:
    """The encodings of a batch's messages, by their number among all that parties send."""
    outcome, encoded, sent = Outcome(), dict[int, bytes](), 0

    def listen(sender: str, receiver: str, message: Message) -> None:
        nonlocal sent
        if message.step == step:
            encoded[sent] = encode(message)
        sent += 1

    with one_float_thread():
        simulate(assemble(scenario, data_dir=data_dir), outcome, tap=listen)
    if (found := outcome.ledger.sha256()) != ledger_sha256:
        raise InputError(
            where,
            f"its scenario, run again, has another ledger ({found[:8]}..., recorded {ledger_sha256[:8]}...)",
            "leave out --payload, or run the scenario again with this version",
        )
    return encoded


class _Sealer:
    """Puts messages into the frames in which they travel over links that can fail.

    Args:
        scenario: of the run.
        firsts: the first transmission of every message.
    """

    def __init__(self, scenario: Scenario, firsts: list[Flight]) -> None:
        network = scenario.network
        self._framed = network.retry or network.authenticate or hits_messages(scenario.fault)
        self._key = delivery_of(network, scenario.train.seed).key
        sent: Counter[tuple[str, str]] = Counter()
        self._numbers: dict[int, int] = {}  # where nothing can be sent twice, events do not tell them
        for flight in firsts:
            link = flight.entry.sender, flight.entry.receiver
            sent[link] += 1
            self._numbers[flight.row] = flight.number or sent[link]

    def __call__(self, flight: Flight, data: bytes) -> bytes:
        """What is handed to the link."""
        if not self._framed:
            return data
        link = flight.entry.sender, flight.entry.receiver
        key = None if self._key is None else frame.pair_key(self._key, *link)
        return frame.seal(flight.number or self._numbers[flight.row], data, key)
