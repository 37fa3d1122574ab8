"""Credit scoring: 1,000 applicants of a German bank, 300 of them bad risks.

Hofmann: Statlog (German Credit Data), UCI Machine Learning Repository, 1994. 13 of A1 to A20 are codes.
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

NAME = "german_credit"
TITLE = "Statlog German credit (UCI, Hofmann, 1994)"
LABEL = "class"
ROWS = 1_000
BAD = 300
NUMERIC = ("A2", "A5", "A8", "A11", "A13", "A16", "A18")
CODES = {
    "A1": ("A11", "A12", "A13", "A14"),
    "A3": ("A30", "A31", "A32", "A33", "A34"),
    "A4": ("A40", "A41", "A410", "A42", "A43", "A44", "A45", "A46", "A48", "A49"),
    "A6": ("A61", "A62", "A63", "A64", "A65"),
    "A7": ("A71", "A72", "A73", "A74", "A75"),
    "A9": ("A91", "A92", "A93", "A94"),
    "A10": ("A101", "A102", "A103"),
    "A12": ("A121", "A122", "A123", "A124"),
    "A14": ("A141", "A142", "A143"),
    "A15": ("A151", "A152", "A153"),
    "A17": ("A171", "A172", "A173", "A174"),
    "A19": ("A191", "A192"),
    "A20": ("A201", "A202"),
}
"""The codes that occur, column by column."""


def load_german_credit(data_dir: Path | None = None) -> Table:
    """The published set, else a stand-in in the published layout.

    Args:
        data_dir: a directory to search before the usual ones.

    Returns:
        A table with 7 numeric columns, then 13 codes one-hot: 61 features. A bad risk is class 1.

    Raises:
        DataError: the file found is damaged, lacks a column or has not the published counts.
    """
    path = locate(NAME, data_dir)
    columns = (
        Columns("stand-in", stand_in_columns()) if path is None else read(path, [LABEL, *NUMERIC, *CODES])
    )
    counts = {name: len(codes) for name, codes in CODES.items()}
    y = check_published(columns, LABEL, rows=ROWS, positives=BAD, categories=counts)
    X, names, continuous = encode(columns, NUMERIC, list(CODES))
    return Table(
        name=NAME,
        source=source_line(path, NAME, ROWS, BAD, "bad risks"),
        stand_in=path is None,
        X=X,
        y=y,
        feature_names=names,
        continuous=continuous,
        path=path,
    )


def stand_in_columns() -> pa.Table:
    """Synthetic columns in the published layout, always the same ones.

    One latent risk shortens the account's standing (A1), the history (A3) and the savings (A6), and lengthens
    the loan (A2, A5); with chance it makes the label. The other columns are noise.
    """
    generator = np.random.Generator(np.random.PCG64(0))
    risk = generator.standard_normal(ROWS)
    months = np.clip(np.round(21 + 12 * (0.4 * risk + 0.9 * generator.standard_normal(ROWS))), 4, 72)
    columns: dict[str, object] = {
        "A2": months.astype(np.int64),
        "A5": np.round(np.exp(7.8 + 0.25 * risk + 0.7 * generator.standard_normal(ROWS))).astype(np.int64),
        "A13": (19 + np.floor(np.minimum(56, generator.gamma(2.2, 7.5, ROWS)))).astype(np.int64),
        **{
            name: (1 + np.floor(generator.random(ROWS) * values)).astype(np.int64)
            for name, values in (("A8", 4), ("A11", 4), ("A16", 4), ("A18", 2))
        },
    }
    for name, codes in CODES.items():
        lean = -0.8 * risk if name in ("A1", "A3", "A6") else 0.0
        place = 1 / (1 + np.exp(-1.5 * (lean + generator.standard_normal(ROWS))))  # in (0, 1)
        columns[name] = np.array(codes)[np.floor(place * len(codes)).astype(np.intp)]
    score = 1.3 * risk + generator.standard_normal(ROWS)
    return pa.table(columns | {LABEL: 1 + highest(score, BAD).astype(np.int64)})
