"""Bytes, rounds and processor time of a training step of the network 28-8-8-1 under secret sharing.

Run ``python benchmarks/secret_layers.py``. Bytes and rounds come from the ledger of one simulated step at
batch 5000; processor time is that of all parties and the accounting, on one thread, beside a plain PyTorch
step in the same run. Other systems' figures are as they report them for the same step.
"""

from __future__ import annotations

import itertools
import statistics
import time

import torch
from batch import CASES, plain_seconds, setup_of
from threadpoolctl import threadpool_limits

from p2n2sim.parties.schedule import Batch
from p2n2sim.simulate import Outcome, simulate

ROUNDS = 5
# Activations of the hidden layers, and how sigmoids are computed.
VARIANTS = {
    "three-piece sigmoid": ("sigmoid", "piecewise"),
    "ReLU hidden, three-piece head": ("relu", "piecewise"),
    "square hidden, three-piece head": ("square", "piecewise"),
    "polynomial of degree 3": ("sigmoid", "polynomial"),
}
REPORTED = (
    ("SPU 0.9.5, three-piece sigmoid", 20.67, 78),
    ("SPU 0.9.5, exact sigmoid", 59.85, 189),
    ("CrypTen 0.4.1, by reciprocal (both directions)", 85.76, 175),
)


def measure(activations: str, activation: str) -> tuple[float, float, int, list[float]]:
    """MB sent by each party online, MB offline, rounds, and processor seconds of each batch but the first."""
    protocol = {"secret_layers": 3, "first_layer": "algorithm1-masked-once", "activation": activation}
    setup, _ = setup_of(CASES[0], protocol, activations)
    outcome, marks = Outcome(), list[float]()

    def mark(batch: Batch) -> None:
        marks.append(time.process_time())

    simulate(setup, outcome, on_batch=mark)
    step = outcome.ledger.frame().query("step == 2")
    online = step[step["phase"] == "online"]
    before = outcome.ledger.frame().query("step == 1 and phase == 'online'")["round"].max()
    return (
        online[online["sender"] == "A"]["payload_bytes"].sum() / 1e6,
        step[step["phase"] == "offline"]["payload_bytes"].sum() / 1e6,
        int(online["round"].max() - before),
        [after - start for start, after in itertools.pairwise(marks)][1:],
    )


def main() -> None:
    """Prints one line for each variant, then what others report."""
    torch.set_num_threads(1)
    print(f"{'':<48}{'online MB':>10}{'rounds':>8}{'offline MB':>12}{'batch ms':>10}{'/ plain':>9}")
    with threadpool_limits(1):
        plain: list[float] = []
        times: dict[str, list[float]] = {name: [] for name in VARIANTS}
        for _ in range(ROUNDS):
            plain += plain_seconds(CASES[0], 4 * CASES[0].batches)
            for name, variant in VARIANTS.items():
                online, offline, rounds, seconds = measure(*variant)
                times[name] += seconds
        step = statistics.median(plain)
        for name, variant in VARIANTS.items():
            online, offline, rounds, _ = measure(*variant)
            batch = statistics.median(times[name])
            traffic = f"{online:>10.2f}{rounds:>8}{offline:>12.2f}"
            print(f"{name:<48}{traffic}{batch * 1e3:>10.1f}{batch / step:>9.1f}")
        for name, online, rounds in REPORTED:
            print(f"{name:<48}{online:>10.2f}{rounds:>8}")


if __name__ == "__main__":
    main()
