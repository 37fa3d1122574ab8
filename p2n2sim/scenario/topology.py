"""The links that a scenario describes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from p2n2sim.data.split import holder_names
from p2n2sim.errors import InputError, ScenarioError
from p2n2sim.mpc.prg import derive_key
from p2n2sim.net.link import LinkSpec
from p2n2sim.net.topology import EVERYBODY, Bottleneck, Topology
from p2n2sim.scenario.network import Link, Network, Shared
from p2n2sim.scenario.presets import DEALER, LINKS, SERVER, preset
from p2n2sim.scenario.sections import Scenario
from p2n2sim.scenario.units import Bandwidth, Quantity

PRESETS = LINKS


def topology(scenario: Scenario, step: int = 0) -> Topology:
    """Every link: the preset, then what differs for all links, then for the pair or the direction.

    Args:
        scenario: says so.
        step: how many batches are done when the links are made; what is drawn for them after a checkpoint is
            not what was drawn before.

    Raises:
        ScenarioError: what is asked of a link does not go together; the place is the dotted key.
    """
    section = scenario.network
    holders = holder_names(scenario.data.holders)
    base = preset(section.preset, holders)
    default = _spec(base.default, section, "network")
    links = {pair: _spec(spec, section, "network") for pair, spec in base.links.items()}
    for key, link in section.links.items():
        for pair in _pairs(key):
            if "->" in key or f"{pair[0]}->{pair[1]}" not in section.links:  # a direction of its own wins
                links[pair] = _spec(links.get(pair, default), link, f"network.links.{key}")
    shared = base.shared | _access(section, (*holders, SERVER, DEALER))
    shared |= {name: _bottleneck(neck) for name, neck in section.shared.items()}
    seed = scenario.draw_seed
    if step:
        seed = int.from_bytes(derive_key(seed, "links", step), "little")
    return Topology(default, links, shared, section.sharing, seed)


def _spec(spec: LinkSpec, link: Link, place: str) -> LinkSpec:
    """A link, with what is given."""
    given: dict[str, Any] = {}
    for name in Link.__struct_fields__:
        value = getattr(link, name)
        if value is not None:
            given["steps" if name == "trace" else name] = _plain(value)
    for name in ("burst", "flow_window"):
        if name in given:
            given[name] = int(given[name])
    if given.get("bandwidth") and "steps" not in given:
        given["steps"] = ()  # a rate of its own goes before all links' trace
    try:
        return dataclasses.replace(spec, **given)
    except InputError as error:
        key = error.where.removeprefix("link: ")
        raise ScenarioError(f"{place}.{key}", error.found, error.remedy) from None


def _plain(value: object) -> object:
    return value.value if isinstance(value, Quantity) else value


def _pairs(key: str) -> list[tuple[str, str]]:
    """ "A->B" is one direction, "A-B" are both."""
    if "->" in key:
        sender, receiver = key.split("->")
        return [(sender, receiver)]
    first, second = key.split("-")
    return [(first, second), (second, first)]


def _access(section: Network, parties: Sequence[str]) -> dict[str, Bottleneck]:
    out = {}
    for party in parties:
        for name, rate, link in (
            ("uplink", section.uplink, (party, EVERYBODY)),
            ("downlink", section.downlink, (EVERYBODY, party)),
        ):
            if isinstance(rate, Bandwidth):
                burst = int(section.burst.value) if section.burst else 0
                out[f"{name} of {party}"] = Bottleneck(bandwidth=rate.value, carries=(link,), burst=burst)
    return out


def _bottleneck(shared: Shared) -> Bottleneck:
    return Bottleneck(
        bandwidth=shared.bandwidth.value,
        carries=tuple(pair for key in shared.links for pair in _pairs(key)),
        burst=int(shared.burst.value) if shared.burst else 0,
        steps=() if shared.trace is None or isinstance(shared.trace, str) else shared.trace,
    )
