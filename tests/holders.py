"""Holders who run one program on shares over a real network, with a dealer who has dealt before."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

import numpy as np

from p2n2sim.messages import Opening
from p2n2sim.mpc import correlated, prg, sharing
from p2n2sim.mpc.correlated import DealerSource, MaskOf, PartySource
from p2n2sim.mpc.truncation import TruncationPair
from p2n2sim.mpc.width import Ring, Width, signed
from p2n2sim.net import simloop
from p2n2sim.net.link import LinkSpec
from p2n2sim.net.network import Network
from p2n2sim.net.topology import Topology
from p2n2sim.parties.session import Arithmetic, Session, dry_run
from p2n2sim.parties.shadow import Shadow

Body = Callable[..., Coroutine[Any, Any, Sequence[Ring]]]
T = TypeVar("T")


@dataclass
class Ran:
    """What a program left behind.

    Attributes:
        values: what it gave, as signed numbers.
        rounds: as the clock counted them.
        openings: of every holder in order.
        openers: what every holder's session saw.
        shadow: if one watched.
    """

    values: list[Ring] = field(default_factory=list)
    rounds: int = 0
    openings: dict[str, list[Opening]] = field(default_factory=dict)
    openers: list[Watched] = field(default_factory=list)
    shadow: Shadow | None = None

    @property
    def results(self) -> list[list[int]]:
        """The values as Python integers, flat."""
        return [value.reshape(-1).tolist() for value in self.values]


@dataclass
class Opened:
    """One opening of ring elements, as one holder sees it.

    Attributes:
        step: number of the batch.
        label: which opening of the batch, and of which part.
        value: what everybody knows afterwards, flat.
        own: the share that this holder sent.
        mask: its share of the mask.
    """

    step: int
    label: str
    value: Ring
    own: Ring
    mask: Ring | None


class Watched(Session):
    """A session that also writes down what its holder knows."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.opened: list[Opened] = []
        self.bits: list[tuple[int, str, Any]] = []
        self._masks: list[Ring] = []
        self._count = 0

    def begin(self, step: int, source: correlated.Source) -> None:
        """A batch begins."""
        super().begin(step, source)
        self._count, self._masks = 0, []

    def draw(self, piece: Callable[..., T], *args: Any, **options: Any) -> T:
        """Remembers masks, in the order in which they are drawn."""
        drawn = super().draw(piece, *args, **options)
        if isinstance(drawn, MaskOf) and piece is correlated.mask:
            self._masks.append(drawn.within(self.source))
        elif isinstance(drawn, TruncationPair) or hasattr(drawn, "rho"):
            self._masks.append(drawn.r)
        return drawn

    async def open(self, values: Sequence[Ring], bits: Sequence[Any] = ()) -> tuple[list[Ring], list[Any]]:
        """Pairs every opened value with its mask: both come in the order of the draws."""
        opened, union = await super().open(values, bits)
        self._count += 1
        masks, self._masks = self._masks, []
        assert not self.step >= 0 or len(masks) == len(values)
        for i, (own, value) in enumerate(zip(values, opened, strict=True)):
            flat = [x.reshape(-1) for x in (value, own)]
            mask = masks[i].reshape(-1) if masks else None
            self.opened.append(Opened(self.step, f"opening {self._count}, part {i}", *flat, mask))
        for i, plane in enumerate(union):
            self.bits.append((self.step, f"opening {self._count}, bits {i}", plane.reshape(-1)))
        return opened, union


def together(
    body: Body,
    secrets: Sequence[Ring],
    *,
    parties: int = 2,
    width: Width = 64,
    fractional_bits: int = 20,
    local: bool = False,
    full: bool = False,
    shadow: bool = False,
    steps: int = 1,
    key: str = "session",
) -> Ran:
    """Runs a program on shares of secrets, on links with one second of latency.

    Args:
        body: takes a session and one share of each secret, and gives shares.
        secrets: ring elements.
        parties: how many holders.
        width: of the ring.
        fractional_bits: f.
        local: whether truncation is local.
        full: whether the dealer sends everything.
        shadow: whether a shadow watches.
        steps: how many times the program is run, with fresh randomness each time.
        key: makes the randomness.

    Returns:
        What the last run gave; rounds and openings of all.
    """
    names = tuple("ABCDEFGH"[:parties])
    arithmetic = Arithmetic(fractional_bits=fractional_bits, width=width, local_truncation=local)
    shares = [sharing.split(x, parties, prg.derive_key(0, key, i), 0) for i, x in enumerate(secrets)]
    keys = [prg.derive_key(1, key, name) for name in names]

    async def program(session: Session) -> None:
        await body(session, *[np.zeros_like(x) for x in secrets])

    draws, _ = dry_run(program, arithmetic, (0, 0))
    ran = Ran(shadow=Shadow(parties, width) if shadow else None)
    results: dict[int, Sequence[Ring]] = {}
    dealers = [DealerSource(keys, step, width, full=full) for step in range(steps)]
    for dealer in dealers:
        for draw in draws:
            draw(dealer)

    async def holder(session: Watched, party: int) -> None:
        for step, dealer in enumerate(dealers):
            sent = dealer.sent(party) if full or party == parties - 1 else None
            source = PartySource(keys[party], step, width, sent=sent, full=full)
            session.begin(step, source)
            results[party] = await body(session, *[share[party] for share in shares])
            assert source.all_read()

    def tap(sender: str, receiver: str, message: Any) -> None:
        if receiver == names[not names.index(sender)]:
            ran.openings.setdefault(sender, []).append(message)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        network = Network(cast(Any, loop), Topology(LinkSpec(latency=1.0)), tap=tap)
        joined = [network.join(name) for name in names]
        ran.openers = [Watched(me, names, arithmetic, shadow=ran.shadow) for me in joined]
        await network.run({name: holder(ran.openers[i], i) for i, name in enumerate(names)})
        ran.rounds = round(loop.time())

    simloop.run(main())
    ran.values = [
        signed(np.add.reduce(parts), width)
        for parts in zip(*(results[party] for party in range(parties)), strict=True)
    ]
    return ran
