"""The picture of a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from p2n2sim.report.batch_view import batch_view
from p2n2sim.report.picture import draw
from p2n2sim.report.read import StoredRun, read
from p2n2sim.report.timeline import title


def stored(folder: Path) -> StoredRun:
    """A run read from its folder."""
    run = read(folder)
    assert isinstance(run, StoredRun)
    return run


@pytest.mark.parametrize("name", ["two", "four"])
def test_picture_is_a_function_of_the_run(folders: dict[str, Path], name: str) -> None:
    """Drawing a run again from its folder gives the bytes of the picture that lies in it."""
    png = draw(stored(folders[name]))
    assert png.startswith(b"\x89PNG")
    assert png == (folders[name] / "picture.png").read_bytes()


def test_view_holds_the_batch(folders: dict[str, Path]) -> None:
    """The view has every message of its batch that was sent within it, and all times lie within."""
    run = stored(folders["two"])
    view = batch_view(run)
    messages = view.events[(view.events["kind"] == "message") & (view.events["step"] == view.step)]
    online = run.ledger[(run.ledger["step"] == view.step) & (run.ledger["phase"] == "online")]
    assert (messages["phase"] == "online").sum() == len(online)
    assert view.events["start_ms"].min() >= 0
    assert view.events["end_ms"].max() <= view.length_ms + 1e-9
    assert view.length_ms == pytest.approx(run.summary["traffic"]["one_batch"]["seconds"] * 1e3)


def test_lanes(folders: dict[str, Path]) -> None:
    """Every party has a lane, and every link of the batch belongs to one."""
    run = stored(folders["four"])
    view = batch_view(run)
    assert {lane.party for lane in view.lanes if not lane.receivers} == {
        "A",
        "B",
        "C",
        "D",
        "server",
        "dealer",
    }
    links = {(lane.party, receiver) for lane in view.lanes for receiver in lane.receivers}
    sent = view.events[view.events["kind"] == "message"]
    assert set(zip(sent["party"], sent["receiver"], strict=True)) == links


def test_too_many_lanes(folders: dict[str, Path]) -> None:
    """Where not all fit, holders are left out and the title says so; label owner, server and dealer stay."""
    view = batch_view(stored(folders["four"]), most_lanes=12)
    assert view.left_out
    assert {"A", "server", "dealer"} <= {lane.party for lane in view.lanes}
    assert "not shown" in title(view)
