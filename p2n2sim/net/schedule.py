"""Another legal order of what happens at one instant, drawn from a seed.

Without a seed the loop serves equal times first come, first served: one order among many that a real network
and real machines could bring about. A seed draws another. One thing happens at a time; next is any of

- the oldest delivery of each *lane* among the posts that are due: messages of one link, and finished work of
  one processor, keep their order, different lanes do not;
- SimPy's next event, its events keeping their own order;
- one of the task steps that are ready without a plain callback before them: callbacks of ``call_soon`` keep
  their place, a task's own steps follow each other anyway, steps of different tasks are in no order. (So no
  program may count on ``sleep(0)`` to let another task go first.)

So a task that a message wakes may run before the other messages of the instant are there, or long after.
When nothing of the instant is left, results of ``run_in_executor`` come as they always do, in the order of
submission; after them the timers: those set by one task together and in their order, those of some tasks only
after others have been answered. A message due at the instant of a timeout still wins, and the clock still
moves only when nothing is left to do.

The lane of a post is the attribute ``lane`` of its callback's owner (of ``__self__`` for a bound method, of
the callback itself otherwise), or that owner where it has none.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections import deque
from collections.abc import Callable, Hashable
from heapq import heappop, heappush
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from p2n2sim.net._private import LeanTimer, is_step

if TYPE_CHECKING:
    from p2n2sim.net.simloop import SimLoop

T = TypeVar("T")

POST, TIMER = -2, 2
"""Priorities on the heap around SimPy's URGENT (0) and NORMAL (1)."""

_WINDOW = 32  # so many ready steps are considered; enough for races, and no step waits forever


class Dice:
    """Choices that are a function of a seed: SHA-256 over the seed and a counter.

    Args:
        seed: any integer.
    """

    def __init__(self, seed: int) -> None:
        self._seed = b"p2n2sim schedule 1 %d " % seed
        self._blocks = 0
        self._words: list[int] = []

    def below(self, bound: int) -> int:
        """An integer in [0, bound); all are equally likely, but for 2^-32 of the bound."""
        if bound == 1:
            return 0
        if not self._words:
            block = hashlib.sha256(self._seed + b"%d" % self._blocks).digest()
            self._words = [int.from_bytes(block[at : at + 4], "little") for at in range(0, 32, 4)]
            self._blocks += 1
        return self._words.pop() % bound


class Schedule:
    """Runs a loop in the order that a seed draws. Made by ``SimLoop(schedule=seed)``.

    Args:
        loop: the loop.
        seed: any integer.
    """

    def __init__(self, loop: SimLoop, seed: int) -> None:
        self._loop = loop
        self._dice = Dice(seed)
        self._lanes: dict[Hashable, deque[tuple[Callable[[Any], object], Any]]] = {}  # posts due now

    def post(self, when: float, callback: Callable[[T], object], arg: T) -> None:
        """As `SimLoop.post`."""
        loop = self._loop
        if (due := loop._due(when)) is not None:
            heappush(loop._heap, (due, POST, next(loop._numbers), callback, arg))

    def push_timer(self, due: float, timer: LeanTimer) -> None:
        """As `SimLoop._push_timer`; notes the task that set the timer."""
        loop = self._loop
        heappush(loop._heap, (due, TIMER, next(loop._numbers), timer, asyncio.current_task(loop)))

    def clear(self) -> None:
        """Forgets the posts that are due."""
        self._lanes.clear()

    def run_once(self) -> None:
        """As `SimLoop._run_once`: runs until told to stop."""
        loop = self._loop
        while not loop._stopping:
            if not self._do_one():
                self._go_on()

    def _do_one(self) -> bool:
        """Does one thing of this instant; false if there is none."""
        loop, ready = self._loop, self._loop._ready
        simpy_is_due = self._take_due_posts()
        steps = self._steps()
        choice = steps + len(self._lanes) + simpy_is_due
        if not choice:
            return False
        choice = self._dice.below(choice)
        if choice < steps:
            handle = ready[choice]
            del ready[choice]
            loop._run_handle(handle)
        elif choice < steps + len(self._lanes):
            self._deliver(choice - steps)
        else:
            loop.env.step()
        return True

    def _take_due_posts(self) -> bool:
        """Sorts the posts that are due into lanes; returns whether a SimPy event is due, too."""
        heap, now = self._loop._heap, self._loop.env._now
        while heap and heap[0][0] <= now and heap[0][1] == POST:
            *_, callback, arg = heappop(heap)
            self._lanes.setdefault(_lane(callback), deque()).append((callback, arg))
        return bool(heap) and heap[0][0] <= now and heap[0][1] != TIMER

    def _steps(self) -> int:
        """How many of the ready callbacks may be next: the steps of tasks at the front, or a callback."""
        steps = 0
        for handle in islice(self._loop._ready, _WINDOW):
            if not is_step(handle):
                return steps or 1
            steps += 1
        return steps

    def _deliver(self, number: int) -> None:
        lane = next(islice(self._lanes, number, None))
        posts = self._lanes[lane]
        callback, arg = posts.popleft()
        if not posts:
            del self._lanes[lane]
        callback(arg)

    def _go_on(self) -> None:
        """Nothing of this instant is left: a thread's result, or the next instant."""
        loop, heap = self._loop, self._loop._heap
        if not heap or loop._jobs.pending or heap[0][0] == math.inf:
            loop._idle()
        elif heap[0][1] == TIMER:
            self._fire_timers(heap[0][0])
        else:
            loop.env._now = heap[0][0]

    def _fire_timers(self, when: float) -> None:
        """Makes timers of an instant ready: all of those of some tasks, in another order of the tasks."""
        heap, by_setter = self._loop._heap, dict[object, list[Any]]()
        while heap and heap[0][0] == when and heap[0][1] == TIMER:
            entry = heappop(heap)
            if entry[3]._cancelled:
                entry[3]._scheduled = False
                self._loop._timer_cancelled_count -= 1
            else:
                by_setter.setdefault(entry[4], []).append(entry)
        if not by_setter:
            return  # cancelled timers do not move the clock
        self._loop.env._now = when
        for _ in range(1 + self._dice.below(len(by_setter))):
            setter = next(islice(by_setter, self._dice.below(len(by_setter)), None))
            for *_, timer, _ in by_setter.pop(setter):
                timer._scheduled = False
                self._loop._ready.append(timer)
        for entries in by_setter.values():
            for entry in entries:
                heappush(heap, entry)


def _lane(callback: Callable[..., object]) -> Hashable:
    owner = getattr(callback, "__self__", callback)
    lane: Hashable = getattr(owner, "lane", None)
    return id(owner) if lane is None else lane
