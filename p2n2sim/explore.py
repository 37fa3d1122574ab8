"""One scenario under many schedules: what must not depend on the order of equal times is compared."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from p2n2sim.assemble import Setup, assemble
from p2n2sim.errors import P2N2SimError
from p2n2sim.net.ledger import Entry
from p2n2sim.run import one_float_thread, weights_sha256
from p2n2sim.scenario.faults import Fault
from p2n2sim.scenario.sections import Scenario
from p2n2sim.shrink import shrink
from p2n2sim.simulate import Outcome, simulate


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


def explore(
    scenario: Scenario,
    seeds: Sequence[int],
    *,
    data_dir: Path | str | None = None,
    on_seed: Callable[[int, Ending], object] = lambda seed, ending: None,
) -> Counter[str]:
    """Runs a scenario under each schedule and compares with first come, first served and no faults.

    A schedule fails if its run ends with other weights, losses or logits, if the traffic of a link differs
    (in a scenario without faults, which may cost messages), or if it ends with an error. In a scenario with
    faults an error of this package's own is a good ending: it names what went wrong.

    Args:
        scenario: its sweep, if it has one, is left aside.
        seeds: of the schedules; jitter and faults, where a scenario has them, are drawn from the same seed.
        data_dir: where to look for data files first.
        on_seed: told of every schedule that passes.

    Returns:
        Kind of ending -> how many schedules.

    Raises:
        OrderError: at the first schedule that fails.
        P2N2SimError: the scenario fails without faults and first come, first served.
    """
    setup = assemble(scenario, data_dir=data_dir)
    with one_float_thread():
        right = _ending(setup, None, ())
        if right.error:
            raise right.error
        endings: Counter[str] = Counter()
        for seed in seeds:
            ending = _ending(setup, seed, scenario.fault)
            if wrong := _differences(right, ending, scenario.fault):
                found = functools.partial(_fails, setup, right, seed)
                least = shrink(scenario.fault, found) if scenario.fault else []
                raise OrderError(seed, wrong, least) from ending.error
            endings[ending.kind] += 1
            on_seed(seed, ending)
    return endings


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
