"""What a party was told, row by row: recorded while the messages are sent, kept in a file, read back.

A view holds the values of message fields that a party saw in the clear, could decrypt, or could open because
it was sent every share. Which fields these are, the messages declare (`p2n2sim.wire.Reveal`); nothing is
asked of the protocol. Each value stands with the numbers of its batch's rows, which are public.

A view's file, ``views/PARTY.npz``, has for every label (``h1``, ``dL/dh_L``, ...) and stage (``train``,
``predict``) four arrays, r rows of all recorded batches one after the other:

    STAGE/LABEL/values   float32 (r, width)
    STAGE/LABEL/rows     int64 (r,)   which row of the training or the test part
    STAGE/LABEL/epochs   int64 (r,)
    STAGE/LABEL/steps    int64 (r,)   number of the batch
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from p2n2sim.errors import InputError
from p2n2sim.messages import Floats
from p2n2sim.mpc import fixed_point
from p2n2sim.mpc.width import signed, widen
from p2n2sim.parties.schedule import Batch, Stage
from p2n2sim.wire import Message, Reveal, layout

FOLDER = "views"
REMEDY = '[record] views = ["server"] in the scenario, and running it again, would do'

Arrays = Mapping[str, NDArray[Any]]


class Source(NamedTuple):
    """Which value of which party's view.

    Attributes:
        party: who saw it.
        what: the value's name.
        sender: who sent it; empty where all senders together made it known.
    """

    party: str
    what: str
    sender: str


Sights = dict[Source, dict[int, Floats]]
"""Number of the batch -> what was seen, (m, width)."""


@dataclass(frozen=True, slots=True)
class Decoding:
    """How the receivers make numbers of what they open: all of it is public, or their own.

    Attributes:
        bits: fractional bits of the ring elements of a message type.
        decrypt: receiver, ciphertexts and how many numbers they hold -> the numbers, float32 (numbers,).
    """

    bits: Callable[[type[Message]], int]
    decrypt: Callable[[str, NDArray[Any], int], Floats]


class Recorder:
    """Keeps what some parties see; a tap of a network, shown everything that is sent.

    What a party itself sends in the clear it knows, too: that is kept under ``sent LABEL``. A batch that is
    repeated after a crash is seen again, and counts once.

    Args:
        parties: whose views are kept.
        batches: which batches are recorded.
        senders: everybody whose shares add up to an opened value, or parts to a sum.
        decoding: of what is opened or decrypted.
        sights: where it is put.
    """

    def __init__(
        self,
        parties: Sequence[str],
        batches: Iterable[Batch],
        senders: Sequence[str],
        decoding: Decoding,
        sights: Sights,
    ) -> None:
        self._parties = parties
        self._rows = {batch.step: len(batch.rows) for batch in batches}
        self._senders = senders
        self._decoding = decoding
        self._sights = sights
        self._parts: dict[tuple[str, int, type[Message], str], dict[str, NDArray[Any]]] = {}

    def begin(self) -> None:
        """A session begins: shares of the one before open nothing together with those of this one."""
        self._parts.clear()

    def __call__(self, sender: str, receiver: str, message: Message) -> None:
        """Sees a message."""
        if message.step not in self._rows:
            return
        if sender in self._parties:
            self._own(sender, message)
        if receiver not in self._parties:
            return
        plan = layout(type(message))
        for (name, _), reveal in zip(plan.arrays, plan.reveals, strict=True):
            value = getattr(message, name)
            if reveal.how == "clear":
                self._keep(Source(receiver, reveal.what, sender), message.step, value)
            elif reveal.how == "decrypted":
                numbers = self._decoding.decrypt(receiver, value, getattr(message, reveal.count))
                self._keep(Source(receiver, reveal.what, ""), message.step, numbers)
            if reveal.how == "opens" or reveal.summand_of:
                self._collect(sender, receiver, message, name, reveal)

    def _own(self, sender: str, message: Message) -> None:
        """What a party has computed, and says to others."""
        plan = layout(type(message))
        for (name, _), reveal in zip(plan.arrays, plan.reveals, strict=True):
            if reveal.how == "clear":
                self._keep(Source(sender, f"sent {reveal.what}", ""), message.step, getattr(message, name))

    def _collect(self, sender: str, receiver: str, message: Message, name: str, reveal: Reveal) -> None:
        """One of several arrays that add up to a value; what its receiver has of its own is not sent."""
        if receiver in self._senders:
            return
        kind = type(message)
        key = (receiver, message.step, kind, name)
        parts = self._parts.setdefault(key, {})
        parts[sender] = getattr(message, name)
        if len(parts) < len(self._senders):
            return
        ordered = [self._parts[key][one] for one in self._senders]
        del self._parts[key]
        if reveal.how == "opens":
            width = 32 if ordered[0].dtype == np.int32 else 64
            total = signed(np.add.reduce([widen(part) for part in ordered]), width)  # type: ignore[arg-type]
            value = fixed_point.decode(total, self._decoding.bits(kind))
        else:
            value = sum(ordered[1:], start=ordered[0])
        self._keep(Source(receiver, reveal.summand_of or reveal.what, ""), message.step, value)

    def _keep(self, source: Source, step: int, value: NDArray[Any]) -> None:
        """Values without a row for every row of the batch say nothing of any row, and are left out."""
        rows = self._rows[step]
        if value.size and value.size % rows == 0 and (value.ndim == 1 or len(value) == rows):
            kept = np.array(value, np.float32).reshape(rows, -1)
            self._sights.setdefault(source, {})[step] = kept


def arrays_of(party: str, sights: Sights, batches: Iterable[Batch]) -> dict[str, NDArray[Any]]:
    """A party's view as its file has it.

    Args:
        party: whose.
        sights: what was recorded.
        batches: the schedule.
    """
    out: dict[str, NDArray[Any]] = {}
    own = {source: seen for source, seen in sights.items() if source.party == party}
    known = {batch.step: batch for batch in batches}
    for source, seen in own.items():
        several = sum(other.what == source.what and bool(other.sender) for other in own) > 1
        label = f"{source.what} ({source.sender})" if several and source.sender else source.what
        for stage in ("train", "predict"):
            steps = sorted(step for step in seen if known[step].stage == stage)
            if steps:
                out |= _joined(f"{stage}/{label}", [known[step] for step in steps], seen)
    return out


def _joined(prefix: str, batches: Sequence[Batch], seen: Mapping[int, Floats]) -> dict[str, NDArray[Any]]:
    counts = [len(batch.rows) for batch in batches]
    return {
        f"{prefix}/values": np.concatenate([seen[batch.step] for batch in batches]),
        f"{prefix}/rows": np.concatenate([batch.rows for batch in batches]).astype(np.int64),
        f"{prefix}/epochs": np.repeat(np.array([batch.epoch for batch in batches], np.int64), counts),
        f"{prefix}/steps": np.repeat(np.array([batch.step for batch in batches], np.int64), counts),
    }


@dataclass(frozen=True)
class Seen:
    """One value of a view, in one stage.

    Attributes:
        values: (r, width) float32.
        rows: (r,) which row of the training or the test part.
        epochs: (r,) from 1.
        steps: (r,) number of the batch.
    """

    values: Floats
    rows: NDArray[np.int64]
    epochs: NDArray[np.int64]
    steps: NDArray[np.int64]

    def by_row(self, epoch: int | None = None) -> tuple[NDArray[np.int64], Floats, NDArray[np.int64]]:
        """One epoch in the order of the rows: rows (m,), values (m, width), steps (m,).

        With Poisson sampling some rows are missing, and of one that was in several batches the first counts.

        Args:
            epoch: which; the last one unless it is given.
        """
        chosen = np.flatnonzero(self.epochs == (self.epochs.max() if epoch is None else epoch))
        order = chosen[np.unique(self.rows[chosen], return_index=True)[1]]
        return self.rows[order], self.values[order], self.steps[order]


@dataclass(frozen=True)
class PartyView:
    """What one party saw.

    Attributes:
        party: who.
        seen: stage and label -> the values.
    """

    party: str
    seen: Mapping[tuple[Stage, str], Seen]

    def labels(self, stage: Stage) -> tuple[str, ...]:
        """What was seen in a stage."""
        return tuple(label for at, label in self.seen if at == stage)


def read_views(folder: Path) -> dict[str, PartyView]:
    """The views that a run has kept, by party.

    Args:
        folder: a run folder.

    Raises:
        InputError: there are none, or a file is damaged.
    """
    paths = sorted((folder / FOLDER).glob("*.npz")) if (folder / FOLDER).is_dir() else []
    views = {path.stem: _read(path) for path in paths if path.stem != MODEL}
    if not views:
        raise InputError(str(folder), "the run kept no views", REMEDY)
    return views


MODEL = "model"
"""The file beside the views with the trained weights, for attacks of who may query the network."""


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of a file.

    Raises:
        InputError: it is missing or damaged.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except FileNotFoundError:
        raise InputError(str(path), "the file is missing", REMEDY) from None
    except Exception as error:  # zipfile, zlib and numpy each have their own for damaged files
        first, *_ = str(error).splitlines() or [type(error).__name__]
        raise InputError(str(path), f"the file is damaged ({first})", "run the scenario again") from error


def _read(path: Path) -> PartyView:
    arrays = read_arrays(path)
    seen: dict[tuple[Stage, str], Seen] = {}
    for stage, label in _named(arrays):
        parts = [arrays.get(f"{stage}/{label}/{part}") for part in ("values", "rows", "epochs", "steps")]
        if any(part is None or len(part) != len(arrays[f"{stage}/{label}/values"]) for part in parts):
            raise InputError(str(path), f"{stage}/{label} is not complete", "run the scenario again")
        seen[stage, label] = Seen(*parts)  # type: ignore[arg-type]
    return PartyView(path.stem, seen)


def _named(arrays: Arrays) -> Iterator[tuple[Stage, str]]:
    for name in arrays:
        stage, _, rest = name.partition("/")
        label, _, part = rest.rpartition("/")
        if part == "values":
            yield ("train" if stage == "train" else "predict"), label
