"""A scenario's epsilons, one for every adversary: what of its set-up decides them, and how they are told."""

from __future__ import annotations

import math
from typing import Any

from p2n2sim.assemble import Setup
from p2n2sim.budgeting import grid_of, parts, steps_of
from p2n2sim.defences import adds_to_the_loss
from p2n2sim.inputs import deviation, row_noises
from p2n2sim.parties.first_layer.family import MEMBERS
from p2n2sim.privacy import adversaries
from p2n2sim.privacy.adversaries import ALL, OUTSIDER, SERVER
from p2n2sim.privacy.world import Claim, GradientNoise, HiddenNoise, Opened, World
from p2n2sim.scenario.input_noise import grid_bits
from p2n2sim.scenario.privacy import Privacy
from p2n2sim.scenario.protocol import WHOLE, protocol_name, under_engine
from p2n2sim.scenario.sections import Scenario

RELATION = "replace: the named part of one row has another value"
SCALED = "the means and deviations by which features are scaled are taken as public"


def protected(scenario: Scenario) -> bool:
    """Whether a scenario promises anything."""
    return scenario.privacy != Privacy()


def world(setup: Setup) -> World:
    """What of a set-up decides who learns what."""
    scenario, schedule, layer = setup.scenario, setup.schedule, setup.layer
    h1, gradients = scenario.privacy.h1, scenario.privacy.gradients
    predictions = sum(schedule.predicts_after(epoch) for epoch in range(1, schedule.epochs + 1))
    trained = schedule.most_uses * schedule.rows_train  # with Poisson sampling, at most so many
    return World(
        holders=layer.holders,
        label_owner=scenario.data.label_owner,
        delta=scenario.privacy.delta or 0.0,
        units=layer.units,
        opened=_opened(scenario),
        dealer=_dealt(scenario),
        uses=schedule.most_uses,
        row_releases=trained + predictions * schedule.rows_test,
        predictions=predictions,
        shown=adds_to_the_loss(scenario),
        h1=None
        if h1.clip is None
        else HiddenNoise(
            clip=h1.clip, deviation=deviation(scenario), by=h1.noise_by, bits=grid_bits(scenario)
        ),
        gradients=None
        if gradients.clip is None
        else GradientNoise(
            noise_multiplier=gradients.noise_multiplier or 0.0,
            parts=parts(len(layer.holders)),
            flat=gradients.clipping == "flat",
            by=gradients.noise_by,
            model=tuple(
                steps_of(gradients.noise_multiplier or 0.0, schedule, grid_of(scenario, layer.features))
            ),
        ),
        features=row_noises(scenario, layer.holders),
        test_features=scenario.privacy.features.rows == "all",
        labels=scenario.privacy.labels.epsilon,
    )


def _dealt(scenario: Scenario) -> bool:
    """Whether a dealer knows the masks under which holders are sent X and theta."""
    member = MEMBERS[scenario.protocol.first_layer_in_use]
    return under_engine(scenario) or (member.dealt and scenario.protocol.triples.startswith("dealer"))


def _opened(scenario: Scenario) -> Opened:
    if protocol_name(scenario) == WHOLE:
        return "nothing"
    if under_engine(scenario):
        return "further"
    first_layer = scenario.protocol.first_layer_in_use
    if first_layer == "plaintext":
        return "summands"
    return "chain" if first_layer in ("ckks", "paillier") else "sum"


def per_adversary(setup: Setup) -> list[dict[str, Any]]:
    """What a summary says of every adversary: about what, epsilon, delta, and why. Infinite is ``"inf"``.

    Of features, those of the holder whose are protected least; of the server and of an outsider also all
    features of a row together.
    """
    here, out = world(setup), []
    for name, who in adversaries.adversaries(here).items():
        for test in (False, True):
            worst = adversaries.worst_features(here, who, test=test)
            rows = "test row" if test else "training row"
            if worst is not None:
                out.append(_told(name, f"features of {worst[0]} of a {rows}", worst[1]))
        if who in (frozenset([SERVER]), frozenset([OUTSIDER])):
            out.append(_told(name, f"{ALL.removesuffix(' row')} training row",
                             adversaries.features_claim(here, who, ALL)))  # fmt: skip
        if here.label_owner not in who:
            out.append(_told(name, "label of a training row", adversaries.label_claim(here, who)))
    return out


def _told(adversary: str, about: str, claim: Claim) -> dict[str, Any]:
    return {
        "adversary": adversary,
        "about": about,
        "epsilon": "inf" if math.isinf(claim.epsilon) else claim.epsilon,
        "delta": claim.delta,
        "reason": claim.reason,
    }


def collusion_table(setup: Setup) -> list[dict[str, Any]]:
    """What it costs that the server and k holders pool their views; nothing where h1 has no noise."""
    here = world(setup)
    if here.h1 is None or not here.h1.deviation:
        return []
    return [
        {"holders": k, "known_variance": known, "epsilon": "inf" if math.isinf(cost) else cost}
        for k, known, cost in adversaries.collusion(here)
    ]


def leak_table(setup: Setup) -> list[dict[str, Any]]:
    """What it costs that parties tell who has the model their noise; nothing where gradients have none."""
    here = world(setup)
    if here.gradients is None or not here.gradients.noise_multiplier:
        return []
    return [
        {"told_by": who, "epsilon": "inf" if math.isinf(cost) else cost}
        for who, cost in adversaries.told_the_noise(here)
    ]


def statement(setup: Setup) -> dict[str, Any]:
    """All of it, for a summary."""
    collusion, leaked = collusion_table(setup), leak_table(setup)
    return {
        "relation": RELATION,
        "assumes": [SCALED] if setup.scenario.data.standardise else [],
        "per_adversary": per_adversary(setup),
        **({"collusion_with_the_server": collusion} if collusion else {}),
        **({"told_the_noise_on_gradients": leaked} if leaked else {}),
    }
