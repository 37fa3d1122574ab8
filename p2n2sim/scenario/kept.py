"""A scenario as a folder keeps it: below its hash, so that one cut short or changed is noticed.

A TOML file that is cut between two keys is a valid one, of another scenario. The hash stands in a comment in
the same file, because two files could not be replaced at once; `load` passes it over as any comment.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from p2n2sim.errors import ScenarioError
from p2n2sim.scenario.load import load, to_toml
from p2n2sim.scenario.sections import Scenario

_HASH = b"# SHA-256 of all below: "


def to_file(scenario: Scenario) -> bytes:
    """What a folder keeps of a scenario."""
    text = to_toml(scenario).encode()
    return _first_line(text) + b"\n" + text


def load_kept(path: Path) -> Scenario:
    """Reads what a folder keeps of a scenario; a file of a version that kept no hash is read as it is.

    Raises:
        ScenarioError: the file cannot be read, or is not as it was written.
    """
    if path.is_file():
        first, _, text = path.read_bytes().partition(b"\n")
        if first.startswith(_HASH) and first != _first_line(text):
            raise ScenarioError(
                str(path), "it was cut short or changed after it was written", "run the scenario again"
            )
    return load(path)


def _first_line(text: bytes) -> bytes:
    return _HASH + hashlib.sha256(text).hexdigest().encode()
