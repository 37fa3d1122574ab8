"""What the types cannot say of a scenario's network."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from p2n2sim.data.split import holder_names
from p2n2sim.errors import ScenarioError
from p2n2sim.net.topology import EVERYBODY
from p2n2sim.scenario.network import Link, Shared
from p2n2sim.scenario.presets import DEALER, SERVER
from p2n2sim.scenario.sections import Scenario
from p2n2sim.scenario.topology import topology
from p2n2sim.scenario.trace import check_steps


def check_network(scenario: Scenario) -> None:
    """Refuses a network that the types allow and no topology does.

    Raises:
        ScenarioError: the place is the dotted key.
    """
    network, parties = scenario.network, (*holder_names(scenario.data.holders), SERVER, DEALER)
    _check_links(network.links, parties)
    _check_shared(network.shared, parties)
    tables: dict[str, Link | Shared] = {"network": network}
    tables |= {f"network.links.{key}": link for key, link in network.links.items()}
    tables |= {f"network.shared.{name}": shared for name, shared in network.shared.items()}
    for place, table in tables.items():
        if isinstance(table.trace, str):
            found, remedy = f"found the name {table.trace!r}", "name a file in a scenario file or by --set"
            raise ScenarioError(f"{place}.trace", found, remedy)
        check_steps(table.trace or (), f"{place}.trace")
    topology(scenario)  # says what does not go together at a link


def _check_shared(shared: Mapping[str, Shared], parties: Sequence[str]) -> None:
    for name, neck in shared.items():
        for key in neck.links:
            ends = re.split(r"->|-", key)
            if len(ends) != 2 or not all(end in (*parties, EVERYBODY) for end in ends):
                raise ScenarioError(
                    f"network.shared.{name}.links",
                    f"{key!r} names no link",
                    'write "A->server", "A-server" for both directions, or "*" for everybody; '
                    f"the parties are {_told(parties)}",
                )


def _check_links(links: Iterable[str], known: Sequence[str]) -> None:
    pairs: dict[tuple[str, ...], str] = {}
    for key in links:
        ends = re.split(r"->|-", key)
        if len(ends) != 2 or ends[0] == ends[1] or not all(end in known for end in ends):
            raise ScenarioError(
                f"network.links.{key}",
                "this names no pair of parties",
                f'write "A-B" for both directions or "A->B" for one; the parties are {_told(known)}',
            )
        if "->" in key:
            continue
        first = pairs.setdefault(tuple(sorted(ends)), key)
        if first != key:
            raise ScenarioError(f"network.links.{key}", f"{first!r} is the same pair", "keep one of the two")


def _told(parties: Sequence[str]) -> str:
    return ", ".join(parties) if len(parties) <= 8 else f"{', '.join(parties[:5])}, ..., server, dealer"
