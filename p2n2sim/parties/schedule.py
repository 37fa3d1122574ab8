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

Stage = Literal["train", "predict"]


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
    """All batches of a run: epochs of shuffled training rows, each followed by a prediction when due.

    The last batch of an epoch holds what is left. Iterating makes the batches anew each time, so that
    many epochs take no memory.

    Attributes:
        rows_train: number of training rows.
        rows_test: number of test rows.
        batch_size: rows of a full batch.
        epochs: passes over the training rows.
        predict_every: predict the test rows after every so many epochs; always after the last.
        seed: of the orders of the training rows.
        first: the step at which a part of the run begins.
        stop: the step before which it ends; None for the end of the run.
    """

    rows_train: int
    rows_test: int
    batch_size: int
    epochs: int
    predict_every: int
    seed: int
    first: int = 0
    stop: int | None = None

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
            parts: list[tuple[Stage, NDArray[np.int64]]] = [
                ("train", _order(self.seed, epoch, self.rows_train))
            ]
            if self.predicts_after(epoch):
                parts.append(("predict", np.arange(self.rows_test)))
            for stage, order in parts:
                for start in range(0, len(order), self.batch_size):
                    if self.first <= step < self.end:
                        yield Batch(step, epoch, stage, order[start : start + self.batch_size])
                    step += 1

    def predicts_after(self, epoch: int) -> bool:
        """Whether the test rows are predicted after this epoch."""
        return epoch == self.epochs or epoch % self.predict_every == 0


@functools.lru_cache(maxsize=4)  # every party walks through the same epoch at about the same time
def _order(seed: int, epoch: int, rows: int) -> NDArray[np.int64]:
    order = np.random.default_rng([seed, epoch]).permutation(rows)
    order.flags.writeable = False
    return order
