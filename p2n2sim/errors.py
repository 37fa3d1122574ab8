"""Every exception that p2n2sim raises on purpose, as one tree.

::

    P2N2SimError
    ├── InputError            what the user gave is wrong: exit code 2, one message, no traceback
    │   ├── ScenarioError     a scenario file, or a --set override of it
    │   └── DataError         a data set
    ├── BudgetError           a privacy budget that does not cover what is to be done
    ├── FixedPointError       a number that the fixed-point ring cannot hold
    │   └── PlaintextError    one that is too large to be encrypted and summed
    ├── CiphertextError       a ciphertext that holds no sum of permitted values
    ├── WireError             bytes that are no message
    ├── NetworkError          a send or receive that the topology does not know
    │   ├── ReceiveTimeout    nothing arrived in time (also a TimeoutError)
    │   └── DeliveryError     a message that did not arrive as it was sent
    │       ├── MessageLostError     it was not there in time
    │       ├── CorruptMessageError  its checksum is wrong
    │       └── AuthenticationError  its authentication code is wrong: somebody changed it
    ├── PartyLostError        a party dropped out and the others cannot go on
    └── DeadlockError         every task waits and nothing is in flight
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Self


class P2N2SimError(Exception):
    """The root of the tree."""


class InputError(P2N2SimError):
    """What the user gave is wrong; says where, what was found and what would do.

    Args:
        where: the file, and the place in it, for example ``fraud.toml: train.epochs``.
        found: what stands there.
        remedy: what would do instead.
    """

    def __init__(self, where: str, found: str, remedy: str) -> None:
        super().__init__(where, found, remedy)
        self.where, self.found, self.remedy = where, found, remedy

    def __str__(self) -> str:
        return f"{self.where}: {self.found}; {self.remedy}"

    def within(self, file: str) -> Self:
        """The same error, its place being within a file."""
        return type(self)(f"{file}: {self.where}", self.found, self.remedy)


class ScenarioError(InputError):
    """A scenario file, or an override of one of its keys, is wrong."""


class DataError(InputError):
    """A data set cannot be used."""


class BudgetError(P2N2SimError):
    """A privacy budget does not cover what is to be done.

    Args:
        stage: of the budget.
        what: was to be done.
        needed: epsilon that the stage would have spent then.
        allowed: epsilon that it may spend.
        spent: epsilon that it has spent.
    """

    def __init__(self, stage: str, what: str, *, needed: float, allowed: float, spent: float) -> None:
        super().__init__(stage, what, needed, allowed, spent)
        self.stage, self.what = stage, what
        self.needed, self.allowed, self.spent = needed, allowed, spent

    def __reduce__(self) -> tuple[Any, ...]:
        """So that it comes back whole from another process."""
        named = partial(type(self), needed=self.needed, allowed=self.allowed, spent=self.spent)
        return named, (self.stage, self.what)

    def __str__(self) -> str:
        return (
            f"{self.what} would bring what {self.stage} spends to epsilon {self.needed:.4g}, "
            f"but it may spend {self.allowed:.4g} and has spent {self.spent:.4g}"
        )


class FixedPointError(P2N2SimError):
    """A number does not fit the fixed-point ring (not finite, or too large)."""


class PlaintextError(FixedPointError):
    """A fixed-point number, or a sum of as many as announced, does not fit what is encrypted."""


class CiphertextError(P2N2SimError):
    """A ciphertext decrypts to what no sum of permitted values can be."""


class WireError(P2N2SimError):
    """Bytes that are not the encoding of a known message."""


class NetworkError(P2N2SimError):
    """A send or receive that the topology does not know."""


class ReceiveTimeout(NetworkError, TimeoutError):
    """A party waited for a message longer than it said it would."""


class DeliveryError(NetworkError):
    """A message that did not arrive as it was sent.

    Attributes:
        sender: who sent it.
        receiver: to whom.
        kind: name of its type.
        number: which message from this sender to this receiver it was, from 1.
        sent: virtual time in seconds at which it was first sent.
        time: virtual time in seconds at which that was noticed.
        why: what was noticed.
    """

    def __init__(
        self, sender: str, receiver: str, kind: str, number: int, *, sent: float, time: float, why: str
    ) -> None:
        super().__init__(sender, receiver, kind, number, sent, time, why)
        self.sender, self.receiver, self.kind, self.number = sender, receiver, kind, number
        self.sent, self.time, self.why = sent, time, why

    def __reduce__(self) -> tuple[Any, ...]:
        """So that it comes back whole from another process."""
        named = partial(type(self), sent=self.sent, time=self.time, why=self.why)
        return named, (self.sender, self.receiver, self.kind, self.number)

    def __str__(self) -> str:
        return (
            f"{self.kind} from {self.sender} to {self.receiver} (their message {self.number}, sent at "
            f"t = {self.sent:.9g} s) {self.why} at t = {self.time:.9g} s"
        )


class MessageLostError(DeliveryError):
    """A message was not there in time."""


class CorruptMessageError(DeliveryError):
    """A message arrived with a checksum that is not its own."""


class AuthenticationError(DeliveryError):
    """A message arrived with an authentication code that is not its own: somebody has changed it."""


@dataclass(frozen=True, slots=True)
class Wait:
    """One party that waits for a message.

    Attributes:
        party: who waits.
        sender: from whom.
        kind: name of the awaited message type.
        since: virtual time in seconds at which the wait began.
    """

    party: str
    sender: str
    kind: str
    since: float

    def __str__(self) -> str:
        return f"{self.party} waits for {self.kind} from {self.sender} since t = {self.since:.9g} s"


class DeadlockError(P2N2SimError):
    """Every task waits and nothing is in flight: waiting would last forever.

    Attributes:
        time: virtual time in seconds at which everything stood still.
        waits: who waits for what from whom, in the order in which the parties joined.
        cycle: the parties of one cycle of waits, first party repeated at the end; empty if there is none.
        others: descriptions of waiting tasks that wait for something other than a message.
    """

    def __init__(self, time: float, waits: Sequence[Wait], others: Sequence[str] = ()) -> None:
        super().__init__(time, tuple(waits), tuple(others))
        self.time = time
        self.waits = tuple(waits)
        self.others = tuple(others)
        self.cycle = _find_cycle(self.waits)

    def __str__(self) -> str:
        lines = [f"deadlock at t = {self.time:.9g} s: every task waits and nothing is in flight"]
        lines += [f"  {wait}" for wait in self.waits]
        lines += [f"  {other}" for other in self.others]
        if self.cycle:
            lines.append("  cycle: " + " -> ".join(self.cycle))
        return "\n".join(lines)


class PartyLostError(P2N2SimError):
    """A party dropped out, and the others wait for it.

    Attributes:
        party: who dropped out.
        batch: the batch that it was about to begin, from 1; None if it was in the midst of something.
        time: virtual time in seconds at which it did.
        waits: who waited for whom when nothing moved any more.
        back: virtual time in seconds at which it is there again, without what it had not stored; None if it
            stays away.
    """

    def __init__(
        self, party: str, batch: int | None, time: float, waits: Sequence[Wait], back: float | None = None
    ) -> None:
        super().__init__(party, batch, time, tuple(waits), back)
        self.party, self.batch, self.time, self.waits, self.back = party, batch, time, tuple(waits), back

    def __str__(self) -> str:
        waits = "".join(f"\n  {wait}" for wait in self.waits)
        during = "" if self.batch is None else f"as batch {self.batch} began, "
        return f"{self.party} dropped out {during}at t = {self.time:.9g} s{waits}"


def _find_cycle(waits: Sequence[Wait]) -> tuple[str, ...]:
    """The first cycle met when following each party's waits in order (depth first)."""
    edges: dict[str, list[str]] = {}
    for wait in waits:
        edges.setdefault(wait.party, []).append(wait.sender)
    finished: dict[str, bool] = {}  # False while on the path
    for party in edges:
        path, branches = [party], [iter(edges[party])]  # depth first, without recursion: there may be many
        finished.setdefault(party, False)
        while path:
            following = next(branches[-1], None)
            if following is None:
                finished[path.pop()] = True
                branches.pop()
            elif following not in finished:
                finished[following] = False
                path.append(following)
                branches.append(iter(edges.get(following, ())))
            elif not finished[following]:
                return (*path[path.index(following) :], following)
    return ()
