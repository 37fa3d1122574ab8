"""Brier score and calibration error against counts by hand."""

from __future__ import annotations

import numpy as np
import pytest

from p2n2sim.reliability import brier, calibration_error


def _logits(p: list[float]) -> np.ndarray:
    return np.log(np.array(p) / (1 - np.array(p))).astype(np.float32)


def test_by_hand() -> None:
    """Two bins of two rows: |0.3 - 0| and |1.4 - 2| over four rows; squares by hand."""
    y = np.array([0, 1, 0, 1], np.float32)
    logits = _logits([0.1, 0.6, 0.2, 0.8])
    assert calibration_error(y, logits, bins=2) == pytest.approx((0.3 + 0.6) / 4)
    assert brier(y, logits) == pytest.approx((0.01 + 0.16 + 0.04 + 0.04) / 4)


def test_a_true_probability_is_calibrated() -> None:
    """Labels drawn from the predicted probabilities leave only chance; a shifted logit does not."""
    generator = np.random.default_rng(1)
    logits = generator.normal(size=20_000).astype(np.float32)
    y = (generator.random(20_000) < 1 / (1 + np.exp(-logits))).astype(np.float32)
    assert calibration_error(y, logits) < 0.015
    assert calibration_error(y, logits + np.float32(1)) > 0.15
    assert brier(y, logits) < brier(y, logits + np.float32(1))
