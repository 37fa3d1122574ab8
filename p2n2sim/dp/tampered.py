"""Whether a message that is changed on its way, with a checksum that fits, is noticed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from p2n2sim.errors import AuthenticationError
from p2n2sim.report.read import read_told
from p2n2sim.run import run
from p2n2sim.scenario.faults import Fault
from p2n2sim.scenario.sections import Scenario

STEP = "tampered"


def tampers(folder: Path, data_dir: Path | None, options: Mapping[str, Any]) -> dict[str, Any]:
    """Runs a scenario again and forges one message of every link, another one each time.

    Args:
        folder: a finished run.
        data_dir: where to look for data files first.
        options: ``numbers``: which messages of a link are forged, one a time.

    Returns:
        ``tried`` and ``noticed``: how many runs, and how many of these ended with an `AuthenticationError`;
        ``said``: what the first one said.
    """
    scenario = read_told(folder).scenario
    said = []
    for number in options["numbers"]:
        try:
            run(_forging(scenario, number), data_dir=data_dir, threads=1)
        except AuthenticationError as error:
            said.append(str(error))
    return {"tried": len(options["numbers"]), "noticed": len(said), "said": said[0] if said else ""}


def _forging(scenario: Scenario, number: int) -> Scenario:
    fault = Fault(kind="corrupt", forged=True, numbers=(number,))
    network = msgspec.structs.replace(scenario.network, authenticate=True)
    return msgspec.structs.replace(scenario, network=network, fault=(fault,))
