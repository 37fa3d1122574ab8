"""How numbers came about, in words: goes with every figure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from p2n2sim.parties.first_layer.family import MEMBERS
from p2n2sim.report.text import rate, span, without_folders
from p2n2sim.scenario.sections import Compute, Scenario
from p2n2sim.scenario.topology import topology
from p2n2sim.summary import retimed_sentence

VIRTUAL = "Times are virtual time of the simulated protocol, not measured"


def origin(scenario: Scenario, summary: Mapping[str, Any]) -> str:
    """Where the numbers of one run come from: scenario, seed, data, links, machines, and what is a model."""
    data = summary["data"]
    retimed = retimed_sentence(summary)
    return (
        f"Scenario {summary['scenario']}, seed {summary['seed']}. {data_line(data)} "
        f"{data['holders']} holders, protocol {summary['protocol']}. "
        f"{VIRTUAL}: {network_line(scenario)}; {machine_line(scenario.compute)}."
        f"{modelled_line(summary['modelled'])}{f' RE-TIMED: {retimed}.' if retimed else ''}"
    )


def modelled_line(sentences: Collection[str]) -> str:
    """What is modelled, where anything is."""
    return "".join(f" MODELLED: {sentence}." for sentence in sentences)


def called(summary: Mapping[str, Any]) -> str:
    """The name of a run's protocol for headings and legends."""
    protocol = str(summary["protocol"])
    return MEMBERS[protocol].title if protocol in MEMBERS else protocol


def data_line(data: Mapping[str, Any]) -> str:
    """Which data, and whether they are real; a stand-in is named first."""
    source = without_folders(f"{data['name']}: {data['source']}")
    return f"STAND-IN data, not the real set: {source}." if data["stand_in"] else f"Data {source}."


def network_line(scenario: Scenario, swept: Collection[str] = ()) -> str:
    """The links, without what a sweep varies."""
    default = topology(scenario).default
    parts = []
    if "network.preset" not in swept:
        if "network.bandwidth" not in swept:
            parts.append(rate(default.bandwidth))
        if "network.latency" not in swept:
            parts.append(f"{span(default.latency)} one-way latency")
    if scenario.network.links:
        parts.append(f"{len(scenario.network.links)} links of their own")
    kind = {"ideal": "ideal", "tcp": "TCP", "grpc": "gRPC"}[default.transport]
    return f"{kind} links" + (f" of {', '.join(parts)}" if parts else "")


def machine_line(compute: Compute) -> str:
    """The machine profile by which local work is charged."""
    if compute.preset == "instant":
        text = "local work takes no time (machine profile instant)"
    else:
        text = (
            f"local work charged from operation counts (machine profile {compute.preset}, one core a party)"
        )
    changed = [
        role
        for role in ("default", "holder", "server", "dealer")
        if any(
            value not in (None, {})
            for value in msgspec.to_builtins(getattr(compute, role), enc_hook=str).values()
        )
    ]
    return f"{text}, changed for {', '.join(changed)}" if changed else text
