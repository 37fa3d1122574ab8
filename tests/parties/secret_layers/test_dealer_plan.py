"""The dealer's plan: what it deals after a dry run is what the holders read, neither more nor less."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from p2n2sim.mpc.sources import PartySource
from p2n2sim.mpc.width import Ring
from p2n2sim.parties.secret_layers import holder as secret_holder
from p2n2sim.parties.secret_layers.network import Design, training_program
from p2n2sim.parties.secret_layers.session import Arithmetic, Session, dry_run
from p2n2sim.simulate import Outcome, simulate
from tests.small import small_setup

ACTIVATIONS: dict[str, dict[str, Any]] = {
    "identity": {"model.activations": "identity"},
    "square": {"model.activations": "square"},
    "relu": {"model.activations": "relu"},
    "three-piece sigmoid": {"model.activations": "sigmoid"},
    "hard tanh": {"model.activations": "tanh"},
    "one of each": {"model.activations": ["relu", "square"]},
    "polynomial": {"protocol.activation": "polynomial", "protocol.polynomial.degree": 5},
}


def sources_of(monkeypatch: pytest.MonkeyPatch, holders: int, **overrides: Any) -> list[PartySource]:
    """All sources that the holders of a run have read from."""
    made: list[PartySource] = []

    class Kept(PartySource):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            made.append(self)

    monkeypatch.setattr(secret_holder, "PartySource", Kept)
    # Batches of 5, 5 and 3 rows and a prediction of 6, so that plans of several sizes are needed.
    simulate(small_setup(rows=13, holders=holders, overrides={"train.batch_size": 5, **overrides}), Outcome())
    assert len(made) == (3 + 2) * holders
    return made


@pytest.mark.parametrize("holders", [2, 3])
@pytest.mark.parametrize("first_layer", ["algorithm1", "algorithm1-prg", "algorithm1-masked-once"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_everything_that_is_dealt_is_read(
    monkeypatch: pytest.MonkeyPatch, holders: int, first_layer: str, activation: str
) -> None:
    """With every activation and first layer, by two and by three holders, with the whole network shared."""
    layers = {"protocol.secret_layers": 3, "protocol.first_layer": first_layer}
    made = sources_of(monkeypatch, holders, **layers, **ACTIVATIONS[activation])
    assert all(source.all_read() for source in made)


@pytest.mark.parametrize("holders", [2, 3])
@pytest.mark.parametrize(
    "how",
    [
        {"train.momentum": 0.9},
        {"train.loss_reduction": "mean"},
        {"train.momentum": 0.5, "train.loss_reduction": "mean", "protocol.triples": "dealer-full"},
        {"protocol.triples": "dealer-full"},
        {"protocol.triples": "dealer-full", "protocol.first_layer": "algorithm1-masked-once"},
        {"protocol.ring_bits": 32, "protocol.fractional_bits": 10},
        {"protocol.secret_layers": 2},
        {"protocol.secret_layers": 1, "protocol.opened": "activation"},
        {"protocol.secret_layers": 1, "protocol.opened": "activation", "model.activations": "square"},
        {"protocol.secret_layers": 2, "model.activations": "identity", "train.momentum": 0.9},
    ],
    ids=str,
)
def test_every_way_of_training(monkeypatch: pytest.MonkeyPatch, holders: int, how: dict[str, Any]) -> None:
    """Momentum, a mean loss, a dealer that sends all, a narrow ring, a server after one or two layers."""
    made = sources_of(monkeypatch, holders, **{"protocol.secret_layers": 3, **how})
    assert all(source.all_read() for source in made)


def test_local_truncation_needs_no_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its plan is shorter, and is read to its end."""
    made = sources_of(monkeypatch, 2, **{"protocol.secret_layers": 3, "protocol.truncation": "local"})
    assert all(source.all_read() for source in made)


def test_what_is_left_over_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted: holders that leave out the last draw of a batch; something is left over."""
    real = Session.truncate

    async def planted(self: Session, *values: Ring, bits: int) -> list[Ring]:
        update = len(values) == 6 and self.step > 0  # three weights and three biases; a dry run is step 0
        done = await real(self, *values[: 5 if update else None], bits=bits)
        return [*done, *values[len(done) :]]

    monkeypatch.setattr(Session, "truncate", planted)
    made = sources_of(monkeypatch, 2, **{"protocol.secret_layers": 3})
    assert not all(source.all_read() for source in made)


def test_a_program_that_waits_has_no_plan() -> None:
    """A dry run is one step: whoever waits for something else than an opening is an error."""

    async def waits(session: Session) -> None:
        await asyncio.sleep(0)

    arithmetic = Arithmetic(fractional_bits=20, width=64, local_truncation=False)
    with pytest.raises(RuntimeError, match="waited for somebody in a dry run"):
        dry_run(waits, arithmetic, (0, 0))


def test_the_plan_depends_on_shapes_alone() -> None:
    """Two dry runs of the same design draw as much; twice the rows, more."""
    design = Design(
        widths=(7, 4),
        activations=(None,),
        masked_once=False,
        learning_rate=0.1,
        momentum=0.0,
        mean=False,
    )
    arithmetic = Arithmetic(fractional_bits=20, width=64, local_truncation=False)
    tallies = [
        dry_run(training_program(design, rows, whole=False), arithmetic, (rows, 7)) for rows in (5, 5, 10)
    ]
    sizes = [(len(draws), tally.random_elements, tally.shared_elements) for draws, tally in tallies]
    assert sizes[0] == sizes[1]
    assert sizes[2][0] == sizes[0][0]
    assert sizes[2][1] > sizes[0][1]
