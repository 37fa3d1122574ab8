"""Links that fail: every fault leads to the right result or to an error that says which message."""

from __future__ import annotations

import asyncio
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2n2sim.errors import (
    AuthenticationError,
    CorruptMessageError,
    DeadlockError,
    DeliveryError,
    MessageLostError,
    PartyLostError,
)
from p2n2sim.net import faults, frame, simloop
from p2n2sim.net.cpu import Machine
from p2n2sim.net.delivery import Delivery, Retry
from p2n2sim.net.faults import Corrupt, Crash, Delay, Drop, Duplicate, Rule, Selection, Sending, on
from p2n2sim.net.link import LinkSpec
from p2n2sim.net.network import Network
from p2n2sim.net.topology import Topology
from p2n2sim.wire import Message, clear, sizes

KEY = bytes(range(16))
RETRY = Delivery(retry=Retry(timeout=2.0, attempts=4))


@dataclass(frozen=True, slots=True)
class Note(Message):
    """A number, and an array that says the same."""

    data: np.ndarray = clear("note", np.int64)


@dataclass(frozen=True, slots=True)
class Other(Message):
    """Nothing but a step."""


def note(step: int) -> Note:
    """The message of a step."""
    return Note(step, np.full(5, step))


def talk(
    *rules: Rule, delivery: Delivery | None = None, count: int = 6, encode_all: bool = False
) -> tuple[Network, list[int], float]:
    """A sends numbered notes to B, one a second, and is answered with as many others.

    Returns the network, the numbers that B read in the arrays, and the time at the end.
    """
    taken: list[int] = []
    seen: list[Network] = []

    async def main() -> float:
        loop = cast(simloop.SimLoop, asyncio.get_running_loop())
        network = Network(
            loop,
            Topology(LinkSpec(bandwidth=8e6, latency=0.25)),
            rules=rules,
            delivery=delivery,
            encode_all=encode_all,
        )
        seen.append(network)
        a, b = network.join("A"), network.join("B")

        async def speak() -> None:
            for step in range(count):
                a.send("B", note(step))
                await asyncio.sleep(1)
            for step in range(count):
                assert (await a.recv("B", Other)).step == step

        async def listen() -> None:
            for step in range(count):
                got = await b.recv("A", Note)
                assert (got.data == got.step).all()
                taken.append(got.step)
                b.send("A", Other(step))

        await network.run({"A": speak(), "B": listen()})
        return loop.time()

    end = simloop.run(main())
    return seen[0], taken, end


THIRD = Selection(links=(("A", "B"),), numbers=(3,), attempts=1, key=b"k")
HARMLESS: dict[str, Rule] = {
    "duplicate": on(THIRD, Duplicate(2)),
    "delay": on(THIRD, Delay(3.5)),
    "reorder": on(THIRD, Delay(3.5, overtaken=True)),
}
HARMFUL: dict[str, tuple[Rule, type[DeliveryError]]] = {
    "drop": (on(THIRD, Drop()), MessageLostError),
    "corrupt": (on(THIRD, Corrupt(3)), CorruptMessageError),
    "cut": (on(Selection(links=(("A", "B"),), after=1.5, until=2.5), Drop()), MessageLostError),
}


@pytest.mark.parametrize("name", HARMLESS)
@pytest.mark.parametrize("delivery", [None, RETRY])
def test_numbers_undo_order_and_duplicates(name: str, delivery: Delivery | None) -> None:
    """What arrives twice, late or in the wrong order is taken once and in order, with or without retries."""
    assert talk(HARMLESS[name], delivery=delivery)[1] == list(range(6))


@pytest.mark.parametrize("name", HARMFUL)
def test_retries_bring_what_was_lost(name: str) -> None:
    """With retries a lost or damaged message is sent again, and everything arrives in order."""
    network, taken, _ = talk(HARMFUL[name][0], delivery=RETRY)
    assert taken == list(range(6))
    rows = network.ledger.frame()
    arrived = rows[rows.arrived_s.notna()]
    assert (rows.kind == "Note").sum() == 7  # one of them twice
    damaged = name == "corrupt"  # it arrived, but nobody acknowledged it
    assert (rows.kind == "Ack").sum() == arrived.kind.isin(["Note", "Other"]).sum() - damaged


@pytest.mark.parametrize("name", HARMFUL)
def test_without_retries_the_message_is_named(name: str) -> None:
    """Without retries the error says which message of whom to whom, and when, within the deadline."""
    rule, error = HARMFUL[name]
    with pytest.raises(error) as caught:
        talk(rule, delivery=Delivery(deadline=10.0))
    found = caught.value
    assert (found.sender, found.receiver, found.kind, found.number) == ("A", "B", "Note", 3)
    assert found.sent == 2.0
    assert found.sent < found.time <= 2.0 + 0.25 + 0.001 + 10.0
    assert str(found).startswith("Note from A to B (their message 3, sent at t = 2 s) ")


def test_frames_are_accounted() -> None:
    """A message takes 16 bytes more in a frame, 32 with authentication, and none on sound links."""
    bare, framed, sealed = (
        talk(*rules, delivery=delivery)[0].ledger.frame()
        for rules, delivery in (([], Delivery()), ([lambda sending: None], None), ([], Delivery(key=KEY)))
    )
    size = sizes(note(0))[1]
    assert set(bare[bare.kind == "Note"].wire_bytes) == {size}
    assert set(framed[framed.kind == "Note"].wire_bytes) == {size + 16}
    assert set(sealed[sealed.kind == "Note"].wire_bytes) == {size + 32}
    assert (bare.payload_bytes == sealed.payload_bytes).all()


def test_a_message_that_is_lost_every_time() -> None:
    """When the attempts run out, the error comes after twice the timeout each time, not later."""
    always = on(Selection(links=(("A", "B"),), numbers=(3,)), Drop())
    with pytest.raises(
        MessageLostError, match=r"Note from A to B .* was not acknowledged after 4 att"
    ) as caught:
        talk(always, delivery=RETRY)
    assert RETRY.retry is not None
    assert RETRY.retry.patience == 30.0
    assert 30.0 <= caught.value.time - caught.value.sent < 30.0 + 4 * 2 * 0.26


def test_lost_acknowledgements() -> None:
    """A message whose acknowledgement is lost is sent again and taken once."""
    lost = on(Selection(kind="Ack", attempts=1), Drop())
    network, taken, _ = talk(lost, delivery=RETRY)
    assert taken == list(range(6))
    assert (network.ledger.frame().kind == "Note").sum() == 10  # the run ended before the last two were due


@pytest.mark.parametrize("delivery", [Delivery(key=KEY), Delivery(key=KEY, retry=Retry())])
def test_tampering_is_named(delivery: Delivery) -> None:
    """Whoever changes a message and makes its checksum fit is found out by the code, at once."""
    forged = on(THIRD, Corrupt(1, forged=True))
    with pytest.raises(
        AuthenticationError, match=r"Note from A to B .*message 3.* was changed on its way"
    ) as caught:
        talk(forged, delivery=delivery)
    assert caught.value.time == pytest.approx(2.25, abs=1e-3)


def test_without_a_code_a_forged_message_is_taken() -> None:
    """This is what authentication is for: a checksum alone does not show that a number was changed."""
    changed = 0
    for key in range(40):
        rule = on(Selection(numbers=(3,), kind="Note", attempts=1, key=bytes([key])), Corrupt(1, forged=True))
        try:
            talk(rule, delivery=Delivery())
        except AssertionError:  # of the parties, who compare the array with the step
            changed += 1
        except CorruptMessageError:  # where the description of the array was hit
            pass
    assert changed > 20


def test_noise_is_no_tampering() -> None:
    """Flipped bits are told from tampering by the checksum, and sent again."""
    noise = on(Selection(probability=0.3, key=b"n"), Corrupt(5))
    _, taken, _ = talk(noise, delivery=Delivery(key=KEY, retry=Retry(attempts=10)))
    assert taken == list(range(6))


def test_frames_are_really_made() -> None:
    """Encoding everything changes nothing, not even a time."""
    rule = on(Selection(probability=0.3, key=b"n"), Corrupt(5))
    delivery = Delivery(key=KEY, retry=Retry(attempts=10))
    one, other = (talk(rule, delivery=delivery, encode_all=encode_all) for encode_all in (False, True))
    assert one[0].ledger.sha256() == other[0].ledger.sha256()
    assert one[2] == other[2]


@pytest.mark.parametrize("party", ["A", "B"])
def test_a_crash_at_a_message(party: str) -> None:
    """Who crashes instead of sending a message is named; what it had not sent was not sent."""
    with pytest.raises(PartyLostError) as caught:
        talk(faults.crash_at_message(party, 4), delivery=Delivery(deadline=9.0))
    assert caught.value.party == party
    assert caught.value.batch is None
    assert caught.value.time == pytest.approx(3.0 if party == "A" else 3.25, abs=1e-3)
    assert [wait.sender for wait in caught.value.waits] == [party]


def test_a_crash_of_who_is_done() -> None:
    """A party that has done its part is not missed."""

    async def main() -> None:
        network = Network(cast(simloop.SimLoop, asyncio.get_running_loop()))
        a, b = network.join("A"), network.join("B")

        async def speak() -> None:
            a.send("B", Other(0))

        async def listen() -> None:
            await b.recv("A", Other)
            await asyncio.sleep(1)
            network.crash("A")

        await network.run({"A": speak(), "B": listen()})
        assert network.down == {"A": 1.0}
        assert network.back == {"A": None}

    simloop.run(main())


def test_a_crash_of_the_last() -> None:
    """If nobody waits for a party that crashes in the midst of its work, it is missed all the same."""

    async def main() -> None:
        network = Network(cast(simloop.SimLoop, asyncio.get_running_loop()))
        network.join("A")

        async def rest() -> None:
            network.crash("A")

        with pytest.raises(PartyLostError, match="A dropped out at t = 0 s"):
            await network.run({"A (offline)": asyncio.sleep(5), "B": rest()})

    simloop.run(main())


def test_a_standstill_is_still_one() -> None:
    """Without a fault, who waits for what nobody sends is told of as a deadlock."""

    async def main() -> None:
        network = Network(cast(simloop.SimLoop, asyncio.get_running_loop()), delivery=RETRY)
        a, b = network.join("A"), network.join("B")
        b.send("A", Other(0))
        with pytest.raises(DeadlockError, match="A waits for Note from B"):
            await network.run({"A": a.recv("B", Note)})

    simloop.run(main())


def test_slowdowns() -> None:
    """Work that begins while a processor is slow takes longer by the factor; factors multiply."""

    async def main() -> None:
        network = Network(cast(simloop.SimLoop, asyncio.get_running_loop()), machine=Machine.instant())
        a = network.join("A")
        a.cpu.pace = faults.pace(
            [faults.Slowdown(3.0, after=1.0, until=4.0), faults.Slowdown(2.0, after=3.9)]
        )
        for _ in range(4):
            await a.compute(lambda: None, 1.0)
        assert [end for _, end, _ in a.cpu.intervals] == [1.0, 4.0, 6.0, 8.0]

    simloop.run(main())


def sending(number: int = 1, attempt: int = 1, now: float = 0.0, message: Message | None = None) -> Sending:
    """A transmission from A to B."""
    return Sending(now, "A", "B", message or note(0), number, number, attempt)


def test_what_a_selection_hits() -> None:
    """Link, kind, number, time and attempt all have to fit."""
    chosen = Selection(links=(("A", "B"),), kind="Note", numbers=(2, 3), after=1.0, until=2.0, attempts=1)
    assert chosen.hits(sending(2, now=1.0))
    assert not chosen.hits(sending(2, now=2.0))
    assert not chosen.hits(sending(1, now=1.0))
    assert not chosen.hits(sending(2, now=1.0, attempt=2))
    assert not chosen.hits(sending(2, now=1.0, message=Other(0)))
    assert not chosen.hits(sending(2, now=1.0)._replace(receiver="C"))
    assert not Selection(numbers=(1,)).hits(sending(1, message=faults.Ack(0, 1)))
    assert Selection(links=faults.between(["A"], ["A", "B"])).hits(sending())


def test_probabilities() -> None:
    """Of many transmissions the stated part is hit; the same ones every time, others with another key."""

    def hit(key: bytes) -> list[bool]:
        chosen = Selection(probability=0.25, key=key)
        return [chosen.hits(sending(number, attempt)) for number in range(1_000) for attempt in (1, 2)]

    assert abs(sum(hit(b"a")) - 500) < 5 * math.sqrt(2_000 * 0.25 * 0.75)
    assert hit(b"a") == hit(b"a") != hit(b"b")


@given(st.binary(min_size=1, max_size=60), st.integers(1, 20), st.integers(0, 2**64 - 1))
def test_flips(data: bytes, flips: int, number: int) -> None:
    """As many bits differ as were to be flipped, or all there are."""
    other = faults.flip(data, flips, number)
    differ = sum((a ^ b).bit_count() for a, b in zip(data, other, strict=True))
    assert differ == min(flips, 8 * len(data))


@given(st.binary(max_size=60), st.integers(0, 2**64 - 1), st.sampled_from([None, KEY]), st.data())
def test_frames(data: bytes, number: int, key: bytes | None, draw: st.DataObject) -> None:
    """A frame opens to what was sealed; any one or two flipped bits are noticed, also in the code."""
    sealed = frame.seal(number, data, key)
    assert len(sealed) == len(data) + frame.overhead(key)
    assert frame.unseal(sealed, key) == (number, data)
    flipped = faults.flip(sealed, draw.draw(st.integers(1, 2)), draw.draw(st.integers(0, 2**64 - 1)))
    with pytest.raises(frame.ChecksumMismatch):
        frame.unseal(flipped, key)
    with pytest.raises(frame.ChecksumMismatch):
        frame.unseal(sealed[: draw.draw(st.integers(0, len(sealed) - 1))], key)


@given(st.binary(min_size=1, max_size=60), st.integers(0, 2**32), st.integers(0, 2**64 - 1))
def test_forged_frames(data: bytes, number: int, draw: int) -> None:
    """A forged frame passes for genuine without a code, and not with one, nor as another pair's."""
    other = faults.flip(data, 1, draw)
    assert frame.unseal(frame.forge(frame.seal(number, data, None), other), None) == (number, other)
    with pytest.raises(frame.CodeMismatch):
        frame.unseal(frame.forge(frame.seal(number, data, KEY), other), KEY)
    keys = [frame.pair_key(KEY, *pair) for pair in itertools.permutations("AB")]
    assert keys[0] != keys[1]
    with pytest.raises(frame.CodeMismatch):
        frame.unseal(frame.seal(number, data, keys[0]), keys[1])


def storm(seed: int) -> list[Rule]:
    """Everything at once, each with some probability."""
    verdicts: Sequence[Callable[[], faults.Verdict]] = (
        Drop,
        Duplicate,
        lambda: Corrupt(4),
        lambda: Delay(0.7),
        lambda: Delay(5.0, overtaken=True),
    )
    return [
        on(Selection(probability=0.15, key=bytes([number]) + seed.to_bytes(2, "big")), verdict())
        for number, verdict in enumerate(verdicts)
    ]


def test_storms() -> None:
    """Whatever comes together: all numbers in order, or the error that says what was lost."""
    ends = []
    for seed in range(200):
        try:
            _, taken, end = talk(*storm(seed), delivery=RETRY)
        except MessageLostError as error:
            ends.append(error.time)
        else:
            assert taken == list(range(6))
            ends.append(end)
    assert max(ends) < 6 * 40.0
    assert len(set(ends)) > 100


def test_a_crash_verdict_is_the_senders() -> None:
    """A rule may let a sender crash that is back later; the error says when."""
    with pytest.raises(PartyLostError) as caught:
        talk(lambda sending: Crash(7.0) if sending.number == 2 else None, delivery=RETRY)
    assert (caught.value.party, caught.value.time, caught.value.back) == ("A", 1.0, 8.0)
