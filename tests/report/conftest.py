"""Finished folders to report on: three runs and four sweeps, made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from p2n2sim import folder
from p2n2sim.run import run
from p2n2sim.scenario.load import load
from p2n2sim.sweep import sweep
from tests import tiny
from tests.here import work_here

_SWEEPS = {
    "by-bandwidth": '"network.bandwidth" = ["10 Mbit/s", "1 Mbit/s", "100 kbit/s"]',
    "by-size": '"data.fraction" = [0.4, 0.7, 1.0]\n"data.holders" = [2, 3]',
    "by-protocol": '"protocol.first_layer" = ["algorithm1", "ckks"]',
    "by-width": '"model.hidden" = [[2], [4, 3]]',
}


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Name -> folder."""
    home = tmp_path_factory.mktemp("finished")
    path = tiny.write_scenario(home)
    out = {}
    kinds = {
        "two": [],
        "four": ["data.holders=4"],
        "modelled": ["protocol.first_layer=paillier", "protocol.crypto=modelled"],
    }
    for name, options in kinds.items():
        scenario = load(path, [f"name={name}", "network.bandwidth=1 Mbit/s", *options])
        out[name] = folder.save(run(scenario, threads=1), home / name)
    with pytest.MonkeyPatch.context() as patch:
        work_here(patch)
        for name, table in _SWEEPS.items():
            tiny.write_scenario(home, f"[sweep]\n{table}\n")
            scenario = load(path, [f"name={name}", "protocol.crypto=modelled"])  # needs ciphertexts
            out[name] = sweep(scenario, home / name).parent
    return out
