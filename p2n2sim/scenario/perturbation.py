"""What the keys of [privacy] allow with each other and with the rest."""

from __future__ import annotations

import math

from p2n2sim.errors import ScenarioError
from p2n2sim.scenario.protocol import SHARED, under_engine
from p2n2sim.scenario.sections import Scenario

WHOLE_BITS = 10
"""Bits before the point that a product with a theta under sharing has at least."""


def check_privacy(scenario: Scenario) -> None:
    """Refuses combinations that make no sense; the place is the dotted key.

    Raises:
        ScenarioError: the first that is found.
    """
    privacy = scenario.privacy
    if privacy.epsilon is not None and not spends(scenario):
        raise ScenarioError(
            "privacy.epsilon",
            f"found {privacy.epsilon:g}, but nothing is perturbed that would keep to it",
            "privacy.gradients.clip would do",
        )
    _check_preprocessing(scenario)
    if privacy.gradients.clip is None:
        _check_unused(scenario)
    else:
        _check_gradients(scenario)


def spends(scenario: Scenario) -> bool:
    """Whether anything is perturbed for which a budget is needed."""
    return scenario.privacy.gradients.clip is not None


def _check_preprocessing(scenario: Scenario) -> None:
    """Its part of the budget, and what may be done with it."""
    settings, limited = scenario.privacy.preprocessing, (scenario.privacy.epsilon or math.inf) < math.inf
    key = "privacy.preprocessing"
    noisy = settings.normalise == "moments" or bool(settings.keep)
    if settings.normalise == "exact" and (settings.keep or settings.share):
        raise ScenarioError(
            f"{key}.normalise",
            "exact statistics are not private, so that no part of a budget makes sense before them",
            "'moments' or 'bounds' would do",
        )
    if settings.normalise != "exact" and not scenario.data.standardise:
        raise ScenarioError(f"{key}.normalise", "data.standardise is false", "'exact' would do")
    if limited and noisy and not settings.share:
        raise ScenarioError(f"{key}.share", "found 0, but statistics are released", "0.1 would do")
    if settings.share and not noisy:
        raise ScenarioError(f"{key}.share", f"found {settings.share:g}, but nothing is spent", "0 would do")
    if settings.keep and len(settings.keep) != scenario.data.holders:
        raise ScenarioError(
            f"{key}.keep",
            f"{len(settings.keep)} numbers for {scenario.data.holders} holders",
            "give one for each holder",
        )


def _check_unused(scenario: Scenario) -> None:
    """Noise is in units of the clipping norm."""
    if scenario.privacy.gradients.noise_multiplier is not None:
        raise ScenarioError(
            "privacy.gradients.noise_multiplier",
            "the noise is so many times the clipping norm, which is not given",
            "privacy.gradients.clip = 1 would do",
        )


def _check_gradients(scenario: Scenario) -> None:
    """What DP-SGD needs."""
    privacy, gradients = scenario.privacy, scenario.privacy.gradients
    if under_engine(scenario):
        raise ScenarioError(
            "privacy.gradients.clip",
            "rows are clipped where their gradients are, but further layers are under secret sharing",
            'secret_layers of at most 1 with opened = "product" would do',
        )
    for key, value in (
        ("defender.weight", scenario.defender.weight),
        ("defence.nopeek", scenario.defence.nopeek),
    ):
        if value:
            raise ScenarioError(
                key,
                f"found {value:g}, but what it adds to a row's gradient depends on the other rows, which no "
                "clipping of rows bounds",
                "0 would do, or no privacy.gradients.clip",
            )
    if gradients.in_ring:
        _check_in_ring(scenario)
    if privacy.epsilon is None and gradients.noise_multiplier is None:
        raise ScenarioError(
            "privacy.gradients.noise_multiplier",
            "it is not given, and there is no privacy.epsilon to find it for",
            "give one of the two; 0 for no noise",
        )
    limited = privacy.epsilon is not None and privacy.epsilon < math.inf
    if privacy.delta is None and (limited or gradients.noise_multiplier):
        raise ScenarioError(
            "privacy.delta", "Gaussian noise has no epsilon without it", "less than 1 over the training rows"
        )


def _check_in_ring(scenario: Scenario) -> None:
    """What a theta needs that stays under sharing."""
    protocol, train, gradients = scenario.protocol, scenario.train, scenario.privacy.gradients
    key, other = "privacy.gradients.noise_by", "'holder' or 'server' would do"
    if protocol.first_layer_in_use not in SHARED:
        raise ScenarioError(
            key,
            f"'shares' leaves theta under sharing, of which {protocol.first_layer_in_use!r} knows nothing",
            f"{other}, or one of {', '.join(map(repr, SHARED))} for protocol.first_layer",
        )
    if train.optimiser != "sgd" or train.momentum:
        found = f"momentum {train.momentum:g}" if train.optimiser == "sgd" else f"{train.optimiser!r}"
        raise ScenarioError(
            key,
            f"'shares' adds to shares what a step is made of, but {found} multiplies it by what nobody knows",
            f'{other}, or train.optimiser = "sgd" without momentum',
        )
    if scenario.model.steps:
        raise ScenarioError(
            key, "'shares' adds noise to all of theta, but with model.steps parts of it stay zero", other
        )
    if scenario.privacy.h1.clip is not None:
        raise ScenarioError(
            key,
            "'shares' leaves theta unknown, but privacy.h1 has every holder clip rows by its theta",
            f"{other}, or no privacy.h1",
        )
    most = 62 - WHOLE_BITS - protocol.fractional_bits
    if gradients.weight_bits > most:
        raise ScenarioError(
            "privacy.gradients.weight_bits",
            f"{gradients.weight_bits} beside {protocol.fractional_bits} protocol.fractional_bits leave h1 "
            f"fewer than {WHOLE_BITS} bits before the point",
            f"at most {most} would do" if most > 0 else "fewer protocol.fractional_bits would do",
        )
