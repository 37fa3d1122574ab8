"""Which keys of [protocol] go together."""

from __future__ import annotations

from typing import Any

import pytest

from p2n2sim.errors import ScenarioError
from p2n2sim.scenario.load import parse, set_key
from p2n2sim.scenario.protocol import all_layers, protocol_name, under_engine
from p2n2sim.scenario.sections import Scenario

ONCE = "algorithm1-masked-once"


def scenario(**keys: Any) -> Scenario:
    """A scenario with two hidden layers; keys are written with two underscores for a dot."""
    tree: dict[str, Any] = {"name": "x", "model": {"hidden": [8, 8]}}
    for key, value in keys.items():
        set_key(tree, key.replace("__", "."), value, "test")
    return parse(tree, "f.toml")


@pytest.mark.parametrize(
    ("keys", "name", "engine"),
    [
        ({}, "algorithm1", False),
        ({"protocol__first_layer": "plaintext"}, "plaintext", False),
        ({"protocol__secret_layers": 0}, "plaintext", False),
        ({"protocol__secret_layers": 1, "protocol__first_layer": "masked-sum"}, "masked-sum", False),
        ({"protocol__opened": "activation"}, "secret-layers-1-activated", True),
        ({"protocol__secret_layers": 2}, "secret-layers-2", True),
        ({"protocol__secret_layers": 3}, "secureml", True),
    ],
)
def test_one_key_moves_along_the_family(keys: dict[str, Any], name: str, engine: bool) -> None:
    """From split learning through P2N2 to SecureML; the last hidden layer and the head count, too."""
    given = scenario(**keys)
    assert all_layers(given) == 3
    assert protocol_name(given) == name
    assert under_engine(given) == engine


WRONG: list[tuple[dict[str, Any], str]] = [
    (
        {"protocol__secret_layers": 4},
        "protocol.secret_layers: 4 layers under secret sharing, but the network",
    ),
    (
        {"protocol__secret_layers": 1, "protocol__first_layer": "plaintext"},
        "protocol.first_layer: 'plaintext' shares nothing, but 1 layers are to be under secret sharing",
    ),
    (
        {"protocol__secret_layers": 2, "protocol__first_layer": "ckks"},
        "protocol.first_layer: 'ckks' leaves no shares on which further layers can go on; one of",
    ),
    ({"protocol__secret_layers": 2, "protocol__triples": "ot"}, "protocol.triples: 'ot' is modelled for the"),
    (
        {"protocol__secret_layers": 2, "protocol__truncation": "local", "data__holders": 3},
        "protocol.truncation: 'local' is for two holders, not 3; 'dealer' would do",
    ),
    (
        {"protocol__secret_layers": 2, "protocol__ring_bits": 32},
        "protocol.fractional_bits: a product has 40 of them in a ring of 32 bits; at most 14 would do",
    ),
    ({"protocol__ring_bits": 32}, "protocol.ring_bits: 32 bits are for several layers under secret sharing"),
    ({"protocol__shadow": True}, "protocol.shadow: it watches several layers under secret sharing"),
    (
        {"protocol__truncation": "local"},
        "protocol.truncation: 'local' is for several layers under secret sharing",
    ),
    (
        {"protocol__secret_layers": 2, "model__server": "a.b:c"},
        "model.server: an own module cannot be put under secret sharing, and 2 layers are",
    ),
    (
        {"protocol__secret_layers": 3, "protocol__opened": "activation"},
        "protocol.opened: with all layers under secret sharing there is no server",
    ),
    (
        {"protocol__secret_layers": 2, "protocol__opened": "activation"},
        "protocol.opened: with the last hidden activation opened the server has nothing left to",
    ),
    (
        {"protocol__secret_layers": 0, "protocol__opened": "activation"},
        "protocol.opened: nothing is under secret sharing, so there is no activation to open",
    ),
    (
        {
            "protocol__secret_layers": 2,
            "protocol__activation": "polynomial",
            "protocol__polynomial__method": "taylor",
            "model__activations": "relu",
        },
        "protocol.polynomial.method: the ReLU has no Taylor series at 0",
    ),
    (
        {
            "protocol__secret_layers": 2,
            "protocol__activation": "polynomial",
            "protocol__polynomial__range": 1025.0,
        },
        "protocol.polynomial.range: the square of a number up to 1025 with 20 fractional bits leaves a ring "
        "of 64 bits; fewer fractional_bits would do, or at most 1024",
    ),
    (
        {
            "protocol__secret_layers": 2,
            "protocol__activation": "polynomial",
            "protocol__ring_bits": 32,
            "protocol__fractional_bits": 14,
        },
        "protocol.polynomial.range: the square of a number up to 5 with 14 fractional bits leaves a ring of "
        "32 bits; fewer fractional_bits would do, or at most 1",
    ),
    (
        {"data__label_owner": ["A", "B"]},
        "data.label_owner: found ['A', 'B'], but several label owners would each need a head of",
    ),
    (
        {"fault": [{"kind": "crash", "party": "C", "batch": 1}]},
        "fault.0.party: 'C' is no data holder; name one",
    ),
    ({"fault": [{"kind": "crush", "party": "A", "batch": 1}]}, "fault.0.kind: found 'crush'; one of 'crash'"),
    ({"fault": [{"kind": "crash", "party": "A"}]}, "fault.0.batch: this key is missing"),
    (
        {"compute__default__operations": {"paillier encrypt": "soon"}},
        "compute.default.operations.paillier encrypt: found 'soon'",
    ),
]


def test_a_sweep_of_the_layers_may_set_keys_that_matter_to_some_of_its_points() -> None:
    """With secret_layers given, keys for several layers are allowed where there is only one."""
    for secret in (0, 1, 2, 3):
        scenario(protocol__secret_layers=secret, protocol__activation="polynomial")


@pytest.mark.parametrize(("keys", "message"), WRONG, ids=[message[:50] for _, message in WRONG])
def test_refusals_name_place_found_and_remedy(keys: dict[str, Any], message: str) -> None:
    """Every combination that makes no sense is refused in one line that says what would do."""
    with pytest.raises(ScenarioError) as caught:
        scenario(**keys)
    assert str(caught.value).startswith(f"f.toml: {message}")
    assert "; " in str(caught.value)
