"""A recorded run on another network, from its events alone: no data, no arithmetic, milliseconds.

Exact for protocols whose messages do not depend on time; a run in which anybody waits with a timeout, or for
anything else that was not recorded, is refused, and so is one whose faults or repetitions depend on time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from p2n2sim.errors import InputError, ScenarioError
from p2n2sim.net import frame
from p2n2sim.net.faults import pace
from p2n2sim.net.journal import sessions
from p2n2sim.net.replay import Replay, ReplayError, check_explained, parties_of, replay
from p2n2sim.net.topology import Topology
from p2n2sim.net.unpack import unpacked
from p2n2sim.outcome import compute_frame
from p2n2sim.report.provenance import network_line
from p2n2sim.report.tables import Recorded
from p2n2sim.scenario.explain import choices
from p2n2sim.scenario.failures import delivery_of, slowdowns_of
from p2n2sim.scenario.load import parse, read_value, set_key, to_tree
from p2n2sim.scenario.sections import Scenario
from p2n2sim.scenario.topology import topology
from p2n2sim.simulate import BATCH
from p2n2sim.summary import times_and_traffic

TIMES_THAT_STAY = ("wall_s", "processor_s", "simulation_processor_s", "plain_processor_s")
"""Of a re-timed run's summary: they were measured while the recorded run was computed."""


@dataclass(frozen=True)
class Retimed:
    """A re-timed run; the attributes are those of `p2n2sim.run.Run`."""

    scenario: Scenario
    summary: dict[str, Any]
    ledger: pd.DataFrame
    metrics: pd.DataFrame
    batches: pd.DataFrame
    compute: pd.DataFrame
    events: pd.DataFrame


def on_network(scenario: Scenario, text: str) -> Scenario:
    """The scenario with other links.

    Args:
        scenario: of the recorded run.
        text: a preset, which replaces everything that the scenario says of its links; or keys of the network
            section with their values, ``bandwidth=10 Mbit/s,latency=5 ms``, which change these; or both.

    Raises:
        ScenarioError: there is no such preset or key, or a value does not fit.
    """
    where, tree = f"--network {text}", to_tree(scenario)
    for part in text.split(","):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if equals:
            set_key(tree, f"network.{key.replace(chr(34), '')}", read_value(value), where)
        elif key in choices("network.preset"):
            tree["network"] = {"preset": key}
        else:
            raise ScenarioError(
                where,
                f"{key!r} is no preset",
                f"{', '.join(choices('network.preset'))} would do, or keys such as latency=5 ms",
            )
    return parse(tree, where)


def retime(run: Recorded, scenario: Scenario, where: str) -> Retimed:
    """Replays a run on the links of a scenario.

    Args:
        run: the recorded run.
        scenario: equal to the run's but for the links.
        where: names the recorded run in errors.

    Raises:
        InputError: times of the run have reasons that were not recorded, or the scenarios differ in more than
            their links.
    """
    _check_same(run.scenario, scenario, where)
    for one in (run.scenario, scenario):
        check_timeless_faults(one, where)
    parties = parties_of(run.events, run.ledger, run.compute)
    paces = {party: pace(slow) for party in parties if (slow := slowdowns_of(scenario.fault, party))}
    parts = sessions(run.events)
    recorded, others = _links(run.scenario, len(parts)), _links(scenario, len(parts))
    messages = _messages(run, parts, recorded)
    larger = _frame_bytes(scenario) - _frame_bytes(run.scenario)
    events = run.events.assign(number=run.events["number"].where(run.events["kind"] != "send", -1))
    try:
        check_explained(run.ledger, replay(events, messages, parties, recorded, paces))
        messages["wire_bytes"] += larger
        replayed = replay(events, messages, parties, others, paces)
    except ReplayError as error:
        remedy = "run the scenario with these links instead"
        raise InputError(where, f"it cannot be re-timed: {error}", remedy) from error
    batches = _batches(run.batches, replayed)
    kept = {name: run.summary["time"][name] for name in TIMES_THAT_STAY}
    told = times_and_traffic(replayed.ledger, batches, replayed.virtual_s)
    told["time"] |= kept
    origin = {"network": network_line(run.scenario), "ledger_sha256": run.summary["ledger_sha256"]}
    summary = run.summary | told | {"retimed": run.summary.get("retimed", origin)}
    return Retimed(
        scenario=scenario,
        summary={
            name: summary[name] for name in (*run.summary, *(k for k in summary if k not in run.summary))
        },
        ledger=replayed.ledger.frame(),
        metrics=run.metrics,
        batches=batches,
        compute=compute_frame(replayed.intervals),
        events=replayed.events,
    )


def check_timeless_faults(
    scenario: Scenario, where: str, remedy: str = "run the scenario with these links instead"
) -> None:
    """Checks that no fault and no repetition makes the messages of a run depend on time.

    Args:
        scenario: of the run.
        where: names the run in errors.
        remedy: what to do instead.

    Raises:
        InputError: messages are sent again when an acknowledgement is late, or a fault hits messages or makes
            a party crash.
    """
    reason = None
    if scenario.network.retry:
        reason = "whether a message is sent again depends on when it is acknowledged (network.retry)"
    for number, fault in enumerate(scenario.fault):
        if fault.kind == "crash":
            reason = f"what is done before a party crashes depends on the links (fault.{number})"
        elif fault.kind != "slow":
            reason = (
                f"which messages a fault hits, and what follows, depends on the links "
                f"(fault.{number}, {fault.kind})"
            )
    if reason:
        raise InputError(where, f"it cannot be re-timed: {reason}", remedy)


def _links(scenario: Scenario, count: int) -> list[Topology]:
    """Those of each session."""
    every = scenario.train.checkpoint_every or 0
    return [topology(scenario, number * every) for number in range(count)]


def _messages(run: Recorded, parts: list[pd.DataFrame], links: list[Topology]) -> pd.DataFrame:
    """The ledger with the sizes of what was handed to the links; connections begin anew in each session."""
    own, first = [], 0
    for part, each in zip(parts, links, strict=True):
        count = int((part["kind"] == "send").sum())
        own.append(unpacked(run.ledger.iloc[first : first + count], each))
        first += count
    return pd.concat(own)


def _frame_bytes(scenario: Scenario) -> int:
    key = delivery_of(scenario.network, scenario.train.seed).key
    return 0 if key is None else frame.overhead(key)


def _check_same(recorded: Scenario, other: Scenario, where: str) -> None:
    first, second = to_tree(recorded), to_tree(other)
    for part in sorted(first.keys() | second.keys()):
        if part not in ("name", "title", "network") and first.get(part) != second.get(part):
            raise InputError(where, f"its {part} differs by more than the links", "run the scenario instead")


def _batches(recorded: pd.DataFrame, replayed: Replay) -> pd.DataFrame:
    began = {number: time for what, number, time in replayed.marks if what == BATCH}
    return recorded.assign(began_s=[began[step] for step in recorded["step"]])
