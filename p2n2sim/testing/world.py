"""A small world for tests: parties, links of one second, and what the ledger says afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from p2n2sim.net import simloop
from p2n2sim.net.cpu import Machine
from p2n2sim.net.endpoint import Endpoint
from p2n2sim.net.ledger import Entry, Ledger, View
from p2n2sim.net.link import LinkSpec
from p2n2sim.net.network import Network
from p2n2sim.net.simloop import SimLoop
from p2n2sim.net.topology import Topology
from p2n2sim.testing.expectation import Expectation, table
from p2n2sim.testing.results import Party, Results, check_coroutines
from p2n2sim.wire import Message


class World:
    """Parties joined by emulated links, in virtual time.

    By default every link has one second of latency and no limit of bandwidth, and work takes no time: so the
    clock counts rounds. Every message is encoded and decoded on its way, as in a real network.

    Args:
        topology: other links.
        machine: what work costs.
        schedule: seed of another legal order of what happens at one instant (`p2n2sim.net.schedule`).

    Attributes:
        topology: the links of the next run.
        machine: what work costs in the next run.
        schedule: the seed of the next run that a test without a loop of its own begins.
        ledger: the messages of the latest run; what else is read here is about that run, too.
        sent: sender, receiver and message of everything that was sent, in order.
    """

    def __init__(
        self,
        topology: Topology | None = None,
        *,
        machine: Machine | None = None,
        schedule: int | None = None,
    ) -> None:
        self.topology = topology or Topology(LinkSpec(latency=1.0))
        self.machine = machine or Machine.instant()
        self.renew(schedule)

    def renew(self, schedule: int | None) -> None:
        """Forgets the latest run; the next one is under this schedule."""
        self.schedule = schedule
        self.ledger = Ledger()
        self.sent: list[tuple[str, str, Message]] = []
        self._began = self._ended = 0.0
        self._loop: SimLoop | None = None
        self._network: Network | None = None
        self._parties: Mapping[str, Endpoint] = {}
        self._latest = Results()

    def check(self) -> None:
        """Raises TypeError where an asynchronous test forgot to await the latest run."""
        self._latest.check()

    def __repr__(self) -> str:
        return f"<World: {len(self.ledger.rows)} messages, {self.rounds} rounds, {self.time:.9g} s>"

    # -- running -------------------------------------------------------------------------------

    def run(self, parties: Mapping[str, Party] | None = None, /, **more: Party) -> Results:
        """Runs parties side by side until all are done.

        In an ordinary test it runs them at once, on a loop of its own that begins at time 0. In an
        asynchronous test it is to be awaited, and runs them on the test's loop.

        Args:
            parties: name -> party, for names that are no Python names.
            more: the same for those that are.

        Returns:
            Name -> result.

        Raises:
            DeadlockError: nobody can go on.
            TypeError: a party is no asynchronous function, or the run before was not awaited.
            Exception: the first exception of a party, after the others were cancelled.
        """
        self.check()
        everybody = {**(parties or {}), **more}
        self._latest = results = Results()
        if _running_loop() is None:
            results.update(simloop.run(self._play(everybody), schedule=self.schedule))
        else:
            results._play = self._play(everybody)
        return results

    def join(self, name: str) -> Endpoint:
        """A party's endpoint, in an asynchronous test; made when it is first asked for.

        Raises:
            RuntimeError: no virtual-time loop runs.
        """
        network = self._open()
        return network.parties[name] if name in network.parties else network.join(name)

    async def _play(self, parties: Mapping[str, Party]) -> dict[str, Any]:
        network = self._open()
        ends = {name: self.join(name) for name in parties}
        tasks = {name: party(ends[name]) if callable(party) else party for name, party in parties.items()}
        check_coroutines(tasks)
        try:
            return await network.run(tasks)
        finally:
            self._ended = asyncio.get_running_loop().time()
            self._network = None  # the next run begins anew

    def _open(self) -> Network:
        """The network of the run that begins, on the loop that runs."""
        loop = _running_loop()
        if not isinstance(loop, SimLoop):
            raise RuntimeError(
                f"the world needs a p2n2sim.net.simloop.SimLoop, and {type(loop).__name__} runs: mark the "
                "test with pytest.mark.virtual_time and for no other plugin, or make it an ordinary function"
            )
        if self._network is None or self._loop is not loop:
            self.ledger, self.sent, self._loop = Ledger(), [], loop
            self._began = self._ended = loop.time()
            self._network = Network(
                loop,
                self.topology,
                machine=self.machine,
                encode_all=True,
                ledger=self.ledger,
                tap=lambda sender, receiver, message: self.sent.append((sender, receiver, message)),
            )
            self._parties = self._network.parties
        return self._network

    # -- what happened -------------------------------------------------------------------------

    @property
    def time(self) -> float:
        """Virtual seconds from the beginning of the latest run to its end, also a bad one, or to now."""
        if self._network is not None and self._loop is not None:
            return self._loop.time() - self._began
        return self._ended - self._began

    @property
    def rounds(self) -> int:
        """The longest chain of messages of which each was sent after the one before was received."""
        return self.ledger.rounds

    def messages(
        self,
        sender: str | None = None,
        receiver: str | None = None,
        kind: str | type[Message] | None = None,
        *,
        phase: str | None = None,
    ) -> list[Entry]:
        """The messages, in the order in which they were sent; what is named selects.

        Args:
            sender: only those of this party.
            receiver: only those to this party.
            kind: only those of this type, or of this type's name.
            phase: only those of the ``offline`` or the ``online`` phase.

        Raises:
            ValueError: nobody has that name.
        """
        self._check_names(sender, receiver)
        name = kind.__name__ if isinstance(kind, type) else kind
        wanted = {"sender": sender, "receiver": receiver, "kind": name, "phase": phase}
        chosen = {field: value for field, value in wanted.items() if value is not None}
        entries = (Entry(*row) for row in self.ledger.rows)
        return [e for e in entries if all(getattr(e, field) == value for field, value in chosen.items())]

    def bytes(
        self,
        sender: str | None = None,
        receiver: str | None = None,
        kind: str | type[Message] | None = None,
        *,
        phase: str | None = None,
    ) -> int:
        """Payload bytes of the messages that `messages` would return."""
        return sum(entry.payload_bytes for entry in self.messages(sender, receiver, kind, phase=phase))

    def wire_bytes(
        self,
        sender: str | None = None,
        receiver: str | None = None,
        kind: str | type[Message] | None = None,
        *,
        phase: str | None = None,
    ) -> int:
        """The same with headers: bytes of the whole encodings."""
        return sum(entry.wire_bytes for entry in self.messages(sender, receiver, kind, phase=phase))

    def order(self, *parties: str) -> list[str]:
        """The messages as ``"A->B Share"``, in the order in which they were sent.

        Between messages that do not depend on each other the order is one of many that are legal: under
        schedules, ask for one party's.

        Args:
            parties: only those that one of these sent; all unless there are any.

        Raises:
            ValueError: nobody has that name.
        """
        self._check_names(*parties)
        return [_arrow(entry) for entry in self.messages() if not parties or entry.sender in parties]

    def saw(self, party: str) -> View:
        """What a party was sent: values in the clear, uniform elements, ciphertext, by name and number.

        Raises:
            ValueError: nobody has that name.
        """
        self._check_names(party)
        return self.ledger.views([party])[party]

    def received(self, party: str) -> list[tuple[str, Message]]:
        """Sender and message of everything that was sent to a party.

        Raises:
            ValueError: nobody has that name.
        """
        self._check_names(party)
        return [(sender, message) for sender, receiver, message in self.sent if receiver == party]

    def expect(
        self,
        *,
        rounds: int | None = None,
        time: float | None = None,
        order: list[str] | None = None,
        bytes: Mapping[str, int] | None = None,  # noqa: A002  # named as the method
        wire_bytes: Mapping[str, int] | None = None,
        clear: Mapping[str, Mapping[str, int]] | None = None,
    ) -> None:
        """Fails with everything that is not as expected and the table of the messages.

        Args:
            rounds: as the property.
            time: virtual seconds.
            order: as the method returns it.
            bytes: ``"A->B"`` -> payload bytes; links that are not named must carry nothing.
            wire_bytes: the same with headers.
            clear: party -> name of each value that it saw in the clear -> how many numbers; parties that
                are not named are not looked at.

        Raises:
            AssertionError: something differs.
        """
        __tracebackhide__ = True  # pytest shows the test's own line
        expectation = Expectation()
        expectation.check("rounds", rounds, self.rounds)
        expectation.check("time", time, self.time)
        expectation.check("order", order, self.order())
        expectation.check("bytes", bytes, self._by_link("payload_bytes"))
        expectation.check("wire bytes", wire_bytes, self._by_link("wire_bytes"))
        for party, values in (clear or {}).items():
            expectation.check(f"seen in the clear by {party}", values, self.saw(party).clear)
        expectation.fail_with(self.table())

    def table(self) -> str:
        """The messages of the latest run as text."""
        return table(self.messages())

    def _check_names(self, *names: str | None) -> None:
        """A misspelt party sends nothing and sees nothing: that must not pass for a fact about a protocol."""
        for name in names:
            if name is not None and name not in self._parties:
                known = ", ".join(self._parties) or "nobody, because no run has begun"
                raise ValueError(f"there is no party {name!r} in the latest run; there is {known}")

    def _by_link(self, field: str) -> dict[str, int]:
        totals: dict[str, int] = {}
        for entry in self.messages():
            link = f"{entry.sender}->{entry.receiver}"
            totals[link] = totals.get(link, 0) + getattr(entry, field)
        return {link: total for link, total in totals.items() if total}


def _arrow(entry: Entry) -> str:
    return f"{entry.sender}->{entry.receiver} {entry.kind}"


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
