"""Truncation against the two results that are allowed, their chances, and planted mistakes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2n2sim.mpc import prg, truncation
from p2n2sim.mpc.truncation import TruncationPair
from p2n2sim.mpc.width import Ring, Width, signed
from tests import oracle
from tests.dealing import deal, elements, join, split

WIDTHS: tuple[Width, ...] = (32, 64)
Truncate = Callable[..., Ring]
TRIALS = 20_000


def dealt(
    values: list[int],
    bits: int,
    width: Width,
    *,
    parties: int = 2,
    full: bool = False,
    step: int = 0,
    truncate: Truncate = truncation.truncate,
) -> list[int]:
    """Truncates with a dealer's pair."""
    piece = partial(truncation.pair, shape=(len(values),), bits=bits)
    _, pairs = deal(piece, parties, width, full=full, step=step)
    shares = split(elements(values), parties, step)
    c = join(
        [
            truncation.masked(x, pair, width, first=not i)
            for i, (x, pair) in enumerate(zip(shares, pairs, strict=True))
        ],
        width,
    )
    return join([truncate(c, pair, bits, width, first=not i) for i, pair in enumerate(pairs)], width).tolist()


def local(
    values: list[int],
    bits: int,
    width: Width,
    *,
    step: int = 0,
    truncate: Truncate = truncation.truncate_locally,
) -> list[int]:
    """Truncates share by share."""
    shares = split(elements(values), 2, step)
    return join([truncate(x, bits, width, first=not i) for i, x in enumerate(shares)], width).tolist()


def numbers(width: int, magnitude: int) -> st.SearchStrategy[list[int]]:
    """Random and adversarial numbers in [-2^magnitude, 2^magnitude)."""
    limit = 1 << magnitude
    hard = [x for x in oracle.adversarial(width) if -limit <= x < limit] + [limit - 1, -limit, 1 - limit]
    return st.lists(st.one_of(st.integers(-limit, limit - 1), st.sampled_from(hard)), min_size=1, max_size=12)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("parties", [2, 3, 4, 5])
@given(st.booleans(), st.integers(0, 1000), st.data())
@settings(max_examples=40)
def test_dealer_truncation_is_never_wrong(
    width: Width, parties: int, full: bool, step: int, data: st.DataObject
) -> None:
    """Every number of [-2^(w-2), 2^(w-2)) becomes one of its two neighbours, for any number of parties."""
    bits = data.draw(st.integers(1, width - 3))
    values = data.draw(numbers(width, width - 2))
    results = dealt(values, bits, width, parties=parties, full=full, step=step)
    assert oracle.wrong_truncations(values, results, bits) == []


@given(st.integers(0, 1000), st.integers(1, 40), st.data())
@settings(max_examples=100)
def test_local_truncation_is_right_for_small_numbers(step: int, bits: int, data: st.DataObject) -> None:
    """Numbers of up to 30 bits in a ring of 64, which wrap with a chance of 2^-34, become a neighbour."""
    values = data.draw(numbers(64, 30))
    assert oracle.wrong_truncations(values, local(values, bits, 64, step=step), bits) == []


def spread(width: int, magnitude: int, count: int) -> list[int]:
    """Numbers of both signs up to 2^magnitude, from a fixed stream."""
    x = prg.uniform(prg.derive_key(5, "spread"), width, count)
    return [value >> 63 - magnitude for value in x.tolist()]


@pytest.mark.parametrize(("width", "bits"), [(32, 4), (32, 13), (64, 20), (64, 45)])
@pytest.mark.parametrize("how", ["dealer of two", "dealer of five", "local"])
def test_truncation_has_no_bias(width: Width, bits: int, how: str) -> None:
    """Over many numbers the rounding errors add up to nothing, within five standard deviations."""
    values = spread(width, width - 14 if how == "local" else width - 2, TRIALS)
    results = (
        local(values, bits, width)
        if how == "local"
        else dealt(values, bits, width, parties=2 if how == "dealer of two" else 5)
    )
    if how == "local":  # in a ring of 32 bits one or two of them wrap: those have their own test
        kept = [(x, y) for x, y in zip(values, results, strict=True) if y in oracle.truncations(x, bits)]
        assert len(values) - len(kept) == oracle.wraps(values, results, bits, width) <= 10
        values, results = ([row[i] for row in kept] for i in (0, 1))
    assert abs(oracle.truncation_bias(values, results, bits)) < 5


@pytest.mark.parametrize("eighths", range(8))
@pytest.mark.parametrize("how", ["dealer", "local"])
@pytest.mark.parametrize("sign", [1, -1])
def test_one_more_has_the_chance_of_the_dropped_fraction(eighths: int, how: str, sign: int) -> None:
    """A number that is p units above its floor becomes one more in a share p of all trials."""
    bits, floor = 12, sign * 77
    values = [(floor << bits) + (eighths << bits - 3)] * TRIALS
    results = (dealt if how == "dealer" else local)(values, bits, 64, step=eighths)
    more = sum(y == floor + 1 for y in results)
    assert more + sum(y == floor for y in results) == TRIALS
    p = eighths / 8
    assert abs(more - TRIALS * p) <= 5 * (TRIALS * p * (1 - p)) ** 0.5


@pytest.mark.parametrize("magnitude", [24, 26, 28])
@pytest.mark.parametrize("sign", [1, -1])
def test_local_truncation_wraps_as_often_as_theory_says(magnitude: int, sign: int) -> None:
    """|x| / 2^w of all trials are off by 2^(w-f), and nothing else is wrong."""
    bits, x = 8, sign * ((1 << magnitude) + 12345)
    values = [x] * (4 * TRIALS)
    results = local(values, bits, 32, step=magnitude)
    found, p = oracle.wraps(values, results, bits, 32), abs(x) / 2**32
    assert found == len(oracle.wrong_truncations(values, results, bits))
    expected = len(values) * p
    assert expected > 300
    assert abs(found - expected) < 5 * (expected * (1 - p)) ** 0.5


# --- planted ------------------------------------------------------------------------------------------------


def test_both_parties_rounding_down_is_reported() -> None:
    """Planted: the second share is rounded down like the first, a bias of one unit downwards."""

    def planted(x: Ring, bits: int, width: Width, *, first: bool) -> Ring:
        return signed(x, width) >> bits

    values = spread(64, 30, TRIALS)
    assert oracle.wrong_truncations(values, local(values, 20, 64), 20) == []
    results = local(values, 20, 64, truncate=planted)
    assert len(oracle.wrong_truncations(values, results, 20)) > TRIALS // 4
    mean = sum(y - x / 2**20 for x, y in zip(values, results, strict=True)) / TRIALS
    assert mean == pytest.approx(-1, abs=0.01)
    assert oracle.truncation_bias(values, results, 20) < -100


def test_a_truncation_that_always_rounds_down_is_reported() -> None:
    """Planted: a mask without low bits; every result is a neighbour, but never the upper one."""

    def always_down(values: list[int]) -> list[int]:
        return [x >> 20 for x in values]

    values = spread(64, 62, TRIALS)
    assert abs(oracle.truncation_bias(values, dealt(values, 20, 64), 20)) < 5
    assert oracle.wrong_truncations(values, always_down(values), 20) == []
    assert oracle.truncation_bias(values, always_down(values), 20) < -100


@pytest.mark.parametrize("width", WIDTHS)
def test_a_forgotten_overflow_bit_is_reported(width: Width) -> None:
    """Planted: when the mask takes the sum beyond the ring, nobody adds the turn that is lost."""

    def planted(c: Ring, pair: TruncationPair, bits: int, width: Width, *, first: bool) -> Ring:
        forgotten = dataclasses.replace(pair, top=np.zeros_like(pair.top))
        return truncation.truncate(c, forgotten, bits, width, first=first)

    values = spread(width, 20, 1000)
    assert oracle.wrong_truncations(values, dealt(values, 8, width), 8) == []
    results = dealt(values, 8, width, truncate=planted)
    wrong = len(oracle.wrong_truncations(values, results, 8))
    assert 150 < wrong == oracle.wraps(values, results, 8, width)  # a quarter: x + 2^(w-2) + r >= 2^w


def test_a_number_too_large_is_reported() -> None:
    """Beyond 2^(w-2) the dealer's truncation is no longer right, which the same check shows."""
    values = [3 << 29] * 1000  # half as much again: a quarter of the masks shows it
    wrong = oracle.wrong_truncations(values, dealt(values, 8, 32), 8)
    assert 150 < len(wrong) < 350
