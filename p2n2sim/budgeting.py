"""The privacy budget of a scenario: what its training will spend, known before it starts.

Everything here follows from the schedule and the noise, not from what a run computes.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import msgspec
from torch import nn

from p2n2sim.errors import ScenarioError
from p2n2sim.nn.per_example import rows_depend
from p2n2sim.parties.schedule import Schedule
from p2n2sim.privacy.accounting import (
    COARSE_INTERVAL,
    GaussianSteps,
    Steps,
    calibrate,
    epsilon,
    largest_count,
)
from p2n2sim.privacy.discrete import MAX_SKELLAM
from p2n2sim.privacy.shared_noise import Grid, SharedSteps
from p2n2sim.scenario.sections import Scenario

CLIP = "privacy.gradients.clip"
NOISE = "privacy.gradients.noise_multiplier"
RELATION = "add or remove a row"


def parts(holders: int) -> int:
    """p, into how many parts the network is cut: each holder's, the server's, and the head."""
    return holders + 2


def divisor(scenario: Scenario) -> int:
    """D, by which the sum of a batch's gradients is divided, however many rows the batch has."""
    return scenario.train.batch_size if scenario.train.loss_reduction == "mean" else 1


def grid_of(scenario: Scenario, features: int) -> Grid | None:
    """What noise on theta is whole multiples of, where that is added in the ring; None elsewhere.

    Args:
        scenario: whose gradients are clipped.
        features: k, the columns that are trained on.
    """
    gradients, holders = scenario.privacy.gradients, scenario.data.holders
    if not gradients.in_ring or gradients.clip is None:
        return None
    of_row = scenario.train.learning_rate * gradients.clip / divisor(scenario)
    flat = gradients.clipping == "flat"  # then nothing costs more than a row that moves theta alone
    return Grid(
        unit=of_row * 2.0**gradients.weight_bits,
        numbers=features * scenario.model.hidden[0],
        shared=1.0 if flat else math.sqrt(holders / parts(holders)),
        rest=0.0 if flat else math.sqrt((parts(holders) - holders) / parts(holders)),
    )


def steps_of(
    noise_multiplier: float, schedule: Schedule, grid: Grid | None = None, *, count: int | None = None
) -> list[Steps]:
    """What a training by DP-SGD costs against somebody who does not know which rows were in which batch.

    Args:
        noise_multiplier: sigma.
        schedule: of the whole run; what is claimed is what its sampler allows.
        grid: of theta, where it is under sharing with its noise.
        count: number of training batches, if not all of them.
    """
    batches = schedule.training_batches if count is None else count
    if schedule.sampler == "poisson":
        steps = GaussianSteps(
            noise_multiplier=noise_multiplier, count=batches, sampler="poisson", rate=schedule.rate
        )
    else:
        uses = math.ceil(batches * schedule.epochs / schedule.training_batches)
        steps = GaussianSteps(noise_multiplier=noise_multiplier, count=batches, sampler="shuffled", uses=uses)
    return [_on(grid, steps)]


def open_steps(noise_multiplier: float, schedule: Schedule, grid: Grid | None = None) -> list[Steps]:
    """The same against somebody who knows which rows were in which batch, as every party does.

    A row counts as often as it was used; the schedule does not depend on the data, so that of the row that is
    in the most batches holds for all.
    """
    steps = GaussianSteps(
        noise_multiplier=noise_multiplier,
        count=schedule.training_batches,
        sampler="shuffled",
        uses=schedule.most_uses,
    )
    return [_on(grid, steps)]


def _on(grid: Grid | None, steps: GaussianSteps) -> Steps:
    """The same steps with theta and its noise in the ring, if they are."""
    if grid is None:
        return steps
    return SharedSteps(
        noise_multiplier=steps.noise_multiplier,
        count=steps.releases,
        poisson=steps.sampler == "poisson",
        rate=steps.rate,
        grid=grid,
    )


def with_noise(scenario: Scenario, schedule: Schedule, features: int) -> Scenario:
    """The scenario with its noise multiplier, and a budget that covers the run.

    Args:
        scenario: whose keys fit each other.
        schedule: of the whole run.
        features: k, the columns that are trained on; matters where noise is added in the ring.

    Raises:
        ScenarioError: delta is too large, or the budget does not cover the training.
    """
    privacy, gradients = scenario.privacy, scenario.privacy.gradients
    rows = schedule.rows_train
    if privacy.delta is not None and privacy.delta >= 1 / rows:
        raise ScenarioError(
            "privacy.delta",
            f"{privacy.delta:g} is not below 1/{rows}, so that giving a whole row away would be allowed",
            f"{_below(1 / rows):g} would do",
        )
    if gradients.clip is None:
        return scenario
    grid = grid_of(scenario, features)
    if gradients.noise_multiplier is not None:
        _check_drawn(scenario, grid, gradients.noise_multiplier)
        if gradients.noise_multiplier or privacy.epsilon not in (None, math.inf):
            _check_covered(scenario, schedule, grid, gradients.noise_multiplier)
        return scenario
    noise = 0.0
    if privacy.epsilon is not None and privacy.epsilon < math.inf:
        noise = calibrated(privacy.epsilon, privacy.delta or 0.0, schedule, grid)
    _check_drawn(scenario, grid, noise)
    found = msgspec.structs.replace(gradients, noise_multiplier=noise)
    return msgspec.structs.replace(scenario, privacy=msgspec.structs.replace(privacy, gradients=found))


def calibrated(target: float, delta: float, schedule: Schedule, grid: Grid | None = None) -> float:
    """The noise multiplier with which the whole training costs an outsider at most a target epsilon.

    Raises:
        ScenarioError: none does.
    """
    try:
        return calibrate(partial(steps_of, schedule=schedule, grid=grid), target=target, delta=delta)
    except ValueError as error:
        raise ScenarioError("privacy.epsilon", f"{error}", "a larger one would do") from error


def _check_drawn(scenario: Scenario, grid: Grid | None, noise: float) -> None:
    """Refuses noise in the ring that is larger than what is drawn exactly."""
    if grid is None or not noise:
        return
    largest = math.sqrt(MAX_SKELLAM * scenario.data.holders)
    if noise * grid.unit > largest:
        bits = scenario.privacy.gradients.weight_bits - math.ceil(math.log2(noise * grid.unit / largest))
        raise ScenarioError(
            "privacy.gradients.weight_bits",
            f"noise of {noise * grid.unit:.3g} units on every number of theta is more than is drawn exactly",
            f"{bits} would do: the noise hides more digits" if bits > 0 else "a smaller step would do",
        )


def _check_covered(scenario: Scenario, schedule: Schedule, grid: Grid | None, noise: float) -> None:
    """Refuses a training that costs more than there is, naming how much of it there could be."""
    target, delta = scenario.privacy.epsilon, scenario.privacy.delta
    if target is None or delta is None or target == math.inf:
        return
    cost = epsilon(steps_of(noise, schedule, grid), delta=delta) if noise else math.inf
    if cost <= target:
        return
    total = schedule.training_batches
    most = 0
    if noise:
        most = largest_count(
            lambda count: epsilon(
                steps_of(noise, schedule, grid, count=count), delta=delta, interval=COARSE_INTERVAL
            ),
            budget=target,
            most=total,
        )
    each = total // schedule.epochs
    told = f"{cost:.4g}" if cost < math.inf else "infinity"
    raise ScenarioError(
        "privacy.epsilon",
        f"{target:g} does not cover the run: its {total} steps spend {told}, and it covers {most} steps, "
        f"which is {most // each} of {schedule.epochs} epochs",
        f"{NOISE} = {_up(calibrated(target, delta, schedule, grid))} would do"
        + (f", or train.epochs = {most // each}" if most >= each else ""),
    )


def check_module(scenario: Scenario, module: nn.Module, units: int) -> None:
    """Refuses a server whose rows have no gradients of their own.

    Args:
        scenario: what is run.
        module: theta_S.
        units: n.

    Raises:
        ScenarioError: gradients are to be clipped, and a row depends on others.
    """
    if scenario.privacy.gradients.clip is not None and rows_depend(module, units):
        raise ScenarioError(
            "model.server",
            "in training a row's output depends on other rows or on chance, so that no gradient is one row's",
            f"a module without batch normalisation and dropout would do, or no {CLIP}",
        )


def _below(number: float) -> float:
    """A round number below, one digit of it."""
    power = 10.0 ** math.floor(math.log10(number))
    digit = math.ceil(number / power) - 1
    return digit * power if digit else power * 0.9


def _up(number: float) -> str:
    """With three digits, rounded up."""
    power = 10.0 ** (math.floor(math.log10(number)) - 2)
    return f"{math.ceil(number / power) * power:.4g}"


def training_statement(scenario: Scenario, schedule: Schedule, features: int) -> dict[str, Any]:
    """What a summary says of the training's budget; infinite numbers are ``"inf"``.

    Args:
        scenario: with its noise multiplier.
        schedule: of the whole run.
        features: k, the columns that are trained on.

    Returns:
        ``budget``, ``spent`` (by the released model, against who knows no batch and no noise), ``sampler``
        with both numbers, and ``mechanism``.
    """
    privacy, gradients = scenario.privacy, scenario.privacy.gradients
    noise, delta = gradients.noise_multiplier or 0.0, privacy.delta
    hidden = known = math.inf
    grid = grid_of(scenario, features)
    if noise and delta is not None:
        hidden, known = (
            epsilon(steps(noise, schedule, grid), delta=delta) for steps in (steps_of, open_steps)
        )
    poisson = schedule.sampler == "poisson"
    return {
        "budget": None
        if privacy.epsilon is None
        else {"epsilon": told(privacy.epsilon), "delta": delta, "relation": RELATION},
        "spent": {"epsilon": told(hidden), "delta": delta, "relation": RELATION},
        "sampler": {
            "name": schedule.sampler,
            "steps": schedule.training_batches,
            **({"rate": schedule.rate} if poisson else {}),
            "most_uses": schedule.most_uses,
            "epsilon_batches_secret": told(hidden),
            "epsilon_batches_known": told(known),
            "amplified": poisson,
        },
        "mechanism": {
            "name": "DP-SGD",
            "clip": gradients.clip,
            "clipping": gradients.clipping,
            "parts": parts(scenario.data.holders),
            "noise_multiplier": noise,
            "noise_by": gradients.noise_by,
            **({} if grid is None else {"weight_bits": gradients.weight_bits, "rounding": grid.rounding}),
        },
    }


def told(number: float) -> float | str:
    """A number for a summary: JSON has no infinity."""
    return "inf" if math.isinf(number) else number
