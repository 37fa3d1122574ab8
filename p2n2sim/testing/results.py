"""What parties are, for a test, and what they return."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Generator, Mapping
from typing import Any, TypeAlias

from p2n2sim.net.endpoint import Endpoint

Party: TypeAlias = Callable[[Endpoint], Coroutine[Any, Any, Any]] | Coroutine[Any, Any, Any]
"""An asynchronous function of the party's endpoint, or a coroutine that has its endpoint already."""

_AWAIT = "in an asynchronous test, write: await world.run(...)"


class Results(dict[str, Any]):
    """Party -> what it returned. In an asynchronous test it has to be awaited first."""

    _play: Coroutine[Any, Any, dict[str, Any]] | None = None
    _told = False

    def __await__(self) -> Generator[Any, None, Results]:
        play, self._play = self._play, None
        if play is not None:
            self.update((yield from play.__await__()))
        return self

    def __missing__(self, party: str) -> Any:
        if self._play is not None:
            self._told = True
            raise TypeError(_AWAIT)
        raise KeyError(party)

    def check(self) -> None:
        """Fails where a run that has to be awaited never was: a test must not pass without having run.

        Raises:
            TypeError: it was not, and nobody was told so yet.
        """
        if self._play is not None:
            self._play.close()
            self._play = None
            if not self._told:
                raise TypeError(_AWAIT)


def check_coroutines(parties: Mapping[str, Any]) -> None:
    """Names the first party that is no coroutine; then none of the others is started.

    Raises:
        TypeError: there is one.
    """
    wrong = [name for name, party in parties.items() if not inspect.iscoroutine(party)]
    if not wrong:
        return
    for party in parties.values():
        if inspect.iscoroutine(party):
            party.close()
    raise TypeError(
        f"party {wrong[0]} is no asynchronous function: it gave {parties[wrong[0]]!r} in place of a coroutine"
    )
