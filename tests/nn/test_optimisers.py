"""Adam and Langevin dynamics by their published formulas."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from p2n2sim.mpc.prg import derive_key, normal
from p2n2sim.nn.network import PlainNetwork
from p2n2sim.nn.optimisers import Langevin, adam, sgd, update_flops
from p2n2sim.nn.training import label_loss
from p2n2sim.scenario.sections import Train
from p2n2sim.state import Descent, noise, plain_optimiser
from tests.small import small_setup

SHAPES = [(3, 2), (5,)]


def test_adam_is_algorithm_1() -> None:
    """Three steps by Kingma and Ba's Algorithm 1, in float64, give the same weights."""
    weight = torch.tensor([1.0, -2.0])
    optimiser = adam([weight], learning_rate=0.01)
    theta, m, v = np.array([1.0, -2.0]), np.zeros(2), np.zeros(2)
    for t, g in enumerate(([0.5, -3.0], [0.1, 2.0], [-4.0, 0.0]), 1):
        weight.grad = torch.tensor(g)
        optimiser.step()
        gradient = np.array(g)
        m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient**2
        theta = theta - 0.01 * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
        np.testing.assert_allclose(weight.numpy(), theta, rtol=1e-6)


def test_langevin_is_equation_4() -> None:
    """A step is half the gradient plus the noise of its own number, scaled by sqrt(T a)."""
    drawn = []

    def draw(step: int) -> list[torch.Tensor]:
        drawn.append(step)
        return [torch.full((2,), step + 1.0), torch.ones(1)]

    weight, untouched = torch.tensor([1.0, 2.0]), torch.tensor([7.0])
    optimiser = Langevin([weight, untouched], learning_rate=0.04, temperature=0.25, draw=draw)
    expected = weight.clone()
    for step in range(3):
        weight.grad = torch.tensor([10.0, -10.0])
        optimiser.step()
        expected += -0.02 * weight.grad + math.sqrt(0.25 * 0.04) * (step + 1)
        torch.testing.assert_close(weight, expected)
    assert drawn == [0, 1, 2]
    assert untouched.item() == 7.0  # no gradient


def test_normal_numbers_are_normal() -> None:
    """Two hundred thousand of them pass Kolmogorov and Smirnov's test, and neighbours are uncorrelated."""
    x = normal(derive_key(1, "x"), 5, 200_001)
    assert x.shape == (200_001,)
    assert stats.kstest(x, "norm").pvalue > 0.01
    assert abs(np.corrcoef(x[:100_000], x[100_001:])[0, 1]) < 0.01
    assert np.isfinite(x).all()


def test_noise_is_a_function_of_seed_owner_and_step() -> None:
    """Equal arguments give equal noise, any other seed, owner or step another, shapes as asked for."""
    first = noise(1, "A", 0, SHAPES)
    assert [tuple(part.shape) for part in first] == SHAPES
    assert all(torch.equal(a, b) for a, b in zip(first, noise(1, "A", 0, SHAPES), strict=True))
    for other in (noise(2, "A", 0, SHAPES), noise(1, "B", 0, SHAPES), noise(1, "A", 1, SHAPES)):
        assert not torch.equal(first[0], other[0])


@pytest.mark.parametrize("settings", [{"momentum": 0.9}, {"optimiser": "adam"}, {"optimiser": "sgld"}])
def test_a_kept_optimiser_goes_on(settings: dict[str, Any]) -> None:
    """Kept after three steps and made anew, an optimiser goes on to the same bits; without, to others."""
    train = Train(learning_rate=0.1, **settings)

    def steps(descent: Descent, weight: torch.Tensor, numbers: range) -> Descent:
        optimiser = descent.of("A", [weight])
        for number in numbers:
            weight.grad = torch.full((4,), float(number + 1))
            optimiser.step()
        return descent

    whole, divided, forgetful = (torch.zeros(4) for _ in range(3))
    steps(Descent(train), whole, range(6))
    kept = steps(Descent(train), divided, range(3)).kept()
    steps(Descent(train, kept), divided, range(3, 6))
    assert torch.equal(whole, divided)
    steps(Descent(train), forgetful, range(3))
    steps(Descent(train), forgetful, range(3, 6))
    assert not torch.equal(whole, forgetful)


def test_the_plain_network_draws_what_the_owners_draw() -> None:
    """With gradients of zero, Langevin dynamics moves the plain network and the parts in the same way."""
    setup = small_setup(overrides={"train.optimiser": "sgld"})
    train, parts, layer = setup.scenario.train, setup.parts.copy(), setup.layer
    plain = PlainNetwork(parts)
    of_all = plain_optimiser(train, plain, dict(zip(layer.holders, layer.widths, strict=True)))
    descent = Descent(train)
    thetas = [parts.theta[block] for block in setup.blocks]
    owners = [descent.of(name, [theta]) for name, theta in zip(layer.holders, thetas, strict=True)]
    owners += [descent.of("server", parts.server.parameters()), descent.of("head", parts.head.parameters())]
    before = parts.theta.clone()
    for parameter in [*plain.parameters(), *thetas, *parts.server.parameters(), *parts.head.parameters()]:
        parameter.grad = torch.zeros_like(parameter)
    for optimiser in [of_all, *owners]:
        optimiser.step()
    theirs = [parts.theta, *parts.server.parameters(), *parts.head.parameters()]
    assert all(torch.equal(a, b) for a, b in zip(plain.parameters(), theirs, strict=True))
    assert not torch.equal(before, parts.theta)


def test_updates_have_a_price() -> None:
    """Adam and Langevin dynamics take more operations for a weight than gradient descent's four."""
    weight = [torch.zeros(10)]
    langevin = Langevin(weight, learning_rate=1.0, temperature=1.0, draw=lambda step: [])
    assert update_flops(sgd(weight, learning_rate=1.0), 10) == 40
    assert update_flops(sgd(weight, learning_rate=1.0), 10) < update_flops(
        adam(weight, learning_rate=1.0), 10
    )
    assert update_flops(adam(weight, learning_rate=1.0), 10) < update_flops(langevin, 10)


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_many_classes_have_softmax(reduction: str) -> None:
    """-log p(y) summed or averaged, p being the softmax of the logits; one logit stays logistic."""
    logits, y = torch.tensor([[0.0, 1.0, 2.0], [3.0, -1.0, 0.5]]), torch.tensor([2.0, 1.0])
    p = logits.exp() / logits.exp().sum(dim=1, keepdim=True)
    terms = -torch.stack([p[0, 2], p[1, 1]]).log()
    expected = terms.sum() if reduction == "sum" else terms.mean()
    torch.testing.assert_close(label_loss(logits, y, reduction=reduction), expected)
    one = torch.tensor([0.3, -0.2])
    terms = torch.nn.functional.softplus(torch.tensor([-0.3, -0.2]))  # y = 1 and y = 0
    expected = terms.sum() if reduction == "sum" else terms.mean()
    torch.testing.assert_close(label_loss(one, torch.tensor([1.0, 0.0]), reduction=reduction), expected)
