"""Loan assessment: 30,000 credit card clients in Taiwan, 6,636 of whom defaulted the month after.

Yeh and Lien: The comparisons of data mining techniques for the predictive accuracy of probability of default
of credit card clients, 2009; UCI Machine Learning Repository. Six months of payment history, September to
April 2005, latest first: repayment status (PAY_0, PAY_2 to PAY_6; there is no PAY_1), bill and payment.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from p2n2sim.data.find import locate
from p2n2sim.data.own import encode
from p2n2sim.data.published import check_published, highest, source_line
from p2n2sim.data.sets import Table
from p2n2sim.data.tabular import Columns, read

NAME = "uci_default"
TITLE = "Default of credit card clients (UCI, Yeh, 2009)"
LABEL = "default.payment.next.month"
ROWS = 30_000
DEFAULTS = 6_636
STATUS = ("PAY_0", "PAY_2", "PAY_3", "PAY_4", "PAY_5", "PAY_6")
BILLS = tuple(f"BILL_AMT{month}" for month in range(1, 7))
PAYMENTS = tuple(f"PAY_AMT{month}" for month in range(1, 7))
NUMERIC = ("LIMIT_BAL", "AGE", *STATUS, *BILLS, *PAYMENTS)
CATEGORIES = {"SEX": 2, "EDUCATION": 7, "MARRIAGE": 4}


def load_uci_default(data_dir: Path | None = None) -> Table:
    """The published set, else a stand-in in the published layout.

    The repayment status is an order (-2: nothing to pay, ... 8: eight months late) and stays a number.

    Args:
        data_dir: a directory to search before the usual ones.

    Returns:
        A table with 20 numeric columns, then sex, education and marriage one-hot: 33 features.

    Raises:
        DataError: the file found is damaged, lacks a column or has not the published counts.
    """
    path = locate(NAME, data_dir)
    columns = (
        Columns("stand-in", stand_in_columns())
        if path is None
        else read(path, [LABEL, *NUMERIC, *CATEGORIES])
    )
    y = check_published(columns, LABEL, rows=ROWS, positives=DEFAULTS, categories=CATEGORIES)
    X, names, continuous = encode(columns, NUMERIC, list(CATEGORIES))
    return Table(
        name=NAME,
        source=source_line(path, NAME, ROWS, DEFAULTS, "defaults"),
        stand_in=path is None,
        X=X,
        y=y,
        feature_names=names,
        continuous=continuous,
        path=path,
    )


def stand_in_columns() -> pa.Table:
    """Synthetic columns in the published layout, always the same ones.

    Every client has a distress that drifts from month to month. Months late, the bill's share of the limit
    and what is paid of it follow from it; the label from that of the latest two months and from chance.
    """
    generator = np.random.Generator(np.random.PCG64(0))
    distress = np.empty((6, ROWS))  # oldest first
    distress[0] = generator.standard_normal(ROWS)
    for month in range(1, 6):
        distress[month] = 0.85 * distress[month - 1] + 0.53 * generator.standard_normal(ROWS)
    limit = 10_000.0 * (1 + np.floor(np.minimum(99, generator.exponential(15, ROWS))))
    columns = {
        "LIMIT_BAL": limit,
        "AGE": 21 + np.floor(np.minimum(58, generator.gamma(2.5, 5.8, ROWS))).astype(np.int64),
        **{
            name: np.floor(generator.random(ROWS) * values).astype(np.int64) + (0 if values > 2 else 1)
            for name, values in CATEGORIES.items()
        },
    }
    for month, (status, bill, paid) in enumerate(zip(STATUS, BILLS, PAYMENTS, strict=True)):
        state = distress[5 - month]
        columns[status] = np.clip(np.floor(1.3 * state - 0.1), -2, 8).astype(np.int64)
        columns[bill] = np.round(limit / (1 + np.exp(1.2 - 0.7 * state)))
        columns[paid] = np.round(columns[bill] * generator.random(ROWS) * np.exp(-1.5 - 0.5 * state))
    score = distress[5] + 0.5 * distress[4] + 1.6 * generator.standard_normal(ROWS)
    return pa.table(columns | {LABEL: highest(score, DEFAULTS).astype(np.int64)})
