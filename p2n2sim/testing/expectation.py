"""What was expected of a run and what was found, in words that a failing test can print."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from p2n2sim.net.ledger import Entry

_SHOWN = 60  # rows of a table


class Expectation:
    """Collects what differs, so that one failure tells all of it."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def check(self, what: str, expected: object, found: object) -> None:
        """Notes a difference; None expects nothing."""
        if expected is None or expected == found:
            return
        if isinstance(expected, Mapping) and isinstance(found, Mapping):
            self._lines += [
                f"{what}, {key}: expected {expected.get(key, 0)!r}, found {found.get(key, 0)!r}"
                for key in (*expected, *(key for key in found if key not in expected))
                if expected.get(key, 0) != found.get(key, 0)
            ]
        elif isinstance(expected, list) and isinstance(found, list):
            self._lines.append(_first_difference(what, expected, found))
        else:
            self._lines.append(f"{what}: expected {expected!r}, found {found!r}")

    def fail_with(self, story: str) -> None:
        """Fails if something differs.

        Raises:
            AssertionError: all differences and the story.
        """
        __tracebackhide__ = True
        if self._lines:
            raise AssertionError("\n".join([*self._lines, "", story]))


def _first_difference(what: str, expected: Sequence[object], found: Sequence[object]) -> str:
    at = next(
        (i for i, pair in enumerate(zip(expected, found, strict=False)) if pair[0] != pair[1]),
        min(len(expected), len(found)),
    )
    one, other = (repr(side[at]) if at < len(side) else "the end" for side in (expected, found))
    return f"{what}: entry {at}: expected {one}, found {other}"


def table(entries: Sequence[Entry]) -> str:
    """One line a message: when it was sent and arrived, from whom to whom, what, how large, its round."""
    if not entries:
        return "no messages were sent"
    head = ("sent", "arrived", "link", "message", "step", "payload", "wire", "round")
    rows = [
        (
            f"{e.sent_s:.9g}",
            f"{e.arrived_s:.9g}",
            f"{e.sender}->{e.receiver}",
            e.kind,
            str(e.step),
            str(e.payload_bytes),
            str(e.wire_bytes),
            str(e.round),
        )
        for e in entries[:_SHOWN]
    ]
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (head, *rows)
    ]
    if len(entries) > _SHOWN:
        lines.append(f"... and {len(entries) - _SHOWN} more")
    return "\n".join(lines)
