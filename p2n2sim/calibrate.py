"""Measures one core of this machine: the rates of a scenario's [compute.default]."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable

import numpy as np
import tomli_w
import torch

from p2n2sim.mpc import prg, ring
from p2n2sim.net.cpu import Machine

_REPEATS = 7
_M, _K, _N = 5000, 28, 8  # the fraud batch, the shape that most work has
_MESSAGES, _SMALL = 500, 64  # of bytes


def measure() -> Machine:
    """Medians of a few short repeats each; about a second in all. Wall time is what is measured here."""
    torch.set_num_threads(1)
    key = prg.derive_key(0, "calibrate")
    X, theta = prg.uniform(key, 0, (_M, _K)), prg.uniform(key, 1, (_K, _N))
    a, b = torch.ones(_M, _K), torch.ones(_K, _N)
    one, two, three = (np.ones(1 << 22, np.int64) for _ in range(3))  # 32 MiB each: out of the caches
    elements = np.empty(1 << 18, np.int64)
    return Machine(
        ring_madds_per_s=_M * _K * _N / _seconds(lambda: ring.matmul(X, theta)),
        flops_per_s=2 * _M * _K * _N / _seconds(lambda: torch.mm(a, b)),
        random_bytes_per_s=elements.nbytes
        / _seconds(lambda: prg.uniform(key, 2, elements.shape, out=elements)),
        moved_bytes_per_s=3 * one.nbytes / _seconds(lambda: np.add(one, two, out=three)),
        message_overhead_s=_seconds(lambda: asyncio.run(_echo(_MESSAGES))) / (2 * _MESSAGES),
    )


def to_table(machine: Machine) -> str:
    """The profile as a table for a scenario file, with three significant digits."""
    rates = {
        "ring_madds_per_s": machine.ring_madds_per_s,
        "flops_per_s": machine.flops_per_s,
        "random_bytes_per_s": machine.random_bytes_per_s,
        "moved_bytes_per_s": machine.moved_bytes_per_s,
    }
    table: dict[str, object] = {name: float(f"{rate:.3g}") for name, rate in rates.items()}
    table["message_overhead"] = f"{machine.message_overhead_s * 1e6:.3g} us"
    return tomli_w.dumps({"compute": {"default": table}})


def _seconds(work: Callable[[], object]) -> float:
    work()  # warm up
    times = []
    for _ in range(_REPEATS):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


async def _echo(times: int) -> None:
    """Sends a small message to and fro over a real connection on this machine."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(times):
            writer.write(await reader.readexactly(_SMALL))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1")
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    for _ in range(times):
        writer.write(bytes(_SMALL))
        await reader.readexactly(_SMALL)
    writer.close()
    server.close()
