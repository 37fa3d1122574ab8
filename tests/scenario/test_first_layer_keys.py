"""Keys of [protocol] that a first layer has no use for are refused, where they stand."""

from __future__ import annotations

from typing import Any

import pytest

from p2n2sim.errors import ScenarioError
from p2n2sim.scenario.load import parse


def parsed(**protocol: Any) -> None:
    """Checks a scenario with these keys of [protocol]."""
    parse({"name": "x", "protocol": protocol}, "x.toml")


@pytest.mark.parametrize("triples", ["dealer-full", "ot", "he"])
@pytest.mark.parametrize("first_layer", ["masked-sum", "ckks", "paillier", "plaintext"])
def test_triples_are_refused_where_none_are_used(first_layer: str, triples: str) -> None:
    """The error names the key, the protocol, and the protocols that use triples."""
    with pytest.raises(ScenarioError, match=r"x\.toml: protocol\.triples: ") as caught:
        parsed(first_layer=first_layer, triples=triples)
    assert repr(first_layer) in caught.value.found
    assert "'algorithm1-masked-once'" in caught.value.remedy


@pytest.mark.parametrize("triples", ["dealer-full", "ot", "he"])
@pytest.mark.parametrize("first_layer", ["algorithm1", "algorithm1-prg", "algorithm1-masked-once"])
def test_triples_are_taken_where_they_are_used(first_layer: str, triples: str) -> None:
    """Every source goes with every protocol that uses triples, but not without a layer under sharing."""
    parsed(first_layer=first_layer, triples=triples)
    with pytest.raises(ScenarioError, match=r"'plaintext' uses no triples"):
        parsed(first_layer=first_layer, triples=triples, secret_layers=0)


@pytest.mark.parametrize(
    "first_layer", ["algorithm1", "algorithm1-prg", "algorithm1-masked-once", "masked-sum", "plaintext"]
)
def test_modelled_crypto_is_refused_without_ciphertexts(first_layer: str) -> None:
    """Only what encrypts can have its encryption modelled."""
    with pytest.raises(ScenarioError, match=r"x\.toml: protocol\.crypto: .* has no ciphertexts"):
        parsed(first_layer=first_layer, crypto="modelled")


@pytest.mark.parametrize("first_layer", ["ckks", "paillier"])
def test_modelled_crypto_is_taken_with_ciphertexts(first_layer: str) -> None:
    """Both homomorphic protocols may be modelled."""
    parsed(first_layer=first_layer, crypto="modelled")
