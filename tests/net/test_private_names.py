"""The private names of asyncio and SimPy that virtual time leans on."""

from __future__ import annotations

import ast
import asyncio
from pathlib import Path

import pytest
import simpy

import p2n2sim.net
from p2n2sim.net import _private
from p2n2sim.net._private import LEANT_ON, LeanHandle, LeanTimer, Name, missing

PACKAGE = Path(p2n2sim.net.__file__).parent
FILES = ("simloop.py", "simtask.py", "jobs.py", "standstill.py", "cpu.py", "schedule.py", "_private.py")


def test_every_private_name_is_still_there() -> None:
    """A new release of asyncio or SimPy that drops one is told by name, with what it was used for."""
    assert missing() == []


def test_a_missing_name_is_told_with_its_purpose() -> None:
    """The message says whose name is gone and what needs it."""
    (sentence,) = missing((Name("simpy.Environment", "_gone", "the one heap"),))
    assert sentence.startswith("simpy.Environment has no _gone any more (the one heap)")


@pytest.mark.parametrize("file", FILES)
def test_every_private_name_in_use_is_listed(file: str) -> None:
    """An attribute that asyncio or SimPy owns and that begins with an underscore stands in LEANT_ON."""
    loop = asyncio.BaseEventLoop()
    owners = (loop, asyncio.Handle, asyncio.TimerHandle, asyncio.Task, asyncio.tasks, simpy.Environment())
    tree = ast.parse((PACKAGE / file).read_text())
    used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    used |= {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    private = {name for name in used if name.startswith("_") and not name.startswith("__")}
    foreign = {name for name in private if any(hasattr(owner, name) for owner in owners)}
    loop.close()
    assert foreign <= {name for _, name, _ in LEANT_ON}


def test_every_listed_name_is_in_use() -> None:
    """The list holds nothing that was given up."""
    sources = "".join((PACKAGE / file).read_text() for file in FILES)
    listed = Path(_private.__file__).read_text().partition("LEANT_ON = (")[2].partition("\n)\n")[0]
    rest = sources.replace(listed, "")
    assert [name for _, name, _ in LEANT_ON if name not in rest] == []


def test_lean_handles_fill_every_slot() -> None:
    """A handle made here has the same attributes as asyncio's own, so that its methods work on it."""
    loop = asyncio.BaseEventLoop()
    pairs = (
        (LeanHandle(int, (), loop), asyncio.Handle(int, (), loop)),
        (LeanTimer(1.0, int, (), loop), asyncio.TimerHandle(1.0, int, (), loop)),
    )
    for lean, stock in pairs:
        slots = [slot for kind in type(stock).__mro__ for slot in getattr(kind, "__slots__", ())]
        for slot in slots:
            assert hasattr(lean, slot) == hasattr(stock, slot), slot
        assert repr(lean).replace(type(lean).__name__, type(stock).__name__) == repr(stock)
        lean.cancel()
        assert lean.cancelled()
    loop.close()
