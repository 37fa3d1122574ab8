"""A party's plug into the network: send, receive, compute."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable, Container, Iterator
from typing import TypeVar

from p2n2sim.errors import NetworkError, ReceiveTimeout, Wait
from p2n2sim.net.cpu import Cost, Cpu
from p2n2sim.net.journal import Journal
from p2n2sim.net.simloop import SimLoop
from p2n2sim.wire import Message

M = TypeVar("M", bound=Message)
T = TypeVar("T")
_Arrival = tuple[Message, int]  # a message, and the length of the chain that it ends


class Mailbox(deque[_Arrival]):
    """The messages of one type from one sender that nobody has taken yet, oldest first.

    Args:
        lane: sender and receiver: in which order messages of one link arrive, of whatever type, no schedule
            changes (see `p2n2sim.net.schedule`).

    Attributes:
        waiter: the future of the task that waits for the next one.
        since: virtual time in seconds at which it began to wait.
        plug: the plug through which messages are taken, if it is not the party's first.
        sign: stands in the journal for a task that begins to wait; made for the first one.
    """

    __slots__ = ("lane", "plug", "sign", "since", "waiter")

    def __init__(self, lane: tuple[str, str]) -> None:
        self.lane = lane
        self.plug = ""
        self.sign: object | None = None
        self.waiter: asyncio.Future[_Arrival] | None = None
        self.since = 0.0

    def deliver(self, arrival: _Arrival) -> None:
        """Hands a message to the waiting task, or keeps it."""
        waiter = self.waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(arrival)
        else:
            self.append(arrival)


class Endpoint:
    """What a party holds of the network. Made by `Network.join`.

    Attributes:
        name: the party's name.
        cpu: the party's processor.
        mailboxes: what has arrived, by sender and message type.
        depth: length of the longest chain of messages that the party has received so far.
        journal: where it is entered what happens in which order.
        plug: names this plug in the journal.
        send: ``send(receiver, message)`` hands a message to the link and returns at once, the link
            queues; raises `NetworkError` for a receiver that the network does not have.
    """

    __slots__ = (
        "_enter",
        "_known",
        "_loop",
        "_own",
        "cpu",
        "depth",
        "journal",
        "mailboxes",
        "name",
        "plug",
        "send",
    )

    send: Callable[[str, Message], None]

    def __init__(
        self,
        name: str,
        loop: SimLoop,
        cpu: Cpu,
        known: Container[str],
        mailboxes: dict[tuple[str, type[Message]], Mailbox] | None = None,
        *,
        journal: Journal,
        plug: str,
    ) -> None:
        self.name = name
        self.cpu = cpu
        self.journal = journal
        self.plug = plug
        self._enter = journal.trail.append
        self.depth = 0
        self._loop = loop
        self._known = known
        self.mailboxes = {} if mailboxes is None else mailboxes
        self._own = self.mailboxes if mailboxes is None else {}  # from which this plug takes

    async def recv(self, sender: str, kind: type[M], timeout: float | None = None) -> M:
        """The next message of a type from a sender, in the order in which they were sent.

        Args:
            sender: from whom.
            kind: the message type.
            timeout: longest wait in virtual seconds; a message due at that very instant still counts.

        Raises:
            NetworkError: the network has no such sender, or another task waits for the same.
            ReceiveTimeout: nothing arrived in time.
        """
        try:
            mailbox = self._own[sender, kind]
        except KeyError:
            mailbox = self._own[sender, kind] = self.mailbox(sender, kind)
            if self._own is not self.mailboxes:
                mailbox.plug = self.plug
        if mailbox.waiter is not None:
            raise NetworkError(f"two tasks of {self.name} wait for {kind.__name__} from {sender}")
        if mailbox:
            message, depth = mailbox.popleft()
        else:
            waiter: asyncio.Future[_Arrival] = asyncio.Future(loop=self._loop)
            mailbox.waiter = waiter
            sign = mailbox.sign
            if sign is None:
                sign = mailbox.sign = object()
            mailbox.since = self._loop.env._now  # as in Network._sender
            try:
                if timeout is None:
                    self._enter(sign)
                    message, depth = await waiter
                else:
                    self.note("deadline", sender, kind.__name__, timeout)
                    self._enter(sign)
                    async with asyncio.timeout(timeout):
                        message, depth = await waiter
            except (asyncio.CancelledError, TimeoutError) as error:
                if waiter.done() and not waiter.cancelled():  # it arrived, but this task was cancelled first
                    mailbox.appendleft(waiter.result())
                gave_up = timeout if isinstance(error, TimeoutError) else math.nan
                self.note("left", sender, kind.__name__, gave_up)
                if isinstance(error, TimeoutError):
                    raise ReceiveTimeout(
                        f"{self.name} waited {timeout:.9g} s for {kind.__name__} from {sender}, "
                        f"until t = {self._loop.time():.9g} s"
                    ) from None
                raise
            finally:
                mailbox.waiter = None
        self._enter(mailbox)
        if depth > self.depth:
            self.depth = depth
        return message  # type: ignore[return-value]  # the mailbox is keyed by the type; a cast takes time

    async def compute(self, fn: Callable[[], T], cost: Cost | float, *, label: str = "") -> T:
        """Runs `fn` on a thread and charges its cost to this party's processor; see `Cpu.compute`."""
        cpu = self.cpu
        seconds = cpu.machine.seconds(cost) if isinstance(cost, Cost) else cost
        number = len(cpu.intervals)
        self.note("start", number, seconds, label)
        try:
            return await cpu.compute(fn, seconds, label=label)
        finally:
            self.note("done", number)

    def note(self, kind: str, *about: object) -> None:
        """Enters something in the journal.

        Args:
            kind: of a token that explains itself; see `p2n2sim.net.journal`.
            *about: its further parts.
        """
        self._enter((kind, self.plug, *about))

    def mailbox(self, sender: str, kind: type[Message]) -> Mailbox:
        """Where messages of a type from a sender arrive.

        Raises:
            NetworkError: the network has no such sender.
        """
        mailbox = self.mailboxes.get((sender, kind))
        if mailbox is None:
            if sender not in self._known:
                raise NetworkError(f"{self.name} has no link from {sender!r}; is that the party's name?")
            mailbox = self.mailboxes[sender, kind] = Mailbox((sender, self.name))
        return mailbox

    def waits(self) -> Iterator[Wait]:
        """Whom this party waits for at the moment."""
        for (sender, kind), mailbox in self.mailboxes.items():
            if mailbox.waiter is not None and not mailbox.waiter.done():
                yield Wait(self.name, sender, kind.__name__, mailbox.since)
