"""What all holders know before they begin, when several layers are under secret sharing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from p2n2sim.mpc import prg
from p2n2sim.mpc.prg import Purpose
from p2n2sim.mpc.width import Ring
from p2n2sim.parties.layer import FirstLayer
from p2n2sim.parties.schedule import Stage
from p2n2sim.parties.secret_layers.network import Design
from p2n2sim.parties.secret_layers.session import Arithmetic

STAGES: tuple[Stage, ...] = ("train", "predict")


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """What all holders know before they begin.

    Attributes:
        layer: the holders and their columns.
        design: the layers under sharing.
        arithmetic: of the shares.
        whole: whether the whole network is under sharing, so that there is no server.
        label_owner: who owns y.
        rows: number of rows by stage.
        from_seeds: whether shares of X come from seeds; else they are sent in every batch.
        first: number of the first batch.
        steps: number of the batch before which the run, or this part of it, ends.
        ahead: by how many batches the dealer is asked in advance.
        full: whether the dealer sends everything to everybody.
    """

    layer: FirstLayer
    design: Design
    arithmetic: Arithmetic
    whole: bool
    label_owner: str
    rows: Mapping[Stage, int]
    from_seeds: bool
    first: int
    steps: int
    ahead: int
    full: bool


def rows_mask(key: bytes, stage: Stage, rows: int, features: int) -> Ring:
    """A holder's share of the mask of all rows, (rows, k), from its key with the dealer."""
    purpose = Purpose.ROW_MASKS_TRAIN if stage == "train" else Purpose.ROW_MASKS_TEST
    return prg.uniform(key, 0, (rows, features), purpose=purpose)
