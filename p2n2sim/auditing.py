"""`p2n2sim audit`: canaries planted into a scenario's rows, and what its adversaries make of their views.

Of some training rows a secret coin decides which of two opposite values one holder's features have; of some
others whether the label is 1 or 0. Then the protocol runs as it is. From what it saw of a row, averaged
over the batches that it was in, every party guesses the coin; somebody outside from the trained network's
answers to both values. `p2n2sim.privacy.audit` turns the guesses into a lower bound on epsilon, which stands
beside the claim of `p2n2sim.guarantees`. A bound above the claim disproves it.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from rich.table import Table

from p2n2sim.assemble import Setup, assemble
from p2n2sim.errors import InputError
from p2n2sim.guarantees import world
from p2n2sim.messages import SERVER
from p2n2sim.nn.network import PlainNetwork
from p2n2sim.outcome import Outcome
from p2n2sim.privacy.adversaries import OUTSIDER, features_claim, label_claim
from p2n2sim.privacy.audit import Bits, by_view
from p2n2sim.privacy.world import Claim
from p2n2sim.recording import kept
from p2n2sim.run import one_float_thread
from p2n2sim.scenario.sections import Record, Scenario
from p2n2sim.simulate import simulate

Matrix = NDArray[np.float64]
FEATURES, LABEL = "features", "label"


@dataclass(frozen=True, slots=True)
class Audited:
    """One line of an audit.

    Attributes:
        adversary: a party, or who gets the model.
        about: `FEATURES` of the audited holder, or `LABEL`.
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


@dataclass(frozen=True)
class Planted:
    """A set-up with canaries.

    Attributes:
        setup: what is run; its rows are the chosen values.
        of: the holder whose features are audited.
        rows: about -> the training rows that are canaries.
        coins: about -> what the coin of each showed.
        asked: about -> every canary's features with the coin at heads and at tails, where these differ.
    """

    setup: Setup
    of: str
    rows: Mapping[str, NDArray[np.int64]]
    coins: Mapping[str, Bits]
    asked: Mapping[str, tuple[NDArray[np.float32], ...]]


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
        canaries: of features, and as many of labels; at most half of the training rows together.
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
            f"{canaries} of features and as many of labels among {len(setup.dataset.y_train)} training rows",
            f"from 4 to {len(setup.dataset.y_train) // 4} would do",
        )
    planted = plant(setup, of, canaries, seed)
    outcome = Outcome()
    simulate(planted.setup, outcome)
    views, here = kept(planted.setup, outcome), world(setup)
    out = []
    for party in planted.setup.scenario.record.views:
        who = frozenset([party])
        for about, own in ((FEATURES, of), (LABEL, here.label_owner)):
            seen = averaged(views[party], planted.rows[about])
            if party != own and seen.shape[1]:
                claim = features_claim(here, who, of) if about == FEATURES else label_claim(here, who)
                out.append(_line(party, about, claim, seen, planted.coins[about], confidence))
    outsider = frozenset([OUTSIDER])
    for about in (FEATURES, LABEL):
        claim = features_claim(here, outsider, of) if about == FEATURES else label_claim(here, outsider)
        seen = _answers(planted, about)
        out.append(_line(OUTSIDER, about, claim, seen, planted.coins[about], confidence))
    return out


def plant(setup: Setup, of: str, canaries: int, seed: int) -> Planted:
    """Puts canaries in place of training rows, and has the views of all parties recorded.

    A canary's features at the holder are plus or minus a row that its clipping, if there is any, shortens, in
    the direction to which the first layer's initial weights are most sensitive. The others' features stay.
    """
    draw, data = np.random.default_rng([seed, 6]), setup.dataset
    chosen = draw.permutation(len(data.y_train))[: 2 * canaries]
    rows = {FEATURES: np.sort(chosen[:canaries]), LABEL: np.sort(chosen[canaries:])}
    coins = {about: draw.random(canaries) < 0.5 for about in (FEATURES, LABEL)}
    X, y = data.X_train.copy(), data.y_train.copy()
    block = setup.blocks[setup.layer.holders.index(of)]
    heads = _direction(setup, of, block)
    sign = np.where(coins[FEATURES], 1, -1)[:, None]
    X[rows[FEATURES], block] = sign * heads
    y[rows[LABEL]] = coins[LABEL]
    both = np.repeat(X[rows[FEATURES]][None], 2, axis=0)
    both[0][:, block], both[1][:, block] = heads, -heads
    record = Record(views=_parties(setup), epochs="all")
    scenario = msgspec.structs.replace(setup.scenario, record=record)
    return Planted(
        dataclasses.replace(
            setup, scenario=scenario, dataset=dataclasses.replace(data, X_train=X, y_train=y)
        ),
        of,
        rows,
        coins,
        {FEATURES: (both[0], both[1]), LABEL: (X[rows[LABEL]],)},
    )


def _parties(setup: Setup) -> tuple[str, ...]:
    server = () if world(setup).opened == "nothing" else (SERVER,)
    return (*server, *setup.layer.holders)


def _direction(setup: Setup, of: str, block: slice) -> NDArray[np.float32]:
    """(k_i,) the row to which h1 is most sensitive, long enough that every clipping has something to do."""
    theta = setup.parts.theta[block].numpy().astype(np.float64)
    left, sizes, _ = np.linalg.svd(theta, full_matrices=False)
    privacy = setup.scenario.privacy
    usual = float(np.median(np.linalg.norm(setup.dataset.X_train[:, block].astype(np.float64), axis=1)))
    needed = [2 * usual, 1.0]
    if privacy.features.clip is not None:
        needed.append(2 * privacy.features.clip)
    if privacy.h1.clip is not None and sizes[0] > 0:
        needed.append(2 * privacy.h1.clip / sizes[0])
    row: NDArray[np.float32] = (max(needed) * left[:, 0]).astype(np.float32)
    return row


def averaged(view: Mapping[str, NDArray[Any]], rows: NDArray[np.int64]) -> Matrix:
    """What a party saw of some training rows, (rows, numbers): means over the batches that each was in.

    Args:
        view: as `p2n2sim.views` writes it.
        rows: numbers of training rows, in order.
    """
    parts = []
    for name in view:
        if not (name.startswith("train/") and name.endswith("/values")):
            continue
        values, at = view[name].astype(np.float64), view[name.removesuffix("values") + "rows"]
        place = np.searchsorted(rows, at)
        mine = np.flatnonzero((place < len(rows)) & (rows[np.minimum(place, len(rows) - 1)] == at))
        total, count = np.zeros((len(rows), values.shape[1])), np.zeros(len(rows))
        np.add.at(total, place[mine], values[mine])
        np.add.at(count, place[mine], 1)
        parts.append(total / np.maximum(count, 1)[:, None])
    return np.hstack(parts) if parts else np.empty((len(rows), 0))


def _answers(planted: Planted, about: str) -> Matrix:
    """The trained network's logits of what every canary's features may have been."""
    network = PlainNetwork(planted.setup.parts).eval()
    with torch.no_grad():
        both = [network(torch.from_numpy(X)).numpy().reshape(len(X), -1) for X in planted.asked[about]]
    return np.hstack(both).astype(np.float64)


def _line(adversary: str, about: str, claim: Claim, seen: Matrix, coins: Bits, confidence: float) -> Audited:
    found = by_view(seen, coins, delta=claim.delta, confidence=confidence)
    return Audited(adversary, about, claim, found.lower, found.guesses, found.correct)


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
