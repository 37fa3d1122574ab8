"""Computing on shares over a network, every operation and activation against Python's integers."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2n2sim.mpc.polynomial import Method, approximate
from p2n2sim.mpc.width import Ring, Width
from p2n2sim.parties.secret_layers import activations
from p2n2sim.parties.secret_layers.activations import Activation
from p2n2sim.parties.secret_layers.session import Public, Session
from tests import oracle
from tests.dealing import elements
from tests.holders import together

WIDTHS: tuple[Width, ...] = (32, 64)
F = {32: 10, 64: 20}
ROUNDS = {32: 7, 64: 8}  # of a comparison: the number, the levels of the tree, the bit


def hard(width: int) -> list[int]:
    """Numbers that a layer may meet, among them the largest that are allowed."""
    limit = 1 << width - 2
    return [x for x in oracle.adversarial(width) if -limit <= x < limit]


def ring_lists(width: int, count: int) -> st.SearchStrategy[list[int]]:
    """Any elements."""
    one = st.one_of(
        st.integers(-(1 << width - 1), (1 << width - 1) - 1), st.sampled_from(oracle.adversarial(width))
    )
    return st.lists(one, min_size=count, max_size=count)


@pytest.mark.parametrize("width", WIDTHS)
@given(st.integers(2, 4), st.booleans(), st.data())
@settings(max_examples=15)
def test_products(width: Width, parties: int, full: bool, data: st.DataObject) -> None:
    """A matrix that is masked once serves in any number of products, also transposed; one round for all."""
    a, b, p = (data.draw(ring_lists(width, 6)) for _ in range(3))
    A, B, C = elements(a).reshape(2, 3), elements(b).reshape(3, 2), elements(p).reshape(3, 2)

    async def body(session: Session, x: Ring, y: Ring) -> Sequence[Ring]:
        left, right = await session.mask(x, y)
        return [
            await session.multiply(left, right),
            await session.multiply(right.T, left.T),
            await session.multiply(left, Public(C)),
            await session.multiply(Public(C), left),
            await session.times_masked(left, right.T),
            await session.scale(x, -77),
        ]

    ran = together(body, [A, B], parties=parties, width=width, full=full)
    rows_a, rows_b, rows_c = ([v[:3], v[3:]] for v in (a, b, p))
    rows_b, rows_c = ([[v[0], v[1]], [v[2], v[3]], [v[4], v[5]]] for v in (b, p))
    turned_a, turned_b = ([list(column) for column in zip(*m, strict=True)] for m in (rows_a, rows_b))
    assert [value.tolist() for value in ran.values[:4]] == [
        oracle.product(rows_a, rows_b, width),
        oracle.product(turned_b, turned_a, width),
        oracle.product(rows_a, rows_c, width),
        oracle.product(rows_c, rows_a, width),
    ]
    flat = [x for row in turned_b for x in row]
    assert ran.results[4] == [oracle.signed(x * y, width) for x, y in zip(a, flat, strict=True)]
    assert ran.results[5] == [oracle.signed(-77 * x, width) for x in a]
    assert ran.rounds == 1


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("parties", [2, 3, 5])
def test_truncation_takes_one_round_for_any_number_of_values(width: Width, parties: int) -> None:
    """All neighbours, the largest numbers included."""
    values = hard(width)

    async def body(session: Session, x: Ring, y: Ring) -> Sequence[Ring]:
        return await session.truncate(x, y, bits=F[width])

    x = elements(values)
    ran = together(body, [x, x[:5].reshape(5, 1)], parties=parties, width=width)
    assert oracle.wrong_truncations(values, ran.results[0], F[width]) == []
    assert oracle.wrong_truncations(values[:5], ran.results[1], F[width]) == []
    assert ran.rounds == 1


def test_local_truncation_sends_nothing() -> None:
    """No round and no message."""

    async def body(session: Session, x: Ring) -> Sequence[Ring]:
        return await session.truncate(x, bits=20)

    values = [x for x in oracle.adversarial(64) if abs(x) < 1 << 32]
    ran = together(body, [elements(values)], local=True)
    assert oracle.wrong_truncations(values, ran.results[0], 20) == []
    assert (ran.rounds, ran.openings) == (0, {})


async def activate(session: Session, z: Ring, activation: Activation) -> Sequence[Ring]:
    """The activation and its slope."""
    a, slope = await activation(session, z)
    assert slope.share is not None
    return [a, slope.share]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("parties", [2, 3])
@pytest.mark.parametrize("name", ["relu", "sigmoid", "tanh"])
def test_piecewise_activations_are_exact(width: Width, parties: int, name: str) -> None:
    """Value and slope are right at every kink, beside it, and at the ends of what is allowed."""
    f = F[width]
    one = 1 << f
    kinks = [at + by for at in (0, one, -one, one // 2, -one // 2) for by in (-1, 0, 1)]
    values = [*hard(width), *kinks]
    activation = {
        "relu": activations.RELU,
        "sigmoid": activations.THREE_PIECE_SIGMOID,
        "tanh": activations.HARD_TANH,
    }[name]
    exact = {
        "relu": lambda z: oracle.relu(z),
        "sigmoid": lambda z: oracle.three_piece_sigmoid(z, f),
        "tanh": lambda z: oracle.hard_tanh(z, f),
    }[name]

    async def body(session: Session, z: Ring) -> Sequence[Ring]:
        return await activate(session, z, activation)

    ran = together(body, [elements(values)], parties=parties, width=width, fractional_bits=f)
    assert ran.results[0] == [exact(z) for z in values]
    assert ran.results[1] == [exact(z + 1) - exact(z) for z in values]  # it changes at the kink itself
    assert ran.rounds == ROUNDS[width]


@pytest.mark.parametrize(("width", "largest"), [(32, 1 << 14), (64, 1 << 30)])
@pytest.mark.parametrize("parties", [2, 3])
def test_the_square_is_a_neighbour_and_its_slope_exact(width: Width, largest: int, parties: int) -> None:
    """z^2 is truncated once; 2 z needs nothing."""
    f = F[width]
    values = [v for x in (0, 1, 2, 77, 1 << f, (1 << f) + 1, largest) for v in (x, -x)]

    async def body(session: Session, z: Ring) -> Sequence[Ring]:
        return await activate(session, z, activations.Square())

    ran = together(body, [elements(values)], parties=parties, width=width, fractional_bits=f)
    assert all(a in oracle.square(z, f) for z, a in zip(values, ran.results[0], strict=True))
    assert ran.results[1] == [2 * z for z in values]
    assert ran.rounds == 2


@pytest.mark.parametrize("method", ["least-squares", "chebyshev", "taylor"])
@pytest.mark.parametrize("degree", [1, 2, 3, 5, 9])
@pytest.mark.parametrize("local", [False, True])
def test_a_polynomial_is_within_its_error_bound(method: Method, degree: int, local: bool) -> None:
    """Value and slope differ from the exact polynomial's by no more than all roundings together can."""
    f = 16
    fit = approximate("sigmoid", method, degree, 5.0)
    u_bits = f + fit.scale_bits
    end = 5 << f
    values = [0, 1, -1, end, -end, end - 1, 12345, -99999, end // 2, -end // 3]

    async def body(session: Session, z: Ring) -> Sequence[Ring]:
        return await activate(session, z, activations.PolynomialActivation(fit))

    ran = together(body, [elements(values)], local=local, fractional_bits=f)
    for part, found in zip((fit, fit.derivative()), ran.results, strict=True):
        coefficients = [Fraction(c) for c in part.coefficients]
        for z, y in zip(values, found, strict=True):
            u = Fraction(z, 1 << u_bits)
            off = abs(Fraction(y, 1 << f) - oracle.polynomial(coefficients, u))
            assert off <= oracle.polynomial_error(coefficients, u, f, u_bits)
    doublings = (degree - 1).bit_length()
    assert ran.rounds == (doublings if local else 2 * doublings + 1)


def test_a_planted_coefficient_exceeds_the_bound() -> None:
    """A constant that is off by 2^-12, 16 units, is more than all roundings together."""
    fit = approximate("sigmoid", "least-squares", 3, 5.0)
    right = [Fraction(c) for c in fit.coefficients]
    u = Fraction(12345, 1 << 19)
    wrong = oracle.polynomial([right[0] + Fraction(1, 1 << 12), *right[1:]], u)
    assert abs(wrong - oracle.polynomial(right, u)) > oracle.polynomial_error(right, u, 16, 19)


def test_the_identity_costs_nothing() -> None:
    """a = z, and its slope is 1 everywhere."""

    async def body(session: Session, z: Ring) -> Sequence[Ring]:
        a, slope = await activations.Identity()(session, z)
        assert (slope.share, slope.bits) == (None, 0)
        return [a]

    ran = together(body, [np.arange(-3, 3)])
    assert (ran.results, ran.rounds) == ([[-3, -2, -1, 0, 1, 2]], 0)
