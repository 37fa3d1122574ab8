"""The links that a scenario describes."""

from __future__ import annotations

import math

from p2n2sim.net.link import LinkSpec
from p2n2sim.net.topology import Topology
from p2n2sim.scenario.sections import Scenario

PRESETS: dict[str, LinkSpec] = {
    "ideal": LinkSpec(bandwidth=math.inf, latency=0.0),
    "lan": LinkSpec(bandwidth=1e9, latency=0.2e-3),
    "wan": LinkSpec(bandwidth=100e6, latency=20e-3),
}


def topology(scenario: Scenario) -> Topology:
    """Every link: the preset, then what differs for all links, then for the pair or the direction."""
    section = scenario.network
    preset = PRESETS[section.preset]
    default = LinkSpec(
        bandwidth=section.bandwidth.value if section.bandwidth else preset.bandwidth,
        latency=section.latency.value if section.latency else preset.latency,
    )
    links = {}
    for key, link in section.links.items():
        spec = LinkSpec(
            bandwidth=link.bandwidth.value if link.bandwidth else default.bandwidth,
            latency=link.latency.value if link.latency else default.latency,
        )
        if "->" in key:
            sender, receiver = key.split("->")
            links[sender, receiver] = spec
        else:
            first, second = key.split("-")
            for pair in ((first, second), (second, first)):
                if f"{pair[0]}->{pair[1]}" not in section.links:  # a direction of its own wins
                    links[pair] = spec
    return Topology(default, links)
