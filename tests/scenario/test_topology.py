"""From the [network] table to the links."""

from __future__ import annotations

import math
from typing import Any

import pytest

from p2n2sim.net.link import LinkSpec
from p2n2sim.net.topology import Topology
from p2n2sim.scenario.load import parse
from p2n2sim.scenario.topology import topology


def links(**network: Any) -> Topology:
    """The topology of a [network] table."""
    return topology(parse({"name": "x", "network": network}, "f"))


@pytest.mark.parametrize(
    ("preset", "bandwidth", "latency"),
    [("lan", 1e9, 0.2e-3), ("wan", 100e6, 20e-3), ("ideal", math.inf, 0.0)],
)
def test_presets(preset: str, bandwidth: float, latency: float) -> None:
    """A preset is the link of every pair; lan is the default."""
    assert links(preset=preset).default == LinkSpec(bandwidth=bandwidth, latency=latency)
    assert links().default == links(preset="lan").default


def test_what_is_given_overrides_the_preset_alone() -> None:
    """A bandwidth leaves the preset's latency, and the other way round; a latency of zero counts as given."""
    assert links(preset="wan", bandwidth="5 Mbit/s").default == LinkSpec(bandwidth=5e6, latency=20e-3)
    assert links(preset="wan", latency="0 s").default == LinkSpec(bandwidth=100e6, latency=0.0)


def test_a_pair_is_meant_in_both_directions() -> None:
    """ "A-B" sets both directions, what it leaves out is the default, and other pairs keep the default."""
    net = links(bandwidth="100 Mbit/s", latency="1 ms", links={"A-B": {"bandwidth": "10 Mbit/s"}})
    assert net.spec("A", "B") == net.spec("B", "A") == LinkSpec(bandwidth=10e6, latency=1e-3)
    assert net.spec("A", "server") == net.default


@pytest.mark.parametrize("order", [("A-server", "server->A"), ("server->A", "A-server")])
def test_a_direction_of_its_own_wins_over_the_pair(order: tuple[str, str]) -> None:
    """ "server->A" is that direction, wherever in the file it stands."""
    tables = {"A-server": {"latency": "5 ms"}, "server->A": {"latency": "0 s"}}
    net = links(latency="1 ms", links={key: tables[key] for key in order})
    assert net.spec("A", "server").latency == 5e-3
    assert net.spec("server", "A").latency == 0.0


def test_one_direction_leaves_the_other() -> None:
    """ "dealer->B" says nothing about B -> dealer."""
    net = links(links={"dealer->B": {"bandwidth": "1 kbit/s"}})
    assert net.spec("dealer", "B").bandwidth == 1e3
    assert net.spec("B", "dealer") == net.default
