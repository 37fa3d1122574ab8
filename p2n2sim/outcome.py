"""What a simulation leaves behind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from p2n2sim.net.journal import joined
from p2n2sim.net.ledger import Ledger
from p2n2sim.parties.passes import Pass
from p2n2sim.parties.schedule import Batch
from p2n2sim.parties.secret_layers.shadow import Shadow
from p2n2sim.views import Sights


@dataclass
class Outcome:
    """What a simulation leaves behind; filled while it runs, so an interrupted one leaves its part.

    Attributes:
        ledger: every message.
        passes: what the label's owner knew after each pass.
        began: virtual time in seconds at which the first holder began each batch.
        intervals: party -> (start, end, label) of its local work, in virtual seconds.
        parties: everybody who took part.
        shadow: what a shadow found, if one watched.
        journals: what every task did, in order, a table for each session between checkpoints.
        lost: who dropped out -> number of the batch, from 1, and virtual time in seconds.
        virtual_s: the clock at the end.
        defender: what each holder measured in the last epoch, where it defends its features.
        sights: what the parties saw whose views are recorded.
    """

    ledger: Ledger = field(default_factory=Ledger)
    passes: list[Pass] = field(default_factory=list)
    began: list[tuple[Batch, float]] = field(default_factory=list)
    intervals: dict[str, list[tuple[float, float, str]]] = field(default_factory=dict)
    parties: list[str] = field(default_factory=list)
    shadow: Shadow | None = None
    journals: list[pd.DataFrame] = field(default_factory=list)
    lost: dict[str, tuple[int, float]] = field(default_factory=dict)
    virtual_s: float = 0.0
    defender: dict[str, Any] = field(default_factory=dict)
    sights: Sights = field(default_factory=dict)

    def compute_frame(self) -> pd.DataFrame:
        """One row for every piece of local work: party, start_s, end_s, label."""
        return compute_frame(self.intervals)

    @property
    def events(self) -> pd.DataFrame:
        """What every task did, in order: a row for each `p2n2sim.net.journal.Record`."""
        return joined(self.journals)

    def finish(self, done: Pass) -> Pass:
        """Takes a pass, or the rest of one that a checkpoint has divided; what there is of it now."""
        last = self.passes[-1] if self.passes else None
        if last is not None and (last.epoch, last.stage) == (done.epoch, done.stage):
            self.passes[-1] = done = Pass(
                done.epoch,
                done.stage,
                np.concatenate([last.losses, done.losses]),
                np.concatenate([last.rows, done.rows]),
                np.concatenate([last.logits, done.logits]),
            )
        else:
            self.passes.append(done)
        return done


def compute_frame(intervals: Mapping[str, Iterable[tuple[float, float, str]]]) -> pd.DataFrame:
    """One row for every piece of local work: party, start_s, end_s, label."""
    rows = [(party, *interval) for party, own in intervals.items() for interval in own]
    return pd.DataFrame(rows, columns=["party", "start_s", "end_s", "label"])
