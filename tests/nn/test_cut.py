"""A network cut after some of its layers."""

from __future__ import annotations

import pytest
import torch

from p2n2sim.nn.network import ACTIVATIONS, Parts, build, cut

NAMES = ("sigmoid", "relu", "square")
X = torch.linspace(-1, 1, 5 * 6).reshape(5, 6)


def parts() -> Parts:
    """6-5-4-3-1 with biases that are not zero."""
    return build(6, (5, 4, 3), NAMES, initialisation="pytorch", seed=2)


def before(network: Parts, layers: int, *, activated: bool) -> torch.Tensor:
    """What comes out of the layers before the cut, by their weights and biases alone."""
    halves, out = cut(network, layers, activated=activated), X
    for layer, weight in enumerate(halves.weights):
        out = out @ weight
        if layer < len(halves.biases):
            out = out + halves.biases[layer]
            out = ACTIVATIONS[NAMES[layer]]()(out) if layer < len(NAMES) else out
    return out


@pytest.mark.parametrize(("layers", "activated"), [(1, False), (2, False), (3, False), (1, True), (2, True)])
def test_the_two_sides_of_a_cut_are_the_network(layers: int, activated: bool) -> None:
    """What comes out of the layers before the cut, put into the rest, gives the network's last layer."""
    network = parts()
    halves = cut(network, layers, activated=activated)
    torch.testing.assert_close(
        halves.rest(before(network, layers, activated=activated)), network.server(X @ network.theta)
    )


def test_the_whole_network_before_the_cut() -> None:
    """With the head before the cut the rest is nothing, and the logits are the network's."""
    network = parts()
    logits = network.head(network.server(X @ network.theta))
    torch.testing.assert_close(before(network, 4, activated=False), logits)
    assert not list(cut(network, 4, activated=False).rest.parameters())


@pytest.mark.parametrize(("layers", "activated"), [(1, False), (2, False), (2, True)])
def test_both_sides_train_the_network_itself(layers: int, activated: bool) -> None:
    """Writing to weights, biases and the rest's parameters changes the network, which has no others."""
    network = parts()
    halves = cut(network, layers, activated=activated)
    for tensor in (*halves.weights, *halves.biases, *(p.data for p in halves.rest.parameters())):
        tensor.fill_(7.0)
    for tensor in (network.theta, *network.server.parameters()):
        assert (tensor == 7.0).all()
