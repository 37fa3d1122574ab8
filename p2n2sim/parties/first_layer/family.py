"""The first-layer protocols side by side: all of them give the server the same h1."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

from p2n2sim.messages import SERVER
from p2n2sim.mpc.prg import derive_key
from p2n2sim.net.endpoint import Endpoint
from p2n2sim.parties.data_holder import FirstLayerHolder
from p2n2sim.parties.first_layer import (
    algorithm1,
    algorithm1_prg,
    homomorphic,
    masked_once,
    masked_sum,
    plaintext,
)
from p2n2sim.parties.layer import FirstLayer, Setting
from p2n2sim.parties.server import FirstLayerServer


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One way to compute the first layer.

    Attributes:
        title: what people call the whole system with this first layer.
        holder: makes a holder's side.
        server: makes the server's side.
        payload: closed form of the payload bytes of one batch by link, without its triple.
        rounds: of a training batch of two holders, with the three of the hidden layers and the head.
        dealt: whether it uses triples.
        rows_masked_once: whether a triple's left masks are made for all rows at the start.
        setup: closed form of the payload bytes before the first batch by link, from the numbers of
            training and test rows, without what the triples need.
        ring_madds: closed form of a holder's ring multiply-adds in one batch.
        further_rounds: what every holder after the second adds to the rounds.
    """

    title: str
    holder: Callable[[Endpoint, Setting], FirstLayerHolder]
    server: Callable[[Endpoint, Setting], FirstLayerServer]
    payload: Callable[[FirstLayer, int], dict[str, int]]
    rounds: int
    dealt: bool
    rows_masked_once: bool = False
    setup: Callable[[FirstLayer, int, int], dict[str, int]] = lambda layer, train, test: {}
    ring_madds: Callable[[FirstLayer, int], int] = lambda layer, rows: 0
    further_rounds: int = 0


def _algorithm1(me: Endpoint, setting: Setting) -> FirstLayerHolder:
    return algorithm1.Algorithm1Holder(
        me,
        setting.layer,
        setting.sources[me.name],
        key=derive_key(setting.seed, "inputs", me.name),
        threads=setting.threads,
        noise=setting.noise_of(me.name),
        weights=setting.weights.get(me.name),
    )


def _algorithm1_prg(me: Endpoint, setting: Setting) -> FirstLayerHolder:
    return algorithm1_prg.Algorithm1PrgHolder(
        me,
        setting.layer,
        setting.sources[me.name],
        seed=setting.seed,
        threads=setting.threads,
        noise=setting.noise_of(me.name),
        weights=setting.weights.get(me.name),
    )


def _masked_once(me: Endpoint, setting: Setting) -> FirstLayerHolder:
    return masked_once.MaskedOnceHolder(
        me,
        setting.layer,
        setting.sources[me.name],
        setting.schedule,
        seed=setting.seed,
        threads=setting.threads,
        noise=setting.noise_of(me.name),
        weights=setting.weights.get(me.name),
    )


def _add_shares(me: Endpoint, setting: Setting) -> FirstLayerServer:
    return algorithm1.Algorithm1Server(me, setting.layer)


def _homomorphic(title: str, name: str) -> Member:
    scheme = homomorphic.SCHEMES[name]
    return Member(
        title=title,
        holder=lambda me, setting: homomorphic.HomomorphicHolder(
            me,
            setting.layer,
            scheme.of(setting.crypto),
            key=derive_key(setting.seed, "encryption", me.name),
            noise=setting.noise_of(me.name),
        ),
        server=lambda me, setting: homomorphic.HomomorphicServer(
            me, setting.layer, scheme.of(setting.crypto), key=derive_key(setting.seed, "key pair", SERVER)
        ),
        payload=partial(homomorphic.payload_by_link, scheme),
        rounds=homomorphic.ROUNDS + 3,
        dealt=False,
        setup=lambda layer, train, test: homomorphic.setup_by_link(scheme, layer),
        further_rounds=1,
    )


MEMBERS: Mapping[str, Member] = MappingProxyType(
    {
        "algorithm1": Member(
            title="P2N2",
            holder=_algorithm1,
            server=_add_shares,
            payload=algorithm1.payload_by_link,
            rounds=algorithm1.ROUNDS + 3,
            dealt=True,
            ring_madds=algorithm1.ring_madds,
        ),
        "algorithm1-prg": Member(
            title="P2N2, shares from seeds",
            holder=_algorithm1_prg,
            server=_add_shares,
            payload=algorithm1_prg.payload_by_link,
            rounds=algorithm1_prg.ROUNDS + 3,
            dealt=True,
            ring_madds=algorithm1.ring_madds,
            setup=algorithm1_prg.setup_by_link,
        ),
        "algorithm1-masked-once": Member(
            title="P2N2, X masked once",
            holder=_masked_once,
            server=_add_shares,
            payload=masked_once.payload_by_link,
            rounds=masked_once.ROUNDS + 3,
            dealt=True,
            ring_madds=masked_once.ring_madds,
            rows_masked_once=True,
            setup=masked_once.setup_by_link,
        ),
        "masked-sum": Member(
            title="masked sum",
            holder=lambda me, setting: masked_sum.MaskedSumHolder(
                me, setting.layer, seed=setting.seed, noise=setting.noise_of(me.name)
            ),
            server=_add_shares,
            payload=masked_sum.payload_by_link,
            rounds=masked_sum.ROUNDS + 3,
            dealt=False,
            setup=masked_sum.setup_by_link,
        ),
        "ckks": _homomorphic("homomorphic sum (CKKS)", "ckks"),
        "paillier": _homomorphic("homomorphic sum (Paillier)", "paillier"),
        "plaintext": Member(
            title="split learning",
            holder=lambda me, setting: plaintext.PlaintextHolder(me, setting.noise_of(me.name)),
            server=lambda me, setting: plaintext.PlaintextServer(me, setting.layer.holders),
            payload=plaintext.payload_by_link,
            rounds=plaintext.ROUNDS + 3,
            dealt=False,
        ),
    }
)
"""Name in a scenario (`protocol.first_layer`) -> member."""
