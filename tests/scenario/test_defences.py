"""What [defender] and [defence] may say, and with what."""

from __future__ import annotations

from typing import Any

import pytest

from p2n2sim.errors import ScenarioError
from p2n2sim.scenario.load import parse, set_key, to_toml, to_tree
from p2n2sim.scenario.sections import Scenario


def scenario(keys: dict[str, Any]) -> Scenario:
    """A scenario with these keys."""
    tree: dict[str, Any] = {"name": "x"}
    for key, value in keys.items():
        set_key(tree, key, value, "test")
    return parse(tree, "x.toml")


def test_there_is_no_defender_unless_asked_for() -> None:
    """A scenario that says nothing has a weight of 0, NoPeek of 0 and no noise."""
    plain = scenario({})
    assert (plain.defender.weight, plain.defence.nopeek, plain.defence.noise) == (0, 0, 0)


def test_a_scenario_is_written_as_it_was_read() -> None:
    """Both tables come back from the file that a run writes."""
    keys = {"defender.weight": 0.1, "defender.layers": [8, 4], "defender.bound": 2, "defence.noise": 0.1}
    read = scenario(keys)
    assert parse(to_tree(read), "again") == read
    assert "[defender]" in to_toml(read)


@pytest.mark.parametrize(
    ("keys", "place", "words"),
    [
        ({"defender.weight": -1}, "defender.weight", ">= 0.0"),
        ({"defender.weight": "much"}, "defender.weight", "a number"),
        ({"defender.reading": "min-max"}, "defender.reading", "minmax"),
        ({"defender.steps": 0}, "defender.steps", ">= 1"),
        ({"defender.bound": 0}, "defender.bound", "> 0.0"),
        ({"defender.ridge": 0}, "defender.ridge", "> 0.0"),
        ({"defender.layers": [0]}, "defender.layers", "1"),
        ({"defender.optimiser": "sgdd"}, "defender.optimiser", "sgd"),
        ({"defender.lambda": 1}, "defender.lambda", "weight"),
        ({"defence.nopeak": 1}, "defence.nopeak", "nopeek"),
        ({"defence.noise": -0.1}, "defence.noise", ">= 0.0"),
        ({"defender.weight": 1, "protocol.secret_layers": 2}, "defender.weight", "secret_layers"),
        ({"defence.nopeek": 1, "protocol.secret_layers": 3}, "defence.nopeek", "secret_layers"),
        (
            {"defence.noise": 1, "protocol.secret_layers": 1, "protocol.opened": "activation"},
            "defence.noise",
            "opened",
        ),
        ({"defence.nopeek": 1, "train.batch_size": 10_000}, "defence.nopeek", "8192"),
    ],
)
def test_what_is_refused(keys: dict[str, Any], place: str, words: str) -> None:
    """The place is the key, in the file; the remedy says what would do."""
    with pytest.raises(ScenarioError) as caught:
        scenario(keys)
    text = str(caught.value)
    assert text.startswith(f"x.toml: {place}")
    assert words in text
    assert "\n" not in text


@pytest.mark.parametrize("first_layer", ["algorithm1", "masked-sum", "ckks"])
@pytest.mark.parametrize("layers", [0, 1])
def test_what_goes_together(first_layer: str, layers: int) -> None:
    """With one layer under secret sharing or none, everything may be asked for at once."""
    keys = {"protocol.first_layer": first_layer, "protocol.secret_layers": layers}
    scenario(keys | {"defender.weight": 1, "defence.nopeek": 1, "defence.noise": 1})


def test_a_sweep_over_readings_may_say_how_a_decoder_learns() -> None:
    """What decoders that learn need may stand beside the best response, for other points of a sweep."""
    readings = ["literal", "minmax", "best-response"]
    keys = {"defender.weight": 1, "defender.layers": [8], "defender.steps": 3}
    assert scenario(keys | {"sweep": {"defender.reading": readings}}).defender.layers == (8,)
