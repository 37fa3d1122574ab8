"""The one place where a message crosses from a party to another."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from p2n2sim.errors import DeadlockError, NetworkError, Wait
from p2n2sim.net.bearer import Prompt
from p2n2sim.net.courier import Courier
from p2n2sim.net.cpu import Cpu, Machine
from p2n2sim.net.delivery import Counts, Delivery
from p2n2sim.net.endpoint import Endpoint
from p2n2sim.net.faults import Rule
from p2n2sim.net.journal import BESIDE, Journal, Meaning
from p2n2sim.net.ledger import Ledger
from p2n2sim.net.outages import Outages
from p2n2sim.net.route import Channel, Post, Route, told_later
from p2n2sim.net.simloop import SimLoop
from p2n2sim.net.topology import Topology
from p2n2sim.net.wiring import Line, Wiring
from p2n2sim.wire import Message, decode, encode, sizes

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
        tap: is shown sender, receiver and message of everything that parties send.
        rules: what goes wrong with messages; see `p2n2sim.net.faults`.
        delivery: how messages are delivered over links that can fail. With rules, retries or a key they
            travel in frames (`p2n2sim.net.frame`), which are larger by what the frame takes.
        counts: of the messages sent before, by which rules tell them apart.

    Attributes:
        ledger: every message so far.
        journal: the order in which things happened.
        down: who has crashed -> when, in virtual seconds.
        back: who has crashed -> when it is there again; None for never.
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
        rules: Sequence[Rule] = (),
        delivery: Delivery | None = None,
        counts: Counts | None = None,
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
        self._outages = Outages()
        self.down, self.back = self._outages.down, self._outages.back
        self._delivery = delivery or Delivery()
        self._tasks: dict[str, asyncio.Task[Any]] = {}
        self._end: asyncio.Future[None] | None = None  # fails when nobody can go on
        self._courier: Courier | None = None
        if rules or self._delivery.retry or self._delivery.key:
            self._courier = Courier(
                loop,
                self.ledger,
                delivery=self._delivery,
                rules=rules,
                counts=counts or Counts(),
                fail=self.fail,
                crash=self.crash,
                down=self.down,
                journal=self.journal,
                encode_all=encode_all,
                tap=tap,
            )
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
        endpoint.send = self._chosen_sender(endpoint, routes)
        for other in self._endpoints.values():
            there, back = self._wiring.join(name, other.name)
            routes[other.name] = self._route(name, there, other)
            self._routes[other.name][name] = self._route(other.name, back, endpoint)
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
        second.send = self._chosen_sender(second, self._routes[name])
        self._asides[name] = second
        return second

    @property
    def asides(self) -> Mapping[str, Endpoint]:
        """The second plugs by party."""
        return self._asides

    def add_channel(self, sender: str, receiver: str, kind: type[Message], channel: Channel) -> None:
        """What happens to messages of a type on a link, which is otherwise found out with the first one."""
        self._routes[sender][receiver].channels[kind] = channel

    @property
    def plugs(self) -> dict[str, Endpoint]:
        """Each party's plug and, after it, its second one, by their names in the journal."""
        out = {}
        for name, endpoint in self._endpoints.items():
            out[endpoint.plug] = endpoint
            if name in self._asides:
                out[self._asides[name].plug] = self._asides[name]
        return out

    def intervals(self) -> dict[str, list[tuple[float, float, str]]]:
        """The work of each party, and after it what it did beside: plug -> (start, end, label)."""
        return {plug: endpoint.cpu.intervals for plug, endpoint in self.plugs.items()}

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

    def _route(self, sender: str, line: Line, target: Endpoint) -> Route:
        if self._courier is not None:
            bearer = line.carrier or Prompt(self._loop, line.transmit)
            self._courier.join(sender, target.name, bearer)
        post: Post = self._loop.post
        if line.carrier is not None:
            post = told_later(self._loop, self.ledger, self.journal, line.carrier)
        return Route(line.transmit, post, target, {})

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
            PartyLostError: the same, after a party has crashed.
            DeliveryError: a message could not be delivered as it was sent.
            Exception: the first exception of a task, after the others were cancelled.
        """
        self._end = self._loop.deadlock()
        try:
            async with asyncio.TaskGroup() as group:
                watch = group.create_task(_fail_with(self._end), name="deadlock watch")
                async with asyncio.TaskGroup() as inner:
                    tasks = {name: inner.create_task(party, name=name) for name, party in parties.items()}
                    self._tasks = tasks
                watch.cancel()
        except BaseExceptionGroup as failures:
            failure = _first_leaf(failures)
            if isinstance(failure, DeadlockError) and self.down:
                raise self._outages.error(failure.waits) from failure
            raise failure from None
        if any(task.cancelled() for task in tasks.values()):  # the others did not need it any more
            raise self._outages.error(())
        return {name: task.result() for name, task in tasks.items()}

    def fail(self, error: Exception) -> None:
        """Ends `run` with an error; the first one counts."""
        if self._end is None:
            raise error
        if not self._end.done():
            self._end.set_exception(error)

    def crash(self, party: str, back: float | None = None) -> None:
        """A party stops where it is: its tasks in `run`, whose names begin with its own, are cancelled.

        What is sent to it is lost. It does not go on by itself: `run` ends with a `PartyLostError` when it is
        back, or when it has been missed for as long as may be. A party that has done its part is not missed.

        Args:
            party: who.
            back: virtual time in seconds at which it is there again; None for never.
        """
        if party in self.down:
            return
        self.down[party] = now = self._loop.time()
        self.journal.crash(party, now)
        self.back[party] = back
        mine = [task for name, task in self._tasks.items() if name.partition(" (")[0] == party]
        going = [task for task in mine if not task.done()]
        for task in going:
            task.cancel()
        if going:
            self._outages.missed[party] = back
            until = now + self._delivery.deadline if back is None else back
            self._loop.post(until, self._end_without, until)

    def _end_without(self, now: float) -> None:
        if self._outages.over(now):
            self.fail(self._outages.error(tuple(self.waits())))

    def _chosen_sender(self, source: Endpoint, routes: dict[str, Route]) -> Callable[[str, Message], None]:
        return self._sender(source, routes) if self._courier is None else self._careful(source, routes)

    def _careful(self, source: Endpoint, routes: dict[str, Route]) -> Callable[[str, Message], None]:
        """The function by which a party sends over links that can fail."""
        courier, sender = self._courier, source.name
        assert courier is not None  # else nobody would ask
        enter = self.journal.trail.append

        def send(receiver: str, message: Message) -> None:
            route = routes.get(receiver)
            if route is None:
                raise NetworkError(f"{sender} has no link to {receiver!r}; it is joined to {_names(routes)}")
            channel = route.channels.get(type(message)) or route.open(sender, message)
            enter(channel)
            courier.send(sender, receiver, message, channel, source.depth + 1)

        return send

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
