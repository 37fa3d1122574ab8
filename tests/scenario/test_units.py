"""Quantities as people write them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2n2sim.scenario.units import Bandwidth, Duration, Quantity


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (Bandwidth, "100 Mbit/s", 1e8),
        (Bandwidth, "1 Gbit/s", 1e9),
        (Bandwidth, "2.5kbit/s", 2500.0),
        (Bandwidth, " 12 MB/s ", 96e6),
        (Bandwidth, "1e3 B/s", 8000.0),
        (Bandwidth, "7 bit/s", 7.0),
        (Duration, "0.2 ms", 0.2e-3),
        (Duration, ".5 s", 0.5),
        (Duration, "20us", 20e-6),
        (Duration, "3 ns", 3e-9),
        (Duration, "0 s", 0.0),
    ],
)
def test_values_in_base_units(kind: type[Quantity], text: str, value: float) -> None:
    """A quantity is its number times its unit, with or without a space between; its text is kept."""
    quantity = kind.parse(text)
    assert quantity.value == pytest.approx(value, rel=1e-15)
    assert quantity.text == text


@given(st.floats(1e-6, 1e12), st.sampled_from([*Bandwidth.units.items()]))
def test_every_number_with_every_unit_reads_back(number: float, unit: tuple[str, float]) -> None:
    """repr(number) + unit is the number times the unit, exactly."""
    assert Bandwidth.parse(f"{number!r} {unit[0]}").value == number * unit[1]


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        (Bandwidth, "-5 Mbit/s", "found '-5 Mbit/s'; it must be finite and more than 0"),
        (Bandwidth, "0 Mbit/s", "it must be finite and more than 0, for example '100 Mbit/s'"),
        (Bandwidth, "1e400 Mbit/s", "it must be finite"),
        (Bandwidth, "5 Mbps", "found the unit 'Mbps' in '5 Mbps'; known units are bit/s, kbit/s, Mbit/s"),
        (Bandwidth, "5", "found '5', which has no unit; known units are bit/s"),
        (Bandwidth, 5, "found 5, which is not a number with a unit; write for example '100 Mbit/s'"),
        (Bandwidth, "fast", "found 'fast', which is not a number with a unit"),
        (Bandwidth, "inf Mbit/s", "not a number with a unit"),
        (Bandwidth, "", "not a number with a unit"),
        (Duration, "-1 ms", "it must be finite and 0 or more, for example '0.2 ms'"),
        (Duration, "1 min", "known units are s, ms, us, ns"),
        (Duration, True, "not a number with a unit"),
    ],
)
def test_refusals_say_what_was_found_and_what_would_do(
    kind: type[Quantity], text: object, message: str
) -> None:
    """What is no quantity is refused with its text and an example or the known units."""
    with pytest.raises(ValueError, match="found") as caught:
        kind.parse(text)
    assert message in str(caught.value)


@given(st.text(max_size=20))
def test_any_text_is_read_or_refused(text: str) -> None:
    """Whatever stands there, the result is a finite quantity or a ValueError."""
    try:
        value = Duration.parse(text).value
    except ValueError:
        return
    assert math.isfinite(value)
    assert value >= 0


def test_equality_is_that_of_the_text() -> None:
    """Equal texts of one kind are equal and hash alike; a duration is no bandwidth."""
    assert Duration.parse("1 s") == Duration.parse("1 s")
    assert hash(Duration.parse("1 s")) == hash(Duration.parse("1 s"))
    assert Duration.parse("1 s") != Duration.parse("1000 ms")
    assert Duration.parse("1 s") != "1 s"
    assert repr(Duration.parse("1 s")) == "Duration.parse('1 s')"
