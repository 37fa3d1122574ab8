"""What the keys of [privacy.features], [privacy.labels] and [privacy.h1] allow with the others."""

from __future__ import annotations

import math
from collections.abc import Sequence

from p2n2sim.errors import ScenarioError
from p2n2sim.privacy.discrete import MAX_SKELLAM
from p2n2sim.scenario.protocol import under_engine
from p2n2sim.scenario.sections import Scenario


def check_inputs(scenario: Scenario, holders: Sequence[str]) -> None:
    """Refuses combinations that make no sense; the place is the dotted key.

    Args:
        scenario: with the keys of [privacy].
        holders: names of the data holders.

    Raises:
        ScenarioError: the first that is found.
    """
    _check_features(scenario, holders)
    if scenario.privacy.labels.debias and scenario.privacy.labels.epsilon is None:
        raise ScenarioError(
            "privacy.labels.debias", "nothing is biased without privacy.labels.epsilon", "false would do"
        )
    h1 = scenario.privacy.h1
    if (h1.clip is None) != (h1.noise_multiplier is None):
        missing, given = ("noise_multiplier", "clip") if h1.clip else ("clip", "noise_multiplier")
        raise ScenarioError(
            f"privacy.h1.{missing}",
            f"it is not given, but privacy.h1.{given} is",
            "the noise is so many times the clipping norm: give both, or neither",
        )
    if h1.clip is not None:
        _check_first_hidden(scenario)


def _check_features(scenario: Scenario, holders: Sequence[str]) -> None:
    features = scenario.privacy.features
    if features.epsilon is None:
        if features.clip is not None:
            raise ScenarioError(
                "privacy.features.clip",
                "nothing is perturbed without privacy.features.epsilon",
                "give it, or leave this away (data.clip limits standardised features)",
            )
        return
    if features.clip is None:
        raise ScenarioError(
            "privacy.features.clip",
            "it is not given, and without a bound on a row no noise hides it",
            "about the usual norm of a holder's features of a row would do",
        )
    if features.mechanism == "gaussian" and scenario.privacy.delta is None:
        raise ScenarioError(
            "privacy.delta", "Gaussian noise has no epsilon without it", "less than 1 over the training rows"
        )
    for name in features.epsilon if isinstance(features.epsilon, dict) else ():
        if name not in holders:
            raise ScenarioError(
                "privacy.features.epsilon", f"{name!r} is no data holder", f"name {holders[0]!r}, for example"
            )


def _check_first_hidden(scenario: Scenario) -> None:
    h1, protocol = scenario.privacy.h1, scenario.protocol
    assert h1.clip is not None  # both are, or this was not called
    assert h1.noise_multiplier is not None
    if under_engine(scenario):
        raise ScenarioError(
            "privacy.h1.clip",
            "noise is added to h1, which nobody opens, but further layers are under secret sharing",
            'secret_layers of at most 1 with opened = "product" would do',
        )
    if scenario.defence.noise:
        raise ScenarioError(
            "defence.noise", "h1 has the noise of privacy.h1 already", "0, or no privacy.h1 would do"
        )
    if protocol.first_layer_in_use == "algorithm1-masked-once":
        raise ScenarioError(
            "protocol.first_layer",
            "'algorithm1-masked-once' masks X before there is a theta by which rows could be clipped",
            "'masked-sum' or 'algorithm1-prg' would do, or no privacy.h1",
        )
    deviation = h1.clip * h1.noise_multiplier
    if deviation and scenario.privacy.delta is None:
        raise ScenarioError(
            "privacy.delta", "Skellam noise has no epsilon without it", "less than 1 over the training rows"
        )
    bits = grid_bits(scenario)
    parts = scenario.data.holders if h1.noise_by == "holders" else 1
    if deviation and (deviation * 2.0**bits) ** 2 / parts > MAX_SKELLAM:
        most = (math.log2(MAX_SKELLAM * parts) / 2 - math.log2(deviation)) / (bits / protocol.fractional_bits)
        raise ScenarioError(
            "protocol.fractional_bits",
            f"noise of deviation {deviation:g} on a grid of 2^-{bits} is more than is drawn exactly",
            f"fractional_bits of at most {max(1, math.floor(most))} would do: the noise hides more digits",
        )


def grid_bits(scenario: Scenario) -> int:
    """The noise on h1 is a multiple of 2^-bits: the grid on which the numbers are to which it is added."""
    protocol = scenario.protocol
    on_shares = protocol.first_layer_in_use in ("algorithm1", "algorithm1-prg", "masked-sum")
    return protocol.fractional_bits * (2 if on_shares and scenario.privacy.h1.noise_by != "server" else 1)
