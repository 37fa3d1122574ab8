"""The parties of a scenario, put on a network and run to the end in virtual time."""

from __future__ import annotations

import asyncio
import concurrent.futures
import dataclasses
from collections.abc import Callable, Sequence
from typing import cast

import simpy
import torch

from p2n2sim.assemble import Setup
from p2n2sim.defences import Defences, described
from p2n2sim.errors import DeadlockError, DeliveryError, PartyLostError, ScenarioError
from p2n2sim.net import simloop
from p2n2sim.net.faults import pace
from p2n2sim.net.network import Network, Tap
from p2n2sim.net.simloop import SimLoop
from p2n2sim.nn.network import Parts
from p2n2sim.outcome import Outcome
from p2n2sim.parties.passes import Pass
from p2n2sim.parties.schedule import Batch
from p2n2sim.perturbing import Perturbing
from p2n2sim.recording import recorder
from p2n2sim.roles import tasks_of
from p2n2sim.scenario.failures import delivery_of, rules_of, slowdowns_of
from p2n2sim.scenario.faults import without_restarts
from p2n2sim.scenario.protocol import under_engine
from p2n2sim.scenario.topology import topology
from p2n2sim.state import Descent, State
from p2n2sim.under_sharing import UnderSharing
from p2n2sim.wire import Message

__all__ = ["Outcome", "simulate", "tasks_of"]

BATCH = "batch"
"""The mark in the journal at which the first holder begins a batch."""


def simulate(
    setup: Setup,
    outcome: Outcome,
    *,
    pool: concurrent.futures.Executor | None = None,
    threads: int = 1,
    encode_all: bool = False,
    tap: Tap | None = None,
    on_batch: Callable[[Batch], object] = lambda batch: None,
    on_pass: Callable[[Pass], object] = lambda done: None,
    state: State | None = None,
    on_checkpoint: Callable[[State], object] = lambda state: None,
) -> None:
    """Runs the protocol in virtual time; the weights of `setup.parts` are trained in place.

    With checkpoints the run is cut into sessions, after each of which nothing is on its way and every party
    stores what it has. Who crashes and comes back goes on from there, and so do the others with it.

    Args:
        setup: what to run.
        outcome: is filled.
        pool: threads for the real work.
        threads: how many it has; what the parties leave over, large products are split among.
        encode_all: encodes and decodes every message on its way.
        tap: is shown sender, receiver and message of everything that is sent.
        on_batch: told of every batch as it begins.
        on_pass: told of every finished pass, or what there is of it.
        state: goes on from here, where `outcome` is as it was then; from the beginning unless it is given.
        on_checkpoint: told what is stored.

    Raises:
        PartyLostError: a party dropped out for good.
        DeliveryError: a message could not be delivered as it was sent.
        DeadlockError: nobody can go on.
    """
    scenario, total = setup.scenario, setup.schedule.end
    every = scenario.train.checkpoint_every
    in_place = every is None and without_restarts(scenario.fault)
    record = recorder(setup, outcome.sights)
    taps = [seen for seen in (tap, record) if seen is not None]
    with torch.random.fork_rng(devices=[]):  # a server module of the user may draw, for dropout say
        torch.manual_seed(scenario.train.seed)
        state = state or State(parts=setup.parts, random=torch.get_rng_state())
        while state.step < total:
            stop = total if every is None else min(total, state.step + every)
            parts = state.parts if in_place else state.parts.copy()  # what was stored stays as it is
            last = stop == total
            part = dataclasses.replace(setup, parts=parts, schedule=setup.schedule.part(state.step, stop))
            session = _Session(part, outcome, state, on_batch, on_pass, last=last)
            kept = list(outcome.passes), len(outcome.began)
            if record is not None:
                record.begin()
            try:
                session.run(pool=pool, threads=threads, encode_all=encode_all, tap=_together(taps))
            except PartyLostError as error:
                if error.back is None:
                    raise
                outcome.passes, outcome.began[kept[1] :] = kept[0], []
                state = dataclasses.replace(
                    state, time=max(error.back, outcome.virtual_s), depths=session.depths
                )
                continue
            state = session.stored()
            if every is not None:
                on_checkpoint(state)
    outcome.defender = described(setup, state.defended)
    if not in_place:
        _write(state.parts, setup.parts)


def _together(taps: Sequence[Tap]) -> Tap | None:
    """One tap that shows everything to all; none if there are none."""
    if len(taps) < 2:
        return taps[0] if taps else None

    def show(sender: str, receiver: str, message: Message) -> None:
        for tap in taps:
            tap(sender, receiver, message)

    return show


def _write(source: Parts, target: Parts) -> None:
    target.theta.copy_(source.theta)
    target.server.load_state_dict(source.server.state_dict())
    target.head.load_state_dict(source.head.state_dict())


class _Session:
    """From one checkpoint to the next.

    Args:
        setup: with the weights and the batches of this session.
        outcome: is filled.
        state: what the parties begin with.
        on_batch: told of every batch as it begins.
        on_pass: told of every finished pass.
        last: whether the run ends with it.

    Attributes:
        depths: as of `State`, at the end.
    """

    def __init__(
        self,
        setup: Setup,
        outcome: Outcome,
        state: State,
        on_batch: Callable[[Batch], object],
        on_pass: Callable[[Pass], object],
        *,
        last: bool,
    ) -> None:
        self._last = last
        self._setup, self._outcome, self._state = setup, outcome, state
        self._on_batch, self._on_pass = on_batch, on_pass
        self._descent = Descent(setup.scenario.train, state.optimisers)
        self._defences = Defences(setup, state.defended)
        self._perturbing = Perturbing(setup, state.shares)
        self._several = UnderSharing(setup, state) if under_engine(setup.scenario) else None
        self.depths: dict[str, int] = {}
        self._resumes = 0.0
        if self._several:
            outcome.shadow = self._several.shadow

    def run(
        self, *, pool: concurrent.futures.Executor | None, threads: int, encode_all: bool, tap: Tap | None
    ) -> None:
        """Runs it to its end; arguments and errors as of `simulate`."""
        scenario, state = self._setup.scenario, self._state
        rules = rules_of(scenario.fault, scenario.draw_seed, self._setup.parties)

        async def main() -> None:
            network = Network(
                cast(SimLoop, asyncio.get_running_loop()),
                topology(scenario, state.step),
                pool=pool,
                encode_all=encode_all,
                ledger=self._outcome.ledger,
                tap=tap,
                rules=rules,
                delivery=delivery_of(scenario.network, scenario.train.seed),
                counts=state.counts,
            )
            await self._with(network, threads)

        torch.set_rng_state(state.random)
        simloop.run(main(), env=simpy.Environment(state.time), schedule=scenario.schedule_seed)
        if self._several:
            self._several.write_weights()
        self._perturbing.write_weights()

    async def _with(self, network: Network, threads: int) -> None:
        loop, outcome, state = asyncio.get_running_loop(), self._outcome, self._state

        def begin(batch: Batch) -> None:
            outcome.began.append((batch, loop.time()))
            network.parties[self._setup.layer.holders[0]].note("mark", BATCH, batch.step)
            self._on_batch(batch)

        tasks = tasks_of(
            self._setup,
            network,
            threads=threads,
            on_batch=begin,
            on_pass=lambda done: self._on_pass(outcome.finish(done)),
            on_crash=lambda number: self._crash(network, number),
            happened=state.happened,
            descent=self._descent,
            defences=self._defences,
            perturbing=self._perturbing,
            under_sharing=self._several,
        )
        try:
            self._prepare(network)
        except ScenarioError:
            for task in tasks.values():
                task.close()  # never to be started
            raise
        try:
            network.journal.session(loop.time())
            await network.run(tasks)
            if not self._last:
                self._wait_for(network)
        except (DeadlockError, DeliveryError, PartyLostError) as error:
            waits = () if isinstance(error, DeliveryError) else error.waits
            for party, (batch, time) in outcome.lost.items():
                raise PartyLostError(party, batch, time, waits) from error
            raise
        finally:
            outcome.virtual_s = max(self._resumes, loop.time())
            outcome.parties = list(network.parties)
            outcome.journals.append(network.events())
            for plug, end in network.plugs.items():
                self.depths[plug] = end.depth
                outcome.intervals.setdefault(plug, []).extend(end.cpu.intervals)

    def _wait_for(self, network: Network) -> None:
        """Who crashed after having done its part is missed when the next session begins."""
        for party, back in network.back.items():
            if back is None:
                raise PartyLostError(party, None, network.down[party], ())
            self._resumes = max(self._resumes, back)

    def _prepare(self, network: Network) -> None:
        """What the parties know from before, and what will happen to them."""
        scenario, state = self._setup.scenario, self._state
        loop = cast(SimLoop, asyncio.get_running_loop())
        for plug, end in network.plugs.items():
            end.depth = state.depths.get(plug, 0)
            slow = slowdowns_of(scenario.fault, end.name)
            end.cpu.pace = pace(slow) if slow else None
        for number, fault in enumerate(scenario.fault):
            if fault.party is not None and fault.party not in network.parties:
                raise ScenarioError(
                    f"fault.{number}.party",
                    f"{fault.party!r} takes no part in this protocol",
                    f"name one of {', '.join(network.parties)}",
                )
            if fault.at is not None and number not in state.happened:
                loop.post(max(fault.at.value, loop.time()), lambda n: self._crash(network, n), number)

    def _crash(self, network: Network, number: int) -> None:
        """A fault happens: for good, as a holder begins a batch, or else a party is cut off where it is."""
        fault, now = self._setup.scenario.fault[number], asyncio.get_running_loop().time()
        assert fault.party is not None  # it was checked
        self._state.happened.append(number)
        if fault.restart is not None:
            network.crash(fault.party, now + fault.restart.value)
        elif fault.batch is not None:
            self._outcome.lost.setdefault(fault.party, (fault.batch, now))
        else:
            network.crash(fault.party)

    def stored(self) -> State:
        """What the parties have at the end."""
        setup, state = self._setup, self._state
        return State(
            parts=setup.parts,
            random=torch.get_rng_state(),
            step=setup.schedule.end,
            time=self._outcome.virtual_s,
            optimisers=self._descent.kept(),
            shares=self._several.shares if self._several else self._perturbing.shares(),
            defended=self._defences.kept(),
            depths=self.depths,
            counts=state.counts,
            happened=state.happened,
        )
