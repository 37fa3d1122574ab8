"""The tables [privacy.features], [privacy.labels] and [privacy.h1] of a scenario file."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from p2n2sim.scenario.section import Rate, Section

NotNegative = Annotated[float, Meta(ge=0)]


class Features(Section, frozen=True):
    """Every row's features clipped and noised by their holder before anything else happens to them.

    Attributes:
        epsilon: of each holder's features of a row, for all holders or by holder (who is not named adds
            nothing); unless given, no features are perturbed.
        mechanism: ``laplace`` (no delta) or ``gaussian`` (with `privacy.delta`), both on a grid.
        clip: largest norm of a holder's features of a row: L1 with ``laplace``, L2 with ``gaussian``.
        rows: whether ``all`` rows are perturbed, so that predictions are made of noised features, too, or
            those that are trained on (``train``), so that they are made of exact ones.
    """

    epsilon: Rate | dict[str, Rate] | None = None
    mechanism: Literal["laplace", "gaussian"] = "laplace"
    clip: Rate | None = None
    rows: Literal["all", "train"] = "all"


class Labels(Section, frozen=True):
    """Training labels by randomized response, at their owner and before anything else.

    Attributes:
        epsilon: of each label; unless given, labels are the true ones.
        debias: train on (reported - q) / (p - q) for the probabilities p and q of a reported 1, so that the
            expected loss is that of the true labels; two classes only.
    """

    epsilon: Rate | None = None
    debias: bool = False


class FirstHidden(Section, frozen=True):
    """Noise on h1, in training and prediction.

    Attributes:
        clip: C, the largest norm of every holder's summand of a row of h1; unless given, h1 is exact.
        noise_multiplier: standard deviation of the noise on each number of h1, in units of C.
        noise_by: who draws it: all ``holders`` a share each, inside the ring; ``one-holder``, the first; or
            the ``server`` after it has opened the exact h1.
    """

    clip: Rate | None = None
    noise_multiplier: NotNegative | None = None
    noise_by: Literal["holders", "one-holder", "server"] = "holders"
