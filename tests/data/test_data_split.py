"""The vertical split."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2n2sim.data import columns, columns_by_name, holder_names
from p2n2sim.errors import InputError


@st.composite
def _features_and_holders(draw: st.DrawFn) -> tuple[int, int]:
    features = draw(st.integers(1, 2_000))
    return features, draw(st.integers(1, features))


@given(_features_and_holders())
def test_even_split_covers_every_column_once(case: tuple[int, int]) -> None:
    """Even blocks join without gap or overlap, sizes differ by at most one, the larger ones come first."""
    features, holders = case
    blocks = columns(features, holders)
    assert len(blocks) == holders
    assert (blocks[0].start, blocks[-1].stop) == (0, features)
    assert all(left.stop == right.start for left, right in pairwise(blocks))
    sizes = [block.stop - block.start for block in blocks]
    assert sizes == sorted(sizes, reverse=True)
    assert 1 <= sizes[0] <= sizes[-1] + 1


@given(st.lists(st.integers(1, 50), min_size=1, max_size=20))
def test_explicit_sizes_are_kept(sizes: list[int]) -> None:
    """Blocks have the sizes that were asked for, in that order."""
    blocks = columns(sum(sizes), len(sizes), sizes)
    assert [block.stop - block.start for block in blocks] == sizes
    assert [i for block in blocks for i in range(sum(sizes))[block]] == list(range(sum(sizes)))


def test_paper_splits() -> None:
    """The paper's two holders have 14 and 14 of 28 columns, and 278 and 278 of 556."""
    assert columns(28, 2) == (slice(0, 14), slice(14, 28))
    assert columns(556, 2) == (slice(0, 278), slice(278, 556))
    assert columns(555, 2) == (slice(0, 278), slice(278, 555))


@pytest.mark.parametrize(
    ("features", "holders", "split", "message"),
    [
        (3, 4, "even", "4 holders for 3 features"),
        (1, 2, "even", "2 holders for 1 feature;"),
        (28, 2, [14, 15], "add up to 29"),
        (28, 2, [28], "1 sizes for 2 holders"),
        (28, 2, [28, 0], "a holder with 0 columns"),
        (28, 2, [29, -1], "a holder with -1 columns"),
        (28, 2, "odd", "'odd'"),
    ],
)
def test_impossible_splits(features: int, holders: int, split: object, message: str) -> None:
    """More holders than columns, empty holders and sizes that do not add up are errors at data.split."""
    with pytest.raises(InputError, match=message) as caught:
        columns(features, holders, split)  # type: ignore[arg-type]
    assert caught.value.where == "data.split"


def test_no_holder_is_an_error() -> None:
    """There is at least one holder."""
    with pytest.raises(InputError, match="at least one data holder"):
        columns(28, 0)


def test_split_by_name() -> None:
    """A holder gets the columns it names, in its order; a one-hot column is named as a whole."""
    names = ("age", "city=Bonn", "city=Rome", "cityscape", "income")
    left, right = columns_by_name(names, [["income", "city"], ["cityscape", "age"]])
    np.testing.assert_array_equal(left, [4, 1, 2])
    np.testing.assert_array_equal(right, [3, 0])


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ([["a"], ["c"]], "no column is called 'c'"),
        ([["a"], ["a", "b"]], "'a' is named twice"),
        ([["a", "a"], ["b"]], "'a' is named twice"),
        ([["a"], []], "a holder without columns"),
        ([["a"]], "1 of 2 columns have no holder, 'b' first"),
    ],
)
def test_impossible_splits_by_name(groups: list[list[str]], message: str) -> None:
    """Every column has exactly one holder, and every holder a column."""
    with pytest.raises(InputError, match=message) as caught:
        columns_by_name(("a", "b"), groups)
    assert caught.value.where == "data.split"


def test_holder_names_go_on_after_z() -> None:
    """Holders are called as the columns of a spreadsheet are."""
    names = holder_names(704)
    assert names[:3] == ("A", "B", "C")
    assert names[24:28] == ("Y", "Z", "AA", "AB")
    assert names[701:] == ("ZZ", "AAA", "AAB")
    assert len(set(names)) == 704
