"""Schedules over TCP and gRPC: links keep their order, and what arrives does not depend on it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
import pytest

from p2n2sim.net.endpoint import Endpoint, Mailbox
from p2n2sim.net.link import LinkSpec
from p2n2sim.net.network import Network
from p2n2sim.net.simloop import SimLoop, run
from p2n2sim.net.topology import Topology, access
from p2n2sim.wire import Message, clear


@dataclass(frozen=True, slots=True)
class Block(Message):
    """Numbers."""

    data: np.ndarray = clear("numbers")


@dataclass(frozen=True, slots=True)
class Other(Message):
    """Numbers of another type."""

    data: np.ndarray = clear("numbers")


@pytest.mark.parametrize("transport", ["tcp", "grpc"])
def test_messages_of_one_link_never_overtake(
    monkeypatch: pytest.MonkeyPatch, transport: Literal["tcp", "grpc"]
) -> None:
    """During the handshake, at the instant at which it ends, and after it, in whichever type they are."""
    arrived: list[tuple[str, int]] = []
    deliver = Mailbox.deliver

    def traced(self: Mailbox, arrival: tuple[Message, int]) -> None:
        arrived.append((self.lane[0], arrival[0].step))
        deliver(self, arrival)

    monkeypatch.setattr(Mailbox, "deliver", traced)
    necks = access("C", 8e6)
    spec = LinkSpec(bandwidth=8e6, latency=0.5, transport=transport, handshake=True)

    async def sender(end: Endpoint) -> None:
        ready = 2.0 if transport == "grpc" else 1.0  # the handshake's round trips
        for step in range(8):
            kind = Other if step % 2 else Block
            end.send("C", kind(step, np.zeros(10 * (8 - step), np.float32)))
            if step == 3:
                await asyncio.sleep(ready)

    async def receiver(end: Endpoint) -> None:
        for _ in range(4):
            for name in "AB":
                await end.recv(name, Block)
                await end.recv(name, Other)

    async def main() -> None:
        network = Network(cast(SimLoop, asyncio.get_running_loop()), Topology(spec, shared=necks))
        ends = {name: network.join(name) for name in "ABC"}
        await network.run({n: (receiver if n == "C" else sender)(end) for n, end in ends.items()})

    orders = set()
    for seed in range(30):
        arrived.clear()
        run(main(), schedule=seed)
        for name in "AB":
            assert [step for source, step in arrived if source == name] == list(range(8)), seed
        orders.add(tuple(arrived))
    assert len(orders) > 1
