"""Several layers under secret sharing: forward, backward, update. Every holder runs this at the same time.

With s layers under sharing, z_l = a_(l-1) W_l + b_l and a_l = f_l(z_l) for l = 1 ... s, a_0 = X. If a server
goes on from there it is given z_s, or a_s, and returns the gradient in the clear; if s is the whole network,
the gradient dL/dz_s = a_s - y comes from shares of the label, and nothing is ever opened in training.

Source: Mohassel and Zhang, "SecureML", 2017, sections 4.2 and 4.3 (each matrix masked once a batch, also for
the backward pass); the P2N2 paper, Algorithm 2, where the server has a part.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from p2n2sim.errors import FixedPointError
from p2n2sim.mpc import correlated
from p2n2sim.mpc.width import Ring, Width
from p2n2sim.parties.secret_layers.activations import Activation, Slope
from p2n2sim.parties.secret_layers.session import Masked, Program, Public, Session

_DIGITS = {64: 20, 32: 8}  # significant bits of a public factor, by ring


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """What is public about the layers under sharing.

    Attributes:
        widths: k, n_1, ..., n_s.
        activations: of each layer; None where the product is given to the server.
        masked_once: whether the data were opened under their masks once for the whole run.
        learning_rate: of the gradient descent on the summed loss.
        momentum: of the gradient descent.
        mean: whether the loss of a batch is the mean over its rows.
    """

    widths: tuple[int, ...]
    activations: tuple[Activation | None, ...]
    masked_once: bool
    learning_rate: float
    momentum: float
    mean: bool

    @property
    def layers(self) -> int:
        """s."""
        return len(self.activations)

    def scale(self, rows: int) -> int:
        """By what gradients are multiplied before they are encoded, and the learning rate divided.

        The gradient of a mean is a small number, of which fixed point would keep few bits.
        """
        return rows if self.mean else 1


@dataclass(slots=True)
class Weights:
    """One holder's shares of the weights, with f fractional bits; changed by training.

    Attributes:
        W: of each layer, (n_(l-1), n_l).
        b: of each layer whose activation is under sharing, (n_l,); None where the server has it.
        velocity: of the gradient descent, in the order of the gradients; empty at first and without momentum.
    """

    W: list[Ring]
    b: list[Ring | None]
    velocity: list[Ring] = field(default_factory=list)

    @classmethod
    def zeros(cls, design: Design) -> Weights:
        """For a dry run."""
        shapes = zip(design.widths, design.widths[1:], strict=False)
        biases = zip(design.widths[1:], design.activations, strict=True)
        return cls(
            [np.zeros(shape, np.int64) for shape in shapes],
            [np.zeros(width, np.int64) if activation else None for width, activation in biases],
        )


@dataclass(frozen=True, slots=True)
class Trace:
    """What the backward pass needs of the forward pass.

    Attributes:
        inputs: a_0 to a_(s-1), masked.
        weights: W_1 to W_s, masked.
        slopes: of each activation; None where there is none under sharing.
        output: this holder's share of what the last layer gives.
    """

    inputs: list[Masked]
    weights: list[Masked]
    slopes: list[Slope | None]
    output: Ring


async def forward(
    session: Session, design: Design, weights: Weights, X: Ring, opened: Ring | None, *, logits: bool = False
) -> Trace:
    """One batch.

    Args:
        session: of this batch.
        design: the layers.
        weights: this holder's shares.
        X: its share of the rows, (m, k).
        opened: the rows minus their mask, if they were masked once.
        logits: stop before the last activation.

    Returns:
        The trace; its output has 2 f fractional bits if it is a product, f otherwise.
    """
    if opened is None:
        a, *masked = await session.mask(X, *weights.W)
    else:
        a = Masked(X, opened, session.draw(correlated.mask_of_rows))
        masked = await session.mask(*weights.W)
    f = session.arithmetic.fractional_bits
    inputs, slopes = list[Masked](), list[Slope | None]()
    last = design.layers - 1
    for layer, (W, b, activation) in enumerate(zip(masked, weights.b, design.activations, strict=True)):
        inputs.append(a)
        z = await session.multiply(a, W)  # (m, n_l), 2 f bits
        if activation is None:
            return Trace(inputs, masked, [*slopes, None], z)
        assert b is not None  # a layer with an activation has its bias under sharing
        (z,) = await session.truncate(_with_bias(session, z, b), bits=f)
        if layer == last and logits:
            return Trace(inputs, masked, [*slopes, None], z)
        output, slope = await activation(session, z)
        slopes.append(slope)
        if layer < last:
            (a,) = await session.mask(output)
    return Trace(inputs, masked, slopes, output)


async def backward(
    session: Session, design: Design, weights: Weights, trace: Trace, d: Ring | Public, rows: int
) -> None:
    """One step of gradient descent on the shares of the weights.

    Args:
        session: of this batch.
        design: the layers.
        weights: this holder's shares, changed in place.
        trace: of the forward pass.
        d: the gradient, with f fractional bits, times `design.scale`: a share of dL/dz_s, or in the clear
            dL/dz_s or dL/da_s, whichever the server was given.
        rows: m.
    """
    f = session.arithmetic.fractional_bits
    if isinstance(d, Public) and trace.slopes[-1] is not None:
        d = await _times_public(session, trace.slopes[-1], d)
    gradients = list[Ring]()  # of W_s, b_s, W_(s-1), ..., where there is a b
    for layer in reversed(range(design.layers)):
        known = d if isinstance(d, Public) else (await session.mask(d))[0]
        wide = [await session.multiply(trace.inputs[layer].T, known)]  # dL/dW_l, 2 f bits
        if layer:
            wide.append(await session.multiply(known, trace.weights[layer].T))  # dL/da_(l-1)
        narrow = await session.truncate(*wide, bits=f)
        gradients.append(narrow[0])
        if weights.b[layer] is not None:
            gradients.append(_column_sums(session, d))
        if layer:
            slope = trace.slopes[layer - 1]
            assert slope is not None  # only the last layer may lack an activation
            d = await _times_slope(session, narrow[1], slope)
    await _descend(session, design, weights, gradients, rows)


def _with_bias(session: Session, z: Ring, b: Ring) -> Ring:
    """A share of z + b with 2 f fractional bits, as z has."""
    f = session.arithmetic.fractional_bits
    result = z + (b << f)
    session.watch("sum", [z, b], result, lambda z, b: z + (b << f))
    return result


def _column_sums(session: Session, d: Ring | Public) -> Ring:
    """A share of dL/db: of a public gradient the first holder has all of it."""
    share = session.own_part(d) if isinstance(d, Public) else d
    sums: Ring = share.sum(axis=0)
    session.watch("sum", [share], sums, lambda x: x.sum(axis=0))
    return sums


async def _times_slope(session: Session, d: Ring, slope: Slope) -> Ring:
    """dL/dz = dL/da times the slope. One round, two if the slope has fractional bits, none if it is 1."""
    if slope.share is None:
        return d
    product = await session.times(d, slope.share)
    return (await session.truncate(product, bits=slope.bits))[0] if slope.bits else product


async def _times_public(session: Session, slope: Slope, d: Public) -> Ring | Public:
    """The same for a gradient in the clear: the product is local."""
    if slope.share is None:
        return d
    product = slope.share * d.value
    session.watch("product", [slope.share, session.own_part(d)], product, lambda x, y: x * y)
    return (await session.truncate(product, bits=slope.bits))[0] if slope.bits else product


async def _descend(
    session: Session, design: Design, weights: Weights, gradients: Sequence[Ring], rows: int
) -> None:
    """Every weight minus the learning rate times its gradient or velocity. One round, two with momentum."""
    width = session.arithmetic.width
    steps = list(gradients)
    if design.momentum:
        factor, bits = as_fraction(design.momentum, width)
        before = weights.velocity or [np.zeros_like(g) for g in gradients]
        kept = await session.truncate(*[await session.scale(v, factor) for v in before], bits=bits)
        weights.velocity = steps = [_sum(session, v, g) for v, g in zip(kept, gradients, strict=True)]
    factor, bits = as_fraction(design.learning_rate / design.scale(rows), width)
    changes = iter(await session.truncate(*[await session.scale(step, factor) for step in steps], bits=bits))
    for layer in reversed(range(design.layers)):
        weights.W[layer] = _sum(session, weights.W[layer], -next(changes))
        b = weights.b[layer]
        if b is not None:
            weights.b[layer] = _sum(session, b, -next(changes))


def _sum(session: Session, x: Ring, y: Ring) -> Ring:
    """A share of x + y."""
    result = x + y
    session.watch("sum", [x, y], result, lambda x, y: x + y)
    return result


def as_fraction(x: float, width: Width) -> tuple[int, int]:
    """A positive number as factor / 2^bits, with as many significant bits as the ring has room for.

    Raises:
        FixedPointError: the number is too small or too large for the ring.
    """
    bits = max(1, _DIGITS[width] - math.frexp(x)[1])
    factor = round(math.ldexp(x, bits))
    if bits > width - 3 or factor >> width - 2:
        size = "large" if factor >> width - 2 else "small"
        raise FixedPointError(f"the factor {x:g} is too {size} for a ring of {width} bits")
    return factor, bits


def training_program(design: Design, rows: int, *, whole: bool) -> Program:
    """What all holders run in a training batch, with zeros in it, for a dry run."""

    async def program(session: Session) -> None:
        weights = Weights.zeros(design)
        trace = await forward(session, design, weights, *_no_rows(design, rows))
        nothing = np.zeros((rows, design.widths[-1]), np.int64)
        await backward(session, design, weights, trace, nothing if whole else Public(nothing), rows)

    return program


def prediction_program(design: Design, rows: int, *, whole: bool) -> Program:
    """The same of a prediction batch."""

    async def program(session: Session) -> None:
        await forward(session, design, Weights.zeros(design), *_no_rows(design, rows), logits=whole)

    return program


def _no_rows(design: Design, rows: int) -> tuple[Ring, Ring | None]:
    X = np.zeros((rows, design.widths[0]), np.int64)
    return X, X if design.masked_once else None
