"""What a holder shares for the whole run: its columns of X, its weights, the labels; and the data's masks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from p2n2sim.errors import FixedPointError
from p2n2sim.messages import DEALER, Correlated, DealerKey, Floats
from p2n2sim.mpc import fixed_point
from p2n2sim.mpc.prg import Purpose
from p2n2sim.mpc.width import Ring, widen
from p2n2sim.net.cpu import Cost
from p2n2sim.net.endpoint import Endpoint
from p2n2sim.parties.schedule import Stage
from p2n2sim.parties.secret_layers.agreement import STAGES, Agreement, rows_mask
from p2n2sim.parties.secret_layers.network import Weights
from p2n2sim.parties.secret_layers.session import Arithmetic, Session
from p2n2sim.parties.seeds import Seeds


@dataclass(frozen=True, slots=True, kw_only=True)
class Own:
    """What a holder brings along.

    Attributes:
        name: who it is.
        X: its columns by stage, (rows, k_i) float32.
        y: the labels of the training rows, (rows,) float32, at their owner; None elsewhere.
        theta: its rows of the first layer's initial weights, (k_i, n_1) float32.
        others: initial W_2, ..., W_s, then b_1, ..., b_s without those that a server has, at the first
            holder, who draws them; nothing elsewhere.
        kept: its shares of the weights from before, if training goes on; they are not shared again.
        seed: of the keys that make the others' shares.
        key: 16 bytes known to this holder alone, for shares that are sent.
    """

    name: str
    X: Mapping[Stage, Floats]
    y: Floats | None
    theta: Floats
    others: tuple[Floats, ...]
    kept: Weights | None = None
    seed: int
    key: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """One holder's shares for the whole run.

    Attributes:
        key: in common with the dealer.
        X: of all rows by stage, (rows, k), where shares come from seeds.
        masks: of their masks, where the data are masked once.
        opened: the rows minus their masks, known to all.
        y: of the labels of the training rows, where there is no server.
        weights: of the weights.
    """

    key: bytes
    X: Mapping[Stage, Ring]
    masks: Mapping[Stage, Ring]
    opened: Mapping[Stage, Ring]
    y: Ring
    weights: Weights


async def share_belongings(me: Endpoint, agreement: Agreement, own: Own, session: Session) -> Shared:
    """Exchanges seeds; from then on every holder makes its shares by itself, and the owner takes the rest.

    Args:
        me: the holder's plug.
        agreement: what all know.
        own: what this holder brings along.
        session: for opening the data under their masks.
    """
    key = (await me.recv(DEALER, DealerKey)).key.tobytes()
    seeds = Seeds(me, agreement.layer, own.seed)
    await seeds.exchange()
    shares = _Shares(agreement, own, seeds)
    weights = shares.weights() if own.kept is None else own.kept
    y = shares.labels() if agreement.whole else np.empty(0, np.int64)
    X, masks, opened = dict[Stage, Ring](), dict[Stage, Ring](), dict[Stage, Ring]()
    if agreement.from_seeds:
        for stage in STAGES:
            X[stage] = await _charged(me, agreement, stage, lambda s: shares.rows(s))
    if agreement.design.masked_once:
        masks = await _masks(me, agreement, key)
        hidden = [await _charged(me, agreement, stage, lambda s: X[s] - masks[s]) for stage in STAGES]
        values, _ = await session.open(hidden)  # line 7 of Algorithm 1 for X, once for all rows
        opened = dict(zip(STAGES, values, strict=True))
    return Shared(key=key, X=X, masks=masks, opened=opened, y=y, weights=weights)


async def _masks(me: Endpoint, agreement: Agreement, key: bytes) -> dict[Stage, Ring]:
    """This holder's shares of the masks of all rows: from its key, or sent by the dealer."""
    k = agreement.layer.features
    if agreement.full:
        flat = widen((await me.recv(DEALER, Correlated)).values).reshape(-1, k)
        return {"train": flat[: agreement.rows["train"]], "predict": flat[agreement.rows["train"] :]}
    return {
        stage: await _charged(me, agreement, stage, lambda s: rows_mask(key, s, agreement.rows[s], k))
        for stage in STAGES
    }


async def _charged(me: Endpoint, agreement: Agreement, stage: Stage, work: Callable[[Stage], Ring]) -> Ring:
    """Work on all rows of a stage."""
    elements = agreement.rows[stage] * agreement.layer.features
    cost = Cost(random_bytes=8 * elements, moved_bytes=24 * elements)
    return await me.compute(lambda: work(stage), cost, label="share")


class _Shares:
    """Makes one holder's shares from the seeds."""

    def __init__(self, agreement: Agreement, own: Own, seeds: Seeds) -> None:
        self._agreement = agreement
        self._own = own
        self._seeds = seeds

    def rows(self, stage: Stage) -> Ring:
        """Of all rows of X, (rows, k)."""
        layer, rows = self._agreement.layer, self._agreement.rows[stage]
        X = np.empty((rows, layer.features), np.int64)
        for owner, width in zip(layer.holders, layer.widths, strict=True):
            X[:, layer.columns(owner)] = self._of(
                owner, self._own.X[stage], (rows, width), Purpose.FEATURES, STAGES.index(stage)
            )
        return X

    def weights(self) -> Weights:
        """Of theta_1, whose rows belong to the holders, and of the rest, which the first one draws."""
        layer, zeros = self._agreement.layer, Weights.zeros(self._agreement.design)
        theta = [
            self._of(owner, self._own.theta, (width, layer.units), Purpose.WEIGHTS, 0)
            for owner, width in zip(layer.holders, layer.widths, strict=True)
        ]
        further = [*zeros.W[1:], *(b for b in zeros.b if b is not None)]
        values = self._own.others or (None,) * len(further)
        shares = iter(
            [
                self._of(layer.holders[0], value, like.shape, Purpose.WEIGHTS, number)
                for number, (value, like) in enumerate(zip(values, further, strict=True), 1)
            ]
        )
        W = [np.concatenate(theta), *(next(shares) for _ in zeros.W[1:])]
        return Weights(W, [None if b is None else next(shares) for b in zeros.b])

    def labels(self) -> Ring:
        """Of the training rows' labels, (rows,)."""
        rows = self._agreement.rows["train"]
        return self._of(self._agreement.label_owner, self._own.y, (rows,), Purpose.LABELS, 0)

    def _of(
        self, owner: str, values: Floats | None, shape: tuple[int, ...], purpose: Purpose, step: int
    ) -> Ring:
        """Of what somebody owns; only the owner's values are looked at."""
        encoded = None
        if owner == self._own.name and values is not None:
            encoded = encode(values, self._agreement.arithmetic)
        return self._seeds.share_of(owner, encoded, shape, step, purpose)


def encode(x: Floats, arithmetic: Arithmetic) -> Ring:
    """Numbers as ring elements.

    Raises:
        FixedPointError: a number that the ring cannot hold.
    """
    out = fixed_point.encode(x, arithmetic.fractional_bits)
    if arithmetic.width < 64 and out.size and max(-int(out.min()), int(out.max())) >> arithmetic.width - 2:
        raise FixedPointError(
            f"a number of magnitude {np.abs(x).max():g} does not fit a ring of {arithmetic.width} bits with "
            f"{arithmetic.fractional_bits} fractional bits"
        )
    return out
