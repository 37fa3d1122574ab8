"""From what occupied a link back to the messages: the inverse of what transports add."""

from __future__ import annotations

import pandas as pd

from p2n2sim.net import grpc
from p2n2sim.net.link import LinkSpec
from p2n2sim.net.tcp import SEGMENT, TLS_LARGEST, TLS_RECORD
from p2n2sim.net.topology import Topology


def message_bytes(spec: LinkSpec, wire: int, *, first: bool) -> int:
    """Bytes of a message's encoding.

    Args:
        spec: the link that it went by.
        wire: what it occupied there.
        first: whether it was the first in its direction.
    """
    if spec.transport == "ideal":
        return wire
    size = _without(wire, SEGMENT, spec.headers)
    if spec.tls:
        size = _without(size, TLS_LARGEST, TLS_RECORD)
    if spec.transport == "grpc":
        overhead = grpc.request_bytes(0, first=first, stream=spec.host == "stream")
        size = _without(size - overhead + grpc.DATA_FRAME, grpc.FRAME_PAYLOAD, grpc.DATA_FRAME)
    return size


def _without(size: int, part: int, header: int) -> int:
    """Without a header for every started part."""
    return size - header * -(-size // (part + header))


def unpacked(ledger: pd.DataFrame, topology: Topology) -> pd.DataFrame:
    """A ledger in which ``wire_bytes`` are those of the messages' encodings alone.

    Args:
        ledger: of a run.
        topology: its links.
    """
    met: set[tuple[str, str]] = set()
    sizes = []
    for sender, receiver, wire in zip(
        ledger["sender"], ledger["receiver"], ledger["wire_bytes"], strict=True
    ):
        spec = topology.spec(sender, receiver)
        sizes.append(message_bytes(spec, int(wire), first=(sender, receiver) not in met))
        met.add((sender, receiver))
    return ledger.assign(wire_bytes=sizes)
