"""The world in which the clock counts rounds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from p2n2sim.errors import DeadlockError
from p2n2sim.net.cpu import Machine
from p2n2sim.net.endpoint import Endpoint
from p2n2sim.net.link import LinkSpec
from p2n2sim.net.topology import Topology
from p2n2sim.testing.world import World
from p2n2sim.wire import Message, clear, uniform


@dataclass(frozen=True, slots=True)
class Question(Message):
    """Asks something."""

    text: np.ndarray = uniform("question", np.uint8)


@dataclass(frozen=True, slots=True)
class Answer(Message):
    """Answers it."""

    value: np.ndarray = clear("answer")


async def alice(end: Endpoint) -> float:
    """Asks and returns the answer."""
    end.send("B", Question(0, np.zeros(5, np.uint8)))
    return float((await end.recv("B", Answer)).value[0])


async def bob(end: Endpoint) -> int:
    """Answers 42."""
    question = await end.recv("A", Question)
    end.send("A", Answer(0, np.full(1, 42, np.float32)))
    return question.text.size


async def silent(end: Endpoint) -> None:
    """Says nothing."""


def test_parties_as_functions(world: World) -> None:
    """One call runs them all and returns what they returned; the clock counts rounds."""
    assert world.run(A=alice, B=bob) == {"A": 42.0, "B": 5}
    assert world.time == world.rounds == 2
    assert world.order() == ["A->B Question", "B->A Answer"]
    assert world.order("B") == ["B->A Answer"]
    assert world.bytes() == 9
    assert world.bytes("A") == world.bytes(receiver="B") == world.bytes(kind=Question) == 5
    assert world.wire_bytes("B", "A", "Answer") == world.messages("B")[0].wire_bytes > 4
    assert world.bytes(phase="offline") == 0


def test_who_saw_what(world: World) -> None:
    """Values in the clear are told apart from uniform ones, and the messages themselves are there."""
    world.run(A=alice, B=bob)
    assert world.saw("A").clear == {"answer": 1}
    assert world.saw("B").clear == {}
    assert world.saw("B").uniform == {"question": 5}
    ((sender, message),) = world.received("A")
    assert sender == "B"
    assert isinstance(message, Answer)


def test_each_run_begins_anew(world: World) -> None:
    """Ledger and clock are those of the latest run."""
    for _ in range(2):
        world.run(A=alice, B=bob)
        assert len(world.messages()) == world.time == 2
    world.run({"party 1": silent})
    assert world.table() == "no messages were sent"


def test_a_silent_party_is_a_deadlock_that_names_who_waits(world: World) -> None:
    """DeadlockError can be asserted on, and what was sent before can still be looked at."""
    with pytest.raises(DeadlockError, match="A waits for Answer from B since t = 0 s") as stuck:
        world.run(A=alice, B=silent)
    assert [wait.party for wait in stuck.value.waits] == ["A"]
    assert world.time == 1
    assert world.order() == ["A->B Question"]


async def test_in_an_asynchronous_test_run_is_awaited(world: World) -> None:
    """The parties run on the test's own loop, whose clock goes on."""
    await asyncio.sleep(10)
    assert await world.run(A=alice, B=bob) == {"A": 42.0, "B": 5}
    assert world.time == 2
    assert asyncio.get_running_loop().time() == 12


async def test_endpoints_of_an_asynchronous_test(world: World) -> None:
    """A test may be a party itself, and hand coroutines to the world."""
    a, b = world.join("A"), world.join("B")
    a.send("B", Question(7, np.zeros(1, np.uint8)))
    assert (await b.recv("A", Question)).step == 7
    assert world.time == 1
    results = await world.run(A=alice(a), B=bob)
    assert results["A"] == 42.0
    assert world.time == 3


async def test_forgetting_to_await_is_told(world: World) -> None:
    """The results of a run that was not awaited say what to write."""
    results = world.run(A=silent)
    with pytest.raises(TypeError, match=r"write: await world\.run"):
        results["A"]
    await results
    assert results["A"] is None
    with pytest.raises(KeyError):
        results["B"]


async def test_a_run_that_was_not_awaited_is_told(world: World) -> None:
    """By the next run, by the next schedule and at the end of the test; one that failed was awaited."""
    world.run(A=silent)
    with pytest.raises(TypeError, match=r"write: await world\.run"):
        world.run(A=silent)
    world.run(A=silent)
    with pytest.raises(TypeError, match=r"write: await world\.run"):
        world.check()
    with pytest.raises(DeadlockError):
        await world.run(A=alice, B=silent)
    world.check()


def test_a_name_that_nobody_has_is_no_party_that_saw_nothing(world: World) -> None:
    """What is asked of a misspelt party is refused; otherwise a test of its view would always pass."""
    with pytest.raises(ValueError, match="there is nobody, because no run has begun"):
        world.saw("A")
    world.run(A=alice, B=bob, C=silent)
    assert world.saw("C").clear == {}
    asked: tuple[Callable[[], object], ...] = (
        lambda: world.saw("a"),
        lambda: world.order("A", "a"),
        lambda: world.received("a"),
        lambda: world.messages("a"),
        lambda: world.bytes(receiver="a"),
        lambda: world.expect(clear={"a": {}}),
    )
    for ask in asked:
        with pytest.raises(ValueError, match="there is no party 'a' in the latest run; there is A, B, C"):
            ask()


def test_a_party_that_is_no_coroutine_is_named(world: World) -> None:
    """Also where the others are; none of them is started, and none is left."""
    with pytest.raises(TypeError, match="party B is no asynchronous function: it gave 3 in place"):
        world.run(A=alice, B=lambda end: 3, C=silent)  # type: ignore[arg-type, return-value]


def test_a_stock_loop_is_told_apart(world: World) -> None:
    """On another loop than a virtual one the world says what to do."""

    async def main() -> None:
        await world.run(A=silent)

    with pytest.raises(RuntimeError, match="mark the test with"):
        asyncio.run(main())


def test_expectations_that_hold_say_nothing(world: World) -> None:
    """All at once, and a link that is not named carries nothing."""
    world.run(A=alice, B=bob)
    world.expect(
        rounds=2,
        time=2.0,
        order=["A->B Question", "B->A Answer"],
        bytes={"A->B": 5, "B->A": 4},
        clear={"A": {"answer": 1}, "B": {}},
    )


def test_every_difference_is_told_with_the_table_of_messages(world: World) -> None:
    """One failure has all that is wrong and what was sent."""
    world.run(A=alice, B=bob)
    with pytest.raises(AssertionError) as failure:
        world.expect(
            rounds=1, order=["A->B Question"], bytes={"A->B": 5, "A->C": 1}, clear={"B": {"question": 5}}
        )
    told, table = str(failure.value).split("\n\n")
    assert told.splitlines() == [
        "rounds: expected 1, found 2",
        "order: entry 1: expected the end, found 'B->A Answer'",
        "bytes, A->C: expected 1, found 0",
        "bytes, B->A: expected 0, found 4",
        "seen in the clear by B, question: expected 5, found 0",
    ]
    wire = world.messages("A")[0].wire_bytes
    assert table.splitlines() == [
        "sent  arrived  link  message   step  payload  wire  round",
        f"0     1        A->B  Question  0     5        {wire}    1",
        f"1     2        B->A  Answer    0     4        {world.wire_bytes('B')}    2",
    ]


def test_other_links_and_machines() -> None:
    """Outside pytest the world is a small simulator: time follows the links and the machine."""

    async def worker(end: Endpoint) -> None:
        await end.compute(lambda: None, 0.25)
        await silent(end)

    world = World(Topology(LinkSpec(latency=0.01, bandwidth=8e3)), machine=Machine.instant())
    world.run(A=alice, B=bob, C=worker)
    assert world.time == pytest.approx(max(0.25, 0.02 + world.wire_bytes() / 1e3))


def race(found: list[str]) -> dict[str, object]:
    """Two senders whose messages arrive at one instant, and a receiver that notes which came first."""

    async def sender(end: Endpoint) -> None:
        end.send("R", Answer(0, np.zeros(1, np.float32)))

    async def receiver(end: Endpoint) -> None:
        async def take(name: str) -> None:
            await end.recv(name, Answer)
            found.append(name)

        async with asyncio.TaskGroup() as group:
            for name in "AB":
                group.create_task(take(name))

    return {"A": sender, "B": sender, "R": receiver}


def test_the_seed_of_a_world_is_its_schedule() -> None:
    """The same seed gives the same order, and some seeds another one than first come first served."""

    def order(seed: int | None) -> str:
        found: list[str] = []
        World(schedule=seed).run(race(found))  # type: ignore[arg-type]
        return "".join(found)

    assert order(None) == "AB"
    assert [order(seed) for seed in range(20)] == [order(seed) for seed in range(20)]
    assert {order(seed) for seed in range(20)} == {"AB", "BA"}
