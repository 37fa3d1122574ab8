"""Holders who run one program on shares over a real network, with a dealer who has dealt before."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np

from p2n2sim.messages import Opening
from p2n2sim.mpc import prg, sharing
from p2n2sim.mpc.sources import DealerSource, PartySource
from p2n2sim.mpc.width import Ring, Width, signed
from p2n2sim.net import simloop
from p2n2sim.net.link import LinkSpec
from p2n2sim.net.network import Network
from p2n2sim.net.topology import Topology
from p2n2sim.parties.secret_layers.session import Arithmetic, Session, dry_run
from p2n2sim.parties.secret_layers.shadow import Shadow
from tests.views import Watched

Body = Callable[..., Coroutine[Any, Any, Sequence[Ring]]]


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
