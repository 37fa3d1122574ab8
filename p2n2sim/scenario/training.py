"""What the keys of [train] allow with each other."""

from __future__ import annotations

from p2n2sim.errors import ScenarioError
from p2n2sim.scenario.protocol import under_engine
from p2n2sim.scenario.sections import Scenario


def check_training(scenario: Scenario) -> None:
    """Refuses combinations that make no sense; the place is the dotted key.

    Raises:
        ScenarioError: the first that is found.
    """
    train = scenario.train
    if train.optimiser != "sgd" and under_engine(scenario):
        raise ScenarioError(
            "train.optimiser",
            f"{train.optimiser!r} cannot update weights under secret sharing, and "
            f"{scenario.protocol.layers_under_sharing} layers' are",
            "'sgd' would do, or one layer's product under secret sharing",
        )
    if train.optimiser != "sgd" and train.momentum:
        raise ScenarioError(
            "train.momentum", f"{train.optimiser!r} has none", "0 or optimiser = 'sgd' would do"
        )
    if train.optimiser != "sgld" and train.temperature != 1.0:
        raise ScenarioError(
            "train.temperature", f"{train.optimiser!r} has none", "1 or optimiser = 'sgld' would do"
        )
