"""Sequence modules: against torch's own, row by row, and with the first layer's pattern held in training."""

from __future__ import annotations

import torch
from torch.func import functional_call, grad, vmap

from p2n2sim.nn.per_example import rows_depend, takes_many
from p2n2sim.nn.sequences import Convolution, Recurrence, hold_to, step_pattern


def test_recurrence_is_the_gru_of_torch() -> None:
    """With the same weights the plain operations give torch.nn.GRU's last state."""
    torch.manual_seed(0)
    module = Recurrence(4, 12, 5, activation="identity")
    reference = torch.nn.GRU(3, 5, batch_first=True)
    with torch.no_grad():
        module.first.bias.normal_()
        reference.weight_ih_l0.copy_(module.of_input.weight)
        reference.bias_ih_l0.copy_(module.of_input.bias)
        reference.weight_hh_l0.copy_(module.of_state.weight)
        reference.bias_hh_l0.copy_(module.of_state.bias)
        h1 = torch.randn(7, 12)
        expected = reference((h1 + module.first.bias).view(7, 4, 3))[1][0]
        torch.testing.assert_close(module(h1), expected)


def test_convolution_by_hand() -> None:
    """The convolution is over steps: a channel gives partial sums of the kernel."""
    module = Convolution(3, 3, 1, activation="identity")
    with torch.no_grad():
        module.convolution.weight.copy_(torch.tensor([[[1.0, 10.0, 100.0]]]))
        module.convolution.bias.zero_()
        found = module(torch.tensor([[1.0, 2.0, 3.0]]))
    torch.testing.assert_close(found, torch.tensor([[(210.0 + 321.0 + 32.0) / 3]]))


def test_gradients_of_single_rows() -> None:
    """torch.func takes the gradients of all rows at a time; their sum is autograd's."""
    for module in (Convolution(3, 6, 4, activation="tanh"), Recurrence(3, 6, 4, activation="tanh")):
        assert not rows_depend(module, 6)
        assert takes_many(module, 6, 4)
        h1 = torch.randn(5, 6, generator=torch.Generator().manual_seed(1))
        weights = {name: p.detach() for name, p in module.named_parameters()}

        def loss(
            own: dict[str, torch.Tensor], row: torch.Tensor, module: torch.nn.Module = module
        ) -> torch.Tensor:
            return functional_call(module, own, (row,)).square().sum()

        rows = vmap(grad(loss), (None, 0))(weights, h1)
        module(h1).square().sum().backward()
        for name, p in module.named_parameters():
            torch.testing.assert_close(rows[name].sum(0), p.grad)


def test_pattern_and_its_hold() -> None:
    """A step's column feeds its units alone, any other column all, and an update leaves zeros at zero."""
    pattern = step_pattern(3, [[0], [1]], 4)
    assert pattern.tolist() == [[1, 1, 0, 0], [0, 0, 1, 1], [1, 1, 1, 1]]
    theta = torch.ones(3, 4) * pattern
    optimiser = torch.optim.Adam([theta], lr=0.1)
    hold_to(optimiser, theta, pattern)
    for _ in range(3):
        theta.grad = torch.ones(3, 4)
        optimiser.step()
    assert ((theta == 0) == (pattern == 0)).all()
