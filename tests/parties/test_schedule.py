"""The agreed order of the batches."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2

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


def poisson(rows: int = 400, batch_size: int = 40, epochs: int = 30, seed: int = 5) -> Schedule:
    """Ten batches an epoch by coins."""
    return Schedule(
        rows_train=rows,
        rows_test=3,
        batch_size=batch_size,
        epochs=epochs,
        predict_every=9,
        seed=seed,
        sampler="poisson",
    )


def test_coins_fall_independently_with_their_rate() -> None:
    """Sizes, uses of a row, and pairs of rows are what independent coins of that rate give."""
    schedule = poisson()
    trained = [batch.rows for batch in schedule if batch.stage == "train"]
    assert len(trained) == schedule.training_batches == 300
    chosen = np.zeros((300, 400), bool)
    for batch, rows in zip(chosen, trained, strict=True):
        assert (np.diff(rows) > 0).all()
        batch[rows] = True
    p = schedule.rate
    assert p == 0.1
    assert abs(chosen.mean() - p) < 4 * np.sqrt(p * (1 - p) / chosen.size)
    for counts, n in ((chosen.sum(1), 400), (chosen.sum(0), 300)):
        statistic = ((counts - n * p) ** 2).sum() / (n * p * (1 - p))
        low, high = chi2.ppf([1e-4, 1 - 1e-4], len(counts))
        assert low < statistic < high
    together = np.corrcoef(chosen.T)[np.triu_indices(400, 1)]
    assert abs(together.mean()) < 4 / np.sqrt(300 * len(together))
    assert schedule.most_uses == chosen.sum(0).max()


def test_coins_of_another_seed_or_part() -> None:
    """Another seed draws other batches; a part of a run has those of the whole."""
    whole = [batch.rows.tolist() for batch in poisson(epochs=2)]
    assert whole != [batch.rows.tolist() for batch in poisson(epochs=2, seed=6)]
    assert [batch.rows.tolist() for batch in poisson(epochs=2).part(4, 15)] == whole[4:15]
    everything = poisson(rows=40, batch_size=40, epochs=2)
    assert all(len(batch.rows) == 40 for batch in everything if batch.stage == "train")


def test_uses_of_shuffled_rows_are_epochs() -> None:
    """A row is in one batch an epoch."""
    schedule = Schedule(rows_train=50, rows_test=1, batch_size=20, epochs=7, predict_every=9, seed=1)
    assert schedule.most_uses == 7
    assert schedule.training_batches == 21
