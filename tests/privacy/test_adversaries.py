"""One epsilon for every adversary: what is seen exactly is infinite, and reference figures come out.

The figures were computed with dp-accounting 0.6.0 and prv-accountant 0.2.0, which agree on them.
"""

from __future__ import annotations

import dataclasses
import math

import pytest

from p2n2sim.privacy.accounting import GaussianSteps, epsilon
from p2n2sim.privacy.additive import gaussian_epsilon
from p2n2sim.privacy.adversaries import (
    ALL,
    DEALER,
    OUTSIDER,
    SERVER,
    adversaries,
    collusion,
    features_claim,
    label_claim,
    predicted_features_claim,
    told_the_noise,
    worst_features,
)
from p2n2sim.privacy.composition import Releases, composed
from p2n2sim.privacy.local import RowNoise
from p2n2sim.privacy.shared_noise import Grid, SharedSteps
from p2n2sim.privacy.world import GradientNoise, HiddenNoise, World

PLAIN = World(
    holders=("A", "B", "C"),
    label_owner="A",
    delta=1e-6,
    units=8,
    opened="sum",
    dealer=False,
    uses=10,
    row_releases=1000,
    predictions=2,
)
NOISE = HiddenNoise(clip=1.0, deviation=64.0, by="holders", bits=24)
STEPS = (GaussianSteps(noise_multiplier=4.0, count=100, sampler="poisson", rate=0.1),)
GRADIENTS = GradientNoise(noise_multiplier=4.0, parts=5, flat=False, by="holder", model=STEPS)


def of(*names: str) -> frozenset[str]:
    """An adversary."""
    return frozenset(names)


def with_noise(**changes: object) -> World:
    """Noise on h1 and on gradients, with changes."""
    return dataclasses.replace(PLAIN, **{"h1": NOISE, "gradients": GRADIENTS} | changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("sigma_h", "epochs", "expected"),
    [
        (1, 1, 10.997151214220652),
        (1, 100, 294.17178625764456),
        (4, 10, 8.306225049954731),
        (16, 1, 0.503855615000788),
        (16, 100, 6.312060185801325),
        (64, 10, 0.39185741536205954),
    ],
)
def test_a_noisy_h1_costs_what_independent_tools_say(sigma_h: int, epochs: int, expected: float) -> None:
    """Rows of h1 of norm at most 1, replaced, at delta 1e-6: `h1_release_gaussian` of the figures."""
    together = sigma_h / 2 / math.sqrt(epochs)  # so many Gaussian releases are one with less noise
    assert gaussian_epsilon(noise_multiplier=together, delta=1e-6) == pytest.approx(expected, rel=1e-3)
    skellam = Releases(variance=(sigma_h * 2.0**24) ** 2, l2=2 * 2.0**24, numbers=8, count=epochs)
    bound = composed([skellam], delta=1e-6)
    assert expected <= bound < expected * 1.5 + 0.5  # by Renyi divergences, and for whole orders


@pytest.mark.parametrize(
    ("sigma", "server", "together"),
    [
        (2.0, 3.823936738431215, 6.16778192630117),
        (8.0, 0.7780122908645407, 1.1365732138306013),
    ],
)
def test_collusion_costs_what_independent_tools_say(sigma: float, server: float, together: float) -> None:
    """With two holders who each add half of the variance: `collusion_two_holders` of the figures."""
    for left, expected in ((sigma, server), (sigma / math.sqrt(2), together)):
        steps = [GaussianSteps(noise_multiplier=left, count=4600, sampler="poisson", rate=RATE)]
        assert epsilon(steps, delta=1e-6) == pytest.approx(expected, rel=3e-3)


RATE = 5000 / 227845


def test_without_noise_the_server_has_everything() -> None:
    """h1 seen exactly, and the label in the sign of a gradient: epsilon is infinite, and it is said why."""
    for who in (of(SERVER), of("B"), of(SERVER, "B"), of(OUTSIDER)):
        assert features_claim(PLAIN, who, "C").epsilon == math.inf
        assert label_claim(PLAIN, who).epsilon == math.inf
    assert "h1 exactly" in features_claim(PLAIN, of(SERVER), "C").reason
    assert "dL/dh1" in features_claim(PLAIN, of("B"), "C").reason


def test_a_private_model_protects_no_transcript() -> None:
    """DP-SGD alone: finite for who gets the model, infinite for every party, of features and of labels."""
    world = dataclasses.replace(PLAIN, gradients=GRADIENTS)
    assert features_claim(world, of(OUTSIDER), "C").epsilon < 10
    assert label_claim(world, of(OUTSIDER)).epsilon < 10
    for who in (of(SERVER), of("B"), of("A", "B")):
        assert features_claim(world, who, "C").epsilon == math.inf
    assert label_claim(world, of(SERVER)).epsilon == label_claim(world, of("B")).epsilon == math.inf


def test_a_noisy_h1_protects_no_model() -> None:
    """Whoever gets weights that were trained without noise on gradients gets a function of the rows."""
    world = with_noise(gradients=None)
    assert features_claim(world, of(SERVER), "C").epsilon < math.inf
    assert features_claim(world, of(OUTSIDER), "C").epsilon == math.inf


def test_weights_without_noise_carry_a_row_everywhere() -> None:
    """Without noise on gradients every row of every release counts, as in so many of the row itself."""
    releases = Releases(variance=(64 * 2.0**24) ** 2, l2=2 * 2.0**24, numbers=8, count=1000)
    found = features_claim(with_noise(gradients=None), of(SERVER), "C").epsilon
    assert found == composed([releases], delta=1e-6)
    assert found > features_claim(with_noise(), of(SERVER), "C").epsilon


def test_no_party_is_amplified() -> None:
    """Parties know the batches: against them the sampler's rate does not matter, outside it does."""
    denser = dataclasses.replace(GRADIENTS, model=(dataclasses.replace(STEPS[0], rate=0.5),))
    for who, same in ((of(SERVER), True), (of("B"), True), (of(OUTSIDER), False)):
        usual, dense = (
            features_claim(world, who, "C").epsilon for world in (with_noise(), with_noise(gradients=denser))
        )
        assert (usual == dense) == same


def test_collusion_takes_noise_off() -> None:
    """Server and k of three holders know k/3 of the variance, and epsilon grows with k."""
    table = collusion(with_noise())
    assert [k for k, _, _ in table] == [0, 1, 2]
    assert [known for _, known, _ in table] == pytest.approx([0, 1 / 3, 2 / 3])
    assert table[0][2] < table[1][2] < table[2][2] < math.inf


@pytest.mark.parametrize(
    ("by", "who", "finite"),
    [
        ("holders", (SERVER,), True),
        ("holders", (SERVER, "A", "B"), True),
        ("one-holder", (SERVER,), True),
        ("one-holder", (SERVER, "A"), False),
        ("one-holder", ("A",), False),
        ("one-holder", (SERVER, "B"), True),
        ("server", (SERVER,), False),
        ("server", ("B",), True),
        ("server", (SERVER, "B"), False),
    ],
)
def test_who_draws_the_noise_is_not_held_off_by_it(by: str, who: tuple[str, ...], finite: bool) -> None:
    """Noise protects from nobody who knows it."""
    world = with_noise(h1=dataclasses.replace(NOISE, by=by))  # type: ignore[arg-type]
    assert math.isfinite(features_claim(world, of(*who), "C").epsilon) == finite


def test_summands_in_the_clear_have_their_own_noise_only() -> None:
    """In split learning the server takes no sum: a third of the variance is left, as against two others."""
    split = with_noise(opened="summands")
    assert (
        features_claim(split, of(SERVER), "C").epsilon
        == features_claim(with_noise(), of(SERVER, "A", "B"), "C").epsilon
    )
    chain = with_noise(opened="chain")
    assert (
        features_claim(chain, of(SERVER), "C").epsilon
        == features_claim(with_noise(), of(SERVER), "C").epsilon
    )
    assert (
        features_claim(chain, of(SERVER, "B"), "C").epsilon == features_claim(split, of(SERVER), "C").epsilon
    )


def test_what_voids_it() -> None:
    """Norms shown for flat clipping, gradients of a defence, a dealer's masks at a holder: all given away."""
    flat = with_noise(gradients=dataclasses.replace(GRADIENTS, flat=True))
    assert features_claim(flat, of(SERVER), "C").epsilon == math.inf
    shown = with_noise(shown=True, gradients=None)
    assert features_claim(shown, of("B"), "C").epsilon == math.inf
    assert features_claim(shown, of(SERVER), "C").epsilon < math.inf
    dealt = with_noise(dealer=True)
    assert features_claim(dealt, of(DEALER), "C").epsilon == label_claim(dealt, of(DEALER)).epsilon == 0
    assert features_claim(dealt, of(DEALER, "B"), "C").epsilon == math.inf
    drawn = with_noise(gradients=dataclasses.replace(GRADIENTS, by="server"))
    weaker = features_claim(drawn, of(SERVER), "C").epsilon
    assert weaker == features_claim(with_noise(gradients=None), of(SERVER), "C").epsilon


def test_local_noise_holds_against_everybody() -> None:
    """What left its owner with noise costs at most that, and holders' epsilons add up."""
    noises = {
        name: RowNoise(mechanism="laplace", clip=1.0, epsilon=e)
        for name, e in (("A", 1.0), ("B", 2.0), ("C", 0.5))
    }
    world = dataclasses.replace(PLAIN, features=noises, labels=0.7)
    for who in (of(SERVER), of(SERVER, "A"), of(OUTSIDER), of(DEALER, "A")):
        assert features_claim(world, who, "C").epsilon == pytest.approx(0.5)
    assert features_claim(world, of(SERVER), ALL).epsilon == pytest.approx(3.5)
    assert worst_features(world, of(SERVER)) == ("B", features_claim(world, of(SERVER), "B"))
    assert label_claim(world, of(SERVER)).epsilon == 0.7
    assert predicted_features_claim(world, of(SERVER), "C").epsilon == pytest.approx(0.5)
    clean = dataclasses.replace(world, test_features=False)
    assert predicted_features_claim(clean, of(SERVER), "C").epsilon == math.inf


def test_local_gaussian_noise_keeps_to_its_epsilon() -> None:
    """The discrete Gaussian's scale is found by its divergences: a holder costs what was asked for."""
    noise = RowNoise(mechanism="gaussian", clip=1.0, epsilon=1.5, delta=1e-6)
    world = dataclasses.replace(PLAIN, features={"C": noise})
    claim = features_claim(world, of(SERVER), "C")
    assert 1.49 < claim.epsilon <= 1.5
    assert claim.delta == 1e-6


def test_everybody_is_listed() -> None:
    """The server, each holder, the server with each, all holders but one, all but one, and outside."""
    assert list(adversaries(PLAIN)) == [
        "server", "A", "B", "C", "server + A", "server + B", "server + C",
        "all holders but A", "all holders but B", "all holders but C",
        "server + all holders but A", "server + all holders but B", "server + all holders but C", OUTSIDER,
    ]  # fmt: skip


def test_under_sharing_to_the_end() -> None:
    """Without a server holders see uniform shares; the label's owner opens predictions by exact weights."""
    whole = dataclasses.replace(PLAIN, opened="nothing", dealer=True)
    assert features_claim(whole, of("B"), "C").epsilon == label_claim(whole, of("B")).epsilon == 0
    assert features_claim(whole, of("A"), "C").epsilon == math.inf
    assert label_claim(whole, of(DEALER, "B")).epsilon == math.inf
    assert SERVER not in adversaries(whole)


@pytest.mark.parametrize(
    ("holders", "expected"),
    [
        (2, [1.87, 2.74]),
        (3, [1.87, 2.34, 3.42]),
        (4, [1.87, 2.19, 2.74, 4.01]),
        (8, [1.87, 2.01, 2.19, 2.42, 2.74, 3.21, 4.01, 5.95]),
    ],
)
def test_the_table_of_the_documentation(holders: int, expected: list[float]) -> None:
    """docs/privacy.md, "What collusion costs": ten uses of a row, sigma = 16 C, weights that add nothing."""
    world = with_noise(
        holders=tuple("ABCDEFGH"[:holders]),
        h1=dataclasses.replace(NOISE, deviation=16.0),
        gradients=dataclasses.replace(GRADIENTS, noise_multiplier=1e6),
    )
    assert [round(cost, 2) for _, _, cost in collusion(world)] == expected


@pytest.mark.parametrize("by", ["holder", "server"])
def test_noise_that_one_party_knows_is_lost_when_it_tells(by: str) -> None:
    """Whoever has the model and the noise on a part has that part without noise."""
    world = with_noise(gradients=dataclasses.replace(GRADIENTS, by=by))  # type: ignore[arg-type]
    (nobody, cost), *telling = told_the_noise(world)
    assert (nobody, cost) == ("nobody", epsilon(STEPS, delta=1e-6))
    assert [who for who, _ in telling] == ["1 holder", "2 holders", "label's owner", "server"]
    assert all(cost == math.inf for _, cost in telling)


def test_noise_of_which_each_holder_knows_a_share_is_lost_bit_by_bit() -> None:
    """k of three holders tell k thirds of the variance; who steps weights in the clear tells them all."""
    grid = Grid(unit=1e6, numbers=100, shared=math.sqrt(3 / 5), rest=math.sqrt(2 / 5))
    steps = SharedSteps(noise_multiplier=4.0, count=100, poisson=True, rate=0.02, grid=grid)
    gradients = dataclasses.replace(GRADIENTS, by="shares", model=(steps,))
    told = dict(told_the_noise(with_noise(h1=None, gradients=gradients)))
    for who, known in (("nobody", 0.0), ("1 holder", 1 / 3), ("2 holders", 2 / 3)):
        assert told[who] == epsilon([dataclasses.replace(steps, known=known)], delta=1e-6)
    assert told["nobody"] < told["1 holder"] < told["2 holders"] < math.inf
    assert told["label's owner"] == told["server"] == math.inf
