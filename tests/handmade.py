"""Runs made by hand, of which every time is known: a few tasks on a network, as a finished run's tables."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from p2n2sim.net import simloop
from p2n2sim.net.network import Network
from p2n2sim.net.topology import Topology
from p2n2sim.outcome import compute_frame
from p2n2sim.report.read import StoredEvents
from p2n2sim.scenario.load import parse
from p2n2sim.scenario.topology import topology
from p2n2sim.wire import Message, Phase, clear, sizes, uniform

Tasks = dict[str, Coroutine[Any, Any, object]]


@dataclass(frozen=True, slots=True)
class Value(Message):
    """So many numbers."""

    numbers: Any = clear("numbers")


@dataclass(frozen=True, slots=True)
class Triple(Message):
    """The same of the offline phase."""

    phase: ClassVar[Phase] = "offline"
    numbers: Any = uniform("numbers")


def value(count: int = 0) -> Value:
    """A message of some size."""
    return Value(0, np.zeros(count, np.float32))


def triple(count: int = 0) -> Triple:
    """An offline message of some size."""
    return Triple(0, np.zeros(count, np.int64))


def seconds(message: Message, bits_per_s: float) -> float:
    """How long a message's bits take to leave."""
    return sizes(message)[1] * 8 / bits_per_s


def handmade(
    parties: Sequence[str],
    tasks: Callable[[Network], Tasks],
    *,
    bandwidth: str = "1 Mbit/s",
    latency: str = "1 s",
    batches: Sequence[tuple[str, float]] = (("train", 0.0),),
    links: Topology | None = None,
) -> StoredEvents:
    """A finished run.

    Args:
        parties: who takes part.
        tasks: of a network that they have joined.
        bandwidth: of every link.
        latency: of every link.
        batches: stage of each batch, and when it began.
        links: instead of those of the scenario, which must have the same latency.
    """
    scenario = parse(
        {"name": "handmade", "network": {"preset": "ideal", "bandwidth": bandwidth, "latency": latency}},
        "test",
    )

    async def main() -> tuple[Network, float]:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, simloop.SimLoop)
        network = Network(loop, links or topology(scenario))
        for party in parties:
            network.join(party)
        await network.run(tasks(network))
        return network, loop.time()

    network, end = simloop.run(main())
    frame = pd.DataFrame(
        [(step, 1, stage, 1, began, 0.0) for step, (stage, began) in enumerate(batches)],
        columns=["step", "epoch", "stage", "rows", "began_s", "loss"],
    )
    return StoredEvents(
        scenario=scenario,
        summary={
            "time": {"virtual_s": end},
            "ledger_sha256": network.ledger.sha256(),
            "protocol": "handmade",
            "traffic": {"one_batch": {"step": 0}},
        },
        ledger=network.ledger.frame(),
        metrics=pd.DataFrame(),
        batches=frame,
        compute=compute_frame(network.intervals()),
        events=network.events(),
    )
