"""Credit scoring: 150,000 borrowers, 10,026 of whom were 90 days late within two years.

Give Me Some Credit, Kaggle, 2011 (``cs-training.csv``). No open licence is known: read, never passed on.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from p2n2sim.data.find import locate
from p2n2sim.data.published import check_published, highest, source_line
from p2n2sim.data.sets import Table
from p2n2sim.data.tabular import Columns, read

NAME = "give_me_some_credit"
TITLE = "Give Me Some Credit (Kaggle, 2011)"
LABEL = "SeriousDlqin2yrs"
ROWS = 150_000
DELINQUENT = 10_026
LATE = (
    "NumberOfTime30-59DaysPastDueNotWorse",
    "NumberOfTime60-89DaysPastDueNotWorse",
    "NumberOfTimes90DaysLate",
)
INCOMPLETE = ("MonthlyIncome", "NumberOfDependents")
NUMERIC = (
    "RevolvingUtilizationOfUnsecuredLines",
    "age",
    *LATE,
    "DebtRatio",
    "NumberOfOpenCreditLinesAndLoans",
    "NumberRealEstateLoansOrLines",
    *INCOMPLETE,
)


def load_give_me_some_credit(data_dir: Path | None = None) -> Table:
    """The published set, else a stand-in in the published layout.

    A missing income or number of dependents is 0, and a column ``NAME=missing`` of 0 and 1 says so: a first
    layer can put any value in its place, and no statistic of other rows (a median, say) that would cost
    privacy is needed. The name of the column stands for both where columns are named.

    Args:
        data_dir: a directory to search before the usual ones.

    Returns:
        A table with 10 numeric columns, then the two that say what was missing: 12 features.

    Raises:
        DataError: the file found is damaged, lacks a column or has not the published counts.
    """
    path = locate(NAME, data_dir)
    columns = Columns("stand-in", stand_in_columns()) if path is None else read(path, [LABEL, *NUMERIC])
    y = check_published(columns, LABEL, rows=ROWS, positives=DELINQUENT, categories={})
    X = np.empty((ROWS, len(NUMERIC) + len(INCOMPLETE)))  # (rows, 12)
    for position, name in enumerate(NUMERIC):
        if name in INCOMPLETE:
            X[:, position], missing = columns.filled(name, 0.0)
            X[:, len(NUMERIC) + INCOMPLETE.index(name)] = missing
        else:
            X[:, position] = columns.numbers(name)
    return Table(
        name=NAME,
        source=source_line(path, NAME, ROWS, DELINQUENT, "delinquent"),
        stand_in=path is None,
        X=X,
        y=y,
        feature_names=(*NUMERIC, *(f"{name}=missing" for name in INCOMPLETE)),
        continuous=np.arange(X.shape[1]) < len(NUMERIC),
        path=path,
    )


def stand_in_columns() -> pa.Table:
    """Synthetic columns in the published layout, with missing values, always the same ones.

    One latent strain raises utilisation and how often a borrower was late, and with chance the label.
    """
    generator = np.random.Generator(np.random.PCG64(0))
    strain = generator.standard_normal(ROWS)
    income = np.round(np.exp(8.6 + 0.6 * generator.standard_normal(ROWS) - 0.1 * strain))
    dependents = np.floor(generator.exponential(1.0, ROWS))
    columns: dict[str, object] = {
        NUMERIC[0]: 1 / (1 + np.exp(1.2 - 1.5 * strain - 0.5 * generator.standard_normal(ROWS))),
        "age": np.clip(np.round(52 + 15 * generator.standard_normal(ROWS) - 4 * strain), 21, 109),
        **{
            name: generator.poisson(rate * np.exp(1.1 * strain - 0.6))
            for name, rate in zip(LATE, (0.25, 0.06, 0.09), strict=True)
        },
        "DebtRatio": generator.exponential(0.35, ROWS),
        "NumberOfOpenCreditLinesAndLoans": generator.poisson(8.5, ROWS),
        "NumberRealEstateLoansOrLines": generator.poisson(1.0, ROWS),
        "MonthlyIncome": pa.array(income, mask=generator.random(ROWS) < 29_731 / ROWS),
        "NumberOfDependents": pa.array(dependents, mask=generator.random(ROWS) < 3_924 / ROWS),
    }
    score = 1.2 * strain + generator.standard_normal(ROWS)
    return pa.table(columns | {LABEL: highest(score, DELINQUENT).astype(np.int64)})
