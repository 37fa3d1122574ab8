"""The agreed order of the batches."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from p2n2sim.parties.schedule import Schedule

schedules = st.builds(
    Schedule,
    rows_train=st.integers(1, 60),
    rows_test=st.integers(1, 30),
    batch_size=st.integers(1, 40),
    epochs=st.integers(1, 6),
    predict_every=st.integers(1, 8),
    seed=st.integers(0, 2**63 - 1),
)


@given(schedules)
def test_every_epoch_is_every_row_once(schedule: Schedule) -> None:
    """An epoch's training batches hold each training row once, a prediction's the test rows in order."""
    for (_, stage), group in itertools.groupby(schedule, key=lambda batch: (batch.epoch, batch.stage)):
        rows = np.concatenate([batch.rows for batch in group])
        expected = schedule.rows_train if stage == "train" else schedule.rows_test
        np.testing.assert_array_equal(np.sort(rows) if stage == "train" else rows, np.arange(expected))


@given(schedules)
def test_steps_count_up_and_the_length_is_theirs(schedule: Schedule) -> None:
    """Steps are 0, 1, 2, ... over the whole run; len is how many there are; only last batches are short."""
    batches = list(schedule)
    assert [batch.step for batch in batches] == list(range(len(schedule)))
    for batch, following in itertools.pairwise(batches):
        if (batch.epoch, batch.stage) == (following.epoch, following.stage):
            assert len(batch.rows) == schedule.batch_size
        else:
            assert 1 <= len(batch.rows) <= schedule.batch_size


@given(schedules)
def test_predictions_are_due_every_few_epochs_and_after_the_last(schedule: Schedule) -> None:
    """Epochs divisible by predict_every, and the last one, end with a prediction."""
    predicted = sorted({batch.epoch for batch in schedule if batch.stage == "predict"})
    due = [
        e for e in range(1, schedule.epochs + 1) if e % schedule.predict_every == 0 or e == schedule.epochs
    ]
    assert predicted == due


def orders(seed: int) -> list[list[int]]:
    """The training orders of two epochs of fifty rows."""
    schedule = Schedule(rows_train=50, rows_test=1, batch_size=50, epochs=2, predict_every=9, seed=seed)
    return [batch.rows.tolist() for batch in schedule if batch.stage == "train"]


def test_the_order_is_a_function_of_seed_and_epoch() -> None:
    """Two walks see the same order; epochs and seeds have different ones."""
    assert orders(1) == orders(1)
    assert len({tuple(order) for seed in (1, 2) for order in orders(seed)}) == 4
