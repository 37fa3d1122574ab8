"""Every piece of work that a party does has a colour in the timeline."""

from __future__ import annotations

import pytest

from p2n2sim.report import timeline
from p2n2sim.simulate import Outcome, simulate
from tests.small import small_setup


@pytest.mark.parametrize(
    ("first_layer", "triples"),
    [
        ("algorithm1", "dealer"),
        ("algorithm1-prg", "dealer-full"),
        ("algorithm1-masked-once", "ot"),
        ("masked-sum", "dealer"),
        ("plaintext", "dealer"),
    ],
)
def test_every_label_of_work_has_a_colour(first_layer: str, triples: str) -> None:
    """No protocol's work ends up as "other work", the modelled offline phase included."""
    outcome = Outcome()
    overrides = {"protocol.first_layer": first_layer, "protocol.triples": triples}
    simulate(small_setup(overrides=overrides), outcome)
    known = {label for _, _, labels in timeline.KINDS for label in labels}
    assert set(outcome.compute_frame()["label"]) <= known
    assert ("A (offline)" in outcome.intervals) == (triples == "ot")


def test_a_defenders_work_has_a_colour() -> None:
    """So has what a defender adds to it."""
    outcome = Outcome()
    simulate(small_setup(overrides={"defender.weight": 0.1, "defence.nopeek": 0.1}), outcome)
    known = {label for _, _, labels in timeline.KINDS for label in labels}
    labels = set(outcome.compute_frame()["label"])
    assert {"defender", "show h1"} <= labels <= known
