"""The one place where a message crosses from a party to another."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import pandas as pd

from p2n2sim.errors import NetworkError, Wait
from p2n2sim.net.carrier import Carrier
from p2n2sim.net.cpu import Cpu, Machine
from p2n2sim.net.endpoint import Endpoint
from p2n2sim.net.journal import BESIDE, Journal, Meaning
from p2n2sim.net.ledger import Ledger
from p2n2sim.net.link import Transmit
from p2n2sim.net.simloop import SimLoop
from p2n2sim.net.topology import Topology
from p2n2sim.net.wiring import Line, Wiring
from p2n2sim.wire import Message, Phase, decode, encode, layout, sizes

Item = tuple[Message, int]  # and the length of the chain that it ends
Post = Callable[[float, Callable[[Item], object], Item], object]


class Channel(NamedTuple):
    """What does not change between two messages of one type on one link.

    Attributes:
        take: where the receiver takes them.
        phase: the type's phase.
        kind: the type's name.
        size: wire bytes of a message without arrays; 0 when they have to be counted.
    """

    take: Callable[[Item], object]
    phase: Phase
    kind: str
    size: int


class Route(NamedTuple):
    """From one party to another.

    Attributes:
        transmit: what the link does: (now, wire bytes) -> (start, arrival).
        post: delivers at a time: (arrival, where to, message).
        target: the receiver.
        channels: by message type, made when it is first sent.
    """

    transmit: Transmit
    post: Post
    target: Endpoint
    channels: dict[type[Message], Channel]

    def open(self, sender: str, message: Message) -> Channel:
        """The channel of a message's type."""
        kind = type(message)
        take = self.target.mailbox(sender, kind).deliver
        plan = layout(kind)
        channel = Channel(take, kind.phase, kind.__name__, 0 if plan.arrays else sizes(message)[1])
        self.channels[kind] = channel
        return channel


Tap = Callable[[str, str, Message], object]


class Network:
    """Endpoints joined by emulated links, with one ledger for all of them.

    Args:
        loop: the virtual-time loop on which the parties run.
        topology: the links.
        machine: every party's processor unless `join` names another; by default work takes no time.
        pool: threads for real work; without it, work runs where it is started.
        encode_all: encodes and decodes every message on its way, as a real network would; slower,
            and nothing may change.
        ledger: where to write; a new one unless given.
        tap: is shown sender, receiver and message of everything that is sent.

    Attributes:
        ledger: every message so far.
        journal: the order in which things happened.
    """

    def __init__(
        self,
        loop: SimLoop,
        topology: Topology | None = None,
        *,
        machine: Machine | None = None,
        pool: concurrent.futures.Executor | None = None,
        encode_all: bool = False,
        ledger: Ledger | None = None,
        tap: Tap | None = None,
    ) -> None:
        self.ledger = Ledger() if ledger is None else ledger
        self.journal = Journal()
        self._loop = loop
        self._wiring = Wiring(loop, topology or Topology())
        self._machine = machine or Machine.instant()
        self._pool = pool
        self._encode_all = encode_all
        self._tap = tap
        self._endpoints: dict[str, Endpoint] = {}
        self._asides: dict[str, Endpoint] = {}
        self._routes: dict[str, dict[str, Route]] = {}
        loop.add_wait_reporter(self.waits)

    def join(self, name: str, machine: Machine | None = None) -> Endpoint:
        """Adds a party and joins it to all that are there.

        Raises:
            NetworkError: the name is taken.
        """
        if name in self._endpoints:
            raise NetworkError(f"there is already a party {name!r}")
        routes: dict[str, Route] = {}
        cpu = Cpu(self._loop, machine or self._machine, pool=self._pool)
        endpoint = Endpoint(name, self._loop, cpu, routes, journal=self.journal, plug=name)
        endpoint.send = self._sender(endpoint, routes)
        for other in self._endpoints.values():
            there, back = self._wiring.join(name, other.name)
            routes[other.name] = self._route(there, other)
            self._routes[other.name][name] = self._route(back, endpoint)
        self._endpoints[name] = endpoint
        self._routes[name] = routes
        return endpoint

    def aside(self, name: str, machine: Machine | None = None) -> Endpoint:
        """A second plug of a party, for work that it does beside its main task.

        It sends over the party's links and receives what is sent to the party, but has a processor of its
        own, and counts the chains of messages that it receives by itself.

        Args:
            name: the party, which has joined.
            machine: the second processor; the network's unless it is given.
        """
        first = self._endpoints[name]
        cpu = Cpu(self._loop, machine or self._machine, pool=self._pool)
        second = Endpoint(
            name,
            self._loop,
            cpu,
            self._routes[name],
            first.mailboxes,
            journal=self.journal,
            plug=name + BESIDE,
        )
        second.send = self._sender(second, self._routes[name])
        self._asides[name] = second
        return second

    @property
    def asides(self) -> Mapping[str, Endpoint]:
        """The second plugs by party."""
        return self._asides

    def add_channel(self, sender: str, receiver: str, kind: type[Message], channel: Channel) -> None:
        """What happens to messages of a type on a link, which is otherwise found out with the first one."""
        self._routes[sender][receiver].channels[kind] = channel

    def intervals(self) -> dict[str, list[tuple[float, float, str]]]:
        """The work of each party, and after it what it did beside: plug -> (start, end, label)."""
        out = {}
        for name, endpoint in self._endpoints.items():
            out[endpoint.plug] = endpoint.cpu.intervals
            if name in self._asides:
                out[self._asides[name].plug] = self._asides[name].cpu.intervals
        return out

    def events(self) -> pd.DataFrame:
        """What every task did, in order: a row for each `p2n2sim.net.journal.Record`."""
        meanings: dict[int, Meaning] = {}
        for sender, routes in self._routes.items():
            for receiver, route in routes.items():
                for channel in route.channels.values():
                    meanings[id(channel)] = ("send", sender, receiver, channel.kind)
        for endpoint in self._endpoints.values():
            for (sender, kind), mailbox in endpoint.mailboxes.items():
                plug = mailbox.plug or endpoint.plug
                meanings[id(mailbox)] = ("receive", plug, sender, kind.__name__)
                meanings[id(mailbox.sign)] = ("wait", plug, sender, kind.__name__)
        return self.journal.frame(meanings)

    def _route(self, line: Line, target: Endpoint) -> Route:
        carrier = line.carrier
        return Route(
            line.transmit, self._loop.post if carrier is None else self._told_later(carrier), target, {}
        )

    def _told_later(self, carrier: Carrier) -> Post:
        """Delivers the message of the ledger's last row, and completes that row, when its times are known."""
        rows = self.ledger.rows

        def post(_: float, take: Callable[[Item], object], item: Item) -> None:
            number, row = len(rows) - 1, rows[-1]
            self.journal.trail.append(("sized", row[2], row[6]))
            packed = carrier.pack(row[6])
            rows[number] = (*row[:6], packed.wire, *row[7:])

            def deliver(start: float, arrival: float) -> None:
                rows[number] = (*rows[number][:8], start, arrival, rows[number][10])
                self._loop.post(arrival, take, item)

            carrier.send(packed, deliver)

        return post

    @property
    def parties(self) -> Mapping[str, Endpoint]:
        """The endpoints by name, in the order in which they joined."""
        return self._endpoints

    def waits(self) -> Iterator[Wait]:
        """Who waits for what from whom at the moment."""
        for endpoint in self._endpoints.values():
            yield from endpoint.waits()

    async def run(self, parties: Mapping[str, Coroutine[Any, Any, Any]]) -> dict[str, Any]:
        """Runs coroutines side by side until all are done.

        Args:
            parties: task name -> coroutine; they start in this order.

        Returns:
            Task name -> result.

        Raises:
            DeadlockError: nobody can go on.
            Exception: the first exception of a task, after the others were cancelled.
        """
        try:
            async with asyncio.TaskGroup() as group:
                watch = group.create_task(_fail_with(self._loop.deadlock()), name="deadlock watch")
                async with asyncio.TaskGroup() as inner:
                    tasks = {name: inner.create_task(party, name=name) for name, party in parties.items()}
                watch.cancel()
        except BaseExceptionGroup as failures:
            raise _first_leaf(failures) from None
        return {name: task.result() for name, task in tasks.items()}

    def _sender(self, source: Endpoint, routes: dict[str, Route]) -> Callable[[str, Message], None]:
        """The function by which a party sends: the one place where a message crosses.

        A closure, because this is the hot path: what it needs are local names, made once for a party.
        """
        sender, env = source.name, self._loop.env
        see, append = self.ledger.see, self.ledger.rows.append
        encode_all, tap, enter = self._encode_all, self._tap, self.journal.trail.append

        def send(receiver: str, message: Message) -> None:
            route = routes.get(receiver)
            if route is None:
                raise NetworkError(f"{sender} has no link to {receiver!r}; it is joined to {_names(routes)}")
            transmit, post, _, channels = route
            channel = channels.get(type(message)) or route.open(sender, message)
            take, phase, kind, wire = channel
            enter(channel)
            payload = 0
            if not wire:
                payload, wire = sizes(message)
                see(sender, receiver, message)
            now = env._now  # loop.time() without a call; listed in net/_private.py
            start, arrival = transmit(now, wire)
            depth = source.depth + 1
            append((message.step, phase, sender, receiver, kind, payload, wire, now, start, arrival, depth))
            if tap is not None:
                tap(sender, receiver, message)
            if encode_all:
                message = decode(encode(message), [type(message)])
            post(arrival, take, (message, depth))

        return send


def _names(parties: Iterable[str]) -> str:
    return ", ".join(parties) or "nobody"


async def _fail_with(future: asyncio.Future[None]) -> None:
    await future


def _first_leaf(failure: BaseException) -> BaseException:
    while isinstance(failure, BaseExceptionGroup):
        failure = failure.exceptions[0]
    return failure
