"""The table [privacy] of a scenario file: a budget, and what spends it."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from p2n2sim.scenario.inputs import Features, FirstHidden, Labels
from p2n2sim.scenario.preprocessing import Preprocessing
from p2n2sim.scenario.section import Rate, Section

NotNegative = Annotated[float, Meta(ge=0)]
Probability = Annotated[float, Meta(gt=0, lt=1)]


class Gradients(Section, frozen=True):
    """DP-SGD for every part of the network.

    Attributes:
        clip: C, the largest norm of one row's gradient, all parts together; unless given, no gradient is
            perturbed.
        clipping: ``per-part`` clips every part to C over the root of their number where it is; ``flat``
            clips the whole gradient, for which norms go to the server.
        noise_multiplier: standard deviation of the noise in units of C; unless given, what the budget asks
            for.
        noise_by: who draws the noise: each ``holder`` for its own part, and so do server and label's owner;
            or the ``server`` for all parts; or, with ``shares``, theta stays under secret sharing and every
            holder adds its share of Skellam noise to its share of all of theta, so that nobody knows either.
        weight_bits: fractional bits of a theta that stays under sharing, and of the noise on it.
    """

    clip: Rate | None = None
    clipping: Literal["flat", "per-part"] = "per-part"
    noise_multiplier: NotNegative | None = None
    noise_by: Literal["holder", "server", "shares"] = "holder"
    weight_bits: Annotated[int, Meta(ge=1, le=62)] = 30

    @property
    def in_ring(self) -> bool:
        """Whether theta and its noise are under secret sharing."""
        return self.clip is not None and self.noise_by == "shares"


class Privacy(Section, frozen=True):
    """A budget of differential privacy, and what spends it.

    Attributes:
        epsilon: what the released model may cost; ``inf`` for no limit, and so no noise; unless given,
            nothing is promised and what was spent is reported.
        delta: of the guarantee; below one over the number of training rows.
        gradients: noise on gradients.
        features: noise on features, at their holders.
        labels: randomized response, at their owner.
        h1: noise on the first layer's product.
        preprocessing: what happens to features before training.
    """

    epsilon: Rate | None = None
    delta: Probability | None = None
    gradients: Gradients = Gradients()
    features: Features = Features()
    labels: Labels = Labels()
    h1: FirstHidden = FirstHidden()
    preprocessing: Preprocessing = Preprocessing()
