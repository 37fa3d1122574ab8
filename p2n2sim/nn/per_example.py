"""The gradient of every single row's loss with respect to a module's weights: its norm, and weighted sums.

For a linear layer z = W a + b a row's gradient is the outer product of dL/dz and a, so its squared norm is
|dL/dz|^2 (|a|^2 + 1) and none of these matrices has to be made (Goodfellow, "Efficient per-example gradient
computations", 2015). For any other module the gradients are made, a part of the rows at a time, and
dropped once their norms are known. A weighted sum of the rows' gradients is the gradient of the weighted
sum, either way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, vjp, vmap

from p2n2sim.nn.network import ACTIVATIONS, Bias
from p2n2sim.nn.training import Floats, product, squared_norms

MOST_NUMBERS = 1 << 22
"""How many numbers of per-row gradients are made at a time."""

_ROW_BY_ROW = tuple(kind for kind in ACTIVATIONS.values() if isinstance(kind, type))


@dataclass(frozen=True)
class Trace:
    """A forward pass, with what the gradients need.

    Attributes:
        module: theta_S.
        h1: what went in, (m, n).
        output: what came out, (m, q).
        layers: of a stack of linear layers, each that has weights with what went into it and what came out;
            None for any other module.
    """

    module: nn.Module
    h1: Tensor
    output: Tensor
    layers: tuple[tuple[nn.Module, Tensor, Tensor], ...] | None


@dataclass(frozen=True)
class RowGradients:
    """The gradients of the rows' own losses.

    Attributes:
        trace: of the forward pass.
        given: of every row's loss with respect to h_L, (m, q).
        d_1: the same with respect to h1, (m, n).
        squared: squared norm of that with respect to all weights of the module, (m,).
        by_layer: the same with respect to what comes out of each layer, where the trace has layers.
    """

    trace: Trace
    given: Tensor
    d_1: Tensor
    squared: Tensor
    by_layer: tuple[Tensor, ...]

    def weighted(self, f: Tensor) -> list[Tensor]:
        """The sum of the rows' gradients times f (m,), for every parameter that is trained, in order."""
        if self.trace.layers is None:
            with_gradient = trained(self.trace.module)
            made = torch.autograd.grad(
                self.trace.output,
                with_gradient,
                self.given * f[:, None],
                allow_unused=True,
                retain_graph=True,
            )
            return [torch.zeros_like(p) if g is None else g for p, g in zip(with_gradient, made, strict=True)]
        out: list[Tensor] = []
        for (layer, a, _), g in zip(self.trace.layers, self.by_layer, strict=True):
            fg = g.numpy() * np.repeat(f.numpy(), g.shape[1]).reshape(g.shape)  # many times torch's speed
            out += [_tensor(product(fg.T, a.detach().numpy()))] if isinstance(layer, nn.Linear) else []
            out += [_tensor(np.ones(len(fg), np.float32) @ fg)] if layer.bias is not None else []
        return out


def trained(module: nn.Module) -> list[nn.Parameter]:
    """The parameters that are trained, in order."""
    return [parameter for parameter in module.parameters() if parameter.requires_grad]


def is_stack(module: nn.Module) -> bool:
    """Whether a module is a stack of linear layers, as the built-in perceptron is."""
    return (
        isinstance(module, nn.Sequential)
        and all(type(layer) in (Bias, nn.Linear, *_ROW_BY_ROW) for layer in module)
        and all(parameter.requires_grad for parameter in module.parameters())
        and len({id(parameter) for parameter in module.parameters()}) == _weights(module)
    )


def _weights(module: nn.Sequential) -> int:
    return sum(1 for layer in module for _ in layer.parameters())


def trace(module: nn.Module, h1: Tensor) -> Trace:
    """The forward pass.

    Args:
        module: in which no row depends on another.
        h1: (m, n).
    """
    h1 = h1.detach().requires_grad_()
    if not is_stack(module):
        return Trace(module, h1, module(h1), None)
    assert isinstance(module, nn.Sequential)  # or it would be no stack
    x, layers = h1, []
    for layer in module:
        a, x = x, layer(x)
        if isinstance(layer, Bias | nn.Linear):
            layers.append((layer, a, x))
    return Trace(module, h1, x, tuple(layers))


def row_gradients(traced: Trace, d_L: Tensor) -> RowGradients:
    """The gradients of the rows.

    Args:
        traced: the forward pass.
        given: of every row's own loss with respect to h_L, (m, q).
    """
    if traced.layers is None:
        (d_1,) = torch.autograd.grad(traced.output, traced.h1, d_L, retain_graph=True)
        squared = _squared(traced.module, traced.h1.detach(), d_L)
        return RowGradients(traced, d_L, d_1, squared, ())
    outputs = [z for _, _, z in traced.layers]
    d_1, *by_layer = torch.autograd.grad(traced.output, [traced.h1, *outputs], d_L)
    total = np.zeros(len(d_L), np.float32)
    for (layer, a, _), g in zip(traced.layers, by_layer, strict=True):
        norms = squared_norms(g.numpy())
        with np.errstate(over="ignore", invalid="ignore"):
            if isinstance(layer, nn.Linear):
                total += norms * squared_norms(a.detach().numpy())
            if layer.bias is not None:
                total += norms
    return RowGradients(traced, d_L, d_1, _tensor(total), tuple(by_layer))


def _tensor(array: Floats) -> Tensor:
    return torch.from_numpy(array)


def _squared(module: nn.Module, h1: Tensor, d_L: Tensor) -> Tensor:
    """Squared norms of the rows' gradients, which are made and dropped again, (m,)."""
    of_row = _of_row(module)
    if not len(h1):
        return d_L.sum(1)
    if takes_many(module, h1.shape[1], d_L.shape[1]):
        size = max(1, MOST_NUMBERS // max(1, sum(p.numel() for p in trained(module))))
        many: Tensor = vmap(of_row, chunk_size=size)(h1, d_L)
        return many
    return torch.stack([of_row(h, d) for h, d in zip(h1, d_L, strict=True)])


def _of_row(module: nn.Module) -> Callable[[Tensor, Tensor], Tensor]:
    """The squared norm of one row's gradient, from h1 (n,) and dL/dh_L (q,)."""
    weights = {name: p.detach() for name, p in module.named_parameters() if p.requires_grad}
    # A layer that is there twice is one object: tied by name, torch would put its weights back wrongly.
    twice = len(list(module.named_modules(remove_duplicate=False))) > len(list(module.modules()))

    def of_row(h: Tensor, d: Tensor) -> Tensor:
        back = vjp(lambda own: functional_call(module, own, (h[None],), tie_weights=not twice), weights)[1]
        (g,) = back(d[None])
        return torch.stack([(part * part).sum() for part in g.values()]).sum()

    return of_row


def takes_many(module: nn.Module, n: int, q: int) -> bool:
    """Whether the rows' gradients can be made many at a time: recurrent modules of torch cannot."""
    try:
        vmap(_of_row(module))(torch.zeros(2, n), torch.zeros(2, q))
    except RuntimeError:
        return False
    return True


def rows_depend(module: nn.Module, n: int) -> bool:
    """Whether a row's output in training depends on other rows or on chance, or changes what is kept.

    Batch normalisation and dropout do; such a module has no gradient of one row's loss.

    Args:
        module: from (m, n); its state is left as it was.
        n: width of its input.
    """
    generator = torch.Generator().manual_seed(0)
    h1 = torch.randn(4, n, generator=generator)
    before = {key: value.clone() for key, value in module.state_dict().items()}
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            module.train()
            first, second = module(h1), module(h1)
            alone = torch.cat([module(row[None]) for row in h1])
    except (RuntimeError, ValueError):  # batch normalisation refuses a single row
        return True
    finally:
        after = {key: value.clone() for key, value in module.state_dict().items()}
        module.load_state_dict(before)
    changed = any(not torch.equal(before[key], after[key]) for key in before)
    return changed or not torch.equal(first, second) or not torch.allclose(first, alone, rtol=1e-4, atol=1e-5)


def set_gradients(module: nn.Module, gradients: Sequence[Tensor]) -> None:
    """Gives every parameter that is trained its gradient."""
    for parameter, gradient in zip(trained(module), gradients, strict=True):
        parameter.grad = gradient
