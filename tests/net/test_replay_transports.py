"""Replays over every kind of link: what is recorded over one is replayed over the others."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from p2n2sim.net import simloop
from p2n2sim.net.link import LinkSpec
from p2n2sim.net.network import Network
from p2n2sim.net.replay import check_explained, replay
from p2n2sim.net.topology import Topology, access
from p2n2sim.wire import Message, clear

LINKS = {
    "ideal": Topology(LinkSpec(bandwidth=1e7, latency=0.003)),
    "tcp": Topology(LinkSpec(bandwidth=1e8, latency=0.01, transport="tcp")),
    "tls": Topology(LinkSpec(bandwidth=1e6, latency=0.001, transport="tcp", tls=True)),
    "grpc": Topology(LinkSpec(bandwidth=1e8, latency=0.02, transport="grpc")),
    "jitter and loss": Topology(
        LinkSpec(bandwidth=1e7, latency=0.01, transport="tcp", jitter=0.004, loss=0.01), seed=7
    ),
    "shared uplink": Topology(LinkSpec(bandwidth=1e9, latency=0.001), shared=access("A", 1e6)),
}


@dataclass(frozen=True, slots=True)
class Block(Message):
    """Some numbers."""

    numbers: Any = clear("numbers")


async def _rounds(topology: Topology) -> Network:
    """Three parties that tell each other more and more, and work in between."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, simloop.SimLoop)
    network = Network(loop, topology)
    ends = [network.join(name) for name in "ABC"]

    async def party(me: int) -> None:
        others = [end.name for end in ends if end is not ends[me]]
        for step in range(4):
            await ends[me].compute(lambda: None, 0.001 * (me + 1), label="work")
            for other in others:
                ends[me].send(other, Block(step, np.zeros(10 ** (step + 1) + me, np.float32)))
            for other in others:
                await ends[me].recv(other, Block)

    await network.run({end.name: party(number) for number, end in enumerate(ends)})
    return network


@pytest.mark.parametrize("recorded", LINKS)
def test_replays_between_transports(recorded: str) -> None:
    """Times and bytes on the wire are those of full runs on the other links, to the bit."""
    source = simloop.run(_rounds(LINKS[recorded]))
    events, ledger = source.events(), source.ledger.frame()
    check_explained(ledger, replay(events, ledger, ["A", "B", "C"], LINKS[recorded]))
    for links in LINKS.values():
        full = simloop.run(_rounds(links))
        again = replay(events, ledger, ["A", "B", "C"], links)
        assert again.ledger.rows == full.ledger.rows
        assert again.intervals == full.intervals()
