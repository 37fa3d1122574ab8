"""Laws of shares from seeds and of pairwise masks, for any number of holders and any widths."""

from __future__ import annotations

import asyncio
from typing import cast

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from p2n2sim.messages import SERVER, HiddenShare
from p2n2sim.mpc import fixed_point
from p2n2sim.mpc.prg import Purpose
from p2n2sim.net import simloop
from p2n2sim.net.endpoint import Endpoint
from p2n2sim.net.network import Network
from p2n2sim.net.simloop import SimLoop
from p2n2sim.nn.training import product
from p2n2sim.parties.first_layer.masked_sum import MaskedSumHolder
from p2n2sim.parties.layer import FirstLayer
from p2n2sim.parties.seeds import Seeds

Floats = NDArray[np.float32]
widths = st.lists(st.integers(1, 4), min_size=2, max_size=5)
rows, units, seeds = st.integers(1, 5), st.integers(1, 4), st.integers(0, 2**63 - 1)


def layer_of(widths: list[int], units: int) -> FirstLayer:
    """A layer of holders A, B, ..."""
    names = tuple("ABCDE"[: len(widths)])
    return FirstLayer(holders=names, widths=tuple(widths), units=units, fractional_bits=20)


def numbers(seed: int, *shape: int) -> Floats:
    """Features or weights."""
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@given(widths=widths, m=rows, n=units, seed=seeds)
def test_shares_from_seeds_add_up(widths: list[int], m: int, n: int, seed: int) -> None:
    """The holders' shares of X and of theta add up to all columns and rows as encoded, to the bit."""
    layer = layer_of(widths, n)
    X, theta = numbers(seed, m, layer.features), numbers(seed + 1, layer.features, n)
    shares: dict[str, tuple[NDArray[np.int64], NDArray[np.int64]]] = {}

    async def holder(me: Endpoint) -> None:
        mine, own = Seeds(me, layer, seed), layer.columns(me.name)
        await mine.exchange()
        shares[me.name] = (
            mine.share_of_features(X[:, own], 3, Purpose.FEATURES),
            mine.share_of_weights(theta[own], 3, Purpose.WEIGHTS),
        )

    async def main() -> None:
        network = Network(cast(SimLoop, asyncio.get_running_loop()))
        await network.run({name: holder(network.join(name)) for name in layer.holders})

    simloop.run(main())
    X_shares, theta_shares = zip(*shares.values(), strict=True)
    assert np.array_equal(np.add.reduce(X_shares), fixed_point.encode(X, 20))
    assert np.array_equal(np.add.reduce(theta_shares), fixed_point.encode(theta, 20))


@given(widths=widths, m=rows, n=units, seed=seeds, step=st.integers(0, 2**40))
def test_pairwise_masks_cancel(widths: list[int], m: int, n: int, seed: int, step: int) -> None:
    """What the holders send adds up to the sum of their encoded summands, and none of it is a summand."""
    layer = layer_of(widths, n)
    X, theta = numbers(seed, m, layer.features), numbers(seed + 1, layer.features, n)
    parts = {name: (X[:, layer.columns(name)], theta[layer.columns(name)]) for name in layer.holders}
    sent: dict[str, NDArray[np.int64]] = {}

    async def holder(me: Endpoint) -> None:
        mine = MaskedSumHolder(me, layer, seed=seed)
        await mine.prepare(*(2 * [parts[me.name][0]]))
        await mine.forward(*parts[me.name], step)

    async def server(me: Endpoint) -> None:
        for name in layer.holders:
            sent[name] = (await me.recv(name, HiddenShare)).h1

    async def main() -> None:
        network = Network(cast(SimLoop, asyncio.get_running_loop()))
        join = {name: network.join(name) for name in (*layer.holders, SERVER)}
        tasks = {name: (server if name == SERVER else holder)(me) for name, me in join.items()}
        await network.run(tasks)

    simloop.run(main())
    summands = {name: fixed_point.encode(product(*part), 40) for name, part in parts.items()}
    assert np.array_equal(np.add.reduce(list(sent.values())), np.add.reduce(list(summands.values())))
    assert all((sent[name] != summands[name]).all() for name in layer.holders)
