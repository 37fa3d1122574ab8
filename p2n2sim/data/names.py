"""What a name in a scenario stands for: a column, all columns of a one-hot code, or a pattern."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase


def matching(feature_names: Sequence[str], name: str) -> list[int]:
    """The columns that a name stands for.

    Args:
        feature_names: names of all columns; those of a one-hot code are called ``column=value``.
        name: of a column, or of one that was encoded, or a pattern with ``*`` and ``?`` for either.

    Returns:
        Their numbers, ascending; none where nothing is called so.
    """
    if not any(sign in name for sign in "*?"):
        return [i for i, full in enumerate(feature_names) if full == name or full.startswith(f"{name}=")]
    pattern = name.replace("[", "[[]")  # fnmatch has sets of characters, too
    return [
        i
        for i, full in enumerate(feature_names)
        if fnmatchcase(full, pattern) or fnmatchcase(full.partition("=")[0], pattern)
    ]
