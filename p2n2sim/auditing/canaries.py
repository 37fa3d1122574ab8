"""Canaries in place of training rows: what a secret coin decides of each is what is guessed afterwards."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from p2n2sim.assemble import Setup
from p2n2sim.guarantees import world
from p2n2sim.messages import SERVER
from p2n2sim.privacy.audit import Bits
from p2n2sim.scenario.sections import Record

FEATURES, LABEL = "features", "label"


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
