"""Financial distress: 3,672 company periods of 422 companies, 136 of them distressed.

The publisher calls a company period distressed when its continuous column "Financial Distress" is
-0.50 or less. The P2N2 paper encodes the categorical columns and counts 556 features. Company (422
values), Time (14) and x80 (37) one-hot and the other 82 x columns are 555; the table has 556 columns
only if the target column itself is left in. So 555 is what is loaded, and the 556 of the paper are
reached by an option whose name says what it does.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from p2n2sim.data.find import locate
from p2n2sim.data.own import encode
from p2n2sim.data.sets import Table
from p2n2sim.data.tabular import Columns, read
from p2n2sim.errors import DataError

NAME = "financial_distress"
TITLE = "Financial distress (Kaggle, shebrahimi/financial-distress)"
TARGET = "Financial Distress"
THRESHOLD = -0.5
NUMERIC = tuple(f"x{number}" for number in range(1, 84) if number != 80)
CATEGORICAL = ("Company", "Time", "x80")
CATEGORIES = (422, 14, 37)
ROWS = 3_672
DISTRESSED = 136


def load_distress(data_dir: Path | None = None, *, leak_target: bool = False, history: int = 0) -> Table:
    """The published set, else a stand-in in the published layout.

    Args:
        data_dir: a directory to search before the usual ones.
        leak_target: keep the target column among the features, which makes 556 of them and gives the
            label away; only for repeating the paper's count literally.
        history: how many earlier periods of its company stand beside every row: column ``x1@0`` is x1 of the
            row's own period, ``x1@2`` that of its company two periods before. Where the records begin later,
            the earliest one stands in for what was before. A company's records are then in several rows, so
            what is promised to a row is not promised to its company.

    Returns:
        A table with the 82 numeric columns first, then Company, Time and x80 one-hot: 555 features, or
        556 with the target in front.

    Raises:
        DataError: the file found is damaged, lacks a column or has not the published number of rows.
    """
    path = locate(NAME, data_dir)
    if path is None:
        columns = Columns("stand-in", stand_in_columns())
        source = (
            f"stand-in generated from seed 0, same layout ({ROWS:,} rows, {CATEGORIES[0]} companies) and "
            f"class ratio ({DISTRESSED} distressed) as the published {NAME} data, which was not found"
        )
    else:
        columns = read(path, [TARGET, *NUMERIC, *CATEGORICAL])
        source = f"real file {path.name} ({ROWS:,} rows)"
        _check_counts(columns)
    if leak_target:
        source += "; the target column is left in among the features and gives the label away"
    numeric = ([TARGET] if leak_target else []) + list(NUMERIC)
    if history:
        source += f"; each row with {history} earlier period{'s' if history != 1 else ''} of its company"
        columns, numeric = _with_history(columns, numeric, history)
    X, names, continuous = encode(columns, numeric, CATEGORICAL)
    return Table(
        name=NAME,
        source=source,
        stand_in=path is None,
        X=X,
        y=(columns.numbers(TARGET) <= THRESHOLD).astype(np.int8),
        feature_names=names,
        continuous=continuous,
        path=path,
    )


def _with_history(columns: Columns, numeric: list[str], history: int) -> tuple[Columns, list[str]]:
    """The numeric columns of a row's period and of those before, and their names."""
    company, time = columns.numbers("Company"), columns.numbers("Time")
    order = np.lexsort((time, company))  # rows, company by company
    place = np.arange(len(order))
    first = np.maximum.accumulate(np.where(np.diff(company[order], prepend=np.nan) != 0, place, 0))
    table, names = {name: columns.table.column(name) for name in CATEGORICAL}, []
    table[TARGET] = columns.table.column(TARGET)
    for name in numeric:
        values = columns.numbers(name)[order]
        for back in range(history + 1):
            moved = np.empty(len(values))
            moved[order] = values[np.maximum(place - back, first)]
            names.append(f"{name}@{back}")
            table[names[-1]] = pa.array(moved)
    return Columns(columns.where, pa.table(table)), names


def _check_counts(columns: Columns) -> None:
    remedy = "bring the published file again, or give this one as your own: data.source = its path"
    if columns.rows != ROWS:
        found = f"{columns.rows:,} rows where the published set has {ROWS:,}"
        raise DataError(columns.where, found + (": it is truncated" if columns.rows < ROWS else ""), remedy)
    for name, published in zip(CATEGORICAL, CATEGORIES, strict=True):
        found_values = len(columns.codes(name)[0])
        if found_values != published:
            raise DataError(
                f"{columns.where}: column {name!r}",
                f"{found_values} distinct values where the published set has {published}",
                remedy,
            )


def stand_in_columns() -> pa.Table:
    """Synthetic columns in the published layout, always the same ones.

    Every company has one sector (x80) and an unbroken run of at most 14 periods. Ten of the x columns
    and a company effect carry the target, the rest are noise; the 136 lowest targets are distressed.
    """
    generator = np.random.Generator(np.random.PCG64(0))
    companies, periods, sectors = CATEGORIES
    # Every company has one period; the other rows are drawn from the 13 further places of each.
    places = np.argsort(generator.random(companies * (periods - 1)), kind="stable")[: ROWS - companies]
    lengths = 1 + np.bincount(places // (periods - 1), minlength=companies)  # (companies,)
    starts = 1 + np.floor(generator.random(companies) * (periods + 1 - lengths)).astype(np.int64)
    company = np.repeat(np.arange(companies), lengths)  # (rows,)
    first_row = np.repeat(np.cumsum(lengths) - lengths, lengths)
    time = starts[company] + np.arange(ROWS) - first_row

    x = generator.standard_normal((ROWS, len(NUMERIC)))
    effect = generator.standard_normal(companies)[company]
    health = 0.6 * effect + 0.5 * generator.standard_normal(ROWS)
    for carrier in range(10):
        health = health + 0.6 * x[:, carrier]
    lowest = np.sort(health)
    target = THRESHOLD + health - (lowest[DISTRESSED - 1] + lowest[DISTRESSED]) / 2
    return pa.table(
        {
            "Company": company + 1,
            "Time": time,
            TARGET: target,
            "x80": company % sectors + 1,
            **{name: x[:, position] for position, name in enumerate(NUMERIC)},
        }
    )
