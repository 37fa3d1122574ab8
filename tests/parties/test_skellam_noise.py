"""Skellam noise on h1 in the ring: its variance in what is opened, on which grid, by whom, who sees what."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from p2n2sim.assemble import Setup
from p2n2sim.errors import ScenarioError
from p2n2sim.inputs import Inputs
from p2n2sim.mpc import fixed_point
from p2n2sim.mpc.prg import derive_key
from p2n2sim.parties.noise import SkellamNoise
from p2n2sim.recording import kept
from p2n2sim.run import weights_sha256
from tests.laws import declared_as_it_is, listen
from tests.small import small_setup

SIGMA, CLIP, BITS = 0.5, 1.0, 12
FAMILY = ("algorithm1", "algorithm1-prg", "masked-sum", "plaintext")


def noisy(
    first_layer: str = "masked-sum", by: str = "holders", *, sigma: float = SIGMA, rows: int = 1200
) -> Setup:
    """Three holders, rows clipped in h1, noise of SIGMA times the clipping norm; all views recorded."""
    h1 = {"clip": CLIP, "noise_multiplier": sigma, "noise_by": by}
    keys = {"privacy.h1": h1, "privacy.delta": 1e-6, "protocol.fractional_bits": BITS}
    keys |= {"protocol.first_layer": first_layer, "protocol.crypto": "modelled", "train.batch_size": 400}
    keys |= {"record.views": ["server", "B"], "record.epochs": "all"}
    return small_setup(rows=rows, holders=3, overrides=keys)


def clipped(setup: Setup) -> np.ndarray:
    """X theta of the first batch before training, every holder's summand clipped."""
    batch, clip = next(iter(setup.schedule)), Inputs(setup).clip()
    assert clip is not None
    out = 0
    for block in setup.blocks:
        theta = setup.parts.theta.numpy()[block].copy()
        out = out + clip(setup.dataset.X_train[batch.rows][:, block], theta).astype(np.float64) @ theta
    return out


def first_of(setup: Setup, party: str, label: str) -> np.ndarray:
    """What a party was given in the first batch."""
    outcome, _ = listen(setup)
    view = kept(setup, outcome)[party]
    return view[f"train/{label}/values"][view[f"train/{label}/steps"] == 0]


def test_parts_have_the_variance_that_is_claimed() -> None:
    """One part of h has sigma^2 / h, whatever the grid, and every step its own noise."""
    for bits in (8, 12, 24):
        part = SkellamNoise(Fraction(1, 3), derive_key(1, "noise", "A"), bits)
        drawn = part.on_share(np.zeros((3000, 4), np.int64), 0, bits)
        assert drawn.std() / 2.0**bits == pytest.approx(3**-0.5, rel=0.03)
        assert abs(drawn.mean()) / 2.0**bits < 0.03
        assert not np.array_equal(drawn, part.on_share(np.zeros((3000, 4), np.int64), 1, bits))


def test_low_bits_have_noise_too() -> None:
    """What is added is no multiple of a coarser unit, so that no low bit of h1 is left as it was."""
    part = SkellamNoise(Fraction(1), derive_key(1, "noise", "A"), 8)
    drawn = part.on_share(np.zeros((2000, 4), np.int64), 0, 24)
    assert abs((drawn % 2).mean() - 0.5) < 0.03
    assert abs((drawn % 256).mean() - 127.5) < 5


@pytest.mark.parametrize("first_layer", FAMILY)
@pytest.mark.parametrize("by", ["holders", "one-holder"])
def test_the_opened_sum_has_all_of_it(first_layer: str, by: str) -> None:
    """The server's h1 is the sum of clipped summands and noise of SIGMA times C, in every first layer."""
    setup = noisy(first_layer, by)
    expected = clipped(setup)
    noise = first_of(setup, "server", "h1") - expected
    assert noise.std() == pytest.approx(SIGMA * CLIP, rel=0.06)
    assert abs(noise.mean()) < 0.06


def test_what_the_server_adds_it_has_seen_through() -> None:
    """With `noise_by = "server"` its view holds h1 exactly, and what it says to others has the noise."""
    setup = noisy(by="server")
    expected = clipped(setup)
    np.testing.assert_allclose(first_of(setup, "server", "h1"), expected, atol=1e-2)
    gradients = [first_of(noisy(by="server", sigma=sigma), "B", "dL/dh1") for sigma in (SIGMA, 0.0)]
    assert np.abs(gradients[0] - gradients[1]).max() > 1e-4


def test_no_byte_more_and_shares_stay_uniform() -> None:
    """Noise costs no message and no byte; shares of a noisy h1 are uniform as those of an exact one."""
    quiet, loud = noisy("algorithm1", sigma=0.0), noisy("algorithm1")
    assert listen(quiet)[0].ledger.sha256() == listen(loud)[0].ledger.sha256()
    assert weights_sha256(quiet.parts) != weights_sha256(loud.parts)
    assert "HiddenShare.h1" in declared_as_it_is(noisy("algorithm1"))


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"protocol.fractional_bits": 20}, "fractional_bits of at most 15"),
        ({"protocol.first_layer": "algorithm1-masked-once"}, "masks X before"),
        ({"defence.noise": 1.0}, "has the noise of privacy.h1 already"),
        ({"privacy.h1.noise_multiplier": -1.0}, "privacy.h1.noise_multiplier"),
        ({"protocol.secret_layers": 2}, "nobody opens"),
    ],
)
def test_what_is_refused(keys: dict[str, object], said: str) -> None:
    """More noise than is drawn exactly, and protocols that have no place for it, with what would do."""
    base = {"privacy.h1": {"clip": CLIP, "noise_multiplier": SIGMA}, "privacy.delta": 1e-6}
    with pytest.raises(ScenarioError, match=said):
        small_setup(overrides=base | {"protocol.fractional_bits": BITS} | keys)


def test_half_of_it_is_refused() -> None:
    """A norm without noise, noise without a norm, and noise without a delta."""
    for keys in ({"privacy.h1.clip": 1.0}, {"privacy.h1.noise_multiplier": 1.0}):
        with pytest.raises(ScenarioError, match="give both"):
            small_setup(overrides=keys)
    with pytest.raises(ScenarioError, match=r"privacy\.delta"):
        small_setup(overrides={"privacy.h1": {"clip": 1.0, "noise_multiplier": 1.0}})


def test_it_is_a_function_of_the_seed_and_the_grid() -> None:
    """A summand in the clear is rounded to the grid and has the noise of the share."""
    part = SkellamNoise(Fraction(1, 4), derive_key(2, "noise", "A"), BITS)
    summand = np.linspace(-1, 1, 40, dtype=np.float32).reshape(10, 4)
    share = part.on_share(fixed_point.encode(summand, BITS), 3, BITS)
    np.testing.assert_array_equal(part.on_summand(summand, 3), fixed_point.decode(share, BITS))
