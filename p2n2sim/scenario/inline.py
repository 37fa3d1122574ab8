"""Plain values as TOML on one line, for a ``--set``."""

from __future__ import annotations

import json


def inline(value: object) -> str:
    """A value of a scenario's tree on one line; keys without a value are left out.

    Args:
        value: tables, lists, text, numbers, booleans.
    """
    if isinstance(value, dict):
        pairs = (f"{json.dumps(key)} = {inline(item)}" for key, item in value.items() if item is not None)
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(inline, value))}]"
    return json.dumps(value)
