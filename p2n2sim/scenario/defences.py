"""What the keys of [defender] and [defence] allow with the others."""

from __future__ import annotations

from p2n2sim.errors import ScenarioError
from p2n2sim.nn.defence.limits import MAX_ROWS
from p2n2sim.scenario.protocol import under_engine
from p2n2sim.scenario.sections import Scenario


def check_defences(scenario: Scenario) -> None:
    """Refuses combinations that make no sense; the place is the dotted key.

    Raises:
        ScenarioError: the first that is found.
    """
    defender, defence = scenario.defender, scenario.defence
    for key, value, what in (
        ("defender.weight", defender.weight, "a defender needs h1, and its gradient at each holder"),
        ("defence.nopeek", defence.nopeek, "NoPeek needs h1, and its gradient at each holder"),
        ("defence.noise", defence.noise, "noise is added to h1, which nobody opens"),
    ):
        if value and under_engine(scenario):
            raise ScenarioError(
                key,
                f"{what}, but further layers are under secret sharing",
                '0 would do, or secret_layers of at most 1 with opened = "product"',
            )
    if defence.nopeek and scenario.train.batch_size > MAX_ROWS:
        raise ScenarioError(
            "defence.nopeek",
            f"it compares all pairs of the {scenario.train.batch_size} rows of a batch",
            f"train.batch_size of at most {MAX_ROWS} would do",
        )
