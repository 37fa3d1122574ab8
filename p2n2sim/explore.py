"""One scenario under many schedules: what must not depend on the order of equal times is compared."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import math
import os
import time
import tomllib
from collections import Counter, deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import msgspec

from p2n2sim.assemble import Setup, assemble
from p2n2sim.errors import P2N2SimError
from p2n2sim.net.ledger import Entry
from p2n2sim.processes import deaf_to_ctrl_c, processes
from p2n2sim.run import one_float_thread, weights_sha256
from p2n2sim.scenario.faults import Fault
from p2n2sim.scenario.load import parse, to_toml
from p2n2sim.scenario.sections import Scenario
from p2n2sim.shrink import shrink
from p2n2sim.simulate import Outcome, simulate

START_S = 4.0
"""Seconds that a further process takes to start: it imports everything again."""
_AHEAD = 4  # schedules begun for each process before the first of them is known


@dataclass(frozen=True)
class Ending:
    """How a run ended, as far as the order of equal times must not matter.

    Attributes:
        results: name -> value, of a run that came to its end: the weights' hash, each pass's loss and logits.
        traffic: sender->receiver -> payload bytes and messages.
        error: what it ended with instead.
    """

    results: dict[str, object]
    traffic: dict[str, tuple[int, int]]
    error: Exception | None = None

    @property
    def kind(self) -> str:
        """``right``, or the type of the error."""
        return type(self.error).__name__ if self.error else "right"


class OrderError(P2N2SimError):
    """A result depends on the order of what happens at one instant, or a fault makes it wrong.

    Attributes:
        seed: the first schedule that fails.
        differences: what was expected and what was found, a sentence each.
        faults: of the scenario's faults, the fewest that still fail under this schedule.
    """

    def __init__(self, seed: int, differences: Sequence[str], faults: Sequence[Fault]) -> None:
        super().__init__(seed, tuple(differences), tuple(faults))
        self.seed, self.differences, self.faults = seed, tuple(differences), tuple(faults)

    def __str__(self) -> str:
        lines = "".join(f"\n  {difference}" for difference in self.differences)
        return f"schedule {self.seed} ends otherwise than first come, first served{lines}"


class ProcessError(P2N2SimError):
    """A process that ran schedules is gone."""


class Verdict(NamedTuple):
    """What is to be said of a schedule.

    Attributes:
        kind: how its run ended, as of `Ending`.
        wrong: why that is not as it should be, a sentence each; nothing if it is.
    """

    kind: str
    wrong: Sequence[str]


def explore(
    scenario: Scenario,
    seeds: Sequence[int],
    *,
    data_dir: Path | str | None = None,
    jobs: int | None = None,
    on_seed: Callable[[int, str], object] = lambda seed, kind: None,
    on_failure: Callable[[int], object] = lambda seed: None,
) -> Counter[str]:
    """Runs a scenario under each schedule and compares with first come, first served and no faults.

    A schedule fails if its run ends with other weights, losses or logits, if the traffic of a link differs
    (in a scenario without faults, which may cost messages), or if it ends with an error. In a scenario with
    faults an error of this package's own is a good ending: it names what went wrong.

    Args:
        scenario: its sweep, if it has one, is left aside.
        seeds: of the schedules; jitter and faults, where a scenario has them, are drawn from the same seed.
        data_dir: where to look for data files first.
        jobs: how many processes at a time, which changes no result; by default one a core, as soon as the
            schedules that are left would take longer here than with the others, their start included.
        on_seed: told of every schedule that passes, in the order of the seeds, and how it ended.
        on_failure: told of the first that fails, before its faults are shrunk.

    Returns:
        Kind of ending -> how many schedules.

    Raises:
        OrderError: at the first schedule that fails.
        P2N2SimError: the scenario fails without faults and first come, first served.
        ProcessError: a process died.
    """
    began = time.perf_counter()
    setup = assemble(scenario, data_dir=data_dir)
    assembling = time.perf_counter() - began
    endings: Counter[str] = Counter()
    with one_float_thread():
        right = _ending(setup, None, ())
        if right.error:
            raise right.error
        with contextlib.closing(_verdicts(setup, right, seeds, data_dir, jobs, assembling)) as verdicts:
            for seed, verdict in verdicts:
                if verdict.wrong:
                    break
                endings[verdict.kind] += 1
                on_seed(seed, verdict.kind)
            else:
                return endings
        on_failure(seed)
        raise _failure(setup, right, seed, verdict)


def _verdicts(
    setup: Setup,
    right: Ending,
    seeds: Sequence[int],
    data_dir: Path | str | None,
    jobs: int | None,
    assembling: float,
) -> Generator[tuple[int, Verdict]]:
    """A verdict on each schedule, in the order of the seeds.

    What decides how many processes work on them is how long they take, which no verdict depends on.
    """
    number = jobs or os.cpu_count() or 1
    pays = 0.0 if jobs else START_S + assembling
    quickest = math.inf  # the first ones take longer, because much is done for the first time
    for done, seed in enumerate(seeds):
        left = len(seeds) - done
        if number > 1 and left > 1 and (jobs or (done > 1 and quickest * left * (1 - 1 / number) > pays)):
            yield from _shared_verdicts(setup, right, seeds[done:], data_dir, min(number, left))
            return
        began = time.perf_counter()
        verdict = _verdict(setup, right, seed)
        quickest = min(quickest, time.perf_counter() - began)
        yield seed, verdict


def _shared_verdicts(
    setup: Setup, right: Ending, seeds: Sequence[int], data_dir: Path | str | None, number: int
) -> Generator[tuple[int, Verdict]]:
    """The same from several processes; what ran ahead of a schedule that fails is dropped."""
    text, waiting = to_toml(setup.scenario), deque[tuple[int, Future[Verdict]]]()
    with processes(number) as pool:
        for seed in seeds:
            with deaf_to_ctrl_c():
                waiting.append((seed, pool.submit(_verdict_elsewhere, text, data_dir, right, seed)))
            if len(waiting) > _AHEAD * number:
                yield _taken(waiting)
        while waiting:
            yield _taken(waiting)


def _taken(waiting: deque[tuple[int, Future[Verdict]]]) -> tuple[int, Verdict]:
    seed, task = waiting.popleft()
    try:
        return seed, task.result()
    except BrokenProcessPool as error:
        raise ProcessError(
            f"schedule {seed}: a process died, perhaps for want of memory; --jobs 1 needs the least"
        ) from error


def _verdict_elsewhere(text: str, data_dir: Path | str | None, right: Ending, seed: int) -> Verdict:
    """In another process."""
    with one_float_thread():
        return _verdict(_assembled(text, data_dir), right, seed)


@functools.lru_cache(1)  # a process runs many schedules of one scenario, each on a copy of the weights
def _assembled(text: str, data_dir: Path | str | None) -> Setup:
    return assemble(parse(tomllib.loads(text), "explore"), data_dir=data_dir)


def _verdict(setup: Setup, right: Ending, seed: int) -> Verdict:
    ending = _ending(setup, seed, setup.scenario.fault)
    return Verdict(ending.kind, _differences(right, ending, setup.scenario.fault))


def _failure(setup: Setup, right: Ending, seed: int, verdict: Verdict) -> OrderError:
    """The error of a schedule that failed: run again here, for its cause and the faults that are enough."""
    faults = setup.scenario.fault
    again = _ending(setup, seed, faults)
    if not (wrong := _differences(right, again, faults)):
        more = "but not when it is run again: explore --twice shows the first event that differs"
        return OrderError(seed, [*verdict.wrong, more], faults)
    found = functools.partial(_fails, setup, right, seed)
    error = OrderError(seed, wrong, shrink(faults, found) if faults else [])
    error.__cause__ = again.error
    return error


def _fails(setup: Setup, right: Ending, seed: int, faults: Sequence[Fault]) -> bool:
    return bool(_differences(right, _ending(setup, seed, tuple(faults)), faults))


def _ending(setup: Setup, seed: int | None, faults: tuple[Fault, ...]) -> Ending:
    """Simulates a copy of a setup under a schedule."""
    scenario = msgspec.structs.replace(setup.scenario, schedule_seed=seed, fault=faults)
    own = dataclasses.replace(setup, scenario=scenario, parts=setup.parts.copy())
    outcome, error = Outcome(), None
    try:
        simulate(own, outcome)
    except Exception as failure:  # a protocol's own mistakes are what is looked for
        error = failure
    traffic: dict[str, tuple[int, int]] = {}
    for entry in map(Entry._make, outcome.ledger.rows):
        link = f"{entry.sender}->{entry.receiver}"
        payload, messages = traffic.get(link, (0, 0))
        traffic[link] = payload + entry.payload_bytes, messages + 1
    results: dict[str, object] = {"weights_sha256": weights_sha256(own.parts)}
    for done in outcome.passes:
        results[f"loss of {done.stage} {done.epoch}"] = done.loss
        results[f"logits of {done.stage} {done.epoch}"] = hashlib.sha256(done.logits.tobytes()).hexdigest()
    return Ending(results, traffic, error)


def _differences(right: Ending, ending: Ending, faults: Sequence[Fault]) -> list[str]:
    """What is wrong with an ending, a sentence each."""
    if ending.error is not None:
        if faults and isinstance(ending.error, P2N2SimError):
            return []
        return [f"{ending.kind}: {ending.error}"]
    wrong = [
        f"{name}: expected {right.results.get(name)}, found {ending.results.get(name)}"
        for name in right.results | ending.results
        if right.results.get(name) != ending.results.get(name)
    ]
    if not faults:
        wrong += [
            f"{link}: expected {_told(right.traffic.get(link))}, found {_told(ending.traffic.get(link))}"
            for link in sorted(right.traffic | ending.traffic)
            if right.traffic.get(link) != ending.traffic.get(link)
        ]
    return wrong


def _told(traffic: tuple[int, int] | None) -> str:
    payload, messages = traffic or (0, 0)
    return f"{payload:,} payload bytes in {messages} messages"
