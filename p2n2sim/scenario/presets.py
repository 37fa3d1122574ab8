"""Networks by name."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from p2n2sim.net.link import LinkSpec
from p2n2sim.net.topology import EVERYBODY, Bottleneck, access

SERVER, DEALER = "server", "dealer"

REGIONS = ("East US", "West Europe", "Japan East")
# Half of the median round trips between Azure regions in the 30 days until 19 June 2024, mean of both
# directions (89 and 90, 169 and 170, 250 and 251 ms). Microsoft, "Azure network round-trip latency
# statistics", learn.microsoft.com/azure/networking/azure-network-latency
BETWEEN_REGIONS = {
    frozenset({"East US", "West Europe"}): 44.75e-3,
    frozenset({"East US", "Japan East"}): 84.75e-3,
    frozenset({"West Europe", "Japan East"}): 125.25e-3,
}
_ACCESS = 1e9  # bits a second; an assumption, as the rates of the other presets are

LINKS = {
    "ideal": LinkSpec(bandwidth=math.inf, latency=0.0),
    "lan": LinkSpec(bandwidth=1e9, latency=0.2e-3),
    "wan": LinkSpec(bandwidth=100e6, latency=20e-3),
}


@dataclass(frozen=True, kw_only=True)
class Preset:
    """What a preset says of some parties.

    Attributes:
        default: every link.
        links: (sender, receiver) -> a link that differs.
        shared: name -> a bottleneck that links share.
    """

    default: LinkSpec
    links: dict[tuple[str, str], LinkSpec] = field(default_factory=dict)
    shared: dict[str, Bottleneck] = field(default_factory=dict)


def preset(name: str, holders: Sequence[str]) -> Preset:
    """The network of a name.

    - ``lan``, ``wan``, ``ideal``: every pair has a link of its own.
    - ``star``: one switch; a party's uplink and downlink of 1 Gbit/s carry all that it sends and receives.
    - ``shared-uplink``: the holders sit in one office; what they send to the server and the dealer shares an
      uplink of 100 Mbit/s, what comes back a downlink of the same rate, and the way there takes 20 ms.
    - ``slow-party``: a LAN; the last holder sits behind 10 Mbit/s and 20 ms.
    - ``three-regions``: the holders in turn in East US, West Europe and Japan East, the server in Japan East,
      the dealer in West Europe, 1 Gbit/s.

    Args:
        name: of the preset.
        holders: the data holders.
    """
    lan, wan = LINKS["lan"], LINKS["wan"]
    parties = (*holders, SERVER, DEALER)
    if name in LINKS:
        return Preset(default=LINKS[name])
    if name == "star":
        shared = {key: neck for party in parties for key, neck in access(party, _ACCESS).items()}
        return Preset(default=LinkSpec(latency=lan.latency), shared=shared)
    if name == "shared-uplink":
        out = tuple((holder, far) for holder in holders for far in (SERVER, DEALER))
        back = tuple((far, holder) for holder, far in out)
        shared = {
            "office uplink": Bottleneck(bandwidth=wan.bandwidth, carries=out),
            "office downlink": Bottleneck(bandwidth=wan.bandwidth, carries=back),
        }
        far_links = dict.fromkeys((*out, *back), LinkSpec(bandwidth=lan.bandwidth, latency=wan.latency))
        return Preset(default=lan, links=far_links, shared=shared)
    if name == "slow-party":
        slow, spec = holders[-1], LinkSpec(bandwidth=10e6, latency=wan.latency)
        ends = [(slow, other) for other in parties if other != slow]
        shared = {
            f"uplink of {slow}": Bottleneck(bandwidth=10e6, carries=((slow, EVERYBODY),)),
            f"downlink of {slow}": Bottleneck(bandwidth=10e6, carries=((EVERYBODY, slow),)),
        }
        links = {pair: spec for first, last in ends for pair in ((first, last), (last, first))}
        return Preset(default=lan, links=links, shared=shared)
    where = {holder: REGIONS[number % len(REGIONS)] for number, holder in enumerate(holders)}
    where |= {SERVER: "Japan East", DEALER: "West Europe"}
    links = {
        (first, last): LinkSpec(bandwidth=_ACCESS, latency=BETWEEN_REGIONS[frozenset({here, there})])
        for first, here in where.items()
        for last, there in where.items()
        if here != there
    }
    return Preset(default=LinkSpec(bandwidth=_ACCESS, latency=lan.latency), links=links)
