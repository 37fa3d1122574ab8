"""The dealer when several layers are under secret sharing: it gives what a batch needs and learns nothing."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from functools import partial

import numpy as np

from p2n2sim.messages import Correlated, DealerKey, TripleRequest
from p2n2sim.mpc.correlated import Draw
from p2n2sim.mpc.sources import DealerSource, Tally
from p2n2sim.mpc.width import Ring, narrow
from p2n2sim.net.cpu import Cost
from p2n2sim.net.endpoint import Endpoint
from p2n2sim.parties.schedule import Batch, Stage
from p2n2sim.parties.secret_layers.agreement import STAGES, Agreement, rows_mask
from p2n2sim.parties.secret_layers.network import prediction_program, training_program
from p2n2sim.parties.secret_layers.session import dry_run


async def secret_dealer(
    me: Endpoint, agreement: Agreement, keys: Sequence[bytes], batches: Iterable[Batch], *, threads: int = 1
) -> None:
    """Gives every holder its key, then answers every request with what no stream gives.

    Args:
        me: the dealer's plug.
        agreement: what the holders know.
        keys: for every holder the 16 bytes that make its streams.
        batches: the agreed schedule.
        threads: over how many threads a product may be split; changes no bit.
    """
    holders, features = agreement.layer.holders, agreement.layer.features
    for holder, key in zip(holders, keys, strict=True):
        me.send(holder, DealerKey(-1, np.frombuffer(key, np.uint8)))
    masks: dict[Stage, Ring] = {}
    if agreement.design.masked_once:
        shares = {
            stage: [rows_mask(key, stage, agreement.rows[stage], features) for key in keys]
            for stage in STAGES
        }
        masks = {stage: np.add.reduce(shares[stage]) for stage in STAGES}
        if agreement.full:
            for number, holder in enumerate(holders):
                own = np.concatenate([shares[stage][number].reshape(-1) for stage in STAGES])
                me.send(holder, _message(-1, own, agreement))
    plan = functools.cache(partial(_plan, agreement))
    for batch in batches:
        await me.recv(holders[-1], TripleRequest)
        draws, tally = plan(batch.stage, len(batch.rows))
        source = DealerSource(
            keys,
            batch.step,
            agreement.arithmetic.width,
            rows_mask=partial(_rows_of, masks, batch),
            full=agreement.full,
            threads=threads,
        )
        await me.compute(partial(_carry_out, draws, source), _cost(len(holders), tally), label="make triple")
        for number in range(len(holders)) if agreement.full else [len(holders) - 1]:
            me.send(holders[number], Correlated(batch.step, *source.sent(number)))


def _message(step: int, values: Ring, agreement: Agreement) -> Correlated:
    return Correlated(step, narrow(values, agreement.arithmetic.width), np.empty(0, np.uint8))


def _plan(agreement: Agreement, stage: Stage, rows: int) -> tuple[list[Draw], Tally]:
    """What a batch of so many rows draws: the dealer goes through the holders' program with nothing in it."""
    program = training_program if stage == "train" else prediction_program
    return dry_run(
        program(agreement.design, rows, whole=agreement.whole),
        agreement.arithmetic,
        (rows, agreement.layer.features),
    )


def _rows_of(masks: dict[Stage, Ring], batch: Batch) -> Ring:
    return np.take(masks[batch.stage], batch.rows, axis=0)


def _carry_out(draws: Iterable[Draw], source: DealerSource) -> None:
    for draw in draws:
        draw(source)


def _cost(holders: int, tally: Tally) -> Cost:
    random = holders * tally.random_elements + (holders - 1) * (
        tally.shared_elements + tally.shared_bytes // 8
    )
    return Cost(ring_madds=tally.ring_madds, random_bytes=8 * random, moved_bytes=24 * random, messages=2)
