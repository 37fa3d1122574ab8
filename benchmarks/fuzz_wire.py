"""Mutated messages against the wire decoder and the frame: only typed errors may come out.

Run ``python benchmarks/fuzz_wire.py``. Valid encodings of every message type are mutated: bits and bytes
changed, numbers in header and descriptors replaced by extreme ones, pieces cut out, repeated, or spliced in
from another message. What decodes must encode to the very same bytes; everything else must raise `WireError`.
Half of the mutated messages are put into a frame of the original one first, whose checksum must notice.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np

from p2n2sim.errors import WireError
from p2n2sim.messages import VOCABULARY
from p2n2sim.net import frame
from p2n2sim.wire import Message, decode, encode, layout

EXTREME = (0, 1, 2, 7, 0x7F, 0x80, 0xFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 2**63 - 1, 2**63, 2**64 - 1)


def example(random: np.random.Generator, kind: type[Message]) -> bytes:
    """The encoding of a message of a type, with small arrays of any shape."""
    plan = layout(kind)
    values: dict[str, Any] = {name: int(random.integers(-(2**63), 2**63)) for name in plan.names}
    for name, dtypes in plan.arrays:
        shape = tuple(random.integers(0, 4, size=random.integers(0, 4)))
        dtype = dtypes[random.integers(len(dtypes))]
        count = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        values[name] = np.frombuffer(random.bytes(count), dtype).reshape(shape)
    return encode(kind(**values))


def _bits(random: np.random.Generator, data: bytearray, other: bytes) -> None:
    for where in random.integers(0, 8 * len(data), size=random.integers(1, 5)):
        data[where >> 3] ^= 1 << (where & 7)


def _bytes(random: np.random.Generator, data: bytearray, other: bytes) -> None:
    for where in random.integers(0, len(data), size=random.integers(1, 5)):
        data[where] = random.integers(256)


def _number(random: np.random.Generator, data: bytearray, other: bytes) -> None:
    width = (1, 2, 4, 8)[random.integers(4)]
    where = int(random.integers(0, max(1, min(len(data) - width, 64))))
    value = EXTREME[random.integers(len(EXTREME))] % (1 << 8 * width)
    data[where : where + width] = value.to_bytes(width, "little")


def _dimensions(random: np.random.Generator, data: bytearray, other: bytes) -> None:
    """Another number of dimensions, with that many numbers behind it."""
    where = int(random.integers(16, len(data)))
    count = int(random.integers(0, 256)) if random.integers(2) else int(random.integers(0, 70))
    sizes = [EXTREME[i] % 2**32 for i in random.integers(0, len(EXTREME), size=count)]
    if sizes and random.integers(2):
        sizes[random.integers(count)] = 0  # no elements, however large the others are
    data[where : where + 1] = bytes([count]) + b"".join(size.to_bytes(4, "little") for size in sizes)


def _cut(random: np.random.Generator, data: bytearray, other: bytes) -> None:
    first, last = sorted(int(i) for i in random.integers(0, len(data) + 1, size=2))
    del data[first:last]


def _repeat(random: np.random.Generator, data: bytearray, other: bytes) -> None:
    first, last = sorted(int(i) for i in random.integers(0, len(data) + 1, size=2))
    data[last:last] = data[first:last]


def _splice(random: np.random.Generator, data: bytearray, other: bytes) -> None:
    where, first = int(random.integers(0, len(data) + 1)), int(random.integers(0, len(other) + 1))
    data[where:] = other[first:]


MUTATIONS: tuple[Callable[[np.random.Generator, bytearray, bytes], None], ...] = (
    _bits,
    _bytes,
    _number,
    _dimensions,
    _cut,
    _repeat,
    _splice,
)


def fuzz(count: int, seed: int = 1) -> Counter[str]:
    """Decodes mutated messages.

    Args:
        count: how many.
        seed: of everything.

    Returns:
        How many ended how: ``refused``, ``decoded`` (to what encodes to the same bytes), ``unchanged``, and
        how many frames were ``noticed``.

    Raises:
        AssertionError: something decoded to what encodes to other bytes, or a frame took it.
        Exception: what else came out of the decoder.
    """
    random = np.random.default_rng(seed)
    seeds = [example(random, kind) for kind in VOCABULARY for _ in range(20)]
    kinds, ends = list(VOCABULARY), Counter[str]()
    picks = random.integers(0, len(seeds), size=(count, 2)).tolist()
    changes = random.integers(0, len(MUTATIONS), size=(count, 2)).tolist()
    for (one, two), (first, second) in zip(picks, changes, strict=True):
        data = bytearray(seeds[one])
        MUTATIONS[first](random, data, seeds[two])
        if second % 2 and len(data) > 16:
            MUTATIONS[second](random, data, seeds[two])
        mutated = bytes(data)
        if mutated == seeds[one]:
            ends["unchanged"] += 1
            continue
        if second % 2:
            ends["noticed"] += _noticed(seeds[one], mutated)
        try:
            message = decode(mutated, kinds)
        except WireError:
            ends["refused"] += 1
        else:
            assert encode(message) == mutated
            ends["decoded"] += 1
    return ends


def _noticed(original: bytes, mutated: bytes) -> bool:
    """Puts the mutated bytes where the original ones were in a frame."""
    sealed = frame.seal(1, original, None)
    try:
        frame.unseal(sealed[: frame.HEADER_BYTES] + mutated, None)
    except frame.ChecksumMismatch:
        return True
    raise AssertionError("the checksum of a frame fits another message")


def main() -> None:
    """Prints how many messages ended how."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--count", type=int, default=1_000_000, help="mutated messages")
    parser.add_argument("--seed", type=int, default=1, help="of everything")
    arguments = parser.parse_args()
    start = time.perf_counter()
    ends = fuzz(arguments.count, arguments.seed)
    seconds = time.perf_counter() - start
    print(f"{arguments.count:,} mutated messages in {seconds:.0f} s: only typed errors")
    for end, number in sorted(ends.items()):
        print(f"  {end:10} {number:10,}")


if __name__ == "__main__":
    main()
