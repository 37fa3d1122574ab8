"""Links that fail below which bytes flow: TCP, gRPC and shared bottlenecks tell late when a frame arrives."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2n2sim.errors import CorruptMessageError, DeliveryError, MessageLostError, PartyLostError
from p2n2sim.net import grpc, simloop
from p2n2sim.net.delivery import Delivery, Retry
from p2n2sim.net.faults import Corrupt, Delay, Drop, Duplicate, Rule, Selection, Verdict, crash_at_message, on
from p2n2sim.net.link import LinkSpec
from p2n2sim.net.network import Network
from p2n2sim.net.tcp import wire_bytes
from p2n2sim.net.topology import Topology, access
from p2n2sim.wire import Message, clear, sizes

KEY = bytes(range(16))
RETRY = Delivery(retry=Retry(timeout=2.0, attempts=5))
SHARED = access("A", 8e6) | access("B", 8e6)
TOPOLOGIES = {
    "max-min": Topology(LinkSpec(latency=0.25), shared=SHARED),
    "tcp": Topology(LinkSpec(bandwidth=8e6, latency=0.25, transport="tcp", handshake=True)),
    "shared tcp": Topology(LinkSpec(latency=0.25, transport="tcp", loss=0.02), shared=SHARED, seed=5),
    "grpc": Topology(LinkSpec(bandwidth=8e6, latency=0.25, transport="grpc", tls=True)),
}
TO_B = (("A", "B"),)
THIRD = Selection(links=TO_B, numbers=(3,), attempts=1, key=b"k")


@dataclass(frozen=True, slots=True)
class Load(Message):
    """Bytes that say which step they are of."""

    data: np.ndarray = clear("load", np.uint8)


@dataclass(frozen=True, slots=True)
class Reply(Message):
    """Nothing but a step."""


def load(step: int, size: int = 30_000) -> Load:
    """The message of a step."""
    return Load(step, np.full(size, step, np.uint8))


def talk(
    topology: Topology,
    *rules: Rule,
    delivery: Delivery | None = None,
    size: int = 30_000,
    pause: float = 0.1,
    schedule: int | None = None,
) -> tuple[pd.DataFrame, list[int], str]:
    """A sends six loads to B in a row or with pauses, and B answers each.

    Returns the ledger, the steps of which B took the loads, and the error that it ended with.
    """
    taken: list[int] = []
    networks: list[Network] = []

    async def main() -> str:
        loop = cast(simloop.SimLoop, asyncio.get_running_loop())
        network = Network(loop, topology, rules=rules, delivery=delivery)
        networks.append(network)
        a, b = network.join("A"), network.join("B")

        async def speak() -> None:
            for step in range(6):
                a.send("B", load(step, size))
                await asyncio.sleep(pause)
            for step in range(6):
                assert (await a.recv("B", Reply)).step == step

        async def listen() -> None:
            for step in range(6):
                got = await b.recv("A", Load)
                assert (got.data == got.step).all()
                assert got.step == step
                taken.append(step)
                b.send("A", Reply(step))

        try:
            await network.run({"A": speak(), "B": listen()})
        except (DeliveryError, PartyLostError) as error:
            return f"{type(error).__name__} at {loop.time():.9g}"
        return ""

    end = simloop.run(main(), schedule=schedule)
    return networks[0].ledger.frame(), taken, end


VERDICTS: tuple[Callable[[], Verdict], ...] = (
    Drop,
    lambda: Duplicate(2),
    lambda: Corrupt(4),
    lambda: Delay(0.7),
    lambda: Delay(5.0, overtaken=True),
)


def storm(seed: int, probability: float = 0.12) -> list[Rule]:
    """Everything at once, each with some probability."""
    return [
        on(Selection(probability=probability, key=bytes([number]) + seed.to_bytes(4, "big")), verdict())
        for number, verdict in enumerate(VERDICTS)
    ]


@pytest.mark.parametrize("retry", [None, RETRY.retry], ids=["", "retry"])
@settings(max_examples=25)
@given(
    seed=st.integers(0, 2**32 - 1),
    key=st.sampled_from([None, KEY]),
    size=st.integers(0, 200_000),
    pause=st.sampled_from([0.0, 0.013, 0.1, 0.8]),
)
def test_a_bottleneck_of_one_link_is_that_link(
    retry: Retry | None, seed: int, key: bytes | None, size: int, pause: float
) -> None:
    """Told at once or late, the same is taken and the same named; without retries at the same times."""
    own = Topology(LinkSpec(bandwidth=8e6, latency=0.25))
    flows = Topology(LinkSpec(latency=0.25), shared={k: v for k, v in SHARED.items() if "uplink" in k})
    delivery = Delivery(retry=retry, key=key)
    one, other = (talk(t, *storm(seed), delivery=delivery, size=size, pause=pause) for t in (own, flows))
    assert one[1] == other[1]
    assert one[2].split(" at ")[0] == other[2].split(" at ")[0]
    if retry is None:  # else timers depend on when a frame began to leave, which flows tell less exactly
        assert one[2] == other[2]
        what = ["sender", "kind", "step", "wire_bytes"]
        assert (one[0].groupby(what).size() == other[0].groupby(what).size()).all()
        for name in ("sent_s", "arrived_s"):
            known = ~np.isinf(other[0][name])  # what is on its way at the end need not be
            there, here = one[0][name][known].to_list(), other[0][name][known].to_list()
            assert there == pytest.approx(here, abs=1e-9, nan_ok=True)


@pytest.mark.parametrize("name", TOPOLOGIES)
def test_what_every_fault_does(name: str) -> None:
    """The third message hit by each kind: taken in order and once, or named; with retries always taken."""
    for make in VERDICTS:
        rule, lossy = on(THIRD, make()), make() in (Drop(), Corrupt(4))
        frame, taken, end = talk(TOPOLOGIES[name], rule, delivery=Delivery(deadline=9.0))
        assert taken == list(range(2 if lossy else 6))
        expected = {Drop(): "MessageLostError at ", Corrupt(4): "CorruptMessageError at "}
        assert end.startswith(expected.get(make(), ""))
        assert bool(end) == lossy
        frame, taken, end = talk(TOPOLOGIES[name], rule, delivery=RETRY)
        assert (taken, end) == (list(range(6)), "")
        assert (frame.kind == "Load").sum() == (7 if lossy or make() == Delay(5.0, True) else 6)


@pytest.mark.parametrize("name", TOPOLOGIES)
def test_storms(name: str) -> None:
    """All messages in order or an error, as often as one likes, under any schedule; and the same twice."""
    ends = []
    for seed in range(25):
        schedule = None if seed % 2 else seed
        runs = [
            talk(TOPOLOGIES[name], *storm(seed, 0.15), delivery=RETRY, schedule=schedule) for _ in range(2)
        ]
        assert runs[0][0].equals(runs[1][0])
        assert runs[0][1:] == runs[1][1:]
        _, taken, end = runs[0]
        assert taken == list(range(6)) or end.startswith("MessageLostError")
        ends.append(end)
    assert ends.count("") > 15


def test_what_is_dropped_has_crossed_the_wire() -> None:
    """A message is dropped above the transport: what follows it comes no sooner."""
    tcp = TOPOLOGIES["tcp"]
    whole, _, _ = talk(tcp, lambda sending: None, pause=0.0)
    frame, _, end = talk(tcp, on(THIRD, Drop()), pause=0.0, delivery=Delivery(deadline=9.0))
    mine, lost = whole[whole.kind == "Load"], frame[frame.kind == "Load"]
    assert math.isnan(lost.arrived_s.iloc[2])
    kept = [0, 1, 3, 4, 5]
    assert (lost.arrived_s.iloc[kept] == mine.arrived_s.iloc[kept]).all()
    assert (lost.start_s == mine.start_s).all()
    assert lost.wire_bytes.sum() == mine.wire_bytes.sum()
    assert end == f"MessageLostError at {mine.arrived_s.iloc[2] + 9.0:.9g}"


def test_delays_come_after_the_transport() -> None:
    """A delayed message arrives so much later than TCP brings it, with or without the others behind it."""
    tcp, plain = TOPOLOGIES["tcp"], lambda sending: None
    before = talk(tcp, plain, pause=0.0)[0].query("kind == 'Load'").arrived_s.to_list()
    for overtaken in (False, True):
        rule = on(THIRD, Delay(5.0, overtaken=overtaken))
        after = talk(tcp, rule, pause=0.0)[0].query("kind == 'Load'").arrived_s.to_list()
        late = before[2] + 5.0
        rest = before[3:] if overtaken else [late] * 3
        assert after == [*before[:2], late, *rest]


def test_a_cut_takes_what_is_sent_meanwhile() -> None:
    """Over TCP too: what was handed over before arrives, and what is sent after it has healed."""
    tcp = TOPOLOGIES["tcp"]
    cut = on(Selection(links=TO_B, after=0.15, until=0.35), Drop())
    frame, taken, end = talk(tcp, cut, delivery=RETRY)
    mine = frame[frame.kind == "Load"]
    lost = mine[mine.arrived_s.isna()]
    assert lost.sent_s.to_list() == pytest.approx([0.2, 0.3])
    assert (mine.start_s.iloc[:2] > 0.35).all()  # before it, but the connection was not ready
    assert (taken, end) == (list(range(6)), "")


@pytest.mark.parametrize("delivery", [Delivery(), Delivery(key=KEY), Delivery(retry=RETRY.retry, key=KEY)])
def test_bytes_of_frames_over_grpc(delivery: Delivery) -> None:
    """Every message is a call of its own, and the first of each direction pays for the connection."""
    topology = Topology(LinkSpec(bandwidth=8e6, latency=0.25, transport="grpc"))
    frame, _, _ = talk(topology, lambda sending: None, delivery=delivery)
    code = 16 if delivery.key else 0
    seen: set[tuple[str, str]] = set()
    own = {"Load": sizes(load(0))[1], "Reply": sizes(Reply(0))[1]}
    for row in frame[frame.kind != "Ack"].itertuples():
        link = (row.sender, row.receiver)
        asked = frame[(frame.sender == row.sender) & (frame.receiver == row.receiver)].index[0] == row.Index
        handed = grpc.request_bytes(own[row.kind] + 16 + code, first=asked, stream=False)
        assert row.wire_bytes == wire_bytes(handed), link
        seen.add(link)
    assert len(seen) == 2


@pytest.mark.parametrize("name", TOPOLOGIES)
def test_a_crash_at_a_message(name: str) -> None:
    """What a party had handed over before it crashed arrives; what it had not sent was not sent."""
    frame, taken, end = talk(TOPOLOGIES[name], crash_at_message("A", 4), delivery=Delivery(deadline=9.0))
    assert taken == [0, 1, 2]
    assert end.startswith("PartyLostError at ")
    assert (frame.kind == "Load").sum() == 3


@pytest.mark.parametrize("name", TOPOLOGIES)
def test_errors_name_the_message(name: str) -> None:
    """Who, to whom, what, which, and when it was sent; after the deadline, counted from its arrival."""

    async def main(verdict: Verdict) -> None:
        loop = cast(simloop.SimLoop, asyncio.get_running_loop())
        rules = [on(THIRD, verdict)]
        network = Network(loop, TOPOLOGIES[name], rules=rules, delivery=Delivery(deadline=9.0))
        a, b = network.join("A"), network.join("B")
        for step in range(3):
            a.send("B", load(step))

        async def listen() -> None:
            for _ in range(3):
                await b.recv("A", Load)

        await network.run({"B": listen()})

    for verdict, error in ((Drop(), MessageLostError), (Corrupt(3), CorruptMessageError)):
        with pytest.raises(error) as caught:
            simloop.run(main(verdict))
        found = caught.value
        assert isinstance(found, DeliveryError)
        assert (found.sender, found.receiver, found.kind, found.number) == ("A", "B", "Load", 3)
        assert found.sent == 0.0
        assert 0.34 < found.time < 3.0 + (9.0 if verdict == Drop() else 0.0)
