"""Messages a second through emulated links, against a stock loop and against no network at all.

Run ``python benchmarks/messages.py``. Workloads: a ping-pong between two parties, and rounds in which each of
100 parties sends one message to every other. Stacks:

- ``Network``: this package's endpoints and links, with everything accounted for in the ledger;
- ``SimLoop``: the same without accounting: links that post deliveries, a deque and a future as the mailbox;
- ``stock loop on SimPy``: asyncio's selector loop, with a selector that steps a SimPy environment instead
  of waiting; the same links, deliveries by ``call_at``, an ``asyncio.Queue`` for each party;
- ``Network on stock loop``: the first one's endpoints, links and ledger on the third one's loop;
- ``asyncio.Queue``: the real loop and no links at all, a queue for each party.

Every stack runs the same party coroutines. The stacks take turns, and the medians are compared. What is
measured is processor time.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import selectors
import statistics
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, cast

import simpy

from p2n2sim.net import simloop
from p2n2sim.net.link import Link, LinkSpec
from p2n2sim.net.network import Network
from p2n2sim.net.topology import Topology
from p2n2sim.wire import Message, sizes

SPEC = LinkSpec(bandwidth=100e6, latency=1e-3)


@dataclass(frozen=True, slots=True)
class Ball(Message):
    """What is sent to and fro: a header without payload."""


SIZE = sizes(Ball(0))[1]  # bytes on the wire


class Plug(Protocol):
    """What a party holds of a network."""

    def send(self, receiver: str, message: Ball) -> None:
        """Hands a message to the network."""

    async def recv(self, sender: str, kind: type[Ball]) -> Ball:
        """The next message; stacks with one mailbox for a party ignore the sender."""


Party = Callable[[Any], Coroutine[Any, Any, None]]


class Workload(NamedTuple):
    """Parties by name, to run side by side, and how many messages they send in all."""

    name: str
    parties: dict[str, Party]
    messages: int


def ping_pong(messages: int) -> Workload:
    """Two parties; each answers the other's message with one of its own."""
    ball = Ball(0)

    async def ping(plug: Plug) -> None:
        for _ in range(messages // 2):
            plug.send("pong", ball)
            await plug.recv("pong", Ball)

    async def pong(plug: Plug) -> None:
        for _ in range(messages // 2):
            await plug.recv("ping", Ball)
            plug.send("ping", ball)

    return Workload("2 parties, ping-pong", {"ping": ping, "pong": pong}, messages)


def all_to_all(parties: int, rounds: int) -> Workload:
    """Each party sends to every other and then waits for a message from each."""
    names = [f"party {number}" for number in range(parties)]
    ball = Ball(0)

    def party(own: str) -> Party:
        others = [other for other in names if other != own]

        async def main(plug: Plug) -> None:
            for _ in range(rounds):
                for other in others:
                    plug.send(other, ball)
                for other in others:
                    await plug.recv(other, Ball)

        return main

    messages = parties * (parties - 1) * rounds
    return Workload(f"{parties} parties, all-to-all", {name: party(name) for name in names}, messages)


async def side_by_side(parties: Iterable[Party], plugs: Iterable[Plug]) -> None:
    """Runs every party with its plug until all are done."""
    async with asyncio.TaskGroup() as group:
        for party, plug in zip(parties, plugs, strict=True):
            group.create_task(party(plug))


# -- This package ----------------------------------------------------------------------------------


def on_network(workload: Workload) -> None:
    """Endpoints, links and the ledger."""

    simloop.run(network_side_by_side(workload))


async def network_side_by_side(workload: Workload) -> None:
    """Runs the parties with an endpoint each; the loop is a SimLoop or stands in for one."""
    network = Network(cast(simloop.SimLoop, asyncio.get_running_loop()), Topology(SPEC))
    endpoints = [network.join(name) for name in workload.parties]
    await side_by_side(workload.parties.values(), endpoints)
    assert len(network.ledger.rows) == workload.messages


class LeanMailbox:
    """What has arrived, and the future of the task that waits for more."""

    __slots__ = ("arrived", "waiter")

    def __init__(self) -> None:
        self.arrived: deque[Ball] = deque()
        self.waiter: asyncio.Future[Ball] | None = None

    def deliver(self, message: Ball) -> None:
        """Hands a message to the waiting task, or keeps it."""
        if self.waiter is None:
            self.arrived.append(message)
        else:
            self.waiter.set_result(message)
            self.waiter = None


class LeanPlug:
    """Sends through links that post their deliveries on the loop."""

    def __init__(self, own: str, loop: simloop.SimLoop, mailboxes: dict[str, LeanMailbox]) -> None:
        self._loop = loop
        self._mailbox = mailboxes[own]
        self._ports = {name: (Link(SPEC).transmit, box.deliver) for name, box in mailboxes.items()}

    def send(self, receiver: str, message: Ball) -> None:
        """Puts a message on the link to its receiver."""
        transmit, deliver = self._ports[receiver]
        loop = self._loop
        loop.post(transmit(loop.time(), SIZE)[1], deliver, message)

    async def recv(self, sender: str, kind: type[Ball]) -> Ball:
        """The next message from anybody."""
        mailbox = self._mailbox
        if mailbox.arrived:
            return mailbox.arrived.popleft()
        mailbox.waiter = waiter = self._loop.create_future()
        return await waiter


def on_simloop(workload: Workload) -> None:
    """The loop and the links of this package, without accounting."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, simloop.SimLoop)
        mailboxes = {name: LeanMailbox() for name in workload.parties}
        await side_by_side(
            workload.parties.values(), [LeanPlug(name, loop, mailboxes) for name in workload.parties]
        )

    simloop.run(main())


# -- A stock loop on SimPy -------------------------------------------------------------------------


class SimPySelector(selectors.SelectSelector):
    """A selector that steps a SimPy environment instead of waiting."""

    def __init__(self, env: simpy.Environment) -> None:
        super().__init__()
        self._env = env

    def select(self, timeout: float | None = None) -> list[Any]:
        """Lets the virtual time pass for which the loop would have waited."""
        env = self._env
        if timeout is None:
            env.step()
        elif timeout > 0:
            until = env.now + timeout
            while env.peek() <= until:
                env.step()
            env._now = until
        return []


class StockLoop(asyncio.SelectorEventLoop):
    """asyncio's own loop with the environment's time."""

    def __init__(self) -> None:
        self.env = simpy.Environment(0.0)
        super().__init__(SimPySelector(self.env))

    def time(self) -> float:
        """Virtual time."""
        return self.env.now

    def post(self, when: float, callback: Callable[[Any], object], arg: object) -> None:
        """What a network asks of its loop, by the stock loop's means."""
        self.call_at(when, callback, arg)

    def add_wait_reporter(self, reporter: object) -> None:
        """This loop reports no deadlocks."""


class QueuePlug:
    """One asyncio.Queue for each party, filled at once or, over links, by the loop's timers."""

    def __init__(self, own: str, queues: dict[str, asyncio.Queue[Ball]], loop: StockLoop | None) -> None:
        self._loop = loop
        self._queue = queues[own]
        self._ports = {name: (Link(SPEC).transmit, queue.put_nowait) for name, queue in queues.items()}

    def send(self, receiver: str, message: Ball) -> None:
        """Puts a message on the link to its receiver, or straight into its queue."""
        transmit, deliver = self._ports[receiver]
        loop = self._loop
        if loop is None:
            deliver(message)
        else:
            loop.call_at(transmit(loop.time(), SIZE)[1], deliver, message)

    async def recv(self, sender: str, kind: type[Ball]) -> Ball:
        """The next message from anybody."""
        return await self._queue.get()


def on_stock_loop(workload: Workload) -> None:
    """The rival: a stock loop whose selector steps SimPy."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, StockLoop)
        await queues_side_by_side(workload, loop)

    with asyncio.Runner(loop_factory=StockLoop) as runner:
        runner.run(main())


def on_stock_network(workload: Workload) -> None:
    """The rival with this package's accounting."""
    with asyncio.Runner(loop_factory=StockLoop) as runner:
        runner.run(network_side_by_side(workload))


def on_queues(workload: Workload) -> None:
    """The bar: queues on the real loop, no network."""
    asyncio.run(queues_side_by_side(workload, None))


async def queues_side_by_side(workload: Workload, loop: StockLoop | None) -> None:
    """Runs the parties with a queue each."""
    queues: dict[str, asyncio.Queue[Ball]] = {name: asyncio.Queue() for name in workload.parties}
    await side_by_side(workload.parties.values(), [QueuePlug(name, queues, loop) for name in queues])


# -- Measuring -------------------------------------------------------------------------------------

STACKS: dict[str, Callable[[Workload], None]] = {
    "Network": on_network,
    "SimLoop": on_simloop,
    "stock loop on SimPy": on_stock_loop,
    "Network on stock loop": on_stock_network,
    "asyncio.Queue, no links": on_queues,
}


def measure(workload: Workload, repeats: int) -> dict[str, float]:
    """Median messages a second of processor time, by stack; the stacks take turns."""
    rates: dict[str, list[float]] = {stack: [] for stack in STACKS}
    for _ in range(repeats):
        for stack, run in STACKS.items():
            gc.collect()
            start = time.process_time()
            run(workload)
            rates[stack].append(workload.messages / (time.process_time() - start))
    return {stack: statistics.median(values) for stack, values in rates.items()}


def main() -> None:
    """Prints messages a second, and by how much this package's two stacks are ahead of each."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=7, help="turns of each stack")
    repeats = parser.parse_args().repeats
    for workload in (ping_pong(40_000), all_to_all(100, 20)):
        rates = measure(workload, repeats)
        print(f"\n{workload.name}, {workload.messages} messages    messages/s   Network is   SimLoop is")
        for stack, rate in rates.items():
            ahead, lean_ahead = rates["Network"] / rate, rates["SimLoop"] / rate
            print(f"  {stack:36} {rate:12,.0f} {ahead:10.2f}x {lean_ahead:10.2f}x")


if __name__ == "__main__":
    main()
