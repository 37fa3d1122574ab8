"""Small runs in which something goes wrong: every kind of fault, every kind of link."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from p2n2sim.errors import CorruptMessageError, MessageLostError
from p2n2sim.run import weights_sha256
from p2n2sim.simulate import Outcome, simulate
from tests.small import small_setup

PROTOCOLS: dict[str, dict[str, Any]] = {
    "algorithm1": {},
    "masked-once": {"protocol.first_layer": "algorithm1-masked-once"},
    "whole network": {"protocol.secret_layers": 3},
    "plaintext": {"protocol.first_layer": "plaintext"},
}
RETRY = {"network.retry": True, "network.retry_timeout": "3 s", "network.attempts": 5}
DEADLINE_S = 60.0  # network.deadline
SECOND = {"links": ["A->B", "A->server"], "numbers": [2]}
WITHOUT: dict[str, tuple[dict[str, Any], type[Exception] | None]] = {
    "drop": (SECOND, MessageLostError),
    "duplicate": (SECOND, None),
    "reorder": (SECOND | {"by": "4.5 s"}, None),
    "delay": (SECOND | {"by": "4.5 s"}, None),
    "corrupt": (SECOND | {"bits": 3}, CorruptMessageError),
    "cut": ({"links": ["A-B", "A-server"], "after": "2 s", "until": "9 s"}, MessageLostError),
    "slow": ({"party": "A", "factor": 3.0}, None),
}
"""Kind -> keys, and what comes of it without retries: an error, or the right weights."""

LINKS: dict[str, dict[str, Any]] = {
    "ideal": {},
    "fcfs": {"network.uplink": "100 kbit/s", "network.downlink": "100 kbit/s", "network.sharing": "fcfs"},
    "max-min": {"network.uplink": "100 kbit/s", "network.downlink": "100 kbit/s"},
    "tcp": {"network.transport": "tcp", "network.bandwidth": "1 Mbit/s", "network.handshake": True},
    "tls, shared, lossy": {
        "network.transport": "tcp",
        "network.uplink": "1 Mbit/s",
        "network.tls": True,
        "network.loss": 0.01,
    },
    "grpc": {"network.transport": "grpc", "network.bandwidth": "1 Mbit/s"},
}
"""Links of every kind, each with a second of latency."""


def run(name: str, *faults: dict[str, Any], **overrides: Any) -> tuple[str, Outcome]:
    """The hash of the weights of a small run with faults, and what it left behind."""
    setup = small_setup(overrides=PROTOCOLS[name] | overrides | {"fault": list(faults)})
    outcome = Outcome()
    simulate(setup, outcome)
    return weights_sha256(setup.parts), outcome


@functools.cache
def right(name: str) -> str:
    """The hash of the weights without faults."""
    return run(name)[0]


def random_faults(seed: int) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """One to four faults of any kind, and how the network and the parties are prepared for them."""
    random = np.random.default_rng(seed)
    parties = ["A", "B", "server", "dealer"]

    def fault() -> dict[str, Any]:
        kind = random.choice(["drop", "duplicate", "reorder", "delay", "corrupt", "cut", "slow", "crash"])
        party = str(random.choice(parties))
        begin = round(float(random.uniform(0, 12)), 2)
        if kind == "crash":
            when: dict[str, Any] = [{"at": f"{begin} s"}, {"number": int(random.integers(1, 9))}][
                random.integers(2)
            ]
            return {"kind": "crash", "party": party, **when} | (
                {"restart": "4 s"} if random.integers(3) else {}
            )
        until = {"after": f"{begin} s", "until": f"{begin + 0.01 + round(float(random.uniform(0, 8)), 2)} s"}
        if kind == "slow":
            return {"kind": "slow", "party": party, "factor": float(random.uniform(1, 9)), **until}
        if kind == "cut":
            return {"kind": "cut", "group": [party], **until}
        hit: dict[str, Any] = {"numbers": [int(random.integers(1, 5))]}
        if random.integers(2):
            hit = {"probability": float(random.uniform(0.01, 0.3))}
        if kind in ("reorder", "delay"):
            hit["by"] = f"{round(float(random.uniform(0, 9)), 2)} s"
        return {"kind": str(kind), **hit}

    keys: dict[str, Any] = RETRY if random.integers(4) else {}
    keys = keys | {"network.authenticate": bool(random.integers(2))}
    if random.integers(2):
        keys |= {"train.checkpoint_every": 1}
    return [fault() for _ in range(random.integers(1, 5))], keys
