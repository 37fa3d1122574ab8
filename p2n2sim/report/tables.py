"""What the figures need of a run, whether it has just ended or comes from a folder."""

from __future__ import annotations

from typing import Any, Protocol

import pandas as pd

from p2n2sim.scenario.sections import Scenario


class Tables(Protocol):
    """A finished run; `p2n2sim.run.Run` is one. The attributes are described there."""

    @property
    def scenario(self) -> Scenario: ...  # noqa: D102
    @property
    def summary(self) -> dict[str, Any]: ...  # noqa: D102
    @property
    def ledger(self) -> pd.DataFrame: ...  # noqa: D102
    @property
    def metrics(self) -> pd.DataFrame: ...  # noqa: D102
    @property
    def batches(self) -> pd.DataFrame: ...  # noqa: D102
    @property
    def compute(self) -> pd.DataFrame: ...  # noqa: D102


class Recorded(Tables, Protocol):
    """A finished run with everything that its tasks did; `p2n2sim.run.Run` is one."""

    @property
    def events(self) -> pd.DataFrame: ...  # noqa: D102
