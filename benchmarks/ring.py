"""Exact products in Z_2^64: kernels by shape, and the arithmetic of one fraud batch.

Run ``python benchmarks/ring.py``. Everything runs on one thread. Within a shape all kernels take turns, and
the medians are compared, so a busy machine slows all of them alike.
"""

from __future__ import annotations

import functools
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from p2n2sim.mpc import beaver, fixed_point, prg, ring, sharing
from p2n2sim.mpc.prg import Purpose

SHAPES = (  # (m, k, n), rounds
    ((5000, 28, 8), 101),
    ((28, 5000, 8), 101),
    ((32, 556, 400), 31),
    ((2570, 556, 400), 5),
    ((1024, 1024, 1024), 3),
)
MANY_ROUNDS = 10
ROWS, FEATURES, HIDDEN = 5000, 28, 8
FRACTIONAL_BITS = 20
BATCHES = 200


def medians(functions: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median seconds of each function; the functions take turns.

    Where there are many rounds, each timed call follows an untimed one of the same function, so that no
    function pays for what its predecessor left in the caches.
    """
    seconds = defaultdict(list)
    for _ in range(rounds):
        for name, function in functions.items():
            if rounds >= MANY_ROUNDS:
                function()
            start = time.perf_counter()
            function()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def kernel_table() -> list[str]:
    """Billions of multiply-adds a second, by shape and kernel."""
    names = [*ring.KERNELS, "ring.matmul"]
    lines = ["".join([f"{'shape':>16}", *(f"{name:>15}" for name in names), f"{'vs numpy @':>12}"])]
    for (m, k, n), rounds in SHAPES:
        a, b = prg.uniform(bytes(16), 0, (m, k)), prg.uniform(bytes(16), 1, (k, n))
        out = np.empty((m, n), dtype=np.int64)
        functions: dict[str, Callable[[], object]] = {
            name: functools.partial(kernel, a, b, out) for name, kernel in ring.KERNELS.items()
        }
        functions["ring.matmul"] = functools.partial(ring.matmul, a, b)
        ring.matmul(a, b)  # the probe
        seconds = medians(functions, rounds)
        rates = [f"{m * k * n / seconds[name] / 1e9:15.2f}" for name in names]
        ratio = seconds["numpy @"] / seconds["ring.matmul"]
        lines.append("".join([f"{f'{m}x{k}x{n}':>16}", *rates, f"{ratio:11.1f}x"]))
    return lines


class FraudBatch:
    """The ring arithmetic of one batch of Algorithm 1: two holders of 14 features each, and a dealer."""

    def __init__(self) -> None:
        generator = np.random.default_rng(0)
        half = FEATURES // 2
        self.X = [generator.normal(size=(ROWS, half)).astype(np.float32) for _ in "AB"]
        self.theta = [generator.normal(size=(half, HIDDEN)).astype(np.float32) for _ in "AB"]
        self.dealer_keys = [prg.derive_key(0, "dealer", name) for name in "AB"]
        self.own_keys = [prg.derive_key(0, name) for name in "AB"]
        self.seconds: defaultdict[str, list[float]] = defaultdict(list)

    def run(self, step: int) -> NDArray[np.floating]:
        """One batch; the processor time of each part is appended to ``seconds``."""
        clock = time.process_time()

        def lap(part: str) -> None:
            nonlocal clock
            now = time.process_time()
            self.seconds[part].append(now - clock)
            clock = now

        shape = (ROWS, FEATURES, HIDDEN)
        X = [fixed_point.encode(x, FRACTIONAL_BITS) for x in self.X]
        theta = [fixed_point.encode(t, FRACTIONAL_BITS) for t in self.theta]
        lap("holders: encode")
        X_shares = [
            sharing.split(x, 2, key, step, purpose=Purpose.FEATURES)
            for x, key in zip(X, self.own_keys, strict=True)
        ]
        theta_shares = [
            sharing.split(t, 2, key, step, purpose=Purpose.WEIGHTS)
            for t, key in zip(theta, self.own_keys, strict=True)
        ]
        lap("holders: share (lines 1-2)")
        X = [np.hstack(parts) for parts in zip(*X_shares, strict=True)]  # (m, k) at each holder
        theta = [np.vstack(parts) for parts in zip(*theta_shares, strict=True)]  # (k, n) at each holder
        lap("holders: join shares (lines 5-6)")
        sent = beaver.correction(self.dealer_keys, step, *shape)
        lap("dealer: correction")
        triples = [
            beaver.expand(self.dealer_keys[0], step, *shape),
            beaver.expand(self.dealer_keys[1], step, *shape, correction=sent),
        ]
        lap("holders: expand triples")
        masked = [beaver.mask(x, t, triple) for x, t, triple in zip(X, theta, triples, strict=True)]
        lap("holders: mask")
        opened = [[sharing.reconstruct(parts) for parts in zip(*masked, strict=True)] for _ in "AB"]
        lap("holders: open E and F")
        shares = [
            beaver.product_share(x, E, F, triple)
            for x, (E, F), triple in zip(X, opened, triples, strict=True)
        ]
        lap("holders: product shares (lines 5-9)")
        hidden = fixed_point.decode(sharing.reconstruct(shares), 2 * FRACTIONAL_BITS)
        lap("server: reconstruct, decode")
        return hidden


def fraud_table() -> list[str]:
    """Processor time of one fraud batch by part, with the plain PyTorch step in the same rounds."""
    batch, step = FraudBatch(), plain_step()
    hidden = batch.run(0)
    exact = np.hstack(batch.X) @ np.vstack(batch.theta)
    batch.seconds.clear()
    torch_seconds, total = [], []
    for index in range(1, BATCHES + 1):
        start = time.process_time()
        step()
        middle = time.process_time()
        batch.run(index)
        torch_seconds.append(middle - start)
        total.append(time.process_time() - middle)
    lines = [f"{part:<38}{statistics.median(s) * 1e3:8.3f} ms" for part, s in batch.seconds.items()]
    whole, plain = statistics.median(total), statistics.median(torch_seconds)
    lines.append(f"{'whole batch, both holders and dealer':<38}{whole * 1e3:8.3f} ms")
    lines.append(f"{'plain PyTorch step 28-8-8-1':<38}{plain * 1e3:8.3f} ms   ratio {whole / plain:.1f}")
    lines.append(f"largest error of h1 against floats: {float(np.max(np.abs(hidden - exact))):.1e}")
    return lines


def plain_step() -> Callable[[], None]:
    """One step of the network without any protocol, batch of 5000, on one thread."""
    torch.manual_seed(0)
    net = torch.nn.Sequential(
        torch.nn.Linear(FEATURES, HIDDEN),
        torch.nn.Sigmoid(),
        torch.nn.Linear(HIDDEN, HIDDEN),
        torch.nn.Sigmoid(),
        torch.nn.Linear(HIDDEN, 1),
    )
    optimiser = torch.optim.SGD(net.parameters(), lr=0.001)
    x, y = torch.randn(ROWS, FEATURES), torch.randint(0, 2, (ROWS, 1)).float()

    def step() -> None:
        optimiser.zero_grad()
        torch.nn.functional.binary_cross_entropy_with_logits(net(x), y).backward()
        optimiser.step()

    return step


def main() -> None:
    """Prints both tables."""
    torch.set_num_threads(1)
    with threadpool_limits(1):
        print("Billions of multiply-adds a second, one thread, medians of interleaved rounds")
        print("\n".join(kernel_table()))
        print(f"\nProcessor time of one fraud batch, {ROWS} x {FEATURES} by {FEATURES} x {HIDDEN}, medians")
        print("\n".join(fraud_table()))


if __name__ == "__main__":
    main()
