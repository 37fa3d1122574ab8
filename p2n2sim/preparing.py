"""Preprocessing at each holder: scaling and a choice of its own columns, charged to the privacy budget.

Every holder works on its own columns, so no message is needed; all know the same rows and their number. The
label's owner scores its columns by the label. The other holders do not have it, and telling them would cost
the label's privacy or an epsilon of its own; they score theirs by how much they vary, which needs no label
and may keep a column that predicts nothing.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import msgspec
import numpy as np
from numpy.typing import NDArray

from p2n2sim.data.sets import Dataset, Ranges
from p2n2sim.data.split import holder_names
from p2n2sim.errors import ScenarioError
from p2n2sim.mpc.prg import derive_key
from p2n2sim.privacy.accounting import GaussianSteps, LaplaceSteps, PureSteps, Steps, epsilon
from p2n2sim.privacy.additive import analytic_sigma
from p2n2sim.privacy.backends import Streamed
from p2n2sim.privacy.draws import Draws, Reals
from p2n2sim.privacy.preprocessing import association, choose, moments, rate, variation
from p2n2sim.scenario.sections import Scenario

STAGE = "preprocessing"
_LIMIT = 3.0
"""Deviations within which a scaled number is scored."""
_OF_RATE = 0.1
"""Of the choice's epsilon, for the share of class 1."""

Blocks = tuple[slice, ...]


@dataclass(kw_only=True)
class Prepared:
    """What was done to the features before training.

    Attributes:
        normalisation: in words.
        private: whether a guarantee for the training holds for all of it: nothing exact was used.
        epsilon: spent, at `delta`.
        delta: of it.
        on: what was charged, each with the steps that an accountant is told.
        kept: holder -> names of the columns that it kept, where columns were chosen.
    """

    normalisation: str
    private: bool = True
    epsilon: float = 0.0
    delta: float = 0.0
    on: list[tuple[str, Steps]] = field(default_factory=list)
    kept: dict[str, list[str]] = field(default_factory=dict)

    def statement(self) -> dict[str, object]:
        """For a summary."""
        return {
            "normalisation": self.normalisation,
            "private": self.private,
            "epsilon": "inf" if math.isinf(self.epsilon) else self.epsilon,
            "delta": self.delta,
            "on": [what for what, _ in self.on],
            **({"kept": self.kept} if self.kept else {}),
        }


def for_training(scenario: Scenario) -> Scenario:
    """The scenario with that part of its budget which preprocessing leaves."""
    privacy = scenario.privacy
    left = 1 - privacy.preprocessing.share
    if left == 1:
        return scenario
    own = msgspec.structs.replace(
        privacy,
        epsilon=None if privacy.epsilon is None else privacy.epsilon * left,
        delta=None if privacy.delta is None else privacy.delta * left,
    )
    return msgspec.structs.replace(scenario, privacy=own)


def prepare_features(
    scenario: Scenario, dataset: Dataset, blocks: Blocks
) -> tuple[Dataset, Blocks, Prepared]:
    """Scales and chooses the columns of all holders.

    Args:
        scenario: whose keys fit each other.
        dataset: its columns in the holders' order; standardised already if that is by exact statistics.
        blocks: the columns of each holder.

    Returns:
        The data that training sees, the columns of each holder there, and what it cost.

    Raises:
        ScenarioError: a numeric column has no public bounds, or a holder has too few columns.
    """
    settings, ranges = scenario.privacy.preprocessing, dataset.ranges
    if settings.normalise == "exact":
        return dataset, blocks, _as_it_is(scenario, dataset)
    assert ranges is not None  # prepared from a file or a stand-in
    _check_bounds(dataset, ranges)
    work = _Work(scenario, dataset, ranges, blocks)
    return work.result()


def _as_it_is(scenario: Scenario, dataset: Dataset) -> Prepared:
    numeric = dataset.ranges is None or bool(dataset.ranges.continuous.any())
    if not (scenario.data.standardise and numeric):
        return Prepared(normalisation="none: no statistic of the rows is used")
    return Prepared(
        normalisation="exact mean and deviation of the training rows: not differentially private, any "
        "epsilon holds only for a scaling that was fixed beforehand",
        private=False,
        epsilon=math.inf,
    )


def _check_bounds(dataset: Dataset, ranges: Ranges) -> None:
    unknown = np.flatnonzero(~(np.isfinite(ranges.lower) & np.isfinite(ranges.upper)))
    if len(unknown):
        raise ScenarioError(
            "data.bounds",
            f"nothing is known of {len(unknown)} columns, {dataset.feature_names[unknown[0]]!r} first",
            "give every numeric column its bounds, patterns would do",
        )


class _Work:
    """The preprocessing of one run.

    Args:
        scenario: the settings.
        dataset: the data.
        ranges: of its columns, all finite.
        blocks: the columns of each holder.
    """

    def __init__(self, scenario: Scenario, dataset: Dataset, ranges: Ranges, blocks: Blocks) -> None:
        self._settings = scenario.privacy.preprocessing
        self._dataset, self._ranges, self._blocks = dataset, ranges, blocks
        self._names = holder_names(len(blocks))
        self._owner = scenario.data.label_owner
        self._clip, self._seed = scenario.data.clip, scenario.train.seed
        total = math.inf if scenario.privacy.epsilon is None else scenario.privacy.epsilon
        self._epsilon = total * self._settings.share if total < math.inf else math.inf
        self._delta = (scenario.privacy.delta or 0.0) * self._settings.share
        self._done = Prepared(normalisation="", delta=self._delta)
        self._X = dataset.X_train.astype(np.float64)  # (rows, k)
        self._X_test = dataset.X_test.astype(np.float64)
        self._centre = np.zeros(dataset.features)  # of numbers in [-1, 1]
        self._spread = np.ones(dataset.features)

    def result(self) -> tuple[Dataset, Blocks, Prepared]:
        """Does it all."""
        self._to_unit()
        if self._settings.normalise == "moments":
            self._find_moments()
            self._done.normalisation = "noisy mean and deviation within public bounds"
        else:
            self._done.normalisation = "public bounds alone, which cost nothing"
        kept = self._select() if self._settings.keep else [_numbers(block) for block in self._blocks]
        if self._done.on and self._epsilon < math.inf:
            self._done.epsilon = epsilon([steps for _, steps in self._done.on], delta=self._delta)
        elif self._done.on:
            self._done.epsilon, self._done.private = math.inf, False
        return *self._scaled(kept), self._done

    def _stream(self, name: str, what: str) -> Streamed:
        key = derive_key(self._seed, STAGE, name, what)
        return Streamed(Draws.of_seed(int.from_bytes(key, "big")))

    def _to_unit(self) -> None:
        """Numeric columns to [-1, 1] by their bounds; 0/1 columns stay."""
        numeric = self._ranges.continuous
        lower, upper = self._ranges.lower[numeric], self._ranges.upper[numeric]
        for X in (self._X, self._X_test):
            unit = 2 * (X[:, numeric] - lower) / (upper - lower) - 1
            X[:, numeric] = np.clip(unit, -1.0, 1.0)

    def _find_moments(self) -> None:
        own = [columns[self._ranges.continuous[columns]] for columns in map(_numbers, self._blocks)]
        having = [(name, columns) for name, columns in zip(self._names, own, strict=True) if len(columns)]
        part = 1 - self._settings.selection_share if self._settings.keep else 1.0
        noise = 0.0
        if self._epsilon < math.inf and having:
            # As many Gaussian steps as holders are one whose sensitivity is the root of their number.
            noise = analytic_sigma(
                l2_sensitivity=math.sqrt(len(having)), epsilon=self._epsilon * part, delta=self._delta / 2
            )
        for name, columns in having:
            u = self._X[:, columns]
            self._centre[columns], self._spread[columns] = moments(
                self._stream(name, "moments"), u, noise_multiplier=noise
            )
            told = f"{name}: mean and deviation of {len(columns)} columns, noise {noise:.3g} sensitivities"
            self._done.on.append((told, GaussianSteps(noise_multiplier=noise, count=1)))

    def _select(self) -> list[NDArray[np.intp]]:
        settings, kept = self._settings, []
        part = settings.selection_share if settings.normalise == "moments" else 1.0
        of_all = self._epsilon * part
        each = (1 - _OF_RATE) * of_all / sum(settings.keep)
        y = self._dataset.y_train.astype(np.float64)
        positive = rate(self._stream(self._owner, "rate"), y, epsilon=_OF_RATE * of_all)
        self._charge(f"{self._owner}: share of class 1", LaplaceSteps, _OF_RATE * of_all)
        for name, block, keep in zip(self._names, self._blocks, settings.keep, strict=True):
            columns = _numbers(block)
            if keep > len(columns):
                raise ScenarioError(
                    "privacy.preprocessing.keep",
                    f"{name} is to keep {keep} of {len(columns)} columns",
                    f"at most {len(columns)} would do",
                )
            scores = self._scores(columns, y if name == self._owner else None, positive)
            chosen = columns[
                choose(
                    self._stream(name, "choice"),
                    scores,
                    keep=keep,
                    epsilon=each,
                    mechanism=settings.mechanism,
                )
            ]
            by = "association with the label" if name == self._owner else "variation, which needs no label"
            self._charge(
                f"{name}: {keep} of {len(columns)} columns by {by}, {settings.mechanism}",
                PureSteps,
                each,
                keep,
            )
            self._done.kept[name] = [self._dataset.feature_names[column] for column in chosen]
            kept.append(chosen)
        return kept

    def _scores(self, columns: NDArray[np.intp], y: Reals | None, positive: float) -> Reals:
        """Of sensitivity 1, (columns,)."""
        numeric = self._ranges.continuous[columns]
        u, centre = self._X[:, columns], self._centre[columns]
        if y is None:
            return variation(np.where(numeric, (u - centre) / 2, u), ~numeric)
        z = np.clip((u - centre) / self._spread[columns] / _LIMIT, -1.0, 1.0)
        return association(np.where(numeric, z, u), y, positive=positive)

    def _charge(self, what: str, kind: type[LaplaceSteps | PureSteps], each: float, count: int = 1) -> None:
        self._done.on.append((what, kind(epsilon=each, count=count)))

    def _scaled(self, kept: Sequence[NDArray[np.intp]]) -> tuple[Dataset, Blocks]:
        order = np.concatenate(kept)
        limit = np.where(self._ranges.continuous, math.inf if self._clip is None else self._clip, math.inf)
        out = []
        for X in (self._X, self._X_test):
            scaled = np.clip((X - self._centre) / self._spread, -limit, limit)[:, order]
            out.append(np.ascontiguousarray(scaled, np.float32))
        ends = np.cumsum([0, *map(len, kept)])
        blocks = tuple(slice(int(a), int(b)) for a, b in pairwise(ends))
        names = tuple(self._dataset.feature_names[column] for column in order)
        return dataclasses.replace(
            self._dataset, feature_names=names, X_train=out[0], X_test=out[1], ranges=self._ranges.of(order)
        ), blocks


def _numbers(block: slice) -> NDArray[np.intp]:
    return np.arange(block.start, block.stop)
