"""Keyed pseudo-random streams of ring elements: AES-128 in counter mode.

A stream is named by a key, a purpose and a step. The counter block that AES encrypts is, most significant
bit first,

::

    | purpose, 16 bits | step, 48 bits | block counter, 64 bits, from 0 |

so two streams of one key that differ in purpose or step never encrypt the same block: the counter would
have to pass 2^64 blocks before it reached the step. Element ``i`` of a stream is the little-endian two's
complement number in bytes ``8 i`` to ``8 i + 7`` of the key stream, whatever the shape asked for.

Source: NIST SP 800-38A, section 6.5 (counter mode) and appendix B (counter blocks).
"""

from __future__ import annotations

import hashlib
import sys
from enum import IntEnum

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray

KEY_BYTES = 16
"""Bytes of a key: AES-128."""

ELEMENT_BYTES = 8
"""Bytes of a ring element."""

_BLOCK_BYTES = 16  # of AES
_CHUNK = 1 << 16  # bytes encrypted by one call: input and output stay in the second-level cache
_ZEROS = memoryview(
    bytes(_CHUNK)
)  # counter mode adds the key stream to its input: zeros give the stream itself


class Purpose(IntEnum):
    """What a stream is for; every purpose of the package stands here, so that no two can share a stream."""

    GENERIC = 0
    FEATURES = 1  # Algorithm 1, line 1: shares of X_i
    WEIGHTS = 2  # Algorithm 1, line 2: shares of theta_i
    TRIPLE_U = 3
    TRIPLE_V = 4
    TRIPLE_Z = 5
    ROWS_TRAIN = 6  # shares of all rows of X_i that are trained on, made once
    ROWS_TEST = 7
    ROW_MASKS_TRAIN = 8  # a triple's U for all of these rows
    ROW_MASKS_TEST = 9
    PAIR_MASK = 10  # what two holders add and subtract, so that it cancels in the sum
    KEY_PAIR = 11  # of homomorphic encryption
    ENCRYPTION = 12  # randomness of a batch's ciphertexts
    CORRELATED = 13  # everything that a dealer gives for one batch of several layers under sharing
    LABELS = 14
    NOISE = 15  # on h1
    FEATURE_NOISE = 16  # on a holder's features
    RESPONSE = 17  # labels by randomized response
    LANGEVIN = 20  # the noise of an update of somebody's weights
    PERTURBATION = 21  # the noise on a clipped gradient
    COINS = 22  # which rows are in a batch
    NORM_MASK = 23  # what two holders add to and subtract from the norms of their rows
    INITIAL_WEIGHTS = 24  # shares of a theta that stays under sharing


def derive_key(seed: int, *labels: str | int) -> bytes:
    """The key that belongs to a seed and a path of labels, for example ``(7, "dealer", "A")``.

    Every part is hashed with its type and its length, so different paths are different inputs of the hash.

    Args:
        seed: any integer.
        labels: what the key is for; ``1`` and ``"1"`` are different labels.

    Returns:
        The first 16 bytes of the SHA-256 of the path.
    """
    digest = hashlib.sha256(b"p2n2sim key 1")
    for part in (seed, *labels):
        text = str(int(part)) if isinstance(part, int) else part
        encoded = text.encode()
        digest.update(b"i" if isinstance(part, int) else b"s")
        digest.update(len(encoded).to_bytes(8, "big"))
        digest.update(encoded)
    return digest.digest()[:KEY_BYTES]


def uniform(
    key: bytes,
    step: int,
    shape: int | tuple[int, ...],
    *,
    purpose: int = Purpose.GENERIC,
    start: int = 0,
    out: NDArray[np.int64] | None = None,
) -> NDArray[np.int64]:
    """Uniform elements of Z_2^64 from the stream ``(key, purpose, step)``.

    Args:
        key: 16 bytes.
        step: 0 <= step < 2^48.
        shape: shape of the result, filled in C order.
        purpose: 0 <= purpose < 2^16.
        start: index in the stream of the first element.
        out: a C-contiguous int64 array of that shape to write to.

    Returns:
        ``out``, or a new int64 array.

    Raises:
        ValueError: a number out of its range, a key of another length, or an ``out`` that does not fit.
    """
    if out is None:
        out = np.empty(shape, dtype=np.int64)
    elif out.shape != (shape if isinstance(shape, tuple) else (shape,)):
        raise ValueError(f"out has shape {out.shape}, not {shape}")
    Stream(key, step, purpose=purpose, start=start).fill(out)
    return out


def normal(key: bytes, step: int, count: int, *, purpose: int = Purpose.GENERIC) -> NDArray[np.float64]:
    """Independent standard normal numbers from the stream ``(key, purpose, step)``.

    Two elements of the stream make two numbers (Box and Muller, "A note on the generation of random normal
    deviates", 1958); their upper 53 bits are used.

    Args:
        key: 16 bytes.
        step: 0 <= step < 2^48.
        count: how many.
        purpose: 0 <= purpose < 2^16.

    Returns:
        float64, shape (count,).
    """
    pairs = (count + 1) // 2
    raw = uniform(key, step, (2, pairs), purpose=purpose).view(np.uint64) >> np.uint64(11)
    unit = raw.astype(np.float64) * 2.0**-53  # (2, pairs), in [0, 1)
    radius = np.sqrt(-2.0 * np.log1p(-unit[0]))
    angle = 2.0 * np.pi * unit[1]
    return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])[:count]


class Stream:
    """The stream ``(key, purpose, step)``, read front to back.

    Args:
        key: 16 bytes.
        step: 0 <= step < 2^48.
        purpose: 0 <= purpose < 2^16.
        start: index of the first element that is read.

    Raises:
        ValueError: a number out of its range or a key of another length.
    """

    __slots__ = ("_cipher",)

    def __init__(self, key: bytes, step: int, *, purpose: int = Purpose.GENERIC, start: int = 0) -> None:
        if len(key) != KEY_BYTES:
            raise ValueError(f"a key has {KEY_BYTES} bytes, not {len(key)}")
        if not 0 <= step < 1 << 48:
            raise ValueError(f"step must be in [0, 2^48), not {step}")
        if not 0 <= purpose < 1 << 16:
            raise ValueError(f"purpose must be in [0, 2^16), not {purpose}")
        if start < 0:
            raise ValueError(f"start must not be negative, as {start} is")
        block, rest = divmod(start * ELEMENT_BYTES, _BLOCK_BYTES)
        counter = (purpose << 112 | step << 64 | block).to_bytes(_BLOCK_BYTES, "big")
        self._cipher = Cipher(algorithms.AES(key), modes.CTR(counter)).encryptor()
        if rest:
            self._cipher.update(_ZEROS[:rest])

    def fill(self, out: NDArray[np.int64]) -> None:
        """Writes the next ``out.size`` elements to a C-contiguous int64 array, in C order.

        Raises:
            ValueError: ``out`` is of another type or layout.
        """
        if out.dtype != np.int64 or not out.flags.c_contiguous:
            raise ValueError("a stream fills C-contiguous int64 arrays only")
        if not out.size:
            return
        target = out.reshape(-1).data.cast("B")
        for first in range(0, len(target), _CHUNK):
            part = target[first : first + _CHUNK]
            self._cipher.update_into(_ZEROS[: len(part)], part)
        if sys.byteorder == "big":
            out.byteswap(inplace=True)
