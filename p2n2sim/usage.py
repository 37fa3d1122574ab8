"""What is wrong with a command line, told as everything else that a user gave: in one line."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import typer
from typer.core import TyperGroup

from p2n2sim.errors import InputError


class OneLineGroup(TyperGroup):
    """A group of commands whose usage errors are `InputError` instead of typer's usage, hint and message."""

    def make_context(self, *arguments: Any, **options: Any) -> typer.Context:
        """Reads the group's own options."""
        with _one_line():
            return super().make_context(*arguments, **options)  # type: ignore[return-value]

    def invoke(self, ctx: Any) -> Any:
        """Reads the command and its options, and runs it."""
        with _one_line():
            return super().invoke(ctx)


@contextlib.contextmanager
def _one_line() -> Iterator[None]:
    """Says whose command line is wrong, what typer found (with its guess), and where to look.

    Raises:
        InputError: instead of typer's exception.
    """
    try:
        yield
    except typer.TyperException as error:
        found, context = error.format_message(), getattr(error, "ctx", None)
        if "\n" in found:  # the help, which is shown where there is nothing else
            raise
        command = "p2n2sim" if context is None else context.command_path
        raise InputError(command, found.rstrip("."), f"{command} --help says what there is") from error
