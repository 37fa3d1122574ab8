"""One epsilon for every adversary: from what its view holds that depends on a row, step by step.

An adversary is a set of parties that pool their views, or somebody outside who is given the trained model.
Neighbours are data sets that differ in one holder's features of one row (or in all features of a row, or in
its label): the row is replaced. Row numbers and batches are public, so that no party's epsilon is amplified
by sampling. docs/privacy.md, "Adversaries", has the argument for every line of this file.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from p2n2sim.privacy.accounting import GaussianSteps, epsilon
from p2n2sim.privacy.composition import Releases, composed
from p2n2sim.privacy.sensitivity import Relation
from p2n2sim.privacy.shared_noise import SharedSteps
from p2n2sim.privacy.world import Claim, World

SERVER, DEALER, OUTSIDER = "server", "dealer", "outsider with the model"
ALL = "all features of a row"
LABEL = "label of a row"

Parties = frozenset[str]


def features_claim(world: World, who: Parties, of: str) -> Claim:
    """Against some parties: the features that another holder has of a training row, or all features of it.

    Args:
        world: the scenario.
        who: parties, or `OUTSIDER` alone.
        of: a holder that is not among them, or `ALL`.
    """
    local = _local(world, of, test=False)
    seen = _outsider(world) if OUTSIDER in who else _transcript(world, who, of)
    return min((claim for claim in (local, seen) if claim), key=lambda claim: claim.epsilon)


def predicted_features_claim(world: World, who: Parties, of: str) -> Claim:
    """The same of a row that is predicted and not trained on; no weight depends on it."""
    if OUTSIDER in who:
        return Claim(0.0, 0.0, "no weight depends on a test row")
    local = _local(world, of, test=True)
    seen = _exact(world, who, of)
    if seen is None:
        left, reason = _left(world, who, of)
        total = composed([_hidden(world, left, of, who, world.predictions)], delta=world.delta)
        seen = Claim(total, world.delta, f"h1 of the row in {world.predictions} predictions; {reason}")
    return min((claim for claim in (local, seen) if claim), key=lambda claim: claim.epsilon)


def label_claim(world: World, who: Parties) -> Claim:
    """Against some parties without the label's owner: the label of one training row."""
    if who <= {DEALER}:
        return Claim(0.0, 0.0, "it is told nothing that depends on data")
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


def membership_claim(world: World) -> Claim:
    """Against an outsider: whether a row was trained on. Parties know: row numbers and batches are public."""
    return _outsider(world, "add-or-remove")


def _outsider(world: World, relation: Relation = "replace") -> Claim:
    """Who gets the trained weights and saw nothing of the training."""
    gradients = world.gradients
    if gradients is None or not gradients.noise_multiplier:
        return Claim(math.inf, 0.0, "the weights are an exact function of the training rows")
    total = epsilon(gradients.model, delta=world.delta, relation=relation)
    return Claim(total, world.delta, "DP-SGD; the batches are not known outside")


def _transcript(world: World, who: Parties, of: str) -> Claim:
    """What parties see of a training row: directly in h1, and through the weights in everything later."""
    exact = _exact(world, who, of)
    if exact is not None:
        return exact
    left, reason = _left(world, who, of)
    steps = _weights(world, who, of)
    if steps is not None:
        total = composed([_hidden(world, left, of, who, world.uses), steps], delta=world.delta)
        how = f"h1 of the row in {world.uses} batches, and as many noisy gradients of its holder's weights"
    else:
        rows = world.row_releases
        total = composed([_hidden(world, left, of, who, rows, everything=world.shown)], delta=world.delta)
        how = f"h1 of the row, and through weights without noise that of all others, {rows} in all"
    return Claim(total, world.delta, f"{how}; {reason}")


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
    variance = h1.deviation**2
    if h1.by == "server":
        return (0.0 if SERVER in who else variance), "the noise is the server's"
    drawing = world.holders if h1.by == "holders" else world.holders[:1]
    unknown = [name for name in drawing if name not in who]
    if _one_by_one(world, who):  # each summand has its own holder's part of the noise alone
        own = world.holders if of == ALL else (of,)
        share = 1 / len(drawing) if all(name in unknown for name in own) else 0.0
        return variance * share, "the server sees every summand with its own noise only"
    told = f"{len(unknown)} of {len(drawing)} parts of the noise are unknown"
    return variance * len(unknown) / len(drawing), told


def _one_by_one(world: World, who: Parties) -> bool:
    """Whether the summands of h1 are seen one by one, or could be by decrypting what a holder was sent."""
    chained = world.opened == "chain" and any(name in who for name in world.holders)
    return SERVER in who and (world.opened == "summands" or chained)


def _hidden(
    world: World, variance: float, of: str, who: Parties, count: int, *, everything: bool = False
) -> Releases:
    """So many rows of h1, each of which moves by 2 C for every holder whose summand may move."""
    h1 = world.h1
    assert h1 is not None  # it has noise
    movable = len(world.holders) if of == ALL or everything else 1
    if _one_by_one(world, who):
        count, movable = count * movable, 1
    return Releases(
        variance=variance * 4.0**h1.bits,
        l2=2 * h1.clip * movable * 2.0**h1.bits,
        numbers=world.units,
        count=count,
    )


def _weights(world: World, who: Parties, of: str) -> GaussianSteps | None:
    """Noisy gradients of the weights of the row's owner, as steps of sensitivity 1; None if exact."""
    gradients = world.gradients
    if gradients is None or not gradients.noise_multiplier or (gradients.by == "server" and SERVER in who):
        return None
    assert gradients.by != "shares"  # h1 has no noise then, and everything is exact
    owners = len(world.holders) if of == ALL else 1
    moves = 2 * math.sqrt(owners / gradients.parts)  # in units of C; parts are clipped to C / sqrt(p)
    return GaussianSteps(noise_multiplier=gradients.noise_multiplier / moves, count=world.uses)


def _least(*claims: Claim | None) -> Claim:
    return min((claim for claim in claims if claim is not None), key=lambda claim: claim.epsilon)


def adversaries(world: World, *, most: int = 8) -> dict[str, Parties]:
    """Name -> parties: everybody alone, server and holder, all holders but one, and they with the server.

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
        rest = [other for other in world.holders if other != name]
        add(f"all holders but {name}", rest)
    for name in named if server else ():
        add(
            f"{SERVER} + all holders but {name}",
            [SERVER, *(other for other in world.holders if other != name)],
        )
    if world.dealer:
        add(DEALER, [DEALER])
        add(f"{DEALER} + {world.holders[0]}", [DEALER, world.holders[0]])
    add(OUTSIDER, [OUTSIDER])
    return out


def worst_features(world: World, who: Parties, *, test: bool = False) -> tuple[str, Claim] | None:
    """The holder whose features are protected least against some parties, and how; None if there is none."""
    claim = predicted_features_claim if test else features_claim
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


def told_the_noise(world: World) -> list[tuple[str, float]]:
    """What the model costs if some parties tell who has it the noise on gradients that they know.

    Only the noise is told, and nothing else that they saw. Whoever steps weights in the clear knows all the
    noise on them: the server, the label's owner, and every holder unless theta stays under sharing.

    Args:
        world: the scenario, with noise on gradients.

    Returns:
        Who tells, and epsilon for an added or removed row: so many holders without the label's owner, the
        label's owner, or the server.
    """
    gradients, holders = world.gradients, len(world.holders)
    assert gradients is not None  # it has noise
    telling = [("nobody", 0.0)]
    for k in range(1, holders):
        known = k / holders if gradients.by == "shares" else 1.0
        telling.append((f"{k} holder{'s' if k > 1 else ''}", known))
    telling += [("label's owner", 1.0), ("server", 1.0)]
    return [(who, _with_known(world, known)) for who, known in telling]


def _with_known(world: World, known: float) -> float:
    """Epsilon of the model against who knows a part of the variance of the noise on theta; 1 for all."""
    assert world.gradients is not None  # as above
    if known == 1:
        return math.inf
    steps = [
        dataclasses.replace(step, known=known) if isinstance(step, SharedSteps) else step
        for step in world.gradients.model
    ]
    return epsilon(steps, delta=world.delta)
