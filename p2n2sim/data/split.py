"""The vertical split: which feature columns belong to which data holder."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from p2n2sim.data.names import matching
from p2n2sim.errors import ScenarioError

WHERE = "data.split"


def columns(
    features: int, holders: int, split: Literal["even"] | Sequence[int] = "even"
) -> tuple[slice, ...]:
    """Contiguous blocks of columns, one for each holder, in order and without a gap.

    Args:
        features: number of columns.
        holders: number of data holders.
        split: "even" for sizes that differ by at most one, the earlier holders having the larger ones;
            or the sizes themselves.

    Returns:
        One slice per holder, to be used as ``X[:, block]``.

    Raises:
        ScenarioError: a holder would have no column, or the sizes do not fit.
    """
    if holders < 1:
        raise ScenarioError("data.holders", f"{holders}", "at least one data holder is needed")
    if holders > features:
        raise ScenarioError(
            WHERE,
            f"{holders} holders for {features} feature{'s' if features != 1 else ''}",
            f"every holder needs one: at most {features} holders would do",
        )
    sizes = _even(features, holders) if isinstance(split, str) else list(split)
    if isinstance(split, str) and split != "even":
        raise ScenarioError(WHERE, f"{split!r}", '"even", or a list of column counts such as [20, 8]')
    if len(sizes) != holders:
        raise ScenarioError(
            WHERE, f"{len(sizes)} sizes for {holders} holders", "give one size for each holder"
        )
    if min(sizes) < 1:
        raise ScenarioError(WHERE, f"a holder with {min(sizes)} columns", "every holder needs at least one")
    if sum(sizes) != features:
        raise ScenarioError(
            WHERE,
            f"sizes that add up to {sum(sizes)}",
            f"the data have {features} features: make them add up to that",
        )
    return tuple(slice(start, stop) for start, stop in pairwise(accumulate(sizes, initial=0)))


def columns_by_name(
    feature_names: Sequence[str], groups: Sequence[Sequence[str]]
) -> tuple[NDArray[np.intp], ...]:
    """The columns that each holder names as its own.

    Args:
        feature_names: names of all columns.
        groups: for each holder the names of its columns, or patterns; the name of a column that was one-hot
            encoded stands for all of its ``name=value`` columns.

    Returns:
        One array of column numbers per holder, in the order named, to be used as ``X[:, numbers]``.

    Raises:
        ScenarioError: a name is unknown, or a column has no holder or two.
    """
    owner: dict[int, int] = {}
    parts: list[list[int]] = [[] for _ in groups]
    for holder, names in enumerate(groups):
        for name in names:
            numbers = matching(feature_names, name)
            if not numbers:
                raise ScenarioError(WHERE, f"no column is called {name!r}", "name columns of the data")
            taken = [number for number in numbers if number in owner]
            if taken:
                raise ScenarioError(
                    WHERE,
                    f"column {feature_names[taken[0]]!r} is named twice",
                    "give every column one holder",
                )
            owner.update(dict.fromkeys(numbers, holder))
            parts[holder].extend(numbers)
        if not parts[holder]:
            raise ScenarioError(WHERE, "a holder without columns", "every holder needs at least one")
    orphans = [name for number, name in enumerate(feature_names) if number not in owner]
    if orphans:
        raise ScenarioError(
            WHERE,
            f"{len(orphans)} of {len(feature_names)} columns have no holder, {orphans[0]!r} first",
            "give every column one holder, or leave it out (data.drop)",
        )
    return tuple(np.array(part, dtype=np.intp) for part in parts)


def strips(image: tuple[int, int] | None, holders: int) -> tuple[NDArray[np.intp], ...]:
    """Upright strips of an image from left to right: what each holder owns.

    Args:
        image: rows and columns of pixels; None where the data are no images.
        holders: number of data holders; the widths of their strips differ by at most one pixel.

    Returns:
        One array of column numbers per holder, row by row, to be used as ``X[:, numbers]``.

    Raises:
        ScenarioError: there is no image, or it is too narrow.
    """
    if image is None:
        raise ScenarioError(WHERE, "'left-right' is for images, and the data are none", '"even" would do')
    if holders > image[1]:
        raise ScenarioError(
            "data.holders",
            f"{holders} strips of an image {image[1]} pixels wide",
            f"at most {image[1]} would do",
        )
    pixels = np.arange(image[0] * image[1]).reshape(image)
    return tuple(pixels[:, block].ravel() for block in columns(image[1], holders))


def holder_names(holders: int) -> tuple[str, ...]:
    """A, B, ..., Z, AA, AB, ...: the columns of a spreadsheet.

    Args:
        holders: how many names.
    """
    return tuple(_letters(number) for number in range(1, holders + 1))


def _even(features: int, holders: int) -> list[int]:
    size, larger = divmod(features, holders)
    return [size + 1] * larger + [size] * (holders - larger)


def _letters(number: int) -> str:
    """Number 1, 2, ... in base 26 with the digits A = 1 to Z = 26 and no zero."""
    text = ""
    while number:
        number, digit = divmod(number - 1, 26)
        text = chr(ord("A") + digit) + text
    return text
