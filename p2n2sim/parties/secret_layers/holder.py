"""A data holder when several layers are under secret sharing: it owns X_i, and shares of everything else."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import groupby

import numpy as np
import torch

from p2n2sim.messages import (
    DEALER,
    SERVER,
    Correlated,
    FeatureShare,
    Floats,
    LayerGradient,
    LayerShare,
    LogitShare,
    TripleRequest,
)
from p2n2sim.mpc import fixed_point, sharing
from p2n2sim.mpc.prg import Purpose
from p2n2sim.mpc.sources import PartySource
from p2n2sim.mpc.width import Ring, narrow, signed, widen
from p2n2sim.net.cpu import Cost
from p2n2sim.net.endpoint import Endpoint
from p2n2sim.nn.training import logistic_loss
from p2n2sim.parties.passes import Pass
from p2n2sim.parties.schedule import Batch
from p2n2sim.parties.secret_layers.agreement import Agreement
from p2n2sim.parties.secret_layers.belongings import Own, Shared, encode, share_belongings
from p2n2sim.parties.secret_layers.network import Weights, backward, forward
from p2n2sim.parties.secret_layers.session import Public, Session


async def secret_holder(
    me: Endpoint,
    agreement: Agreement,
    own: Own,
    session: Session,
    batches: Iterable[Batch],
    *,
    y_test: Floats | None = None,
    on_batch: Callable[[Batch], object] = lambda batch: None,
    on_pass: Callable[[Pass], object] = lambda done: None,
    on_weights: Callable[[Weights], object] = lambda weights: None,
) -> None:
    """Trains this holder's shares of the weights.

    Args:
        me: the holder's plug.
        agreement: what all know.
        own: what it brings along.
        session: for computing with the others.
        batches: the agreed schedule.
        y_test: labels of the test rows, if this holder predicts: it owns the label and there is no server.
        on_batch: told of every batch as it begins.
        on_pass: told of every finished pass, if it predicts. The loss of training is NaN: nobody sees it.
        on_weights: given the shares of the weights, which training changes in place.
    """
    holder = _Holder(me, agreement, own, session)
    holder.ask_ahead()
    shared = await share_belongings(me, agreement, own, session)
    on_weights(shared.weights)
    for (epoch, stage), group in groupby(batches, key=lambda batch: (batch.epoch, batch.stage)):
        rows, losses, logits = list[int](), list[float](), list[Floats]()
        for batch in group:
            on_batch(batch)
            rows.append(len(batch.rows))
            losses.append(np.nan)
            if stage == "train":
                await holder.train(shared, batch)
            elif (predicted := await holder.predict(shared, batch)) is not None and y_test is not None:
                logits.append(predicted)
                losses[-1] = _loss(predicted, y_test[batch.rows])
        if y_test is not None:
            joined = np.concatenate(logits) if logits else np.empty(0, np.float32)
            on_pass(Pass(epoch, stage, np.array(losses), np.array(rows), joined))


class _Holder:
    """One holder's part in every batch."""

    def __init__(self, me: Endpoint, agreement: Agreement, own: Own, session: Session) -> None:
        self._me = me
        self._with = agreement
        self._own = own
        self._session = session
        self._others = [name for name in agreement.layer.holders if name != me.name]
        self._is_last = me.name == agreement.layer.holders[-1]

    async def train(self, shared: Shared, batch: Batch) -> None:
        """Algorithm 2 for one batch; lines 4 to 11 without a server if the whole network is under sharing."""
        agreed, session = self._with, self._session
        X, opened = await self._begin(shared, batch)
        trace = await forward(session, agreed.design, shared.weights, X, opened)
        d: Ring | Public
        if agreed.whole:
            d = trace.output - shared.y[batch.rows][:, None]  # dL/dz_s of the summed cross-entropy, Eq. 5
        else:
            d = await self._with_server(batch, trace.output)
        await backward(session, agreed.design, shared.weights, trace, d, len(batch.rows))

    async def predict(self, shared: Shared, batch: Batch) -> Floats | None:
        """The same for test rows; at the label's owner, if there is no server, the logits (m,)."""
        agreed, me = self._with, self._me
        X, opened = await self._begin(shared, batch)
        trace = await forward(self._session, agreed.design, shared.weights, X, opened, logits=agreed.whole)
        share = narrow(trace.output, agreed.arithmetic.width)
        if not agreed.whole:
            me.send(SERVER, LayerShare(batch.step, share))
            return None
        if me.name != agreed.label_owner:
            me.send(agreed.label_owner, LogitShare(batch.step, share[:, 0]))
            return None
        total = widen(share[:, 0])
        for other in self._others:
            total = total + widen((await me.recv(other, LogitShare)).logits)
        logits: Floats = fixed_point.decode(
            signed(total, agreed.arithmetic.width), agreed.arithmetic.fractional_bits
        )
        return logits

    def ask_ahead(self) -> None:
        """The last holder asks for the first batches' randomness."""
        for step in range(self._with.first, min(self._with.first + self._with.ahead, self._with.steps)):
            self._request(step)

    def _request(self, step: int) -> None:
        if self._is_last and step < self._with.steps:
            self._me.send(DEALER, TripleRequest(step))

    async def _begin(self, shared: Shared, batch: Batch) -> tuple[Ring, Ring | None]:
        """Fetches the batch's randomness; this holder's share of its rows, and the rows under their mask."""
        agreed, stage = self._with, batch.stage
        self._request(batch.step + agreed.ahead)
        sent = None
        if self._is_last or agreed.full:
            message = await self._me.recv(DEALER, Correlated)
            sent = message.values, message.bits
        source = PartySource(
            shared.key,
            batch.step,
            agreed.arithmetic.width,
            rows_mask=lambda: np.take(shared.masks[stage], batch.rows, axis=0),
            sent=sent,
            full=agreed.full,
        )
        self._session.begin(batch.step, source)
        if not agreed.from_seeds:
            return await self._exchange_rows(batch), None
        X = np.take(shared.X[stage], batch.rows, axis=0)  # (m, k)
        masked_once = agreed.design.masked_once
        return X, np.take(shared.opened[stage], batch.rows, axis=0) if masked_once else None

    async def _exchange_rows(self, batch: Batch) -> Ring:
        """Algorithm 1, lines 1, 3 and 5: everybody sends everybody a share of the batch's rows, (m, k)."""
        layer, arithmetic = self._with.layer, self._with.arithmetic
        values = np.take(self._own.X[batch.stage], batch.rows, axis=0)  # (m, k_i)
        count = values.size * len(self._others)
        shares = await self._me.compute(
            lambda: sharing.split(
                encode(values, arithmetic),
                len(layer.holders),
                self._own.key,
                batch.step,
                purpose=Purpose.FEATURES,
            ),
            Cost(random_bytes=8 * count, moved_bytes=24 * count, messages=2 * len(self._others)),
            label="share",
        )
        X = np.empty((len(values), layer.features), np.int64)
        for share, holder in zip(shares, layer.holders, strict=True):
            if holder == self._me.name:
                X[:, layer.columns(holder)] = share
            else:
                self._me.send(holder, FeatureShare(batch.step, narrow(share, arithmetic.width)))
        for other in self._others:
            X[:, layer.columns(other)] = (await self._me.recv(other, FeatureShare)).X
        return X

    async def _with_server(self, batch: Batch, output: Ring) -> Public:
        """Lines 4 and 11: the server goes on from the opened layer, and returns the gradient in the clear."""
        arithmetic = self._with.arithmetic
        self._me.send(SERVER, LayerShare(batch.step, narrow(output, arithmetic.width)))
        d = (await self._me.recv(SERVER, LayerGradient)).d  # (m, n_s)
        scale = np.float32(self._with.design.scale(len(batch.rows)))
        encoded = await self._me.compute(
            lambda: encode(d * scale, arithmetic), Cost(moved_bytes=12 * d.size, messages=2), label="share"
        )
        return Public(encoded)


def _loss(logits: Floats, y: Floats) -> float:
    loss = logistic_loss(torch.from_numpy(logits), torch.from_numpy(y), reduction="mean")
    return float(loss.item())
