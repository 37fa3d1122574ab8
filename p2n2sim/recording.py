"""The recorder of a scenario's views, and what a run folder keeps of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from p2n2sim.assemble import Setup
from p2n2sim.messages import SERVER, Floats, LayerShare, LogitShare, NormShare
from p2n2sim.mpc import fixed_point
from p2n2sim.mpc.homomorphic import SecretKey
from p2n2sim.mpc.prg import Purpose, Stream, derive_key
from p2n2sim.outcome import Outcome
from p2n2sim.parties.first_layer import homomorphic
from p2n2sim.parties.schedule import Batch
from p2n2sim.views import MODEL, Decoding, Recorder, Sights, arrays_of
from p2n2sim.wire import Message

LOGITS = "logits"
"""What the label's owner knows of the test rows by itself."""


def recorder(setup: Setup, sights: Sights) -> Recorder | None:
    """What keeps the views that a scenario asks for; nothing if it asks for none.

    Args:
        setup: what is run, from its first batch on.
        sights: where what is seen goes.
    """
    record = setup.scenario.record
    if not record.views:
        return None
    decoding = Decoding(lambda kind: _bits(setup, kind), _Keys(setup).decrypt)
    return Recorder(record.views, recorded_batches(setup), setup.layer.holders, decoding, sights)


def recorded_batches(setup: Setup) -> Iterator[Batch]:
    """The batches of which views are kept."""
    last = setup.scenario.train.epochs
    everything = setup.scenario.record.epochs == "all"
    return (batch for batch in setup.schedule if everything or batch.epoch == last)


def _bits(setup: Setup, kind: type[Message]) -> int:
    """Fractional bits of what a message type opens: those of a product, unless it was truncated."""
    protocol = setup.scenario.protocol
    truncated = kind in (LogitShare, NormShare) or (kind is LayerShare and protocol.opened == "activation")
    return protocol.fractional_bits * (1 if truncated else 2)


class _Keys:
    """The key pair of who decrypts, made from its own key as it makes it itself.

    Args:
        setup: what is run.
    """

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._made: SecretKey | None = None

    def decrypt(self, receiver: str, ciphertexts: NDArray[Any], count: int) -> Floats:
        """The numbers in ciphertexts under the server's key, float32 (count,)."""
        assert receiver == SERVER  # nobody else is sent anything under its own key
        protocol, layer = self._setup.scenario.protocol, self._setup.layer
        if self._made is None:
            scheme = homomorphic.SCHEMES[protocol.first_layer_in_use].of(protocol.crypto)
            key = derive_key(self._setup.scenario.train.seed, "key pair", SERVER)
            stream = Stream(key, 0, purpose=Purpose.KEY_PAIR)
            self._made = scheme.generate(scheme.parameters(layer), stream)
        numbers: Floats = fixed_point.decode(self._made.decrypt(ciphertexts, count), layer.fractional_bits)
        return numbers


def kept(setup: Setup, outcome: Outcome) -> dict[str, dict[str, NDArray[Any]]]:
    """What a run folder keeps in ``views``: a file for each party, and the trained weights.

    Args:
        setup: what was run.
        outcome: what it left behind.
    """
    record = setup.scenario.record
    if not record.views:
        return {}
    batches = list(recorded_batches(setup))
    out = {party: arrays_of(party, outcome.sights, batches) for party in record.views}
    owner = setup.scenario.data.label_owner
    if owner in out:
        out[owner] |= _logits(outcome, batches)
    parts = setup.parts
    out[MODEL] = {"theta": parts.theta.numpy()}
    for name, module in (("server", parts.server), ("head", parts.head)):
        out[MODEL] |= {f"{name}/{key}": value.numpy() for key, value in module.state_dict().items()}
    return out


def _logits(outcome: Outcome, batches: list[Batch]) -> dict[str, NDArray[Any]]:
    """The label's owner's own predictions of the test rows, of the epochs that are recorded."""
    epochs = {batch.epoch: batch.step for batch in batches if batch.stage == "predict"}
    passes = [done for done in outcome.passes if done.stage == "predict" and done.epoch in epochs]
    if not passes:
        return {}
    counts = [len(done.logits) for done in passes]
    steps = np.concatenate([np.full(len(b.rows), b.step) for b in batches if b.stage == "predict"])
    return {
        f"predict/{LOGITS}/values": np.concatenate(
            [done.logits.reshape(len(done.logits), -1) for done in passes]
        ),
        f"predict/{LOGITS}/rows": np.concatenate([np.arange(count, dtype=np.int64) for count in counts]),
        f"predict/{LOGITS}/epochs": np.repeat(np.array([done.epoch for done in passes], np.int64), counts),
        f"predict/{LOGITS}/steps": steps.astype(np.int64),
    }
