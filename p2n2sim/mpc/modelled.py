"""A model of homomorphic encryption: true sizes and operation counts, and NOTHING IS ENCRYPTED.

A batch of "ciphertexts" has the shape of the real one for the same parameters, byte for byte, but holds the
values in the clear, as 8-byte integers at its beginning, and zeros. Whoever holds such a batch can read it.
It stands in for a real back end where only bytes and virtual time matter and real ciphertexts would take too
long; what uses it must be labelled as modelled. The sums are those of the real back ends, which are exact.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from p2n2sim.mpc.homomorphic import Ciphertexts, Parameters, Values
from p2n2sim.mpc.prg import Stream

_VALUE_BYTES = 8


def generate(parameters: Parameters, stream: Stream) -> SecretKey:
    """A key that keeps nothing secret; reads nothing from the stream."""
    return SecretKey(parameters)


class PublicKey:
    """A public key of the real size that encrypts nothing.

    Args:
        parameters: those of the real back end that is modelled.
        wire: zeros, of the size of the real public key.

    Raises:
        ValueError: a wire of another size.
    """

    def __init__(self, parameters: Parameters, wire: NDArray[np.uint8]) -> None:
        if wire.shape != (parameters.public_key_bytes,):
            raise ValueError(f"a public key of shape {wire.shape}, not {(parameters.public_key_bytes,)}")
        self.parameters = parameters
        self.wire = wire

    def encrypt(self, values: Values, stream: Stream) -> Ciphertexts:
        """The values in the clear in a batch of the real size; reads nothing from the stream.

        Raises and returns what :meth:`p2n2sim.mpc.homomorphic.PublicKey.encrypt` does.
        """
        self.parameters.check_values(values)
        batch = np.zeros(self.parameters.shape(values.size), dtype=np.uint8)
        in_the_clear = np.zeros((len(batch), self.parameters.slots), dtype="<i8")
        in_the_clear.reshape(-1)[: values.size] = values
        batch[:, : _VALUE_BYTES * self.parameters.slots] = in_the_clear.view(np.uint8)
        return batch

    def add(self, a: Ciphertexts, b: Ciphertexts) -> Ciphertexts:
        """A batch with the sums of two batches, all in the clear."""
        self.parameters.check_ciphertexts(a, b)
        total = np.zeros_like(a)
        used = _VALUE_BYTES * self.parameters.slots
        total[:, :used] = (_in_the_clear(a, used) + _in_the_clear(b, used)).view(np.uint8)
        return total


class SecretKey:
    """Reads what everybody can read.

    Args:
        parameters: those of the real back end that is modelled.
    """

    def __init__(self, parameters: Parameters) -> None:
        self.public = PublicKey(parameters, np.zeros(parameters.public_key_bytes, dtype=np.uint8))

    def decrypt(self, ciphertexts: Ciphertexts, count: int) -> Values:
        """See :meth:`p2n2sim.mpc.homomorphic.SecretKey.decrypt`."""
        parameters = self.public.parameters
        parameters.check_count(ciphertexts, count)
        sums = (
            _in_the_clear(ciphertexts, _VALUE_BYTES * parameters.slots).reshape(-1)[:count].astype(np.int64)
        )
        parameters.check_sums(sums)
        return sums


def _in_the_clear(batch: Ciphertexts, used: int) -> NDArray[np.int64]:
    """The values of a batch, (ciphertexts, slots), little endian."""
    return np.ascontiguousarray(batch[:, :used]).view("<i8")
