"""One epsilon for every adversary: from what its view holds that depends on a row, step by step.

An adversary is a set of parties that pool their views, or somebody outside who is given the trained model.
Neighbours are data sets that differ in one holder's features of one row (or in all features of a row, or in
its label): the row is replaced. Row numbers and batches are public, so that no party's epsilon is amplified
by sampling. docs/privacy.md, "Adversaries", has the argument for every line of this file.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from p2n2sim.privacy.accounting import GaussianSteps, Steps, epsilon
from p2n2sim.privacy.composition import Releases, composed
from p2n2sim.privacy.local import RowNoise

SERVER, DEALER, OUTSIDER = "server", "dealer", "outsider with the model"
ALL = "all features of a row"
LABEL = "label of a row"

Opened = Literal["sum", "summands", "chain", "further", "nothing"]
"""What the server is given of the first layer: the sum of all summands; every summand; their sum in a chain of
ciphertexts whose parts it could decrypt; something after further layers; or there is no server."""


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
        by_server: whether the server draws all the noise.
        model: the training's steps against who does not know the batches, for an add-or-remove of a row.
    """

    noise_multiplier: float
    parts: int
    flat: bool
    by_server: bool
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


Parties = frozenset[str]


def features_claim(world: World, who: Parties, of: str) -> Claim:
    """Against some parties: the features that one other holder has of one training row, or all features of it.

    Args:
        world: the scenario.
        who: parties, or `OUTSIDER` alone.
        of: a holder that is not among them, or `ALL`.
    """
    local = _local(world, of, test=False)
    seen = _outsider(world) if OUTSIDER in who else _transcript(world, who, of)
    return min((claim for claim in (local, seen) if claim), key=lambda claim: claim.epsilon)


def test_features_claim(world: World, who: Parties, of: str) -> Claim:
    """The same of a row that is predicted and not trained on; no weight depends on it."""
    if OUTSIDER in who:
        return Claim(0.0, 0.0, "no weight depends on a test row")
    local = _local(world, of, test=True)
    seen = _exact(world, who, of)
    if seen is None:
        left, reason = _left(world, who, of)
        total = [_hidden(world, left, of, world.predictions)]
        seen = Claim(composed(total, delta=world.delta), world.delta, f"h1 of the row in every prediction; {reason}")
    return min((claim for claim in (local, seen) if claim), key=lambda claim: claim.epsilon)


def label_claim(world: World, who: Parties) -> Claim:
    """Against some parties without the label's owner: the label of one training row."""
    if world.labels is not None:
        return _least(
            Claim(world.labels, 0.0, "randomized response at its owner; all the rest is computed from it"),
            _outsider(world) if OUTSIDER in who else None,
        )
    if OUTSIDER in who:
        return _outsider(world)
    if world.opened == "nothing" and not _opens_all(world, who):
        return Claim(0.0, 0.0, "uniform shares only")
    if _opens_all(world, who):
        return Claim(math.inf, 0.0, "the dealer's masks open a holder's masked values")
    what = "dL/dh_L, whose sign is the label with one logit," if SERVER in who else "dL/dh1"
    return Claim(math.inf, 0.0, f"{what} of the row is seen exactly")


def _local(world: World, of: str, *, test: bool) -> Claim | None:
    """Noise on the row itself: everything that anybody else sees is computed from it."""
    noises = [world.features.get(name) for name in (world.holders if of == ALL else (of,))]
    found = [noise for noise in noises if noise is not None]
    if len(found) < len(noises) or (test and not world.test_features):
        return None
    pure = all(noise.mechanism == "laplace" for noise in found)
    delta = 0.0 if pure else world.delta
    total = epsilon([noise.steps for noise in found], delta=delta, method="pld" if pure else "rdp")
    return Claim(total, delta, "the row has noise before anything else happens to it")


def _outsider(world: World) -> Claim:
    """Who gets the trained weights and saw nothing of the training."""
    gradients = world.gradients
    if gradients is None or not gradients.noise_multiplier:
        return Claim(math.inf, 0.0, "the weights are an exact function of the training rows")
    total = epsilon(gradients.model, delta=world.delta, relation="replace")
    return Claim(total, world.delta, "DP-SGD; the batches are not known outside")


def _transcript(world: World, who: Parties, of: str) -> Claim:
    """What parties see of a training row: directly in h1, and through the weights in everything later."""
    exact = _exact(world, who, of)
    if exact is not None:
        return exact
    left, reason = _left(world, who, of)
    steps = _weights(world, who, of)
    if steps is not None:
        total = [_hidden(world, left, of, world.uses), steps]
        how = f"h1 of the row in {world.uses} batches, and as many noisy gradients of its holder's weights"
    else:
        total = [_hidden(world, left, of, world.row_releases, everything=world.shown)]
        how = (
            f"h1 of the row, and through weights without noise that of every other, {world.row_releases} in all"
        )
    return Claim(composed(total, delta=world.delta), world.delta, f"{how}; {reason}")


def _exact(world: World, who: Parties, of: str) -> Claim | None:
    """Why nothing protects the row; None where something does."""
    if who <= {DEALER}:
        return Claim(0.0, 0.0, "it is told nothing that depends on data")
    if _opens_all(world, who):
        return Claim(math.inf, 0.0, "the dealer's masks open what a holder is sent under them")
    if world.opened == "nothing":
        if world.label_owner in who:
            return Claim(math.inf, 0.0, "it sees exact predictions by weights that depend on the row")
        return Claim(0.0, 0.0, "uniform shares only")
    if world.opened == "further":
        what = "the opened layer" if SERVER in who else "its gradient"
        return Claim(math.inf, 0.0, f"it sees {what} exactly")
    if world.shown and any(name in who for name in world.holders):
        return Claim(math.inf, 0.0, "holders are shown each other's exact gradients of the defence")
    if world.gradients is not None and world.gradients.flat:
        return Claim(math.inf, 0.0, "flat clipping shows |x|^2 of every row, or factors made of it, exactly")
    left, _ = _left(world, who, of)
    if not left:
        if SERVER in who:
            return Claim(math.inf, 0.0, "the server sees h1 exactly, or without noise that the others know")
        return Claim(math.inf, 0.0, "dL/dh1 is a function of h1 without noise that they do not know")
    return None


def _opens_all(world: World, who: Parties) -> bool:
    return world.dealer and DEALER in who and any(name in who for name in world.holders)


def _left(world: World, who: Parties, of: str) -> tuple[float, str]:
    """The variance of the noise on h1 that some parties do not know, and why."""
    h1 = world.h1
    if h1 is None or not h1.deviation:
        return 0.0, "h1 has no noise"
    variance, known = h1.deviation**2, [name for name in world.holders if name in who]
    alone = world.opened == "summands" or (world.opened == "chain" and bool(known))
    if h1.by == "server":
        return (0.0 if SERVER in who else variance), "the noise is the server's"
    drawing = world.holders if h1.by == "holders" else world.holders[:1]
    unknown = [name for name in drawing if name not in who]
    if SERVER in who and alone:  # each summand has its own holder's part of the noise alone
        own = world.holders if of == ALL else (of,)
        share = 1 / len(drawing) if all(name in unknown for name in own) else 0.0
        return variance * share, "the server sees every summand with its own noise only"
    return variance * len(unknown) / len(drawing), f"{len(unknown)} of {len(drawing)} parts of the noise are unknown"


def _hidden(world: World, variance: float, of: str, count: int, *, everything: bool = False) -> Releases:
    """So many rows of h1, each of which moves by 2 C for every holder whose summand may move."""
    h1 = world.h1
    assert h1 is not None  # it has noise
    movable = len(world.holders) if of == ALL or everything else 1
    if world.opened == "summands" and movable > 1:  # they are seen one by one
        count, movable = count * movable, 1
    return Releases(
        variance=variance * 4.0**h1.bits,
        l2=2 * h1.clip * movable * 2.0**h1.bits,
        numbers=world.units,
        count=count,
    )


def _weights(world: World, who: Parties, of: str) -> GaussianSteps | None:
    """Noisy gradients of the weights that the row's owner trains, as steps of sensitivity 1; None if exact."""
    gradients = world.gradients
    if gradients is None or not gradients.noise_multiplier or (gradients.by_server and SERVER in who):
        return None
    owners = len(world.holders) if of == ALL else 1
    moves = 2 * math.sqrt(owners / gradients.parts)  # in units of C; parts are clipped to C / sqrt(p)
    return GaussianSteps(noise_multiplier=gradients.noise_multiplier / moves, count=world.uses)


def _least(*claims: Claim | None) -> Claim:
    return min((claim for claim in claims if claim is not None), key=lambda claim: claim.epsilon)


def adversaries(world: World, *, most: int = 8) -> dict[str, Parties]:
    """Name -> parties: everybody alone, the server with each holder, all holders but one, all parties but one.

    Args:
        world: the scenario.
        most: of more holders than this, the first ones and the label's owner stand for all.
    """
    named = [name for i, name in enumerate(world.holders) if i < most or name == world.label_owner]
    out: dict[str, Parties] = {}

    def add(title: str, who: Sequence[str]) -> None:
        if frozenset(who) not in out.values():
            out[title] = frozenset(who)

    server = () if world.opened == "nothing" else (SERVER,)
    if server:
        add(SERVER, server)
    for name in named:
        add(name, [name])
    for name in named if server else ():
        add(f"{SERVER} + {name}", [SERVER, name])
    for name in named:
        add(f"all holders but {name}", [other for other in world.holders if other != name])
    for name in named if server else ():
        add(f"{SERVER} + all holders but {name}", [SERVER, *(other for other in world.holders if other != name)])
    if world.dealer:
        add(DEALER, [DEALER])
        add(f"{DEALER} + {world.holders[0]}", [DEALER, world.holders[0]])
    add(OUTSIDER, [OUTSIDER])
    return out


def worst_features(world: World, who: Parties, *, test: bool = False) -> tuple[str, Claim] | None:
    """The holder whose features are protected least against some parties, and how; None if they are all of them."""
    claim = test_features_claim if test else features_claim
    others = [name for name in world.holders if name not in who]
    found = [(name, claim(world, who, name)) for name in others]
    return max(found, key=lambda pair: pair[1].epsilon) if found else None


def collusion(world: World) -> list[tuple[int, float, float]]:
    """What it costs that the server and k holders pool their views: k, their share of the variance, epsilon.

    Args:
        world: the scenario, with noise on h1.

    Returns:
        For k from 0 to all holders but the last, whose features it is about.
    """
    *others, target = world.holders
    out = []
    for k in range(len(others) + 1):
        who = frozenset([SERVER, *others[:k]])
        left, _ = _left(world, who, target)
        total = world.h1.deviation**2 if world.h1 else 0.0
        out.append((k, 1 - left / total if total else 1.0, features_claim(world, who, target).epsilon))
    return out
