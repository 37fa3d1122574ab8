"""What the keys of [model] allow with each other."""

from __future__ import annotations

from p2n2sim.errors import ScenarioError
from p2n2sim.scenario.sections import Model


def check_model(model: Model) -> None:
    """Refuses combinations that make no sense; the place is the dotted key.

    Raises:
        ScenarioError: the first that is found.
    """
    if len(model.activation_list) != len(model.hidden):
        raise ScenarioError(
            "model.activations",
            f"{len(model.activation_list)} activations for {len(model.hidden)} hidden layers",
            "give one for all, or one for each",
        )
    steps = len(model.steps)
    if steps and model.hidden[0] % steps:
        raise ScenarioError(
            "model.hidden",
            f"the first layer's {model.hidden[0]} units cannot be divided evenly among {steps} steps",
            f"a multiple of {steps} would do",
        )
    if model.kind == "perceptron":
        return
    if model.server is not None:
        raise ScenarioError(
            "model.kind",
            f"found {model.kind!r}, but model.server makes the server's module",
            "give one of them",
        )
    if not steps:
        raise ScenarioError(
            "model.steps",
            f"a {model.kind} goes over the steps of a sequence, and there are none",
            "list the columns",
        )
    if len(model.hidden) != 2 or len(set(model.activation_list)) > 1:
        raise ScenarioError(
            "model.hidden",
            f"a {model.kind} has one layer after the first one, and one activation",
            "two widths and one activation would do: the first layer's, and the channels or the state",
        )
