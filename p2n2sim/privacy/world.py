"""What of a scenario decides who learns what: everything that an epsilon for an adversary follows from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from p2n2sim.privacy.accounting import Steps
from p2n2sim.privacy.local import RowNoise

Opened = Literal["sum", "summands", "chain", "further", "nothing"]
"""What the server is given: the sum of all summands of h1; every summand; their sum by a chain of ciphertexts
whose parts it could decrypt; something after further layers; or there is no server."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HiddenNoise:
    """What protects h1.

    Attributes:
        clip: C, the largest norm of a holder's summand of a row.
        deviation: of the noise on each number, all parts together.
        by: who draws it, as of `privacy.h1.noise_by`.
        bits: the noise is a multiple of 2^-bits, and so is what it is added to.
    """

    clip: float
    deviation: float
    by: Literal["holders", "one-holder", "server"]
    bits: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GradientNoise:
    """What DP-SGD does.

    Attributes:
        noise_multiplier: sigma, in units of the clipping norm C of all parts.
        parts: p, into how many the network is cut.
        flat: whether C holds for all parts together, for which norms are shown; or C / sqrt(p) for each.
        by: who draws the noise, as of `privacy.gradients.noise_by`.
        model: the training's steps against who does not know the batches, for an add-or-remove of a row.
    """

    noise_multiplier: float
    parts: int
    flat: bool
    by: Literal["holder", "server", "shares"]
    model: tuple[Steps, ...]


@dataclass(frozen=True, kw_only=True)
class World:
    """What of a scenario decides who learns what.

    Attributes:
        holders: their names.
        label_owner: one of them.
        delta: of every claim that needs one.
        units: n.
        opened: what the server is given.
        dealer: whether there is one that deals masks of X and theta.
        uses: in how many training batches the row is that is in the most of them.
        row_releases: rows of h1 that are computed in the whole run, of training and test rows.
        predictions: how often each test row is predicted.
        shown: whether holders are shown h1 and each other's gradients of a defence.
        h1: what protects h1; None where it is exact.
        gradients: what DP-SGD does; None where gradients are exact.
        features: noise on a holder's own rows, by holder.
        test_features: whether test rows have that noise, too.
        labels: epsilon of randomized response; None where labels are true.
    """

    holders: tuple[str, ...]
    label_owner: str
    delta: float
    units: int
    opened: Opened
    dealer: bool
    uses: int
    row_releases: int
    predictions: int
    shown: bool = False
    h1: HiddenNoise | None = None
    gradients: GradientNoise | None = None
    features: Mapping[str, RowNoise] = field(default_factory=dict)
    test_features: bool = True
    labels: float | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """An upper bound.

    Attributes:
        epsilon: at the world's delta, or at 0 where `delta` is 0; infinite where nothing protects.
        delta: of the claim.
        reason: in words.
    """

    epsilon: float
    delta: float
    reason: str
