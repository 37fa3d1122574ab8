"""Exceptions travel between processes without losing what they say."""

from __future__ import annotations

import pickle

import pytest

from p2n2sim import errors

RAISED = [
    errors.InputError("a.toml", "found", "remedy"),
    errors.ScenarioError("a.toml", "found", "remedy"),
    errors.BudgetError("training", "DP-SGD", needed=2.0, allowed=1.0, spent=0.5),
    errors.MessageLostError("A", "B", "InputShare", 3, sent=0.5, time=1.5, why="was not there"),
    errors.AuthenticationError("A", "B", "InputShare", 3, sent=0.5, time=1.5, why="was changed"),
    errors.PartyLostError("B", 4, 0.21, ()),
    errors.DeadlockError(1.0, (), ("A",)),
    errors.WireError("no message"),
]


@pytest.mark.parametrize("error", RAISED, ids=lambda error: type(error).__name__)
def test_an_error_comes_back_from_another_process_as_it_was(error: Exception) -> None:
    """Its type, its text and what it holds."""
    back = pickle.loads(pickle.dumps(error))
    assert type(back) is type(error)
    assert str(back) == str(error)
    assert back.args == error.args
