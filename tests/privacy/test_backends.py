"""Our samplers and OpenDP's draw from the same distributions, and refuse the same arguments.

OpenDP cannot be seeded. Each of its 18 tests of a distribution raises a false alarm with a probability of
about 1e-9, so all of them together with far less than 1e-6.
"""

from __future__ import annotations

import importlib
import math
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from scipy import stats

from p2n2sim.errors import InputError
from p2n2sim.privacy import selection
from p2n2sim.privacy.backends import Backend, Streamed
from p2n2sim.privacy.draws import Draws
from p2n2sim.privacy.local import RowNoise, perturb_rows
from p2n2sim.privacy.opendp_backend import OpenDP
from p2n2sim.privacy.preprocessing import choose, moments, rate
from p2n2sim.privacy.response import truth_probability

ALARM = 1e-9
N = 20_000
CHOICES = 2_000
RESPONSES = 8_000
X = np.arange(-300, 301)


@pytest.fixture(params=["stream", "opendp"])
def backend(request: pytest.FixtureRequest) -> Backend:
    """One after the other."""
    return Streamed(Draws.of_seed(1)) if request.param == "stream" else OpenDP()


def _fits(found: np.ndarray, weights: np.ndarray, lowest: int) -> bool:
    """Chi-square over the classes that expect 40 or more, the rest put together."""
    expected = weights / weights.sum() * len(found)
    inside = (found >= lowest) & (found < lowest + len(weights))
    counts = np.bincount(found[inside] - lowest, minlength=len(weights))
    large = expected >= 40
    observed, wanted = counts[large], expected[large]
    rest = len(found) - wanted.sum()
    if rest >= 40:
        observed, wanted = np.append(observed, len(found) - observed.sum()), np.append(wanted, rest)
    else:
        wanted = wanted * (observed.sum() / wanted.sum())
    return bool(stats.chisquare(observed, wanted).pvalue > ALARM)


def _laplace(scale: float) -> np.ndarray:
    return np.exp(-np.abs(X) / scale)


def _gauss(sigma2: float) -> np.ndarray:
    return np.exp(-(X**2) / (2 * sigma2))


@pytest.mark.parametrize("scale", [Fraction(1, 3), 1, Fraction(7, 2), 10])
def test_discrete_laplace(backend: Backend, scale: Fraction | int) -> None:
    """P(x) is proportional to exp(-|x| / scale)."""
    found = backend.discrete_laplace(scale, N)
    assert found.dtype == np.int64
    assert _fits(found, _laplace(float(scale)), -300)


@pytest.mark.parametrize("sigma2", [0.25, Fraction(4), 150.0])
def test_discrete_gaussian(backend: Backend, sigma2: Fraction | float) -> None:
    """P(x) is proportional to exp(-x^2 / (2 sigma2))."""
    found = backend.discrete_gaussian(sigma2, N)
    assert found.dtype == np.int64
    assert _fits(found, _gauss(float(sigma2)), -300)


def test_a_wrong_scale_is_noticed() -> None:
    """Noise whose scale is off by a sixth does not pass for what was asked."""
    draws = Draws.of_seed(1)
    assert not _fits(Streamed(draws).discrete_laplace(Fraction(7, 2), N), _laplace(3.0), -300)
    assert not _fits(Streamed(draws).discrete_gaussian(16, N), _gauss(12.0), -300)


def test_laplace(backend: Backend) -> None:
    """Around each value, with density exp(-|x| / b) / 2 b and b = sensitivity / epsilon; shapes stay."""
    noisy = backend.laplace(np.full((N // 2, 2), 7.0), l1_sensitivity=3, epsilon=0.5)
    assert noisy.shape == (N // 2, 2)
    assert stats.kstest(noisy.ravel(), "laplace", args=(7, 6)).pvalue > ALARM


def test_gaussian(backend: Backend) -> None:
    """Around each value, with the deviation asked for; shapes stay."""
    noisy = backend.gaussian(np.full((N // 2, 2), -1.0), sigma=2.5)
    assert noisy.shape == (N // 2, 2)
    assert stats.kstest(noisy.ravel(), "norm", args=(-1, 2.5)).pvalue > ALARM


SCORES = [0.0, 1.0, 2.0, 3.0]
FLIPPED = np.array([0.079477288794785, 0.13721944982098838, 0.24767001165613162, 0.535633249728095])
"""Permute-and-flip at epsilon 1 and sensitivity 1, by enumeration of all orders."""


@pytest.mark.parametrize(("monotonic", "sensitivity"), [(False, 1.0), (True, 2.0)])
def test_choices(backend: Backend, monotonic: bool, sensitivity: float) -> None:
    """Softmax of epsilon q / 2 Delta; permute-and-flip's own; Delta twice as large is free if monotonic."""
    said = {"epsilon": 1.0, "sensitivity": sensitivity, "monotonic": monotonic}
    softmax = selection.exponential_probabilities(SCORES, **said)  # type: ignore[arg-type]
    for pick, expected in ((backend.exponential, softmax), (backend.permute_and_flip, FLIPPED)):
        found = np.array([pick(SCORES, **said) for _ in range(CHOICES)])  # type: ignore[arg-type]
        assert _fits(found, expected, 0)


@pytest.mark.parametrize(("epsilon", "classes"), [(1.0, 2), (0.5, 2), (3.0, 10)])
def test_randomized_response(backend: Backend, epsilon: float, classes: int) -> None:
    """The truth with e^epsilon / (e^epsilon + c - 1), every other class equally often."""
    told = backend.randomized_response(np.full(RESPONSES, 1), epsilon=epsilon, classes=classes)
    p = truth_probability(epsilon=epsilon, classes=classes)
    expected = np.full(classes, (1 - p) / (classes - 1))
    expected[1] = p
    assert told.dtype == np.int64
    assert _fits(told, expected, 0)


@pytest.mark.parametrize("mechanism", ["laplace", "gaussian"])
def test_rows_are_perturbed_by_either(backend: Backend, mechanism: str) -> None:
    """A holder's noise on its rows has the same scale from either source, on the same grid."""
    noise = RowNoise(mechanism=mechanism, clip=1.0, epsilon=2.0, delta=1e-6, bits=4)  # type: ignore[arg-type]
    noisy = perturb_rows(backend, np.full((N // 2, 2), 0.25, np.float32), noise)
    units = np.rint(noisy * 16).astype(np.int64).ravel()
    assert np.array_equal(units, noisy.ravel() * 16)
    law = stats.laplace if mechanism == "laplace" else stats.norm
    smooth = units - 4 + np.random.default_rng(1).uniform(-0.5, 0.5, N)  # 0.25 is 4 units
    assert stats.kstest(smooth, law(0, noise.scale(2)).cdf).pvalue > ALARM


def test_preprocessing_takes_either(backend: Backend) -> None:
    """Moments, a rate and a choice, each with so little noise that it is nearly exact."""
    u = np.tile([[0.5, -0.5], [0.0, 0.5]], (5_000, 1))
    mean, deviation = moments(backend, u, noise_multiplier=0.1)
    assert mean == pytest.approx([0.25, 0.0], abs=1e-3)
    assert deviation == pytest.approx([0.25, 0.5], abs=1e-2)
    assert rate(backend, np.array([1.0, 0.0] * 5_000), epsilon=10.0) == pytest.approx(0.5, abs=1e-2)
    scores = np.array([1.0, 90.0, 80.0])
    for mechanism in ("permute-and-flip", "exponential"):
        kept = choose(backend, scores, keep=2, epsilon=20.0, mechanism=mechanism)  # type: ignore[arg-type]
        assert kept.tolist() == [1, 2]


@pytest.mark.parametrize(
    "call",
    [
        lambda b: b.discrete_laplace(0, 1),
        lambda b: b.discrete_gaussian(-1.0, 1),
        lambda b: b.laplace([1.0], l1_sensitivity=1, epsilon=0),
        lambda b: b.gaussian([1.0], sigma=0),
        lambda b: b.exponential([], epsilon=1, sensitivity=1),
        lambda b: b.exponential([math.nan], epsilon=1, sensitivity=1),
        lambda b: b.permute_and_flip([1.0], epsilon=1, sensitivity=0),
        lambda b: b.permute_and_flip([math.inf], epsilon=1, sensitivity=1),
        lambda b: b.randomized_response(np.array([2]), epsilon=1, classes=2),
        lambda b: b.randomized_response(np.array([0]), epsilon=1, classes=1),
    ],
)
def test_either_refuses_a_number_out_of_range(backend: Backend, call: Callable[[Backend], object]) -> None:
    """The same arguments are wrong for both, with the same kind of error."""
    with pytest.raises(ValueError, match=r"above 0|candidate|finite|labels are|two classes"):
        call(backend)


def test_opendp_refuses_values_that_are_no_numbers() -> None:
    """It would put the largest float in the place of an infinite value."""
    with pytest.raises(ValueError, match="finite"):
        OpenDP().laplace([math.inf], l1_sensitivity=1, epsilon=1)


def test_nothing_may_be_asked_for() -> None:
    """No values, no noise."""
    backend = OpenDP()
    assert backend.discrete_laplace(1, 0).shape == (0,)
    assert backend.gaussian(np.zeros((0, 3)), sigma=1).shape == (0, 3)
    assert backend.randomized_response(np.zeros(0, np.int64), epsilon=1, classes=2).dtype == np.int64


def test_no_two_streams_of_opendp_agree() -> None:
    """Its noise is the operating system's: asked again it is another."""
    one, two = (OpenDP().discrete_laplace(1 << 40, 8) for _ in range(2))
    assert not np.array_equal(one, two)


def test_without_opendp_there_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the package is missing the error names the remedy."""
    for name in ("opendp", "opendp.prelude"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(InputError) as caught:
        OpenDP()
    assert str(caught.value) == (
        "OpenDP: the package opendp is not installed; pip install 'p2n2sim[opendp]' installs it"
    )


def test_another_package_that_is_missing_is_not_called_opendp(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where OpenDP is there but something that it needs is not, that is what the error says."""

    def incomplete(name: str) -> None:
        raise ModuleNotFoundError("No module named 'deprecated'", name="deprecated")

    monkeypatch.setattr(importlib, "import_module", incomplete)
    with pytest.raises(ModuleNotFoundError, match="deprecated"):
        OpenDP()


def test_importing_the_mechanisms_does_not_import_opendp() -> None:
    """Nothing in the package does, but who makes the back end."""
    code = (
        "import importlib, pkgutil, sys, p2n2sim.privacy as privacy\n"
        "for module in pkgutil.iter_modules(privacy.__path__):\n"
        "    importlib.import_module('p2n2sim.privacy.' + module.name)\n"
        "print('opendp' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "False"
