"""The table [privacy.preprocessing]: what happens to features before training, and its part of the budget."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from p2n2sim.scenario.section import Section, Share


class Preprocessing(Section, frozen=True):
    """Scaling and selection of features at each holder.

    Attributes:
        share: of epsilon and delta that is spent here; what is left is for training.
        normalise: by the ``exact`` mean and deviation of the training rows, which is not private; by noisy
            ``moments``; or by the public ``bounds`` alone, which costs nothing.
        keep: how many features each holder keeps; none for all.
        mechanism: that chooses them: ``permute-and-flip`` or ``exponential``.
        selection_share: of what is spent here, for the choice of features where there are moments, too.
    """

    share: Annotated[float, Meta(ge=0, lt=1)] = 0.0
    normalise: Literal["exact", "moments", "bounds"] = "exact"
    keep: tuple[Annotated[int, Meta(ge=1)], ...] = ()
    mechanism: Literal["permute-and-flip", "exponential"] = "permute-and-flip"
    selection_share: Share = 0.5
