"""`p2n2sim audit`: canaries planted into a scenario's rows, and what its adversaries make of their views.

Of some training rows a secret coin decides which of two opposite values one holder's features have; of some
others whether the label is 1 or 0; and of some whether they are in any batch. Then the protocol runs as it
is. From what they saw of a row, averaged over the batches that it was in, parties guess the first two, each
alone and every coalition of which something is claimed; somebody outside guesses all three from the released
network. `p2n2sim.privacy.audit` turns the guesses into a lower bound on epsilon, which stands beside the
claim of `p2n2sim.guarantees`. A bound above the claim disproves it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from p2n2sim.assemble import Setup, assemble
from p2n2sim.auditing.canaries import FEATURES, LABEL, gradient_norm, plant
from p2n2sim.auditing.observed import noise_drawn, pooled
from p2n2sim.auditing.outsider import Outsider
from p2n2sim.errors import InputError
from p2n2sim.guarantees import world
from p2n2sim.messages import DEALER, SERVER
from p2n2sim.outcome import Outcome
from p2n2sim.privacy.adversaries import (
    OUTSIDER,
    Parties,
    adversaries,
    features_claim,
    label_claim,
    membership_claim,
)
from p2n2sim.privacy.audit import by_view
from p2n2sim.privacy.world import Claim, World
from p2n2sim.recording import kept
from p2n2sim.run import one_float_thread
from p2n2sim.scenario.sections import Scenario
from p2n2sim.simulate import simulate


@dataclass(frozen=True, slots=True)
class Audited:
    """One line of an audit.

    Attributes:
        adversary: a party, some parties, or who gets the model.
        about: `FEATURES` of the audited holder, `LABEL`, or `MEMBERSHIP`.
        claim: what is claimed.
        lower: epsilon is at least this.
        guesses: how many canaries were guessed.
        correct: how many of these rightly.
    """

    adversary: str
    about: str
    claim: Claim
    lower: float
    guesses: int
    correct: int

    @property
    def disproved(self) -> bool:
        """Whether the claim cannot be true, up to the confidence of the audit."""
        return self.lower > self.claim.epsilon


def audit(
    scenario: Scenario,
    *,
    data_dir: Path | None = None,
    of: str | None = None,
    canaries: int = 500,
    seed: int = 0,
    confidence: float = 0.95,
) -> list[Audited]:
    """Audits a scenario in one run. A function of its arguments and the data.

    Args:
        scenario: what is audited.
        data_dir: where to look for data files first.
        of: the holder whose features are audited; the last one unless given.
        canaries: of each kind; at most a quarter of the training rows.
        seed: of rows and coins.
        confidence: of every line.

    Raises:
        InputError: there is no such holder, too few rows, or the scenario and the data do not fit.
    """
    with one_float_thread():
        return audited(assemble(scenario, data_dir=data_dir), of, canaries, seed, confidence)


def audited(
    setup: Setup, of: str | None = None, canaries: int = 500, seed: int = 0, confidence: float = 0.95
) -> list[Audited]:
    """As `audit`, of a set-up; its weights are trained in place."""
    holders = setup.layer.holders
    of = of or holders[-1]
    if of not in holders:
        raise InputError("--of", f"{of!r} is no data holder", f"one of {', '.join(holders[:4])} would do")
    if canaries < 4 or 4 * canaries > len(setup.dataset.y_train):
        raise InputError(
            "--canaries",
            f"{canaries} of each kind among {len(setup.dataset.y_train)} training rows",
            f"from 4 to {len(setup.dataset.y_train) // 4} would do",
        )
    before, planted, outcome = setup.parts.copy(), plant(setup, of, canaries, seed), Outcome()
    simulate(planted.setup, outcome)
    views, here, out = kept(planted.setup, outcome), world(setup), []
    drawn = noise_drawn(planted.setup, views.get(SERVER, {}))
    outsider = Outsider(before, setup.parts, setup.blocks, gradient_norm(setup), planted.known)
    for name, who in adversaries(here).items():
        for about, found in planted.canaries.items():
            claim = _claim(here, who, about, of)
            if claim is None:
                continue
            if OUTSIDER in who:
                seen = outsider.sees(found.heads, found.tails)
            else:
                seen = pooled(views, who, found.rows, drawn)
            if seen.shape[1]:
                bound = by_view(seen, found.coins, delta=claim.delta, confidence=confidence)
                out.append(Audited(name, about, claim, bound.lower, bound.guesses, bound.correct))
    return out


def _claim(here: World, who: Parties, about: str, of: str) -> Claim | None:
    """What is claimed against some parties; None where they own what it is about, or it is not audited."""
    if DEALER in who:
        return None
    if about == FEATURES:
        return None if of in who else features_claim(here, who, of)
    if about == LABEL:
        return None if here.label_owner in who else label_claim(here, who)
    return membership_claim(here) if OUTSIDER in who else None


def told(lines: list[Audited]) -> list[dict[str, Any]]:
    """As plain values; what is infinite is ``"inf"``."""
    return [
        {
            "adversary": line.adversary,
            "about": line.about,
            "claimed": "inf" if math.isinf(line.claim.epsilon) else line.claim.epsilon,
            "delta": line.claim.delta,
            "at_least": line.lower,
            "guesses": line.guesses,
            "correct": line.correct,
            "disproved": line.disproved,
            "reason": line.claim.reason,
        }
        for line in lines
    ]


def audit_table(lines: list[Audited]) -> Table:
    """For a screen: what is claimed of each adversary, and what an attack has shown to be lost at least."""
    table = Table("adversary", "about", title="Audit", title_justify="left")
    for column in ("claimed", "at least", "right guesses"):
        table.add_column(column, justify="right")
    for line in lines:
        claimed = "inf" if math.isinf(line.claim.epsilon) else f"{line.claim.epsilon:.3f}"
        lower = f"{line.lower:.3f}" + (" disproved" if line.disproved else "")
        guessed = f"{line.correct} of {line.guesses}"
        table.add_row(line.adversary, line.about, claimed, lower, guessed)
    return table
