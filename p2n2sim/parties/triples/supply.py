"""Who makes a run's triples: every holder's source, and what works for it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

from p2n2sim.messages import DEALER, Ring
from p2n2sim.mpc import beaver
from p2n2sim.mpc.prg import KEY_BYTES, derive_key
from p2n2sim.net.cpu import Machine
from p2n2sim.net.network import Network
from p2n2sim.parties.layer import FirstLayer, TripleSource
from p2n2sim.parties.schedule import Schedule
from p2n2sim.parties.triples import deals
from p2n2sim.parties.triples.dealer import dealer, full_dealer
from p2n2sim.parties.triples.deals import Deal
from p2n2sim.parties.triples.generated import Generated, setup_exchange, triple_exchange
from p2n2sim.parties.triples.sources import Compressed, Full, Triples

Work = Callable[[], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True)
class Supply:
    """What provides triples; of a protocol without them, nothing.

    Attributes:
        sources: by holder, where its shares come from.
        tasks: by name, what parties of their own do.
        beside: by holder, what it does beside its batches.
    """

    sources: Mapping[str, TripleSource] = field(default_factory=dict)
    tasks: Mapping[str, Work] = field(default_factory=dict)
    beside: Mapping[str, Work] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Which triples a run needs, and from where.

    Attributes:
        layer: the first layer.
        schedule: the agreed batches.
        seed: of all keys.
        triples: where they come from.
        rows_masked_once: whether U is made for all rows at the start.
        ahead: by how many batches the offline phase runs ahead.
        threads: over how many threads a product may be split; changes no bit.
    """

    layer: FirstLayer
    schedule: Schedule
    seed: int
    triples: Triples
    rows_masked_once: bool
    ahead: int
    threads: int

    @property
    def keys(self) -> list[bytes]:
        """The keys of the holders' streams of U, V and Z."""
        return [derive_key(self.seed, "triples", name) for name in self.layer.holders]

    def deals(self) -> Iterator[Deal]:
        """All batches' triples, as whoever has all keys makes them."""
        make = deals.rows_once if self.rows_masked_once else deals.fresh
        return make(self.keys, self.layer, self.schedule, self.threads)

    def supply(self, network: Network, *, holder: Machine, dealer: Machine) -> Supply:
        """Joins a dealer to the network, or gives the holders a second plug.

        Args:
            network: which the holders have joined.
            holder: the processor of the offline phase of a holder.
            dealer: the dealer's.
        """
        if self.triples == "dealer" or self.triples == "dealer-full":
            return self._dealt(network, dealer)
        return self._generated(network, holder, self.triples)

    def _dealt(self, network: Network, machine: Machine) -> Supply:
        layer = self.layer
        kind = Compressed if self.triples == "dealer" else Full
        sources = {
            name: kind(network.parties[name], layer, schedule=self.schedule, ahead=self.ahead)
            for name in layer.holders
        }
        me = network.join(DEALER, machine)
        if self.triples == "dealer":
            return Supply(sources, {DEALER: partial(dealer, me, layer.holders, self.keys, self.deals())})
        rows = self.schedule.rows_train, self.schedule.rows_test, layer.features
        work = partial(
            full_dealer,
            me,
            layer.holders,
            self.keys,
            self.deals(),
            row_masks=rows if self.rows_masked_once else None,
        )
        return Supply(sources, {DEALER: work})

    def _generated(self, network: Network, machine: Machine, kind: Literal["ot", "he"]) -> Supply:
        sources = {
            name: Generated(
                network.parties[name],
                network.aside(name, machine),
                self.layer,
                kind=kind,
                paillier_bits=self.layer.paillier_bits,
                key=key,
                products=self._products(name, key),
                first=self.schedule.first,
                ahead=self.ahead,
            )
            for name, key in zip(self.layer.holders, self.keys, strict=True)
        }
        return Supply(sources, beside={name: source.generate for name, source in sources.items()})

    def _products(self, holder: str, key: bytes) -> Iterator[tuple[int, Callable[[], Ring]]]:
        """For every batch m, and what makes a holder's Z_j: at the last holder the deal's correction."""
        if holder == self.layer.holders[-1]:
            for batch, deal in zip(self.schedule, self.deals(), strict=True):
                yield len(batch.rows), deal.correction
        else:
            for batch in self.schedule:
                m = len(batch.rows)
                yield m, partial(beaver.product_stream, key, batch.step, m, self.layer.units)


def payload_by_link(
    layer: FirstLayer, rows: int, triples: Triples, *, rows_masked_once: bool
) -> dict[str, int]:
    """Payload bytes of one batch's triple, by link.

    Args:
        layer: the first layer.
        rows: m, rows of the batch.
        triples: where they come from.
        rows_masked_once: whether U was made for all rows at the start.
    """
    m, k, n = rows, layer.features, layer.units
    if triples == "dealer":
        return {f"{DEALER}->{layer.holders[-1]}": 8 * m * n}
    if triples == "dealer-full":
        share = 8 * ((0 if rows_masked_once else m * k) + k * n + m * n)
        return {f"{DEALER}->{holder}": share for holder in layer.holders}
    return _between(layer, sum(triple_exchange(triples, m, k, n, layer.paillier_bits).sizes))


def setup_by_link(
    layer: FirstLayer,
    rows_train: int,
    rows_test: int,
    triples: Triples,
    *,
    rows_masked_once: bool,
) -> dict[str, int]:
    """Payload bytes of the triples before the first batch, by link; arguments as for `payload_by_link`."""
    if triples == "dealer":
        return {f"{DEALER}->{holder}": KEY_BYTES for holder in layer.holders}
    if triples == "dealer-full":
        masks = 8 * (rows_train + rows_test) * layer.features if rows_masked_once else 0
        return {f"{DEALER}->{holder}": masks for holder in layer.holders}
    return _between(layer, sum(setup_exchange(triples, layer.paillier_bits).sizes))


def ring_madds(layer: FirstLayer, rows: int, triples: Triples, *, rows_masked_once: bool) -> dict[str, int]:
    """Ring multiply-adds of one batch's triple by who makes it; arguments as for `payload_by_link`.

    The dealer's are those of Algorithm 1 as printed, one product a holder, or one in all where X is masked
    once. Without a dealer every holder multiplies its own masks, all else is in the modelled operations.
    """
    product = rows * layer.features * layer.units
    if triples in ("dealer", "dealer-full"):
        return {DEALER: product if rows_masked_once else len(layer.holders) * product}
    return {f"{holder} (offline)": product for holder in layer.holders}


def _between(layer: FirstLayer, size: int) -> dict[str, int]:
    return {f"{i}->{j}": size for i in layer.holders for j in layer.holders if i != j}
