"""Who is joined to whom, by which link, and which links meet at a bottleneck."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from p2n2sim.net.link import LinkSpec

EVERYBODY = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bottleneck:
    """A capacity that several links share.

    Attributes:
        bandwidth: rate in bits a second.
        carries: (sender, receiver) of the links that go through it; ``*`` stands for everybody.
        burst: bytes that it lets through at once after a rest.
        steps: (time in seconds, bits a second from then on), in order: how the bandwidth changes.
    """

    bandwidth: float
    carries: tuple[tuple[str, str], ...]
    burst: int = 0
    steps: tuple[tuple[float, float], ...] = ()


def access(party: str, bandwidth: float, burst: int = 0) -> dict[str, Bottleneck]:
    """A party's uplink and downlink of one rate, for `Topology.shared`."""
    return {
        f"uplink of {party}": Bottleneck(bandwidth=bandwidth, carries=((party, EVERYBODY),), burst=burst),
        f"downlink of {party}": Bottleneck(bandwidth=bandwidth, carries=((EVERYBODY, party),), burst=burst),
    }


@dataclass(frozen=True, slots=True)
class Topology:
    """Every pair of parties is joined by a full-duplex link of its own.

    Attributes:
        default: both directions of every pair that has no link of its own.
        links: (sender, receiver) -> that direction's link.
        shared: name -> a bottleneck that links share.
        sharing: how ideal links share it: ``max-min`` fair, or ``fcfs``: message by message, first come first
            served, which costs less to simulate. TCP always shares max-min.
        seed: of jitter and loss.
    """

    default: LinkSpec = field(default_factory=LinkSpec)
    links: Mapping[tuple[str, str], LinkSpec] = field(default_factory=dict)
    shared: Mapping[str, Bottleneck] = field(default_factory=dict)
    sharing: Literal["max-min", "fcfs"] = "max-min"
    seed: int = 0
    _by_link: dict[tuple[str, str], list[str]] = field(init=False, repr=False, compare=False)

    def spec(self, sender: str, receiver: str) -> LinkSpec:
        """The link from `sender` to `receiver`."""
        return self.links.get((sender, receiver), self.default)

    def __post_init__(self) -> None:
        by_link: dict[tuple[str, str], list[str]] = {}
        for name, neck in self.shared.items():
            for link in neck.carries:
                by_link.setdefault(link, []).append(name)
        object.__setattr__(self, "_by_link", by_link)

    def through(self, sender: str, receiver: str) -> dict[str, Bottleneck]:
        """The bottlenecks on the way from `sender` to `receiver`, by name, without the link itself."""
        if not self.shared:
            return {}
        names: dict[str, None] = {}
        for first in (sender, EVERYBODY):
            for last in (receiver, EVERYBODY):
                names.update(dict.fromkeys(self._by_link.get((first, last), ())))
        return {name: self.shared[name] for name in names}

    def slowest(self, sender: str, receiver: str) -> float:
        """The least rate on the way, in bits a second; infinite where nothing takes time."""
        shared = (neck.bandwidth for neck in self.through(sender, receiver).values())
        return min(self.spec(sender, receiver).bandwidth, min(shared, default=math.inf))
