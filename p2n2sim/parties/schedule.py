"""Which rows every party works on, in which order: public, and agreed before the training begins."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from p2n2sim.mpc import prg
from p2n2sim.mpc.prg import Purpose, derive_key

Stage = Literal["train", "predict"]
Sampler = Literal["shuffled", "poisson"]


@dataclass(frozen=True, slots=True)
class Batch:
    """One mini-batch.

    Attributes:
        step: number of the batch over the whole run, from 0.
        epoch: the epoch that it belongs to, from 1.
        stage: ``train`` on training rows, or ``predict`` on test rows.
        rows: which rows of the training or the test part.
    """

    step: int
    epoch: int
    stage: Stage
    rows: NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """All batches of a run: epochs of training rows, each followed by a prediction when due.

    Shuffled, the last batch of an epoch holds what is left. With Poisson sampling an epoch has as many
    batches, and every row is in each of them with the same probability, whatever else is: a batch may be
    larger, smaller or empty. Iterating makes the batches anew each time, so that many epochs take no memory.

    Attributes:
        rows_train: number of training rows.
        rows_test: number of test rows.
        batch_size: rows of a full batch; with Poisson sampling, expected rows of every training batch.
        epochs: passes over the training rows.
        predict_every: predict the test rows after every so many epochs; always after the last.
        seed: of the orders of the training rows.
        first: the step at which a part of the run begins.
        stop: the step before which it ends; None for the end of the run.
        sampler: how training rows come into a batch.
        without: training rows that are left out of every batch that they would be in; all else stays.
    """

    rows_train: int
    rows_test: int
    batch_size: int
    epochs: int
    predict_every: int
    seed: int
    first: int = 0
    stop: int | None = None
    sampler: Sampler = "shuffled"
    without: tuple[int, ...] = ()

    def __len__(self) -> int:
        return self.end - self.first

    @property
    def end(self) -> int:
        """The step before which the run, or this part of it, ends."""
        return self._all if self.stop is None else self.stop

    def part(self, first: int, stop: int) -> Schedule:
        """The batches from one step to before another."""
        return dataclasses.replace(self, first=first, stop=stop)

    @property
    def rate(self) -> float:
        """The probability with which a row is in a batch of Poisson sampling."""
        return self.batch_size / self.rows_train

    @property
    def training_batches(self) -> int:
        """Batches of the whole run that are trained on."""
        return self.epochs * self._batches_of(self.rows_train)

    @property
    def most_uses(self) -> int:
        """In how many training batches of the whole run the row is that is in the most of them."""
        if self.sampler == "shuffled":
            return self.epochs
        uses = np.zeros(self.rows_train, np.int64)
        for number in range(self.training_batches):
            uses[self._training_rows(number)] += 1
        return int(uses.max())

    @property
    def _all(self) -> int:
        predicted = math.ceil(self.epochs / self.predict_every)
        return self.epochs * self._batches_of(self.rows_train) + predicted * self._batches_of(self.rows_test)

    def _batches(self, epoch: int) -> int:
        predicted = self._batches_of(self.rows_test) if self.predicts_after(epoch) else 0
        return self._batches_of(self.rows_train) + predicted

    def _batches_of(self, rows: int) -> int:
        return math.ceil(rows / self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        step = 0
        for epoch in range(1, self.epochs + 1):
            following = step + self._batches(epoch)
            if following <= self.first or step >= self.end:
                step = following
                continue
            each = self._batches_of(self.rows_train)
            for number in range((epoch - 1) * each, epoch * each):
                if self.first <= step < self.end:
                    yield Batch(step, epoch, "train", self._training_rows(number))
                step += 1
            for start in range(0, self.rows_test if self.predicts_after(epoch) else 0, self.batch_size):
                if self.first <= step < self.end:
                    rows = np.arange(start, min(start + self.batch_size, self.rows_test))
                    yield Batch(step, epoch, "predict", rows)
                step += 1

    def _training_rows(self, number: int) -> NDArray[np.int64]:
        """Those of a training batch, counted over the whole run from 0."""
        rows = self._drawn_rows(number)
        return rows[~np.isin(rows, self.without)] if self.without else rows

    def _drawn_rows(self, number: int) -> NDArray[np.int64]:
        if self.sampler == "poisson":
            return _by_coins(self.seed, number, self.rows_train, self.rate)
        epoch, batch = divmod(number, self._batches_of(self.rows_train))
        start = batch * self.batch_size
        return _order(self.seed, epoch + 1, self.rows_train)[start : start + self.batch_size]

    def predicts_after(self, epoch: int) -> bool:
        """Whether the test rows are predicted after this epoch."""
        return epoch == self.epochs or epoch % self.predict_every == 0


@functools.lru_cache(maxsize=16)  # as below
def _by_coins(seed: int, number: int, rows: int, rate: float) -> NDArray[np.int64]:
    """The rows whose own 64-bit word, as a fraction of 2^64, is below the rate."""
    words = prg.uniform(derive_key(seed, "coins"), number, rows, purpose=Purpose.COINS).view(np.uint64)
    below = math.ceil(rate * 2.0**64)
    chosen = np.flatnonzero(words < np.uint64(below)) if below < 1 << 64 else np.arange(rows)
    chosen.flags.writeable = False
    return chosen.astype(np.int64, copy=False)


@functools.lru_cache(maxsize=4)  # every party walks through the same epoch at about the same time
def _order(seed: int, epoch: int, rows: int) -> NDArray[np.int64]:
    order = np.random.default_rng([seed, epoch]).permutation(rows)
    order.flags.writeable = False
    return order
