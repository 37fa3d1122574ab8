"""Quantities as people write them: "100 Mbit/s", "0.2 ms"."""

from __future__ import annotations

import math
import re
from typing import ClassVar, Self

_NUMBER_AND_UNIT = re.compile(r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*(\S*)\s*")


class Quantity:
    """A number with a unit; the text is kept as it was written.

    No dataclass, because msgspec would then read it as a table instead of asking `parse`.

    Attributes:
        text: as written, for example ``100 Mbit/s``.
        value: the number in the base unit.
    """

    __slots__ = ("text", "value")

    units: ClassVar[dict[str, float]]
    example: ClassVar[str]
    positive: ClassVar[bool]

    def __init__(self, text: str, value: float) -> None:
        self.text, self.value = text, value

    def __repr__(self) -> str:
        return f"{type(self).__name__}.parse({self.text!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, type(self)) and other.text == self.text

    def __hash__(self) -> int:
        return hash(self.text)

    @classmethod
    def parse(cls, text: object) -> Self:
        """Reads a quantity.

        Raises:
            ValueError: it is no number with a known unit, or out of range; says what would do.
        """
        match = _NUMBER_AND_UNIT.fullmatch(text) if isinstance(text, str) else None
        if match is None:
            raise ValueError(
                f"found {text!r}, which is not a number with a unit; write for example {cls.example!r}"
            )
        number, unit = match.groups()
        if unit not in cls.units:
            found = f"found the unit {unit!r} in {text!r}" if unit else f"found {text!r}, which has no unit"
            raise ValueError(f"{found}; known units are {', '.join(cls.units)}")
        value = float(number) * cls.units[unit]
        if not math.isfinite(value) or value < 0 or (cls.positive and value == 0):
            needed = "more than 0" if cls.positive else "0 or more"
            raise ValueError(f"found {text!r}; it must be finite and {needed}, for example {cls.example!r}")
        return cls(str(text), value)


class Bandwidth(Quantity):
    """A rate in bits a second."""

    units: ClassVar[dict[str, float]] = {
        "bit/s": 1.0,
        "kbit/s": 1e3,
        "Mbit/s": 1e6,
        "Gbit/s": 1e9,
        "B/s": 8.0,
        "kB/s": 8e3,
        "MB/s": 8e6,
        "GB/s": 8e9,
    }
    example: ClassVar[str] = "100 Mbit/s"
    positive: ClassVar[bool] = True


class Duration(Quantity):
    """A time in seconds."""

    units: ClassVar[dict[str, float]] = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
    example: ClassVar[str] = "0.2 ms"
    positive: ClassVar[bool] = False


class Size(Quantity):
    """A number of bytes."""

    units: ClassVar[dict[str, float]] = {
        "B": 1.0,
        "kB": 1e3,
        "MB": 1e6,
        "KiB": 2.0**10,
        "MiB": 2.0**20,
    }
    example: ClassVar[str] = "64 KiB"
    positive: ClassVar[bool] = False
