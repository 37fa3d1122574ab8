"""From the [network] table to the links."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from p2n2sim.errors import ScenarioError
from p2n2sim.net.link import LinkSpec
from p2n2sim.net.topology import Topology
from p2n2sim.scenario.load import load, parse, to_toml
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


def test_transport_and_its_options() -> None:
    """What is given for all links holds for each, and a link may differ."""
    net = links(
        transport="tcp",
        burst="12.5 kB",
        tls=True,
        loss="0.001",
        queue="1 MB",
        jitter="2 ms",
        links={"A-B": {"transport": "grpc", "host": "stream", "flow_window": "64 KiB"}},
    )
    spec = net.spec("A", "server")
    assert (spec.transport, spec.burst, spec.tls, spec.loss) == ("tcp", 12_500, True, 0.001)
    assert (spec.queue, spec.jitter, spec.host) == (1e6, 2e-3, "auto")
    grpc = net.spec("B", "A")
    assert (grpc.transport, grpc.host, grpc.flow_window, grpc.tls) == ("grpc", "stream", 65_536, True)


def test_uplinks_and_named_bottlenecks() -> None:
    """An uplink carries all that a party sends, a named bottleneck the links that it names."""
    net = links(
        preset="ideal",
        uplink="10 Mbit/s",
        shared={"backbone": {"bandwidth": "5 Mbit/s", "links": ["A-server", "*->dealer"]}},
    )
    assert list(net.through("A", "B")) == ["uplink of A"]
    assert sorted(net.through("server", "A")) == ["backbone", "uplink of server"]
    assert sorted(net.through("B", "dealer")) == ["backbone", "uplink of B"]
    assert net.slowest("B", "dealer") == 5e6


def test_star() -> None:
    """Every party has an uplink and a downlink, and the links themselves have no limit."""
    net = links(preset="star")
    assert net.spec("A", "server") == LinkSpec(latency=0.2e-3)
    assert sorted(net.through("A", "server")) == ["downlink of server", "uplink of A"]


def test_shared_uplink() -> None:
    """The holders' links to the server and the dealer meet; the one between them does not."""
    net = links(preset="shared-uplink")
    assert list(net.through("A", "server")) == list(net.through("B", "dealer")) == ["office uplink"]
    assert list(net.through("server", "B")) == ["office downlink"]
    assert list(net.through("A", "B")) == []
    assert net.slowest("A", "server") == 100e6
    assert net.spec("B", "server").latency == 20e-3


def test_slow_party() -> None:
    """The last holder is slow in both directions, the others are on a LAN."""
    net = links(preset="slow-party")
    assert net.slowest("A", "B") == net.slowest("B", "server") == 10e6
    assert net.spec("server", "A").bandwidth == 1e9


def test_three_regions() -> None:
    """A in East US, B in West Europe, the server in Japan East: half of the published round trips."""
    net = links(preset="three-regions")
    assert net.spec("A", "B").latency == 44.75e-3
    assert net.spec("server", "A").latency == 84.75e-3
    assert net.spec("B", "server").latency == 125.25e-3
    assert net.spec("B", "dealer").latency == 0.2e-3  # both in West Europe


def test_a_trace_is_read_into_the_scenario(tmp_path: Path) -> None:
    """The file is seen from the scenario's folder, and the scenario then says what stands in it."""
    (tmp_path / "rates.csv").write_text("time_s,bit_per_s\n0,1e6\n2.5,5e5\n")
    file = tmp_path / "x.toml"
    file.write_text('name = "x"\n[network.links.A-B]\nbandwidth = "1 Mbit/s"\ntrace = "rates.csv"\n')
    scenario = load(file)
    assert topology(scenario).spec("B", "A").steps == ((0.0, 1e6), (2.5, 5e5))
    (tmp_path / "rates.csv").unlink()
    file.write_text(to_toml(scenario))
    assert load(file) == scenario


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "does not begin with the line time_s,bit_per_s"),
        ("time_s,bit_per_s\n1\n", "line 2 of .* is '1'; write a time in seconds"),
        ("time_s,bit_per_s\n1,1e6\n1,2e6\n", "the time 1 s comes after 1 s; let the times rise"),
        ("time_s,bit_per_s\n1,0\n", "the rate at 1 s is 0 bit/s; use finite rates above 0"),
    ],
)
def test_bad_traces(tmp_path: Path, text: str, message: str) -> None:
    """A file that is no trace is refused, naming the key, the place in the file and a remedy."""
    (tmp_path / "rates.csv").write_text(text)
    file = tmp_path / "x.toml"
    file.write_text('name = "x"\n[network]\ntrace = "rates.csv"\n')
    with pytest.raises(ScenarioError, match=rf"x.toml: network.trace: .*{message}"):
        load(file)


@pytest.mark.parametrize(
    ("network", "message"),
    [
        ({"loss": 0.1}, "network.transport: an ideal link has no loss"),
        ({"transport": "tpc"}, "network.transport: found 'tpc'; one of 'ideal', 'tcp', 'grpc' would do"),
        ({"transport": "tcp", "host": "unary"}, "network.host: unary is gRPC's"),
        ({"links": {"A-B": {"tls": True}}}, "network.links.A-B.transport: an ideal link"),
        ({"burst": "5 GB"}, "network.burst: found the unit 'GB'"),
        (
            {"shared": {"x": {"bandwidth": "1 Mbit/s", "links": ["A->C"]}}},
            "network.shared.x.links: 'A->C' names no",
        ),
        ({"shared": {"x": {"links": ["A->B"]}}}, "network.shared.x.bandwidth: this key is missing"),
        ({"shared": {"x": {"bandwidth": "1", "links": ["A->B"]}}}, "network.shared.x.bandwidth: found '1'"),
        ({"trace": "rates.csv"}, "network.trace: found the name 'rates.csv'"),
        ({"preset": "ideal", "trace": [[0, 1e6]]}, "network.bandwidth: it changes, but is not limited"),
    ],
)
def test_what_no_network_says(network: dict[str, Any], message: str) -> None:
    """A wrong key or value names its place and what would do."""
    with pytest.raises(ScenarioError, match=message):
        links(**network)
