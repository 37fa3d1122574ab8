"""Everything that one curious party can put together of what it sees, as named arrays for a statistic."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from p2n2sim.assemble import Setup
from p2n2sim.messages import DealerKey, FeatureShare, Opening, ShareSeed
from p2n2sim.mpc import prg
from p2n2sim.mpc.prg import Purpose
from p2n2sim.mpc.width import narrow
from p2n2sim.wire import layout
from tests.small import small_setup
from tests.uniformity import ALL_LAYERS
from tests.views import Run, Watched, numbers

Array = NDArray[Any]


def setup(holders: int, overrides: dict[str, Any]) -> Setup:
    """Batches large enough for the statistics: 1536 rows in six."""
    wide = {"model.hidden": [8, 6], "train.batch_size": 256, "train.learning_rate": 1e-3}
    return small_setup(rows=1536, features=8, holders=holders, overrides=ALL_LAYERS | wide | overrides)


def links(run: Run) -> Iterator[tuple[str, str, Array]]:
    """Link and field, field, and array of everything that is said."""
    for sender, receiver, message in run.spoken:
        for name, _ in layout(type(message)).arrays:
            field = f"{type(message).__name__}.{name}"
            yield f"{sender}->{receiver} {field}", field, getattr(message, name)


def openings(run: Run, session: Watched) -> Iterator[tuple[str, Array]]:
    """What a holder makes of every opened array with what it knows, and of two batches' together."""
    for one in session.seen:
        yield f"{one.label}", one.value
        yield f"{one.label} less own mask", one.minus(one.mask)
        yield f"{one.label} less own share", one.minus(one.own)
        if not one.is_bits:
            yield f"{one.label} less own mask twice", one.minus(one.mask + one.mask)
    for before, after in run.batches(session):
        yield f"{after.label}, change", after.minus(before.value)
        if not after.is_bits:
            yield f"{after.label}, sum", after.value + before.value
            yield f"{after.label}, change less own", after.minus(before.value) - (after.mask - before.mask)


def with_keys(run: Run, session: Watched) -> Iterator[tuple[str, Array]]:
    """Every share of features that a holder is sent, with the streams of every key that it was sent.

    The last holder's share is what the others' lack, and the others' are one stream of the owner's key: with
    that key a share becomes the secret.
    """
    me = name_of(run, session)
    received = [(sender, m) for sender, receiver, m in run.spoken if receiver == me]
    keys = [
        m.key if isinstance(m, DealerKey) else m.seed
        for _, m in received
        if isinstance(m, DealerKey | ShareSeed)
    ]
    others = len(run.sessions) - 1
    width = session.arithmetic.width
    for sender, message in received:
        if isinstance(message, FeatureShare):
            for number, key in enumerate(keys):
                shape = (others, *message.X.shape)
                stream = prg.uniform(key.tobytes(), message.step, shape, purpose=Purpose.FEATURES)
                yield f"from {sender}, key {number}", message.X + narrow(stream.sum(axis=0), width)


def pairs(run: Run) -> Iterator[tuple[str, Array, Array]]:
    """Openings beside each other: the next one, the next batch's, and those of two holders."""
    session = run.sessions[0]
    for one, other in zip(session.seen, session.seen[1:], strict=False):
        if one.is_bits == other.is_bits:
            yield f"{one.label} and {other.label}", one.value, other.value
    for before, after in run.batches(session):
        yield f"{after.label}, two batches", before.value, after.value
    for one in session.seen:
        yield f"{one.label}, value and own mask", one.value, one.mask
        yield f"{one.label}, value and own share", one.value, one.own
    said = [(s, r, m) for s, r, m in run.spoken if isinstance(m, Opening)]
    last = names(run)[-1]
    by_sender = [[m for s, r, m in said if (s, r) == (name, last)] for name in names(run)[:-1]]
    own = [m for s, r, m in said if (s, r) == (last, names(run)[0])]
    for several in zip(*by_sender, own, strict=True):
        for a, b in itertools.pairwise(several):
            yield "values of two holders", a.values, b.values
            yield "bits of two holders", a.bits, b.bits


def against_secrets(run: Run, session: Watched) -> Iterator[tuple[str, Array, Array]]:
    """What a holder makes of the openings, beside what is under the mask and beside the labels."""
    labels = {
        batch.step: run.setup.dataset.y_train[batch.rows]
        for batch in run.setup.schedule
        if batch.stage == "train"
    }
    for one, secret in zip(session.seen, run.secrets(), strict=True):
        some = slice(2048)
        hidden = numbers(secret[some])
        for what, value in (("value", one.value), ("less own mask", one.minus(one.mask))):
            yield f"{one.label}, {what}", numbers(value[some]), hidden
        y = labels.get(one.step)
        if y is not None and not one.is_bits and one.value.size % y.size == 0:
            yield f"{one.label}, label", numbers(one.value), np.repeat(y, one.value.size // y.size)


def names(run: Run) -> list[str]:
    """Of the holders, in order."""
    return [f"{letter}" for letter in "ABCDEFGH"[: len(run.sessions)]]


def name_of(run: Run, session: Watched) -> str:
    """Of the holder whose session it is."""
    return names(run)[run.sessions.index(session)]
