"""One batch taken apart: who worked on what and who sent what to whom, and when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from p2n2sim.messages import DEALER, SERVER
from p2n2sim.report.tables import Tables
from p2n2sim.report.text import words
from p2n2sim.scenario.topology import topology

_SAME_MS = 3  # decimals of a millisecond to which two links must agree to share a row


@dataclass(frozen=True)
class Lane:
    """One row of the timeline: a party's work, or one party's sending to one or more others.

    Attributes:
        party: who works or sends.
        receivers: to whom; empty for work. Several where the same goes to all of them at the same times.
    """

    party: str
    receivers: tuple[str, ...] = ()


@dataclass(frozen=True)
class BatchView:
    """The events of one batch.

    Attributes:
        step: number of the batch.
        epoch: of which epoch.
        stage: ``train`` or ``predict``.
        rows: how many rows of data.
        length_ms: from the batch's beginning to its end.
        events: one row each: kind (``work`` or ``message``), party (who works or sends), receiver (empty
            for work), what, phase, step, wire_bytes (the last three missing for work), start_ms, end_ms
            since the batch's beginning, cut at its two ends, and flight_ms, the part of a message's time
            for which its last bit is on its way.
        lanes: the rows of the timeline in order.
        left_out: holders that the lanes leave out.
    """

    step: int
    epoch: int
    stage: str
    rows: int
    length_ms: float
    events: pd.DataFrame
    lanes: tuple[Lane, ...]
    left_out: tuple[str, ...]

    def on(self, lane: Lane) -> pd.DataFrame:
        """The events of one lane; for several receivers those of the first."""
        receiver = lane.receivers[0] if lane.receivers else ""
        events = self.events
        return events[(events["party"] == lane.party) & (events["receiver"] == receiver)]


def batch_view(run: Tables, *, most_lanes: int = 22) -> BatchView:
    """The batch that the summary describes as ``traffic.one_batch``.

    Args:
        run: a finished run.
        most_lanes: more rows than these are not shown: holders are left out, the idlest first.
    """
    chosen = run.summary["traffic"]["one_batch"]
    batch = run.batches[run.batches["step"] == chosen["step"]].iloc[0]
    began, length = float(batch["began_s"]), float(chosen["seconds"])
    events = pd.concat([_work(run, began, length), _messages(run, began, length)], ignore_index=True)
    parties = [str(party) for party in run.compute["party"].unique()]
    lanes, left_out = _choose(events, parties, run.scenario.data.label_owner, most_lanes)
    shown = [lane.party for lane in lanes]
    events["shown"] = events["party"].isin(shown)
    return BatchView(
        step=int(batch["step"]),
        epoch=int(batch["epoch"]),
        stage=str(batch["stage"]),
        rows=int(batch["rows"]),
        length_ms=length * 1e3,
        events=events,
        lanes=tuple(lanes),
        left_out=tuple(left_out),
    )


def _work(run: Tables, began: float, length: float) -> pd.DataFrame:
    work = run.compute
    work = work[(work["start_s"] < began + length) & (work["end_s"] > began)]
    frame = pd.DataFrame({"kind": "work", "party": work["party"], "receiver": "", "what": work["label"]})
    frame["start_ms"] = (work["start_s"] - began).clip(lower=0.0) * 1e3
    frame["end_ms"] = (work["end_s"] - began).clip(upper=length) * 1e3
    return frame


def _messages(run: Tables, began: float, length: float) -> pd.DataFrame:
    sent = run.ledger
    sent = sent[(sent["start_s"] < began + length) & (sent["arrived_s"] > began)]
    frame = pd.DataFrame({"kind": "message", "party": sent["sender"], "receiver": sent["receiver"]})
    frame["what"] = [words(kind) for kind in sent["kind"]]
    frame["phase"], frame["step"], frame["wire_bytes"] = sent["phase"], sent["step"], sent["wire_bytes"]
    frame["start_ms"] = (sent["start_s"] - began).clip(lower=0.0) * 1e3
    frame["end_ms"] = (sent["arrived_s"] - began).clip(upper=length) * 1e3
    links = topology(run.scenario)
    latency = [links.spec(*pair).latency for pair in zip(sent["sender"], sent["receiver"], strict=True)]
    last_bit_left = (sent["arrived_s"] - latency - began).clip(lower=0.0) * 1e3
    frame["flight_ms"] = (frame["end_ms"] - last_bit_left).clip(lower=0.0)
    return frame


def _choose(
    events: pd.DataFrame, parties: Sequence[str], label_owner: str, most: int
) -> tuple[list[Lane], list[str]]:
    """The lanes of all parties, or without as many of the idlest holders as do not fit."""
    lanes = {party: _lanes(events, party) for party in parties}
    spared = {SERVER, DEALER, label_owner}
    traffic = {
        party: events.loc[(events["party"] == party) | (events["receiver"] == party), "wire_bytes"].sum()
        for party in parties
    }
    order = {party: position for position, party in enumerate(parties)}
    idlest_first = sorted(parties, key=lambda party: (traffic[party], -order[party]))
    candidates = [party for party in idlest_first if party not in spared]
    left_out: list[str] = []
    while sum(map(len, lanes.values())) > most and candidates:
        left_out.append(candidates.pop(0))
        del lanes[left_out[-1]]
    ordered = [lane for party in parties if party in lanes for lane in lanes[party]]
    return ordered, [party for party in parties if party in left_out]


def _lanes(events: pd.DataFrame, party: str) -> list[Lane]:
    """The party's work, then its links; links that carry the same at the same times share a lane."""
    sent = events[(events["party"] == party) & (events["kind"] == "message")]
    alike: dict[tuple[object, ...], list[str]] = {}
    for receiver, messages in sent.groupby("receiver", sort=False):
        times = messages[["start_ms", "end_ms"]].round(_SAME_MS)
        key = (*messages["what"], *messages["wire_bytes"], *times.to_numpy().ravel())
        alike.setdefault(key, []).append(str(receiver))
    return [Lane(party), *(Lane(party, tuple(receivers)) for receivers in alike.values())]
