"""Numbers as people read them."""

from __future__ import annotations

import json
import math
import re
from pathlib import PurePosixPath, PureWindowsPath

_ABSOLUTE = re.compile(r"(?<![\w.:/\\-])(?:/[^\s/,;:]+(?:/[^\s/,;:]+)+|[A-Za-z]:[\\/][^\s,;:]+)")


def size(count: float) -> str:
    """A number of bytes with a decimal unit and three digits, for example ``4.97 MB``."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= scale * 0.9995:
            return f"{three_digits(count / scale)} {unit}"
    return f"{count:.0f} B"


def span(seconds: float) -> str:
    """A duration with a unit and three digits, for example ``42.0 ms``."""
    if seconds == 0:
        return "0 s"
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if abs(seconds) >= scale * 0.9995:
            return f"{three_digits(seconds / scale)} {unit}"
    return f"{three_digits(seconds / 1e-9)} ns"


def three_digits(value: float) -> str:
    """Three significant digits, but every digit before the point: ``0.00415``, ``41.5``, ``41,532``."""
    if not math.isfinite(value):
        return str(value)
    if value == 0:
        return "0"
    places = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{places}f}"


def rate(bits_per_s: float) -> str:
    """A bandwidth with a unit, for example ``100 Mbit/s``."""
    if math.isinf(bits_per_s):
        return "unlimited bandwidth"
    for unit, scale in (("Gbit/s", 1e9), ("Mbit/s", 1e6), ("kbit/s", 1e3)):
        if bits_per_s >= scale:
            return f"{bits_per_s / scale:g} {unit}"
    return f"{bits_per_s:g} bit/s"


def written(value: object) -> str:
    """A value of a scenario's key as text: names as they are, lists and truth values as JSON."""
    return value if isinstance(value, str) else json.dumps(value, default=str)


def words(camel_case: str) -> str:
    """The name of a message type in words: ``MaskedShare`` -> ``masked share``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", camel_case).lower()


def listed(names: list[str], most: int = 6) -> str:
    """``A, B and C``; what is too much becomes ``and 12 others``."""
    if len(names) > most:
        names = [*names[: most - 1], f"{len(names) - most + 1} others"]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def without_folders(text: str) -> str:
    """The text with absolute paths cut to the file's name: a report says nothing of where it was made."""

    def name(match: re.Match[str]) -> str:
        path = match.group()
        return PurePosixPath(path).name if path.startswith("/") else PureWindowsPath(path).name

    return _ABSOLUTE.sub(name, text)


def slug(text: str) -> str:
    """A file name that every system takes."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "unnamed"
