"""What DP-SGD costs: one batch of the fraud data's shape at a holder, and the rest of a training batch.

Ratios of processor time, protected over unprotected, of the same run, interleaved:

- the holder's backward step, from dL/dh1 and its rows to new weights theta_i, with every row too long and a
  batch's share of drawing the noise, which is drawn for many batches at a time. What clipping and noising add
  to the step (column added) is to be at most 1.5 times the step without them: it is about 1.2 times with
  per-part clipping, and 0.3 times with flat clipping, where the server has scaled dL/dh1;
- a whole training batch with everybody in it; the protocol around the gradients is the same, but where theta
  and its noise are under secret sharing, which draws exact Skellam noise.

    python benchmarks/perturbation.py
"""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Mapping

import numpy as np
import torch
from batch import CASES, setup_of
from threadpoolctl import threadpool_limits

from p2n2sim.mpc import ring
from p2n2sim.nn.optimisers import sgd
from p2n2sim.nn.training import squared_norms
from p2n2sim.parties import data_holder
from p2n2sim.parties.perturbation.holder import update as protected
from p2n2sim.parties.perturbation.owner import DRAWN_TOGETHER, Perturbation
from p2n2sim.parties.schedule import Batch
from p2n2sim.simulate import Outcome, simulate

ROUNDS = 5
REPEATS = 200
TARGET = 1.5
FRAUD = CASES[0]


def step_seconds() -> dict[str, float]:
    """Median processor seconds of a holder's backward step on one batch: plain, per-part, flat."""
    random = np.random.default_rng(0)
    rows, columns, units = FRAUD.rows, FRAUD.features // 2, FRAUD.hidden[0]
    X = random.standard_normal((rows, columns), np.float32)
    d_1 = random.standard_normal((rows, units), np.float32)
    theta = torch.zeros(columns, units)
    optimiser = sgd([theta], learning_rate=1e-4)
    batch = Batch(0, 1, "train", random.permutation(rows))
    does = {
        name: Perturbation(
            clip=1.0,
            parts=4,
            flat=name == "flat",
            deviation=1.0,
            divisor=rows,
            key=bytes([name == "flat"] * 16),  # noise that is drawn is kept
            by_server=False,
        )
        for name in ("per-part", "flat")
    }
    limits = does["per-part"].limits(squared_norms(X))
    ways = {"plain": lambda: data_holder.update(theta, X, d_1, None, optimiser)} | {
        name: lambda how=how: protected(how, limits, theta, X, d_1, batch, None, optimiser)
        for name, how in does.items()
    }
    spent: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(REPEATS):
        for name, way in ways.items():
            began = time.process_time()
            way()
            spent[name].append(time.process_time() - began)
    drawn = {name: draw_seconds(how, theta.numel()) for name, how in does.items()}
    return {name: statistics.median(seconds) + drawn.get(name, 0) for name, seconds in spent.items()}


def draw_seconds(does: Perturbation, weights: int) -> float:
    """Median processor seconds of drawing a batch's noise: its share of what is drawn at a time."""
    many = DRAWN_TOGETHER // weights
    spent = []
    for number in range(1, ROUNDS * 5):
        began = time.process_time()
        does.draw(number * many, weights)
        spent.append((time.process_time() - began) / many)
    return statistics.median(spent)


def batch_seconds(first_layer: str, privacy: Mapping[str, object]) -> list[float]:
    """Processor seconds of each training batch of one simulation, without its first."""
    setup, _ = setup_of(FRAUD, {"first_layer": first_layer}, privacy=privacy)
    marks: list[float] = []
    simulate(setup, Outcome(), on_batch=lambda batch: marks.append(time.process_time()))
    return [after - before for before, after in itertools.pairwise(marks)]


def main() -> None:
    """Prints a line for each step and first layer."""
    torch.set_num_threads(1)
    ring.keep_freed_memory()  # as every ring product of a run does
    with threadpool_limits(1):
        step = step_seconds()
        print(f"{'one fraud batch':<40}{'ms':>8}{'ratio':>8}{'added':>8}{'at most':>8}")
        for name in step:
            target = "" if name == "plain" else f"{TARGET:g}"
            ratio = step[name] / step["plain"]
            title = f"backward at a holder, {name}"
            print(f"{title:<40}{step[name] * 1e3:>8.3f}{ratio:>8.2f}{ratio - 1:>8.2f}{target:>8}")
        for first_layer in ("algorithm1", "masked-sum"):
            ways: dict[str, Mapping[str, object]] = {"plain": {}} | {
                how: {"delta": 1e-9, "gradients": {"clip": 1.0, "clipping": how, "noise_multiplier": 1.0}}
                for how in ("per-part", "flat")
            }
            if first_layer == "algorithm1":
                ways["theta shared"] = {
                    "delta": 1e-9,
                    "gradients": {"clip": 1.0, "noise_multiplier": 1.0, "noise_by": "shares"},
                }
            spent: dict[str, list[float]] = {name: [] for name in ways}
            for _ in range(ROUNDS):
                for name, privacy in ways.items():
                    spent[name] += batch_seconds(first_layer, privacy)
            plain = statistics.median(spent["plain"])
            for name, seconds in spent.items():
                batch = statistics.median(seconds)
                title = f"whole batch, {first_layer}, {name}"
                print(f"{title:<40}{batch * 1e3:>8.3f}{batch / plain:>8.2f}")


if __name__ == "__main__":
    main()
