"""Cleaning that depends on no row: values are held within public bounds, and long tails are drawn in.

What a bound or a logarithm does to a row depends on that row alone, so it costs no privacy, where a quantile
of the data or their largest value would.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from p2n2sim.data.names import matching
from p2n2sim.data.sets import Ranges, Table
from p2n2sim.errors import ScenarioError

Bounds = Mapping[str, tuple[float, float]]


def clean(table: Table, bounds: Bounds, logarithm: Sequence[str]) -> tuple[Table, Ranges]:
    """Holds columns within bounds, then replaces x by sign(x) log(1 + |x|) where that is asked for.

    Args:
        table: as it was read.
        bounds: name of numeric columns, or a pattern -> smallest and largest value that are let through.
        logarithm: names of numeric columns, or patterns.

    Returns:
        The cleaned table, the same one where nothing is to be done; and what is known of its columns.

    Raises:
        ScenarioError: a name is unknown or of no numeric column, a column is bounded twice, or bounds are
            the wrong way round.
    """
    lower, upper = np.full(table.features, -np.inf), np.full(table.features, np.inf)
    for name, (low, high) in bounds.items():
        if not low < high:
            raise ScenarioError(
                "data.bounds", f"{name!r} from {low:g} to {high:g}", "the smaller value comes first"
            )
        columns = _numeric(table, name, "data.bounds")
        if np.isfinite(lower[columns]).any():
            raise ScenarioError("data.bounds", f"a column of {name!r} is bounded twice", "bound it once")
        lower[columns], upper[columns] = low, high
    drawn_in = np.zeros(table.features, dtype=np.bool_)
    for name in logarithm:
        drawn_in[_numeric(table, name, "data.logarithm")] = True
    if bounds or logarithm:
        X = table.X.astype(np.float64)
        np.clip(X, lower, upper, out=X)
        X[:, drawn_in] = signed_log(X[:, drawn_in])
        table = dataclasses.replace(table, X=X)
    lower[drawn_in], upper[drawn_in] = signed_log(lower[drawn_in]), signed_log(upper[drawn_in])
    zero_one = ~table.continuous
    lower[zero_one], upper[zero_one] = 0.0, 1.0
    return table, Ranges(lower, upper, table.continuous)


def signed_log(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """sign(x) log(1 + |x|), of the same shape: a logarithm for large values of either sign."""
    drawn_in: NDArray[np.float64] = np.sign(x) * np.log1p(np.abs(x))
    return drawn_in


def _numeric(table: Table, name: str, where: str) -> list[int]:
    found = [column for column in matching(table.feature_names, name) if table.continuous[column]]
    if not found:
        raise ScenarioError(
            where, f"no numeric column is called {name!r}", "name numeric columns of the data"
        )
    return found
