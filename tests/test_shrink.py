"""Failing lists made smaller."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2n2sim.shrink import shrink


@given(st.integers(1, 40).flatmap(lambda n: st.tuples(st.just(n), st.sets(st.integers(0, n - 1)))))
def test_exactly_what_is_needed_is_left(case: tuple[int, set[int]]) -> None:
    """When certain items are needed together, they are what is left, in their order."""
    number, needed = case
    assert shrink(range(number), lambda chosen: needed <= set(chosen)) == sorted(needed)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=20), st.integers(0, 30))
def test_no_single_item_can_be_left_out(items: list[int], bound: int) -> None:
    """Also where many selections fail: the result fails, and none of its items is too many."""

    def fails(chosen: Sequence[int]) -> bool:
        return sum(chosen) >= bound

    if not fails(items):
        with pytest.raises(ValueError, match="nothing to shrink"):
            shrink(items, fails)
        return
    least = shrink(items, fails)
    assert fails(least)
    assert not any(fails(least[:i] + least[i + 1 :]) for i in range(len(least)))


@given(st.integers(1, 30), st.data())
def test_no_selection_is_tried_twice(number: int, data: st.DataObject) -> None:
    """Runs are expensive: what is known is not asked again, and not every selection is asked."""
    needed = data.draw(st.sets(st.integers(0, number - 1), max_size=3))
    tried: list[tuple[int, ...]] = []

    def fails(chosen: Sequence[int]) -> bool:
        tried.append(tuple(chosen))
        return needed <= set(chosen)

    shrink(range(number), fails)
    assert len(tried) == len(set(tried))
    assert len(tried) <= number * number + 3 * number + 2


def test_a_predicate_that_is_not_monotone() -> None:
    """A failure that one item hides and another causes is still brought down to one that fails."""

    def fails(chosen: Sequence[str]) -> bool:
        return "cut" in chosen and ("heal" not in chosen or "crash" in chosen)

    assert shrink(["delay", "heal", "cut", "drop", "crash"], fails) == ["cut"]
