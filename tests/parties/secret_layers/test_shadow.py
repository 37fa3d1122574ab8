"""The shadow: every overflow is reported where it happens, nothing else is, and the run stays the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from p2n2sim.assemble import Setup
from p2n2sim.mpc import fixed_point
from p2n2sim.mpc.polynomial import ScaledPolynomial
from p2n2sim.mpc.width import Ring
from p2n2sim.parties.secret_layers.activations import PolynomialActivation
from p2n2sim.parties.secret_layers.session import Public, Session
from p2n2sim.parties.secret_layers.shadow import Overflow, Shadow
from p2n2sim.simulate import Outcome, simulate
from tests import oracle
from tests.dealing import elements
from tests.holders import together
from tests.small import small_setup
from tests.uniformity import ALL_LAYERS


def ran(times: float = 1.0, labels: float = 1.0, **protocol: Any) -> tuple[Setup, Outcome, np.ndarray]:
    """A small network with features, and labels, so many times as large, and its first weights."""
    overrides = ALL_LAYERS | {f"protocol.{key}": value for key, value in protocol.items()}
    setup = small_setup(overrides=overrides)
    setup.dataset.X_train[:] *= times
    setup.dataset.y_train[:] *= labels
    theta = setup.parts.theta.numpy().copy()
    outcome = Outcome()
    simulate(setup, outcome)
    return setup, outcome, theta


def found_by(outcome: Outcome) -> list[Overflow]:
    """What the shadow found."""
    assert outcome.shadow is not None
    assert outcome.shadow.checked > 500
    return outcome.shadow.overflows


@pytest.mark.parametrize(
    "protocol",
    [
        {},
        {"truncation": "local"},
        {"activation": "polynomial"},
        {"ring_bits": 32, "fractional_bits": 10},
        {"secret_layers": 1, "opened": "activation", "activation": "polynomial"},
        {"first_layer": "algorithm1-masked-once"},
    ],
    ids=str,
)
def test_a_run_that_does_not_overflow_reports_nothing(protocol: dict[str, Any]) -> None:
    """Every number is recomputed, and none is off."""
    assert found_by(ran(shadow=True, **protocol)[1]) == []


def test_the_first_overflow_is_the_one_of_the_oracle() -> None:
    """Batch, operation, index, exact and found value of the first are those of Python's integers."""
    setup, outcome, theta = ran(200.0, shadow=True, ring_bits=32, fractional_bits=13)
    first = found_by(outcome)[0]
    rows = next(iter(setup.schedule)).rows
    X = fixed_point.encode(setup.dataset.X_train[rows], 13).tolist()
    W = fixed_point.encode(theta, 13).tolist()
    exact = oracle.product(X, W, 128)
    over = [(i, j) for i, row in enumerate(exact) for j, x in enumerate(row) if not -(1 << 30) <= x < 1 << 30]
    assert (first.step, first.what, first.number) == (0, "product", 1)
    assert (first.count, first.of, first.index) == (len(over), len(rows) * theta.shape[1], over[0])
    i, j = over[0]
    assert (first.exact, first.found) == (exact[i][j], oracle.signed(exact[i][j], 32))
    assert str(first) == (
        f"batch 1, operation 1 (product): {len(over)} of {len(rows) * 4} numbers, "
        f"first at [{i}, {j}]: {first.exact} became {first.found}"
    )


@pytest.mark.parametrize("times", [1.0, 200.0])
def test_a_shadow_changes_no_bit(times: float) -> None:
    """Ledger and weights are the same with and without, whether or not it finds anything."""
    left = []
    for shadow in (False, True):
        setup, outcome, _ = ran(times, shadow=shadow, ring_bits=32, fractional_bits=13)
        weights = [p.detach().clone() for p in (*setup.parts.server.parameters(), setup.parts.theta)]
        left.append((outcome.ledger.sha256(), outcome.virtual_s, weights))
        assert (outcome.shadow is not None) == shadow
    assert left[0][:2] == left[1][:2]
    assert all(torch.equal(*pair) for pair in zip(left[0][2], left[1][2], strict=True))


@pytest.mark.parametrize("local", [True, False])
def test_wraps_of_local_truncation_are_reported(local: bool) -> None:
    """As many as the oracle counts, with the first one's place; with a dealer's pairs there is none."""
    values = [(1 << 28) + 77 * i for i in range(4000)]

    async def body(session: Session, x: Ring) -> Sequence[Ring]:
        return await session.truncate(x, bits=8)

    after = together(body, [elements(values)], width=32, local=local, shadow=True)
    assert after.shadow is not None
    wrong = oracle.wrong_truncations(values, after.results[0], 8)
    if not local:
        assert after.shadow.overflows == wrong == []
        return
    (found,) = after.shadow.overflows
    assert 100 < found.count == len(wrong) == oracle.wraps(values, after.results[0], 8, 32)
    assert (found.of, found.what) == (4000, "truncation")
    assert (values[found.index[0]], found.found) == (wrong[0][0], wrong[0][2])
    assert found.exact == wrong[0][1][0]


def test_a_sum_of_terms_that_fit_each_is_recomputed() -> None:
    """1020 (1 + u + u^2) at u = 1 has three terms below the limit of 1024, and wraps to a small number."""
    fit = ScaledPolynomial((1020.0, 1020.0, 1020.0), 0)

    async def body(session: Session, z: Ring) -> Sequence[Ring]:
        a, _ = await PolynomialActivation(fit)(session, z)
        return [a]

    after = together(body, [elements([0, 1 << 10])], width=32, fractional_bits=10, shadow=True)
    assert after.shadow is not None
    found = [(o.what, o.index, o.exact, o.found) for o in after.shadow.overflows if o.what == "sum"]
    right = 3060 << 20  # also of the derivative, 1020 + 2040 u
    assert found == [("sum", (1,), right, oracle.signed(right, 32))] * 2


def test_the_bias_is_recomputed() -> None:
    """A bias of 20, with 26 fractional bits, is beyond a ring of 32 bits, though the product is not."""
    setup = small_setup(
        overrides=ALL_LAYERS
        | {"protocol.shadow": True, "protocol.ring_bits": 32, "protocol.fractional_bits": 13}
    )
    with torch.no_grad():
        next(iter(setup.parts.server.parameters())).fill_(20.0)
    outcome = Outcome()
    simulate(setup, outcome)
    first = found_by(outcome)[0]
    assert (first.step, first.number, first.what, first.count) == (0, 2, "sum", first.of)
    assert abs(first.exact - (20 << 26)) < 8 << 26
    assert first.found == oracle.signed(first.exact, 32)


def test_sums_over_the_rows_are_recomputed() -> None:
    """Gradients that fit each, whose sum over a batch, the gradient of a bias, does not."""
    _, outcome, _ = ran(labels=9e5, shadow=True, ring_bits=32, fractional_bits=10)
    sums = [o for o in found_by(outcome) if o.what == "sum" and o.of == 1]
    assert sums
    assert all(abs(o.exact) >= 1 << 30 and o.found == oracle.signed(o.exact, 32) for o in sums)


def test_a_gradient_in_the_clear_times_a_slope_is_recomputed() -> None:
    """The server's gradient fits, its product with the shared slope does not, and that is the first thing."""
    setup = small_setup(
        overrides={
            "protocol.secret_layers": 1,
            "protocol.opened": "activation",
            "protocol.activation": "polynomial",
            "protocol.shadow": True,
            "protocol.ring_bits": 32,
            "protocol.fractional_bits": 10,
        }
    )
    with torch.no_grad():
        setup.parts.head.weight.mul_(1e5)
    outcome = Outcome()
    simulate(setup, outcome)
    first = found_by(outcome)[0]
    assert (first.step, first.what, first.of) == (0, "product", 6 * 4)
    assert abs(first.exact) >= 1 << 30
    assert first.found == oracle.signed(first.exact, 32)


@pytest.mark.parametrize("width", [32, 64])
def test_what_everybody_knows_is_recomputed_too(width: Any) -> None:
    """A product with a public matrix that leaves the ring is reported with both values."""
    known = Public(np.array([[1 << width - 4]]))

    async def body(session: Session, x: Ring) -> Sequence[Ring]:
        (masked,) = await session.mask(x)
        return [await session.multiply(masked, known), await session.multiply(known, masked)]

    after = together(body, [np.array([[9]])], width=width, shadow=True)
    assert after.shadow is not None
    right = 9 << width - 4
    assert [(o.number, o.exact, o.found) for o in after.shadow.overflows] == [
        (number, right, oracle.signed(right, width)) for number in (1, 2)
    ]


@pytest.mark.parametrize("slack", [0, 1])
def test_what_is_allowed_and_what_is_not(slack: int) -> None:
    """A result may exceed the exact one by the slack, never fall short of it; numbers end at 2^(w-2)."""
    limit = 1 << 30
    shadow = Shadow(holders=3, width=32)

    def check(operand: int, off: int) -> bool:
        before = len(shadow.overflows)
        for share in (limit, -limit - 7, operand + 7):  # of three holders, in any representatives
            shadow.see(
                0,
                1,
                "test",
                [np.array([share])],
                np.array([share + off * (share == limit)]),
                lambda x: x,
                slack=slack,
            )
        return len(shadow.overflows) > before

    assert [off for off in (-2, -1, 0, 1, 2) if not check(5, off)] == [0, 1][: slack + 1]
    assert [x for x in (limit, limit - 1, -limit, -limit - 1) if check(x, 0)] == [limit, -limit - 1]
    assert shadow.checked == 9
