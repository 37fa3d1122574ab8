"""Who is joined to whom, and by which link."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from p2n2sim.net.link import LinkSpec


@dataclass(frozen=True, slots=True)
class Topology:
    """Every pair of parties is joined by a full-duplex link of its own.

    Attributes:
        default: both directions of every pair that has no link of its own.
        links: (sender, receiver) -> that direction's link.
    """

    default: LinkSpec = field(default_factory=LinkSpec)
    links: Mapping[tuple[str, str], LinkSpec] = field(default_factory=dict)

    def spec(self, sender: str, receiver: str) -> LinkSpec:
        """The link from `sender` to `receiver`."""
        return self.links.get((sender, receiver), self.default)
