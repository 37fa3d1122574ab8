"""Predicted against measured: how well the links of p2n2sim.net tell what real ones did.

Run ``python benchmarks/fidelity.py --data DIR``, where DIR holds ``tcp_linux.csv`` and ``real_links.csv`` (or
name it in the environment variable P2N2SIM_MEASUREMENTS). Every row is predicted by parties that send each
other messages over a `Network`: the same sequence on one connection as was measured, and the P2N2-like
batches as ten batches of real messages between three parties whose uplinks and downlinks have the rate.
Prints tables of errors; ``--out`` gets all predictions as ``fidelity.csv`` and a plot as ``fidelity.png``.

``tcp_linux.csv``: one message over Linux TCP through an emulated path that counts IP packets (52 bytes of
headers for a segment). ``real_links.csv``: asyncio streams and gRPC through token buckets that count Ethernet
frames (66 bytes). Errors are relative for rows of 5 ms and more; below that, milliseconds are compared. What
answers a unary call belongs to the call, so it comes back as a message over TCP.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from p2n2sim.net.endpoint import Endpoint
from p2n2sim.net.link import LinkSpec
from p2n2sim.net.network import Network
from p2n2sim.net.simloop import SimLoop, run
from p2n2sim.net.topology import Topology, access
from p2n2sim.wire import Message, clear, sizes

FROM_S = 5e-3
IDLE_S = 1.2
ORDER = ("cold", "warm1", "warm2", "warm3", "idle")
LONG_S = 5.0  # longer messages were sent three times only
APPLICATION_HEADER = 16  # bytes before every measured payload
ANSWER = 24 + APPLICATION_HEADER


@dataclass(frozen=True, slots=True)
class Block(Message):
    """Bytes."""

    data: np.ndarray = clear("block", np.uint8)


FRAMING = sizes(Block(0, np.zeros(8, np.uint8)))[1] - 8


def block(size: int) -> Block:
    """A message whose whole encoding has `size` bytes, or the smallest one."""
    return Block(0, np.zeros(max(1, size - FRAMING), np.uint8))


def spec(transport: str, rate: float, round_trip: float, burst: int) -> LinkSpec:
    """The link that was measured."""
    kind: dict[str, Any] = {
        "raw": {"transport": "tcp", "host": "streams"},
        "socket": {"transport": "tcp", "host": "buffered", "headers": 52},
        "unary": {"transport": "grpc", "host": "unary"},
        "stream": {"transport": "grpc", "host": "stream"},
    }[transport]
    return LinkSpec(bandwidth=rate, latency=round_trip / 2, burst=burst, **kind)


async def timed(sender: Endpoint, receiver: Endpoint, message: Message) -> float:
    """Seconds from sending to receiving."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    sender.send(receiver.name, message)
    await receiver.recv(sender.name, type(message))
    return loop.time() - begun


def two(link: LinkSpec) -> tuple[Endpoint, Endpoint]:
    """Two parties."""
    loop = cast(SimLoop, asyncio.get_running_loop())
    back = link
    if link.host == "unary":
        back = dataclasses.replace(link, transport="tcp", host="streams")
    network = Network(loop, Topology(link, {("B", "A"): back}))
    return network.join("A"), network.join("B")


@cache
def oneway(
    link: LinkSpec, size: int, order: tuple[str, ...], between: float = 0.0
) -> dict[str, tuple[float, float]]:
    """One message after the other on one connection, a time between them.

    Returns:
        Name -> (there, there and back) in seconds.
    """

    async def main() -> dict[str, tuple[float, float]]:
        a, b = two(link)
        out = {}
        for name in order:
            await asyncio.sleep(IDLE_S if name == "idle" else between)
            there = await timed(a, b, block(size))
            out[name] = there, there + await timed(b, a, block(ANSWER))
        return out

    return run(main())


@cache
def ping(link: LinkSpec, size: int) -> tuple[float, float]:
    """50 requests and responses of one size: seconds for all, and the median."""

    async def main() -> tuple[float, float]:
        a, b = two(link)
        times = [await timed(a, b, block(size)) + await timed(b, a, block(size)) for _ in range(50)]
        return sum(times), float(np.median(times))

    return run(main())


OPENING_S = {"raw": 0.4e-3, "stream": 1.1e-3, "unary": 1.1e-3}  # of work, as measured without delay


@cache
def connect(link: LinkSpec, opening: float) -> float:
    """Seconds until a connection is ready: by what the first of two messages takes longer."""

    async def main() -> float:
        a, b = two(dataclasses.replace(link, handshake=True, host="none"))
        return await timed(a, b, block(1)) - await timed(a, b, block(1))

    return run(main()) + opening


@cache
def batches(link: LinkSpec) -> tuple[list[float], list[float]]:
    """Ten P2N2-like batches of A, B and S: durations in seconds, and those of the first exchange."""

    async def main() -> tuple[list[float], list[float]]:
        loop = cast(SimLoop, asyncio.get_running_loop())
        shared = {k: v for party in "ABS" for k, v in access(party, link.bandwidth, link.burst).items()}
        fields = {name: getattr(link, name) for name in ("latency", "transport", "headers", "host")}
        network = Network(loop, Topology(LinkSpec(**fields), shared=shared))
        a, b, s = (network.join(name) for name in "ABS")
        large, small = block(1_120_000 + APPLICATION_HEADER), block(320_000 + APPLICATION_HEADER)
        exchanged: dict[str, list[float]] = {"A": [], "B": []}
        ended: dict[str, list[float]] = {"A": [], "B": []}

        async def holder(me: Endpoint, other: str, *, owner: bool) -> None:
            for _ in range(10):
                me.send(other, large)
                me.send(other, large)
                await me.recv(other, Block)
                await me.recv(other, Block)
                exchanged[me.name].append(loop.time())
                me.send("S", small)
                if owner:
                    await me.recv("S", Block)
                    me.send("S", small)
                await me.recv("S", Block)
                ended[me.name].append(loop.time())

        async def server() -> None:
            for _ in range(10):
                await s.recv("A", Block)
                await s.recv("B", Block)
                s.send("A", small)
                await s.recv("A", Block)
                s.send("A", small)
                s.send("B", small)

        await network.run({"A": holder(a, "B", owner=True), "B": holder(b, "A", owner=False), "S": server()})
        begun = np.concatenate([[0.0], np.maximum(ended["A"], ended["B"])])
        first = np.maximum(exchanged["A"], exchanged["B"]) - begun[:-1]
        return list(np.diff(begun)), list(first)

    return run(main())


def tcp_linux(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of tcp_linux.csv with a prediction each."""
    out = []
    for row in rows.itertuples():
        delay, rate, size = float(row.one_way_delay_s), float(row.rate_bit_per_s), int(row.payload_bytes)
        times = oneway(spec("socket", rate, 2 * delay, 0), size, ("fresh", "second", "warm"))
        out.append(
            ("socket", "oneway", row.connection, rate, 2 * delay, size, row.t_min_s, times[row.connection][0])
        )
    return table(out)


def real_links(rows: pd.DataFrame, between: float = 0.0) -> pd.DataFrame:
    """The rows of real_links.csv with a prediction for each time."""
    out = []
    for row in rows.itertuples():
        rate, trip, size = float(row.rate_bit_per_s), float(row.round_trip_s), int(row.payload_bytes)
        link = spec(row.transport, rate, trip, int(row.burst_bytes))
        known = (row.transport, row.experiment, row.connection, rate, trip, size)
        if row.experiment == "connect":
            predicted = [connect(link, OPENING_S[row.transport])]
        elif row.experiment == "oneway":
            order = ("cold", "warm1", "idle") if size * 8 / rate > LONG_S else ORDER
            predicted = list(oneway(link, size + APPLICATION_HEADER, order, between)[row.connection])
        elif row.experiment == "ping50":
            predicted = list(ping(link, size + APPLICATION_HEADER))
        else:
            all_of, first = batches(link)
            if row.experiment == "p2n2_total":
                predicted = [sum(all_of)]
            elif row.connection == "cold":
                predicted = [all_of[0], first[0]]
            else:
                predicted = [float(np.median(all_of[1:])), float(np.median(first[1:]))]
        out.append((*known, row.t_median_s, predicted[0]))
        if len(predicted) > 1 and row.experiment != "ping50":
            out.append((row.transport, f"{row.experiment} t2", *known[2:], row.t2_median_s, predicted[1]))
    return table(out)


def table(rows: Iterable[tuple[Any, ...]]) -> pd.DataFrame:
    """Rows with their errors."""
    names = ["transport", "experiment", "connection", "rate", "round_trip", "bytes", "measured", "predicted"]
    out = pd.DataFrame(rows, columns=names)
    out["error"] = out["predicted"] / out["measured"] - 1
    return out


def errors(rows: pd.DataFrame) -> str:
    """One line: how large the errors are."""
    long = rows[rows["measured"] >= FROM_S]
    short = rows[rows["measured"] < FROM_S]
    size = long["error"].abs()
    line = f"{len(long):5} rows"
    if len(long):
        line += f"  median {size.median():6.2%}  within 3 % {(size <= 0.03).mean():4.0%}"
        line += f"  within 10 % {(size <= 0.1).mean():4.0%}  worst {size.max():6.1%}"
    if len(short):
        apart = (short["predicted"] - short["measured"]).abs() * 1e3
        near = (apart <= 0.5).mean()
        line += f"   {len(short):4} shorter: median {apart.median():.2f} ms, within 0.5 ms {near:.0%}"
    return line


def plot(rows: pd.DataFrame, file: Path) -> None:
    """Predicted over measured, both logarithmic."""
    figure = Figure(figsize=(6, 6), layout="constrained")
    axes = figure.subplots()
    for (transport, batch), group in rows.groupby(["transport", rows["experiment"].str.startswith("p2n2")]):
        marker = "D" if batch else "o"
        label = f"{transport}{', P2N2-like batches' if batch else ''}"
        axes.loglog(group["measured"], group["predicted"], marker, ms=4, alpha=0.5, mew=0, label=label)
    ends = np.array([rows["measured"].min(), rows["measured"].max()])
    axes.loglog(ends, ends, "k-", lw=0.8)
    for factor in (0.9, 1.1):
        axes.loglog(ends, factor * ends, "k:", lw=0.6)
    axes.set(
        xlabel="measured, s",
        ylabel="predicted, s",
        title="Message times: predicted over measured (dotted: 10 %)",
    )
    axes.legend(frameon=False)
    figure.savefig(file, dpi=150)


def main() -> int:
    """Predicts every row and prints the errors."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("P2N2SIM_MEASUREMENTS"))
    parser.add_argument("--out", type=Path, default=Path(), help="folder for fidelity.csv and fidelity.png")
    parser.add_argument("--between", type=float, default=0.0, help="seconds from one message to the next")
    parser.add_argument("--worst", type=int, default=10, help="how many of the worst rows to print")
    options = parser.parse_args()
    files = [options.data / name for name in ("tcp_linux.csv", "real_links.csv")] if options.data else []
    if not files or not all(file.is_file() for file in files):
        print(
            "no measurements: give the folder of tcp_linux.csv and real_links.csv with --data,",
            file=sys.stderr,
        )
        print("or in the environment variable P2N2SIM_MEASUREMENTS", file=sys.stderr)
        return 2
    linux, real = tcp_linux(pd.read_csv(files[0])), real_links(pd.read_csv(files[1]), options.between)
    rows = pd.concat([linux, real], ignore_index=True)
    main_rows = rows[rows["experiment"].isin(["oneway"])]
    print(f"{'tcp_linux.csv':24}{errors(linux)}")
    print(f"{'real_links.csv, oneway':24}{errors(main_rows[main_rows['transport'] != 'socket'])}")
    print(f"{'both':24}{errors(main_rows)}\n")
    for (transport, experiment), group in real.groupby(["transport", "experiment"]):
        print(f"{transport + ' ' + experiment:24}{errors(group)}")
    print("\nP2N2-like batches          rate  round trip   measured  predicted   error")
    for row in real[real["experiment"].str.startswith("p2n2")].itertuples():
        name = f"{row.transport} {row.experiment} {row.connection}"
        times = f"{row.measured:10.4f} {row.predicted:10.4f} {row.error:+7.1%}"
        print(f"{name:26}{row.rate:6.0e}  {row.round_trip:8.3f} {times}")
    long = rows[rows["measured"] >= FROM_S]
    worst = long.loc[long["error"].abs().sort_values(ascending=False).index[: options.worst]]
    print(f"\nThe worst rows of 5 ms and more:\n{worst.to_string(index=False)}")
    rows.to_csv(options.out / "fidelity.csv", index=False)
    plot(rows, options.out / "fidelity.png")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
