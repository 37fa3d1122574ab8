"""The tutorial tells the truth: its files are written, its commands run, its outputs compared."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "write-your-own-protocol.md").read_text("utf-8")
FILES = {
    code.partition("\n")[0].removeprefix("# "): code
    for code in re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
}
COMMANDS = dict(re.findall(r"^```console\n\$ (.*?)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL))


def test_every_block_is_found() -> None:
    """No code block escapes the tests below."""
    assert list(FILES) == ["secure_sum.py", "test_secure_sum.py", "hasty.py", "test_hasty.py", "wan.py"]
    assert len(COMMANDS) == 3
    assert TEXT.count("```") == 2 * (len(FILES) + len(COMMANDS))


@pytest.mark.parametrize("command", COMMANDS)
def test_the_commands_say_what_the_tutorial_shows(tmp_path: Path, command: str) -> None:
    """In an empty folder with the tutorial's files; every line shown is in the output, in that order."""
    for name, code in FILES.items():
        (tmp_path / name).write_text(code)
    words = command.split()
    if words[0] == "pytest":
        words[:1] = ["python", "-m", "pytest", "-p", "p2n2sim.testing.plugin", "--rootdir", "."]
    done = subprocess.run(
        [sys.executable, *words[1:]],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == ("failed" in COMMANDS[command]), done.stdout + done.stderr
    lines = iter(done.stdout.splitlines())
    for shown in COMMANDS[command].splitlines():
        assert any(shown in line for line in lines), f"{shown!r} is not in\n{done.stdout}"
