"""Table 2 inverted: which bandwidth, epochs, share encoding and speed could have taken the paper's seconds.

The time of an epoch comes from re-timed runs on a grid of bandwidths at two speeds of ring products. Between
the bandwidths it is interpolated on logarithmic axes. It grows in proportion to the time that a ring product
takes, where the longest path stays the same. Elements of e bytes instead of the 8 that are sent take as long
as those 8 at 8/e of the bandwidth.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from p2n2sim.paper.numbers import PAPER

Floats = NDArray[np.float64]
TRIPLES, RATE = "protocol.triples", "compute.default.ring_madds_per_s"


def varint_bytes() -> float:
    """Mean length of a uniformly random 64-bit number as Protocol Buffers' varint: 7 bits a byte."""
    below: list[int] = [1 << min(7 * n, 64) for n in range(11)]  # how many numbers take at most n bytes
    return sum((below[n] - below[n - 1]) * n for n in range(1, 11)) / below[-1]


def decimal_bytes() -> float:
    """Mean length of a uniformly random 64-bit number in decimal digits, with a separator."""
    top = 2**64
    counts: list[int] = [(min(10**n, top) - (10 ** (n - 1) if n > 1 else 0)) * n for n in range(1, 21)]
    return sum(counts) / top + 1


ENCODINGS: Final[Mapping[str, float]] = {
    "8 bytes (raw, protobuf fixed64 or double)": 8.0,
    "protobuf varint": varint_bytes(),
    "16 bytes": 16.0,
    "decimal text": decimal_bytes(),
}
"""How an element of the ring may be written -> bytes, of a uniformly random one."""

BANDWIDTHS = np.geomspace(1e6, 1e10, 801)
"""At which the inversion looks, in bit/s."""
PLAUSIBLE = (0.2e9, 4e9)
"""Ring multiply-adds a second: numpy's own product of integers does 1e9 on the reference core, and a PC of
2019 may be five times slower; the reference profile has the fastest exact kernel."""


class EpochSeconds:
    """Virtual seconds of an epoch of one data set.

    Args:
        frame: as `p2n2sim.evaluation.retimed.times` makes it, all of one source of triples.
        epochs: of the runs.
    """

    def __init__(self, frame: pd.DataFrame, epochs: int) -> None:
        self._rates = sorted({float(rate) for rate in frame[RATE]})
        self._curves = {}
        for rate in self._rates:
            line = frame[frame[RATE] == rate].sort_values("bit_per_s")
            self._curves[rate] = (
                np.log(line["bit_per_s"].to_numpy(float)),
                np.log(line["time.train_s"].to_numpy(float) / epochs),
            )

    def at(self, bandwidth: Floats, rate: float) -> Floats:
        """Seconds of an epoch.

        Args:
            bandwidth: bit/s, for elements of 8 bytes.
            rate: ring multiply-adds a second.
        """
        fixed, operations = self._parts(bandwidth)
        return fixed + operations / rate

    def rate_for(self, seconds: Floats, bandwidth: Floats) -> Floats:
        """Ring multiply-adds a second with which an epoch takes so long; NaN where none does.

        Args:
            seconds: of an epoch.
            bandwidth: bit/s, for elements of 8 bytes.
        """
        fixed, operations = self._parts(bandwidth)
        left = seconds - fixed
        return np.where(left > 0, operations / np.where(left > 0, left, 1.0), np.nan)

    def _parts(self, bandwidth: Floats) -> tuple[Floats, Floats]:
        """Seconds without ring products, and how many operations these have on the longest path."""
        slow, fast = self._rates[0], self._rates[-1]
        with_slow, with_fast = (
            np.exp(np.interp(np.log(bandwidth), *self._curves[rate])) for rate in (slow, fast)
        )
        operations = (with_slow - with_fast) / (1 / slow - 1 / fast)
        return with_fast - operations / fast, operations


def invert(fraud: EpochSeconds, distress: EpochSeconds, element_bytes: float, rate: float) -> pd.DataFrame:
    """Epochs that the paper's seconds have room for, by bandwidth.

    Args:
        fraud: of the fraud data.
        distress: of the distress data.
        element_bytes: of an element on the wire.
        rate: ring multiply-adds a second for the fraud data, whose products are small.

    Returns:
        A row for every bandwidth: ``bit_per_s``, ``fraud_epochs`` and ``distress_epochs`` at that speed, and
        ``needed_rate``, the speed at which the distress data take their seconds in as many epochs as the
        fraud data.
    """
    seen = BANDWIDTHS * 8 / element_bytes
    fraud_epochs = PAPER["fraud"].seconds / fraud.at(seen, rate)
    return pd.DataFrame(
        {
            "bit_per_s": BANDWIDTHS,
            "fraud_epochs": fraud_epochs,
            "distress_epochs": PAPER["distress"].seconds / distress.at(seen, rate),
            "needed_rate": distress.rate_for(PAPER["distress"].seconds / fraud_epochs, seen),
        }
    )


def feasible(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of `invert` with at least one epoch and a plausible speed."""
    return frame[frame["needed_rate"].between(*PLAUSIBLE) & (frame["fraud_epochs"] >= 1)]
