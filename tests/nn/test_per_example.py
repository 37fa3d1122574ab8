"""Gradients of single rows: norms and weighted sums equal those of a backward pass for each, in any."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from p2n2sim.nn.network import build
from p2n2sim.nn.per_example import is_stack, row_gradients, rows_depend, takes_many, trace


class Sequences(nn.Module):
    """h1 as a sequence of four pairs, through a recurrent layer."""

    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(2, 5, batch_first=True)
        self.out = nn.Linear(5, 3)

    def forward(self, h1: Tensor) -> Tensor:
        """(m, 8) to (m, 3)."""
        states, _ = self.gru(h1.view(len(h1), 4, 2))
        return torch.sigmoid(self.out(states[:, -1]))


class Convolution(nn.Module):
    """h1 as a signal, through a convolution; one parameter is not used and one is not trained."""

    def __init__(self) -> None:
        super().__init__()
        self.along = nn.Conv1d(1, 4, 3)
        self.out = nn.Linear(24, 3)
        self.unused = nn.Parameter(torch.ones(2))
        self.fixed = nn.Parameter(torch.ones(3), requires_grad=False)

    def forward(self, h1: Tensor) -> Tensor:
        """(m, 8) to (m, 3)."""
        return self.fixed * torch.sigmoid(self.out(torch.relu(self.along(h1[:, None])).flatten(1)))


def perceptron() -> nn.Module:
    """The built-in one."""
    return build(5, [8, 6, 3], ["sigmoid", "relu", "tanh"], seed=4).server


def twice_the_same() -> nn.Module:
    """A layer that is there twice, so that a row's gradient is no single product."""
    layer = nn.Linear(8, 8)
    return nn.Sequential(layer, nn.Tanh(), layer, nn.Linear(8, 3))


MODULES = {"perceptron": perceptron, "gru": Sequences, "convolution": Convolution, "shared": twice_the_same}


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("rows", [0, 1, 7])
def test_rows_gradients_are_those_of_one_row_at_a_time(name: str, rows: int) -> None:
    """Norms, weighted sums and dL/dh1 equal what autograd finds for each row by itself."""
    torch.manual_seed(1)
    module = MODULES[name]()
    if not rows and name != "perceptron":
        pytest.skip("not every module takes no rows")
    h1, d_L, f = torch.randn(rows, 8), torch.randn(rows, 3), torch.rand(rows)
    found = row_gradients(trace(module, h1), d_L)
    parameters = [p for p in module.parameters() if p.requires_grad]
    totals = [torch.zeros_like(p) for p in parameters]
    for r in range(rows):
        row = h1[r : r + 1].clone().requires_grad_()
        made = torch.autograd.grad(module(row), [row, *parameters], d_L[r : r + 1], allow_unused=True)
        torch.testing.assert_close(found.d_1[r], made[0][0])
        own = [torch.zeros_like(p) if g is None else g for p, g in zip(parameters, made[1:], strict=True)]
        torch.testing.assert_close(found.squared[r], sum(g.square().sum() for g in own), rtol=1e-4, atol=0)
        assert all(p.requires_grad for p in parameters)
        for total, g in zip(totals, own, strict=True):
            total += f[r] * g
    torch.testing.assert_close(found.weighted(f), totals, rtol=1e-4, atol=1e-6)


def test_which_way_is_taken() -> None:
    """Only a stack of linear layers, each there once, has norms that are products; a GRU goes row by row."""
    assert [name for name, make in MODULES.items() if is_stack(make())] == ["perceptron"]
    assert takes_many(Convolution(), 8, 3)
    assert not takes_many(Sequences(), 8, 3)


@pytest.mark.parametrize(
    ("further", "depends"),
    [(nn.BatchNorm1d(8), True), (nn.Dropout(0.5), True), (nn.LayerNorm(8), False), (nn.Identity(), False)],
)
def test_modules_whose_rows_have_no_gradient_of_their_own(further: nn.Module, depends: bool) -> None:
    """Batch normalisation and dropout are found out, and left as they were."""
    module = nn.Sequential(nn.Linear(8, 8), further, nn.Linear(8, 3))
    before = {name: value.clone() for name, value in module.state_dict().items()}
    assert rows_depend(module, 8) is depends
    after = module.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
