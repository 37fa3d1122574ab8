"""The tables [defender] and [defence] of a scenario file."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from p2n2sim.scenario.section import Count, Rate, Section

NotNegative = Annotated[float, Meta(ge=0)]
Width = Annotated[int, Meta(ge=1, le=65_536)]


class Defender(Section, frozen=True):
    """The paper's defender: a decoder at every holder, Eq. 3 to 5.

    Attributes:
        weight: lambda of Eq. 5; 0 for no defender.
        reading: what the decoder does: ``literal`` (it maximises the distance, as Eq. 3 is printed),
            ``minmax`` (it minimises it), or ``best-response`` (it is the best linear one for the batch).
        steps: of the decoder in a batch.
        layers: widths of the decoder's hidden layers, with ReLU; none for a linear decoder.
        optimiser: of the decoder.
        learning_rate: of the decoder.
        bound: b of the bounded distance b d / (b + d); unless given, the distance is not bounded.
        ridge: of the best response.
    """

    weight: NotNegative = 0.0
    reading: Literal["literal", "minmax", "best-response"] = "literal"
    steps: Count = 1
    layers: tuple[Width, ...] = ()
    optimiser: Literal["adam", "sgd"] = "adam"
    learning_rate: Rate = 0.001
    bound: Rate | None = None
    ridge: Rate = 0.001


class Defence(Section, frozen=True):
    """What other people do.

    Attributes:
        nopeek: weight of the distance correlation between a holder's features and h1; 0 for none.
        noise: standard deviation of the noise on h1; 0 for none.
    """

    nopeek: NotNegative = 0.0
    noise: NotNegative = 0.0
