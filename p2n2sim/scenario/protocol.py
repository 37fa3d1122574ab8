"""What the keys of [protocol] allow with each other."""

from __future__ import annotations

from collections.abc import Sequence

from p2n2sim.errors import ScenarioError
from p2n2sim.messages import SERVER
from p2n2sim.scenario.sections import Scenario

SHARED = ("algorithm1", "algorithm1-prg", "algorithm1-masked-once")
"""First-layer protocols that leave shares with the holders, on which further layers can go on."""

WHOLE = "secureml"
"""The name of a protocol that has all layers under secret sharing, and no server."""


def all_layers(scenario: Scenario) -> int:
    """L, the number of layers: the hidden ones and the label's head."""
    return len(scenario.model.hidden) + 1


def under_engine(scenario: Scenario) -> bool:
    """Whether more than the first layer's product is under secret sharing."""
    protocol = scenario.protocol
    return protocol.layers_under_sharing > 1 or (
        protocol.layers_under_sharing == 1 and protocol.opened == "activation"
    )


def protocol_name(scenario: Scenario) -> str:
    """What is run, in a word or two: the first layer's protocol, or how many layers are under sharing."""
    protocol, layers = scenario.protocol, all_layers(scenario)
    if protocol.layers_under_sharing == layers:
        return WHOLE
    if under_engine(scenario):
        return f"secret-layers-{protocol.layers_under_sharing}" + (
            "-activated" if protocol.opened == "activation" else ""
        )
    return protocol.first_layer_in_use


def check_record(scenario: Scenario, holders: Sequence[str]) -> None:
    """Refuses views of parties that there are not.

    Args:
        scenario: with the keys of [record].
        holders: names of the data holders.

    Raises:
        ScenarioError: the first that is found.
    """
    views = scenario.record.views
    whole = scenario.protocol.layers_under_sharing == all_layers(scenario)
    for party in views:
        if party == SERVER and whole:
            raise ScenarioError(
                "record.views", "with all layers under secret sharing there is no server", "name data holders"
            )
        if party not in (*holders, SERVER):
            raise ScenarioError(
                "record.views",
                f"{party!r} is neither a data holder nor the server",
                f"name {SERVER!r}, {holders[0]!r}, {holders[1]!r}{', ...' if len(holders) > 2 else ''}",
            )
        if views.count(party) > 1:
            raise ScenarioError("record.views", f"{party!r} stands there twice", "name every party once")


def check_protocol(scenario: Scenario) -> None:
    """Refuses combinations that make no sense; the place is the dotted key.

    Raises:
        ScenarioError: the first that is found.
    """
    protocol, layers = scenario.protocol, all_layers(scenario)
    secret = protocol.layers_under_sharing
    if secret > layers:
        raise ScenarioError(
            "protocol.secret_layers",
            f"{secret} layers under secret sharing, but the network has {layers}",
            f"0 to {layers} would do: {layers - 1} hidden and the label's head",
        )
    if protocol.first_layer == "plaintext" and secret:
        raise ScenarioError(
            "protocol.first_layer",
            f"'plaintext' shares nothing, but {secret} layers are to be under secret sharing",
            "another first layer would do, or secret_layers = 0",
        )
    if protocol.opened == "activation" and not secret:
        raise ScenarioError(
            "protocol.opened",
            "nothing is under secret sharing, so there is no activation to open",
            "secret_layers of 1 or more would do",
        )
    if under_engine(scenario):
        _check_engine(scenario)
    elif protocol.secret_layers is None:  # a sweep of that key may set the others for all its points
        _check_unused(scenario)


def _check_unused(scenario: Scenario) -> None:
    """Keys that change nothing unless several layers are under secret sharing."""
    protocol = scenario.protocol
    for key, found, default in (
        ("ring_bits", protocol.ring_bits, 64),
        ("truncation", protocol.truncation, "dealer"),
        ("activation", protocol.activation, "piecewise"),
    ):
        if found != default:
            raise ScenarioError(
                f"protocol.{key}",
                f"{f'{found} bits are' if key == 'ring_bits' else f'{found!r} is'} for several layers under "
                f"secret sharing",
                f"{default!r} would do, or secret_layers above 1",
            )
    if protocol.shadow:
        raise ScenarioError(
            "protocol.shadow",
            "it watches several layers under secret sharing",
            "secret_layers above 1 would do",
        )


def _check_engine(scenario: Scenario) -> None:
    """What several layers under secret sharing need."""
    protocol, model = scenario.protocol, scenario.model
    secret = protocol.layers_under_sharing
    if protocol.first_layer not in SHARED:
        raise ScenarioError(
            "protocol.first_layer",
            f"{protocol.first_layer!r} leaves no shares on which further layers can go on",
            f"one of {', '.join(map(repr, SHARED))} would do",
        )
    if protocol.triples in ("ot", "he"):
        raise ScenarioError(
            "protocol.triples",
            f"{protocol.triples!r} is modelled for the first layer's product alone",
            "'dealer' or 'dealer-full' would do",
        )
    if protocol.truncation == "local" and scenario.data.holders != 2:
        raise ScenarioError(
            "protocol.truncation",
            f"'local' is for two holders, not {scenario.data.holders}",
            "'dealer' would do",
        )
    if 2 * protocol.fractional_bits > protocol.ring_bits - 4:
        raise ScenarioError(
            "protocol.fractional_bits",
            f"a product has {2 * protocol.fractional_bits} of them in a ring of {protocol.ring_bits} bits",
            f"at most {protocol.ring_bits // 2 - 2} would do",
        )
    if model.kind != "perceptron" or model.steps:
        raise ScenarioError(
            "model.steps" if model.kind == "perceptron" else "model.kind",
            f"a sequence cannot be put under secret sharing, and {secret} layers are",
            "a perceptron without steps would do",
        )
    if model.server is not None:
        raise ScenarioError(
            "model.server",
            f"an own module cannot be put under secret sharing, and {secret} layers are",
            "hidden and activations would do",
        )
    if protocol.opened == "activation":
        _check_activation_opened(secret, all_layers(scenario))
    if protocol.activation == "polynomial":
        _check_polynomial(scenario)


def _check_polynomial(scenario: Scenario) -> None:
    """What polynomials for activations need."""
    protocol = scenario.protocol
    used = scenario.model.activation_list[: protocol.layers_under_sharing]
    if protocol.polynomial.method == "taylor" and "relu" in used:
        raise ScenarioError(
            "protocol.polynomial.method",
            "the ReLU has no Taylor series at 0",
            "'least-squares' or 'chebyshev' would do",
        )
    # u = x / 2^q has f + q fractional bits and reaches 1; its square must stay below 2^(ring_bits - 2).
    f, largest = protocol.fractional_bits, (protocol.ring_bits - 3) // 2 - protocol.fractional_bits
    if largest < 0 or protocol.polynomial.range > 1 << largest:
        raise ScenarioError(
            "protocol.polynomial.range",
            f"the square of a number up to {protocol.polynomial.range:g} with {f} fractional bits leaves a "
            f"ring of {protocol.ring_bits} bits",
            "fewer fractional_bits would do" + (f", or at most {1 << largest}" if largest >= 0 else ""),
        )


def _check_activation_opened(secret: int, layers: int) -> None:
    """The server must have something to do."""
    if secret == layers:
        found = "with all layers under secret sharing there is no server"
    elif secret == layers - 1:
        found = "with the last hidden activation opened the server has nothing left to compute"
    else:
        return
    raise ScenarioError("protocol.opened", found, "'product' would do, or fewer secret_layers")
