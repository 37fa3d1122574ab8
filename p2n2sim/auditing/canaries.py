"""Canaries in place of training rows: what a secret coin decides of each is what is guessed afterwards."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from p2n2sim.assemble import Setup
from p2n2sim.auditing.outsider import Rows, d_1
from p2n2sim.budgeting import parts
from p2n2sim.guarantees import world
from p2n2sim.messages import SERVER
from p2n2sim.privacy.audit import Bits
from p2n2sim.privacy.clipping import part_norm
from p2n2sim.scenario.sections import Record

FEATURES, LABEL, MEMBERSHIP = "features", "label", "membership"
SHORTEST, LONGEST = 5.0, 10.0
"""A canary's own direction is so many times as long as the one that it shares with others, if it can."""

Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Canaries:
    """What is guessed about some training rows.

    Attributes:
        rows: which, in order.
        coins: what each one's showed.
        heads: they with the coin at heads.
        tails: the same at tails; None where a row is then left out of the training.
    """

    rows: Numbers
    coins: Bits
    heads: Rows
    tails: Rows | None


@dataclass(frozen=True)
class Planted:
    """A set-up with canaries.

    Attributes:
        setup: what is run; its rows and its schedule are as the coins said.
        canaries: `FEATURES`, `LABEL` and `MEMBERSHIP` -> those about which it is.
        known: all other rows.
    """

    setup: Setup
    canaries: Mapping[str, Canaries]
    known: Rows


def plant(setup: Setup, of: str, canaries: int, seed: int) -> Planted:
    """Puts canaries in place of training rows, and has the views of all parties recorded.

    A canary of features is plus or minus a row that its clipping, if there is any, shortens, in the direction
    to which the first layer's initial weights are most sensitive. The others' features stay. Under DP-SGD
    every canary has a direction of its own in addition, so that what it does to the weights is unlike
    what others do.

    Args:
        setup: stays as it is, but for its weights, which are those of the returned one.
        of: the holder whose features are guessed.
        canaries: how many of each kind.
        seed: of rows and coins.
    """
    draw, data = np.random.default_rng([seed, 6]), setup.dataset
    chosen = draw.permutation(len(data.y_train))[: 3 * canaries].reshape(3, canaries)
    rows = dict(zip((FEATURES, LABEL, MEMBERSHIP), np.sort(chosen, axis=1), strict=True))
    coins = {about: draw.random(canaries) < 0.5 for about in rows}
    X = {about: data.X_train[at] for about, at in rows.items()}
    y = {about: data.y_train[at] for about, at in rows.items()}
    opposite = X[FEATURES].copy()
    for name, block in zip(setup.layer.holders, setup.blocks, strict=True):
        own = _own(setup, block, 3 * canaries, draw)
        X[LABEL][:, block] += own[canaries : 2 * canaries]
        X[MEMBERSHIP][:, block] += own[2 * canaries :]
        if name == of:
            X[FEATURES][:, block] = _shared(setup, block) + own[:canaries]
            opposite[:, block] = -X[FEATURES][:, block]
    one, zero = np.ones(canaries, np.float32), np.zeros(canaries, np.float32)
    values: dict[str, tuple[Rows, Rows | None]] = {
        FEATURES: ((X[FEATURES], y[FEATURES]), (opposite, y[FEATURES])),
        LABEL: ((X[LABEL], one), (X[LABEL], zero)),
        MEMBERSHIP: ((X[MEMBERSHIP], y[MEMBERSHIP]), None),
    }
    planted = {about: Canaries(rows[about], coins[about], *values[about]) for about in rows}
    others = np.setdiff1d(np.arange(len(data.y_train)), chosen)
    known = data.X_train[others], data.y_train[others]
    return Planted(_with(setup, planted), planted, known)


def _with(setup: Setup, planted: Mapping[str, Canaries]) -> Setup:
    """The set-up with what the coins said."""
    X, y = setup.dataset.X_train.copy(), setup.dataset.y_train.copy()
    without: list[int] = []
    for found in planted.values():
        X[found.rows], y[found.rows] = found.heads
        tails = ~found.coins
        if found.tails is None:
            without += found.rows[tails].tolist()
        else:
            X[found.rows[tails]], y[found.rows[tails]] = (values[tails] for values in found.tails)
    record = Record(views=_parties(setup), epochs="all")
    return dataclasses.replace(
        setup,
        scenario=msgspec.structs.replace(setup.scenario, record=record),
        dataset=dataclasses.replace(setup.dataset, X_train=X, y_train=y),
        schedule=dataclasses.replace(setup.schedule, without=tuple(without)),
    )


def _parties(setup: Setup) -> tuple[str, ...]:
    server = () if world(setup).opened == "nothing" else (SERVER,)
    return (*server, *setup.layer.holders)


def gradient_norm(setup: Setup) -> float | None:
    """To what a row's gradient of one holder's weights is clipped, if evenly; None where it is not."""
    clip = setup.scenario.privacy.gradients.clip
    return None if clip is None else part_norm(clip, parts(len(setup.layer.holders)))


def _shared(setup: Setup, block: slice) -> NDArray[np.float32]:
    """(k_i,) the row to which h1 is most sensitive, long enough that every clipping has something to do."""
    left, sizes, _ = np.linalg.svd(_theta(setup, block), full_matrices=False)
    row: NDArray[np.float32] = (_length(setup, block, float(sizes[0])) * left[:, 0]).astype(np.float32)
    return row


def _theta(setup: Setup, block: slice) -> NDArray[np.float64]:
    theta: NDArray[np.float64] = setup.parts.theta[block].numpy().astype(np.float64)
    return theta


def _length(setup: Setup, block: slice, largest: float) -> float:
    privacy = setup.scenario.privacy
    usual = float(np.median(np.linalg.norm(setup.dataset.X_train[:, block].astype(np.float64), axis=1)))
    needed = [2 * usual, 1.0]
    if privacy.features.clip is not None:
        needed.append(2 * privacy.features.clip)
    if privacy.h1.clip is not None and largest > 0:
        needed.append(2 * privacy.h1.clip / largest)
    return max(needed)


def _own(setup: Setup, block: slice, count: int, draw: np.random.Generator) -> NDArray[np.float32]:
    """(count, k_i) a direction for each canary, as many of them orthogonal as there is room for.

    With more columns than units they are such that h1 is at first what it is without them. Then they can be
    long, so that DP-SGD clips the row's gradient and little of it is along what canaries share. Zero without
    DP-SGD: an outsider is promised nothing.
    """
    left, sizes, _ = np.linalg.svd(_theta(setup, block), full_matrices=True)
    norm, width = gradient_norm(setup), len(left)
    if norm is None or width < 2:
        return np.zeros((count, width), np.float32)
    length = _length(setup, block, float(sizes[0]))
    free = left[:, 1:]
    if width > setup.layer.units and setup.scenario.privacy.features.clip is None:
        free = left[:, setup.layer.units :]
        d = np.linalg.norm(d_1(setup.parts, (setup.dataset.X_train, setup.dataset.y_train)), axis=1)
        needed = 2 * norm / max(1e-12, float(np.median(d)))
        length *= min(max(SHORTEST, needed / length), LONGEST)
    room = free.shape[1]
    groups = [np.linalg.qr(draw.normal(size=(room, room)))[0].T for _ in range(0, count, room)]
    directions: NDArray[np.float32] = (length * np.vstack(groups)[:count] @ free.T).astype(np.float32)
    return directions
