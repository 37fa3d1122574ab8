"""Ctrl-C while modules are imported."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from p2n2sim.interrupt import ending_at_once

IMPORTING = """\
import os, signal
from p2n2sim.interrupt import ending_at_once

def interrupted():
    os.kill(os.getpid(), signal.SIGINT)
    return True

{before}
with ending_at_once():
    try:
        exec("interrupted()")  # as a dataclass is made
    except BaseException:
        print("swallowed", flush=True)
print("went on", flush=True)
"""


@pytest.mark.parametrize(
    ("before", "code", "out"),
    [("", 130, ""), ("signal.signal(signal.SIGINT, signal.SIG_IGN)", 0, "went on\n")],
)
def test_ctrl_c_ends_an_import_on_the_spot(before: str, code: int, out: str) -> None:
    """Nobody can swallow it, there is no traceback, and the exit code is 130; where it is ignored, as in a
    shell's background, it stays so."""
    program = IMPORTING.format(before=before)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (code, out, "")


def test_afterwards_ctrl_c_is_what_it_was() -> None:
    """The handler is put back."""
    before = signal.getsignal(signal.SIGINT)
    with ending_at_once():
        pass
    assert signal.getsignal(signal.SIGINT) is before
