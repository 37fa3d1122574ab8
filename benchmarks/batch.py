"""One whole P2N2 training batch, all parties and the accounting, against a plain PyTorch step.

Run ``python benchmarks/batch.py``. Both are measured in processor time on one thread of one process, in
turns, so a busy machine slows both alike; the ratio of the medians is what counts. Features and labels
are random numbers: neither time depends on them.
"""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from p2n2sim.assemble import Setup
from p2n2sim.baselines.plain import train_step
from p2n2sim.data.sets import Dataset
from p2n2sim.data.split import columns
from p2n2sim.nn.network import Parts, PlainNetwork, build
from p2n2sim.nn.optimisers import sgd
from p2n2sim.parties.schedule import Batch, Schedule
from p2n2sim.scenario.load import parse
from p2n2sim.simulate import Outcome, simulate

ROUNDS = 9


@dataclass(frozen=True)
class Case:
    """One data set's shape, and what the paper's Table 2 says of it.

    Attributes:
        name: of the data set.
        rows: m of the batch.
        features: k of both holders together.
        hidden: widths of the hidden layers.
        batches: training batches of one round.
        targets: first layer -> largest ratio that we are content with.
        paper: the paper's ratio of training times for Algorithm 1, measured with communication.
    """

    name: str
    rows: int
    features: int
    hidden: tuple[int, ...]
    batches: int
    targets: Mapping[str, float]
    paper: float


CASES = (
    Case(
        "fraud",
        5000,
        28,
        (8, 8),
        12,
        {"algorithm1": 8.0, "algorithm1-masked-once": 6.0, "masked-sum": 2.5},
        68.7,
    ),
    Case("distress", 2570, 556, (400, 16, 8), 3, {"algorithm1": 40.0, "algorithm1-masked-once": 25.0}, 236.0),
)
FIRST_LAYERS = ("algorithm1", "algorithm1-prg", "algorithm1-masked-once", "masked-sum", "plaintext")


def setup_of(
    case: Case,
    protocol: Mapping[str, object],
    activations: str = "sigmoid",
    privacy: Mapping[str, object] | None = None,
) -> tuple[Setup, Parts]:
    """A run of training batches on random data; the plain network starts from the same weights."""
    random = np.random.default_rng(0)
    rows = case.rows * (case.batches + 1)  # the first batch warms up
    X = random.standard_normal((rows + 2, case.features), np.float32)
    y = (X[:, 0] > 0).astype(np.float32)
    scenario = parse(
        {
            "name": case.name,
            "model": {"hidden": case.hidden, "activations": activations},
            "train": {"epochs": 1, "batch_size": case.rows, "learning_rate": 1e-4},
            "protocol": protocol,
            "privacy": privacy or {},
        },
        "benchmark",
    )
    names = tuple(f"x{i}" for i in range(case.features))
    dataset = Dataset("random", "random numbers", True, names, X[:rows], y[:rows], X[rows:], y[rows:])
    parts = build(case.features, case.hidden, scenario.model.activation_list)
    schedule = Schedule(rows_train=rows, rows_test=2, batch_size=case.rows, epochs=1, predict_every=1, seed=0)
    return Setup(scenario, dataset, columns(case.features, 2), parts.copy(), schedule), parts


def protocol_seconds(case: Case, first_layer: str) -> list[float]:
    """Processor seconds of each training batch of one simulation, without its first."""
    setup, _ = setup_of(case, {"first_layer": first_layer})
    marks: list[float] = []

    def mark(batch: Batch) -> None:
        marks.append(time.process_time())

    simulate(setup, Outcome(), on_batch=mark)
    return [after - before for before, after in itertools.pairwise(marks)]


def plain_seconds(case: Case, steps: int) -> list[float]:
    """Processor seconds of each plain step on one batch, without the first."""
    setup, parts = setup_of(case, {})
    network = PlainNetwork(parts)
    optimiser = sgd(network.parameters(), learning_rate=1e-4, momentum=0.0)
    X, y = setup.dataset.X_train[: case.rows], setup.dataset.y_train[: case.rows]
    marks = []
    for _ in range(steps + 1):
        marks.append(time.process_time())
        train_step(network, optimiser, X, y, reduction="sum")
    marks.append(time.process_time())
    return [after - before for before, after in itertools.pairwise(marks)]


def main() -> None:
    """Prints one line for each data set and first layer."""
    torch.set_num_threads(1)
    titles = ("batch ms", "plain ms", "ratio", "target", "paper")
    print(f"{'data set':<10}{'protocol':<24}" + "".join(f"{title:>10}" for title in titles))
    with threadpool_limits(1):
        for case in CASES:
            own: dict[str, list[float]] = {name: [] for name in FIRST_LAYERS}
            plain: list[float] = []
            for _ in range(ROUNDS):
                for name in FIRST_LAYERS:
                    own[name] += protocol_seconds(case, name)
                plain += plain_seconds(case, 4 * case.batches)
            step = statistics.median(plain)
            for name in FIRST_LAYERS:
                batch = statistics.median(own[name])
                target = f"{case.targets[name]:g}" if name in case.targets else ""
                paper = f"{case.paper:g}" if name == "algorithm1" else ""
                print(
                    f"{case.name:<10}{name:<24}{batch * 1e3:>10.2f}{step * 1e3:>10.2f}{batch / step:>10.2f}"
                    f"{target:>10}{paper:>10}"
                )


if __name__ == "__main__":
    main()
