"""What a party sees of several layers under sharing is uniform, also together with all that it knows.

`tests/parties/secret_layers/test_leaks.py` plants leaks, which the same tests report.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from p2n2sim.messages import VOCABULARY
from p2n2sim.wire import layout
from tests import eavesdropper
from tests.uniformity import chi_square, correlation, joint_chi_square, not_independent, not_uniform
from tests.views import Run, watch

CASES: dict[str, tuple[int, dict[str, Any]]] = {
    "two holders": (2, {}),
    "three holders": (3, {}),
    "masked once, polynomial": (
        3,
        {
            "protocol.first_layer": "algorithm1-masked-once",
            "protocol.activation": "polynomial",
            "train.momentum": 0.9,
        },
    ),
    "two holders, server after two layers": (2, {"protocol.secret_layers": 2}),
    "three holders, server, seeds": (
        3,
        {"protocol.secret_layers": 2, "protocol.first_layer": "algorithm1-prg", "model.activations": "relu"},
    ),
    "narrow ring, local truncation": (
        2,
        {"protocol.ring_bits": 32, "protocol.fractional_bits": 10, "protocol.truncation": "local"},
    ),
    "dealer sends everything": (2, {"protocol.triples": "dealer-full"}),
}


def low_half(x: Any) -> Any:
    """The low half of the bits of narrow ring elements."""
    assert x.dtype == np.int32
    return x.astype(np.int16)


@pytest.fixture(scope="module", params=CASES)
def run(request: pytest.FixtureRequest) -> Run:
    """Six batches of training and three of prediction."""
    holders, overrides = CASES[request.param]
    with pytest.MonkeyPatch.context() as patch:
        return watch(eavesdropper.setup(holders, overrides), patch)


def test_what_is_declared_uniform_is_uniform_on_every_link(run: Run) -> None:
    """Every field declared uniform, or a share of something that is opened, passes on every link."""
    how = {
        f"{kind.__name__}.{name}": reveal.how
        for kind in VOCABULARY
        for (name, _), reveal in zip(layout(kind).arrays, layout(kind).reveals, strict=True)
    }
    links = list(eavesdropper.links(run))
    hidden = [(name, x) for name, field, x in links if how[field] in ("uniform", "opens")]
    if run.sessions[0].arithmetic.local_truncation:
        # A share that was truncated on its own has only w - f random bits. That says nothing: whoever knows
        # the sum and its own share knows this one.
        hidden = [(name, low_half(x) if "LogitShare" in name else x) for name, x in hidden]
    assert not_uniform(hidden) == {}
    clear = {field for _, field, _ in links if how[field] == "clear"}
    assert clear <= {"LayerGradient.d", "LastHidden.h_L", "LastHiddenGradient.d_L"}


def test_what_is_opened_is_uniform_to_every_holder(run: Run) -> None:
    """Opened values, less this holder's mask, less what it sent, and the change from batch to batch."""
    for session in run.sessions:
        assert not_uniform(eavesdropper.openings(run, session)) == {}


def test_keys_that_a_holder_has_open_nothing(run: Run) -> None:
    """What it is sent, with the streams of all keys that it was sent added, is uniform."""
    for session in run.sessions:
        found = list(eavesdropper.with_keys(run, session))
        assert not found or not_uniform(found) == {}


def test_pairs_of_messages_are_uniform_together(run: Run) -> None:
    """Byte i of one opening and byte i of the next, of the next batch's, and of what two holders send."""
    pairs = eavesdropper.pairs(run)
    assert not_independent(pairs, joint_chi_square) == {}


def test_nothing_is_correlated_with_what_is_secret(run: Run) -> None:
    """Neither an opened value, nor that less a holder's own mask, follows what is under it, or the labels."""
    for session in run.sessions:
        found = eavesdropper.against_secrets(run, session)
        assert not_independent(found, correlation) == {}


def test_the_secrets_are_those_of_the_run(run: Run) -> None:
    """The first thing opened is X, bit for bit, so that the tests above look at the right secrets."""
    f = run.setup.scenario.protocol.fractional_bits
    batch = next(iter(run.setup.schedule))
    first = run.secrets()[0].astype(np.int64)
    if run.setup.scenario.protocol.first_layer == "algorithm1-masked-once":
        X = run.setup.parts.theta.numpy()  # X has been opened before; the next is theta, before training
        assert first.size == X.size
    else:
        X = run.setup.dataset.X_train[batch.rows]
        np.testing.assert_array_equal(first, np.rint(X.reshape(-1) * np.float64(2**f)).astype(np.int64))


def test_the_statistics_know_randomness_and_its_absence() -> None:
    """Fixed random bytes pass alone and in pairs; text, a repeated message and a shifted one do not."""
    random = np.random.default_rng(1)
    a, b = (random.integers(0, 256, 400_000, np.uint8) for _ in range(2))
    for size in (5_000, 400_000):
        x, y = a[:size], b[:size]
        assert abs(chi_square(x.tobytes())) < 5
        assert abs(joint_chi_square(x, y)) < 5
        assert joint_chi_square(x, x) > 100
        assert joint_chi_square(x, x + np.uint8(7)) > 100
        assert abs(correlation(x, y)) < 5
        assert correlation(x, y.astype(np.int64) + x) > 40
    assert chi_square(b"to be or not to be, that is the question" * 100) > 100


def test_too_little_to_test_is_an_error() -> None:
    """A test of nothing must not pass."""
    with pytest.raises(ValueError, match="nothing is long enough"):
        not_uniform([("short", np.zeros(3))])
    with pytest.raises(ValueError, match="nothing is long enough"):
        not_independent([("short", np.zeros(3), np.zeros(3))], correlation)
