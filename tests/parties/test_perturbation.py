"""DP-SGD in the split network: every row's gradient clipped as torch.func has it, and noise as claimed."""

from __future__ import annotations

import concurrent.futures
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import chi2

from p2n2sim.checkpoint import Checkpoints
from p2n2sim.messages import SERVER, ClipFactors, GradientNoise, HeadNoise, HeadNorms, NormShare
from p2n2sim.mpc import fixed_point
from p2n2sim.nn.network import PlainNetwork
from p2n2sim.parties.first_layer.family import MEMBERS
from p2n2sim.parties.first_layer.traffic import payload_by_link
from p2n2sim.parties.perturbation.norms import setup_by_link
from p2n2sim.parties.perturbation.server import payload_by_link as added_payload
from p2n2sim.perturbing import Perturbing
from p2n2sim.run import weights_sha256
from p2n2sim.simulate import Outcome, simulate
from p2n2sim.state import HEAD
from tests.laws import declared_as_it_is, listen, plain_after
from tests.perturbed import CLIP, by_hand, of_rows, perturbed, weights
from tests.small import small_setup


@pytest.mark.parametrize("clipping", ["flat", "per-part"])
@pytest.mark.parametrize(
    ("sampler", "holders", "reduction"),
    [("shuffled", 2, "sum"), ("shuffled", 3, "mean"), ("poisson", 3, "sum"), ("poisson", 2, "mean")],
)
def test_every_part_steps_along_clipped_rows(
    clipping: str, sampler: str, holders: int, reduction: str
) -> None:
    """Holders, server and head end with the weights that per-row gradients by torch.func give."""
    setup = perturbed(
        holders=holders,
        **{
            "privacy.gradients.clipping": clipping,
            "train.sampler": sampler,
            "train.loss_reduction": reduction,
        },
    )
    before, expected = weights(setup), by_hand(setup)
    simulate(setup, Outcome())
    torch.testing.assert_close(weights(setup), expected, atol=2e-5, rtol=0)
    assert (expected - before).abs().max() > 1e-3


@pytest.mark.parametrize("first_layer", [name for name in MEMBERS if name != "algorithm1"])
@pytest.mark.parametrize("clipping", ["flat", "per-part"])
def test_every_first_layer_trains_the_same(first_layer: str, clipping: str) -> None:
    """The weights are those by hand, whatever computes h1."""
    setup = perturbed(**{"protocol.first_layer": first_layer, "privacy.gradients.clipping": clipping})
    expected = by_hand(setup)
    simulate(setup, Outcome())
    torch.testing.assert_close(weights(setup), expected, atol=2e-5, rtol=0)


@pytest.mark.parametrize("clipping", ["flat", "per-part"])
@pytest.mark.parametrize("keys", [{}, {"train.momentum": 0.5}, {"train.optimiser": "adam"}])
def test_without_noise_and_without_a_limit_it_is_gradient_descent(
    clipping: str, keys: dict[str, Any]
) -> None:
    """A clipping norm that nothing reaches and no noise change the weights by rounding only."""
    wide = {"privacy.gradients.clip": 1e12, "privacy.gradients.clipping": clipping}
    setup, plain = perturbed(**wide, **keys), small_setup(rows=18, holders=3, overrides=GENTLE | keys)
    simulate(setup, Outcome())
    start = weights(plain)
    simulate(plain, Outcome())
    torch.testing.assert_close(weights(setup), weights(plain), atol=5e-6, rtol=0)
    assert (weights(plain) - start).abs().max() > 0.1


GENTLE: dict[str, Any] = {
    "train.epochs": 2,
    "train.learning_rate": 0.5,
    "protocol.crypto": "modelled",
}


def test_many_classes() -> None:
    """A head with a logit for each of several classes is clipped row by row, too."""
    setup = perturbed(**{"privacy.gradients.clipping": "flat"})
    random = np.random.default_rng(2)
    head = torch.nn.Linear(3, 4)
    object.__setattr__(setup.parts, "head", head)
    object.__setattr__(setup.dataset, "y_train", random.integers(0, 4, 18).astype(np.float32))
    object.__setattr__(setup.dataset, "classes", 4)
    expected = by_hand(setup)
    simulate(setup, Outcome())
    torch.testing.assert_close(weights(setup), expected, atol=2e-5, rtol=0)


def test_the_noise_has_the_deviation_that_is_claimed() -> None:
    """Of every part, the squares of the noise on its weights are within the bounds of chi-squared numbers.

    Clipped to 1e-6 the rows count for nothing; the noise has a deviation of 1, and there are four steps.
    """
    keys = {"privacy.gradients.clip": 1e-6, "model.hidden": [40, 30], "train.learning_rate": 1.0}
    setup = perturbed(noise=1e6, features=30, rows=12, **keys)
    before = setup.parts.copy()
    simulate(setup, Outcome())
    steps = setup.schedule.training_batches
    assert steps == 4
    moved = [setup.parts.theta[block] - before.theta[block] for block in setup.blocks]
    for module, old in ((setup.parts.server, before.server), (setup.parts.head, before.head)):
        pairs = zip(module.parameters(), old.parameters(), strict=True)
        moved.append(torch.cat([(new - was).detach().reshape(-1) for new, was in pairs]))
    for part in moved:
        low, high = chi2.ppf([1e-4, 1 - 1e-4], part.numel())
        assert low < float(part.double().square().sum()) / steps < high
    together = torch.cat([part.reshape(-1) for part in moved]).double()
    assert abs(float(together.mean())) < 4 * math.sqrt(steps / len(together))


def test_with_the_mean_the_noise_is_divided_by_the_expected_rows() -> None:
    """D is the batch size of the scenario, whatever a batch holds."""
    keys = {"privacy.gradients.clip": 1e-6, "train.learning_rate": 1.0, "train.batch_size": 5}
    both = [perturbed(noise=1e6, **keys, **{"train.loss_reduction": how}) for how in ("sum", "mean")]
    start = weights(both[0])
    for setup in both:
        simulate(setup, Outcome())
    torch.testing.assert_close(weights(both[0]) - start, 5 * (weights(both[1]) - start), atol=1e-3, rtol=0)


def test_no_two_parts_or_steps_share_noise() -> None:
    """The streams of holders, server and head differ from each other, and from step to step."""
    perturbing = Perturbing(perturbed(noise=1.0))
    drawn = []
    for part in ("A", "B", "C", SERVER, HEAD):
        does = perturbing.of(part)
        assert does is not None
        drawn += [does.draw(step, 50) for step in (0, 1)]
    correlation = np.corrcoef(drawn) - np.eye(len(drawn))
    assert np.abs(correlation).max() < 0.7


@pytest.mark.parametrize("clipping", ["flat", "per-part"])
def test_who_draws_the_noise_changes_no_weight(clipping: str) -> None:
    """The server's noise reaches its owners, who step as if they had drawn it."""
    keys = {"privacy.gradients.clipping": clipping}
    own = perturbed(noise=1.0, **keys)
    given = perturbed(noise=1.0, **keys, **{"privacy.gradients.noise_by": "server"})
    simulate(own, Outcome())
    _, spoken = listen(given)
    assert weights_sha256(own.parts) == weights_sha256(given.parts)
    kinds = [(receiver, type(m)) for _, receiver, m in spoken if isinstance(m, GradientNoise | HeadNoise)]
    expected = [("A", GradientNoise), ("B", GradientNoise), ("C", GradientNoise), ("A", HeadNoise)]
    assert kinds == expected * given.schedule.training_batches


@pytest.mark.parametrize("keys", [{}, {"privacy.gradients.clipping": "flat"}, {"train.sampler": "poisson"}])
def test_it_goes_on_from_any_checkpoint(keys: dict[str, Any], tmp_path: Path) -> None:
    """Sessions, checkpoints on disk and threads change no bit of the weights."""
    whole = perturbed(noise=1.0, **keys)
    simulate(whole, Outcome())
    setup, outcome = perturbed(noise=1.0, **keys, **{"train.checkpoint_every": 3}), Outcome()
    checkpoints = Checkpoints(tmp_path, setup, outcome)
    stored = 0

    class Killed(Exception):
        """The process ends here."""

    def store(state: Any) -> None:
        nonlocal stored
        checkpoints.store(state)
        stored += 1
        if stored == 2:
            raise Killed

    with pytest.raises(Killed):
        simulate(setup, outcome, on_checkpoint=store)
    again, other = perturbed(noise=1.0, **keys, **{"train.checkpoint_every": 3}), Outcome()
    state = Checkpoints(tmp_path, again, other).load()
    assert state is not None
    assert state.step == 6
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        simulate(again, other, state=state, pool=pool, threads=3)
    assert weights_sha256(again.parts) == weights_sha256(whole.parts)


@pytest.mark.parametrize("clipping", ["flat", "per-part"])
@pytest.mark.parametrize("noise_by", ["holder", "server"])
def test_bytes_are_the_closed_form(clipping: str, noise_by: str) -> None:
    """What norms, factors and noise add to a batch and to the start is known beforehand."""
    keys = {"privacy.gradients.clipping": clipping, "privacy.gradients.noise_by": noise_by}
    setup = perturbed(noise=1.0, **keys)
    outcome, _ = listen(setup)
    layer, flat = setup.layer, clipping == "flat"
    rows = outcome.ledger.frame()
    rows["link"] = rows["sender"] + "->" + rows["receiver"]
    expected = payload_by_link(layer, "A", 6, 3)
    widths = dict(zip(layer.holders, layer.widths, strict=True))
    more = added_payload(widths, layer.units, "A", 6, 4, flat=flat, noise=noise_by == "server")
    for link, payload in more.items():
        expected[link] = expected.get(link, 0) + payload
    batch = rows[rows["step"] == 1].groupby("link")["payload_bytes"].sum()
    assert {link: int(size) for link, size in batch.items() if size} == expected
    start = rows[(rows["step"] < 0) & rows["kind"].isin(["MaskKey", "NormShare"])]
    start_bytes = start.groupby("link")["payload_bytes"].sum()
    assert dict(start_bytes) == (setup_by_link(layer, 18) if flat else {})
    declared_as_it_is(setup)


def test_only_the_sum_of_the_squared_norms_is_opened() -> None:
    """The server's shares add up to |x|^2, rounded up, and none of them is a holder's own norm."""
    setup = perturbed(**{"privacy.gradients.clipping": "flat"})
    _, spoken = listen(setup)
    shares = {sender: m.squared for sender, _, m in spoken if isinstance(m, NormShare)}
    total = fixed_point.decode(np.add.reduce(list(shares.values())), 20, np.float64)
    squared = (setup.dataset.X_train.astype(np.float64) ** 2).sum(1)
    assert (total - squared > -1e-6).all()
    assert (total - squared < 1e-5).all()
    for name, share in shares.items():
        own = (setup.dataset.X_train[:, setup.layer.columns(name)] ** 2).sum(1)
        assert (np.abs(fixed_point.decode(share, 20, np.float64) - own) > 1e3).mean() > 0.9


def test_factors_are_those_of_the_whole_gradient() -> None:
    """With flat clipping the label's owner is told min(1, C / |g|) of every row, and tells its own norms."""
    setup = perturbed(**{"privacy.gradients.clipping": "flat"})
    network, batch = PlainNetwork(setup.parts), next(iter(setup.schedule))
    X, y = (torch.from_numpy(a[batch.rows]) for a in (setup.dataset.X_train, setup.dataset.y_train))
    made = of_rows(network, X, y)
    squared = sum(g.flatten(1).square().sum(1) for g in made.values())
    head = sum(g.flatten(1).square().sum(1) for name, g in made.items() if name.startswith("head"))
    _, spoken = listen(setup)
    f = next(m.f for _, _, m in spoken if isinstance(m, ClipFactors))
    norms = next(m.squared for _, _, m in spoken if isinstance(m, HeadNorms))
    torch.testing.assert_close(
        torch.tensor(f), torch.clamp(CLIP / squared.sqrt(), max=1), atol=1e-4, rtol=1e-4
    )
    torch.testing.assert_close(torch.tensor(norms), head, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("first_layer", sorted(MEMBERS))
@pytest.mark.parametrize("noise", [None, 1.0])
def test_batches_without_rows(first_layer: str, noise: float | None) -> None:
    """Poisson sampling makes empty batches: every protocol goes on, and with DP-SGD along the noise alone."""
    keys: dict[str, Any] = {"train.sampler": "poisson", "train.batch_size": 1, "train.epochs": 1}
    keys |= {"protocol.first_layer": first_layer, "train.loss_reduction": "mean"}
    setup = (
        small_setup(rows=18, overrides=GENTLE | keys)
        if noise is None
        else perturbed(holders=2, noise=noise, **keys)
    )
    sizes = [len(batch.rows) for batch in setup.schedule if batch.stage == "train"]
    assert 0 in sizes
    plain = plain_after(setup)
    outcome = Outcome()
    simulate(setup, outcome)
    assert np.isnan(outcome.passes[0].losses).sum() == sizes.count(0)
    assert math.isfinite(outcome.passes[0].loss)
    assert torch.isfinite(weights(setup)).all()
    if noise is None:
        torch.testing.assert_close(setup.parts.theta, plain.theta.detach(), atol=1e-4, rtol=0)
