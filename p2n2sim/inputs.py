"""What the holders of a scenario do to their rows and labels before anything else, and to h1."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from p2n2sim.assemble import Setup
from p2n2sim.messages import Floats
from p2n2sim.mpc.prg import Purpose, derive_key
from p2n2sim.net.cpu import Cost
from p2n2sim.parties.noise import Noise, SkellamNoise, secret_draws
from p2n2sim.parties.row_clip import RowClip
from p2n2sim.privacy.backends import Streamed
from p2n2sim.privacy.local import RowNoise, perturb_rows, unbiased_labels
from p2n2sim.privacy.response import randomized_response
from p2n2sim.scenario.sections import Scenario

_WORDS = 4  # random words that a number of discrete noise takes, about


@dataclass(frozen=True)
class Inputs:
    """Features and labels as their holders use them: a function of the set-up, so that sessions agree.

    Attributes:
        setup: what is run.
    """

    setup: Setup

    def features(self, name: str) -> tuple[Floats, Floats]:
        """A holder's columns of the training and the test rows, perturbed where the scenario says so."""
        setup = self.setup
        block = setup.blocks[setup.layer.holders.index(name)]
        train, test = (
            np.ascontiguousarray(X[:, block]) for X in (setup.dataset.X_train, setup.dataset.X_test)
        )
        noise = row_noises(setup.scenario, setup.layer.holders).get(name)
        if noise is None:
            return train, test
        key = derive_key(setup.scenario.train.seed, "features", name)
        train = perturb_rows(Streamed(secret_draws(key, 0, Purpose.FEATURE_NOISE)), train, noise)
        if setup.scenario.privacy.features.rows == "all":
            test = perturb_rows(Streamed(secret_draws(key, 1, Purpose.FEATURE_NOISE)), test, noise)
        return train, test

    def labels(self) -> Floats:
        """The training labels, by randomized response where the scenario says so.

        Test labels stay as they are: they never leave their owner, who compares predictions with them.
        """
        data, labels = self.setup.dataset, self.setup.scenario.privacy.labels
        if labels.epsilon is None:
            return data.y_train
        key = derive_key(self.setup.scenario.train.seed, "labels", self.setup.scenario.data.label_owner)
        reported = randomized_response(
            secret_draws(key, 0, Purpose.RESPONSE),
            data.y_train.astype(np.int64),
            epsilon=labels.epsilon,
            classes=data.classes,
        )
        if labels.debias:
            return unbiased_labels(reported, epsilon=labels.epsilon)
        return reported.astype(np.float32)

    def cost(self, name: str) -> Cost:
        """Of what a holder does to its features: norms, and random numbers, and adding them."""
        setup = self.setup
        noise = row_noises(setup.scenario, setup.layer.holders).get(name)
        if noise is None:
            return Cost()
        data, everything = setup.dataset, setup.scenario.privacy.features.rows == "all"
        rows = len(data.y_train) + (len(data.y_test) if everything else 0)
        elements = rows * setup.layer.widths[setup.layer.holders.index(name)]
        return Cost(flops=4 * elements, random_bytes=8 * _WORDS * elements, moved_bytes=48 * elements)

    def label_cost(self) -> Cost:
        """Of what the label's owner does to its labels: two random words each."""
        if self.setup.scenario.privacy.labels.epsilon is None:
            return Cost()
        rows = len(self.setup.dataset.y_train)
        return Cost(random_bytes=16 * rows, moved_bytes=24 * rows)

    def clip(self) -> RowClip | None:
        """How every holder bounds its summand of h1."""
        h1 = self.setup.scenario.privacy.h1
        return None if h1.clip is None else RowClip(h1.clip, self.setup.scenario.protocol.fractional_bits)

    def noise(self) -> Mapping[str, Noise]:
        """What each holder adds to its part of h1."""
        scenario, holders = self.setup.scenario, self.setup.layer.holders
        by = scenario.privacy.h1.noise_by
        if scenario.privacy.h1.clip is None or by == "server":
            return {}
        drawing = holders if by == "holders" else holders[:1]
        return {name: self._part(name, len(drawing)) for name in drawing}

    def server_noise(self) -> Noise | None:
        """What the server adds to h1 after it has opened it."""
        h1 = self.setup.scenario.privacy.h1
        return self._part("server", 1) if h1.clip is not None and h1.noise_by == "server" else None

    def _part(self, name: str, parts: int) -> SkellamNoise:
        scenario = self.setup.scenario
        key = derive_key(scenario.train.seed, "noise", name)
        variance = Fraction(deviation(scenario)) ** 2 / parts
        return SkellamNoise(variance, key, scenario.protocol.fractional_bits)


def deviation(scenario: Scenario) -> float:
    """Standard deviation of the noise on each number of h1, 0 without any."""
    h1 = scenario.privacy.h1
    return (h1.clip or 0.0) * (h1.noise_multiplier or 0.0)


def row_noises(scenario: Scenario, holders: tuple[str, ...]) -> dict[str, RowNoise]:
    """What each holder does to its features of a row; those that do nothing are left out."""
    features = scenario.privacy.features
    if features.epsilon is None or features.clip is None:
        return {}
    given = features.epsilon
    epsilons = given if isinstance(given, dict) else dict.fromkeys(holders, given)
    return {
        name: RowNoise(
            mechanism=features.mechanism,
            clip=features.clip,
            epsilon=epsilons[name],
            delta=scenario.privacy.delta or 0.0,
        )
        for name in holders
        if name in epsilons
    }
