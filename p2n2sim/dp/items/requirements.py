"""The four protection requirements of the second paper's section 3.1: a mechanism and a number for each."""

from __future__ import annotations

from typing import Any

import pandas as pd

from p2n2sim.dp.tampered import STEP, tampers
from p2n2sim.evaluation.item import Evidence, Finished, Item, Section, Source, Step, Table, Verdict

_RULE = (
    "shown if the disturbed run ends with the weights of the quiet one, and every forged message is noticed."
)


def _present(evidence: Evidence) -> Section:
    (quiet,), (hit,) = evidence["quiet"], evidence["disturbed"]
    forged = quiet.found[STEP]
    same = quiet.summary["weights_sha256"] == hit.summary["weights_sha256"]
    late = hit.summary["time"]["virtual_s"] / quiet.summary["time"]["virtual_s"]
    return Section(
        Verdict(
            "shown" if same and forged["noticed"] == forged["tried"] else "not shown",
            f"The weights of both runs are {'equal' if same else 'different'}, the disturbed one took "
            f"{late:.2f} times as long.",
            _RULE,
        ),
        "Section 3.1 asks for protection of data privacy, availability, integrity and application.",
        tables=[
            Table(
                "requirements",
                "Requirement, mechanism, measurement",
                pd.DataFrame([_numbers(run) for run in (quiet, hit)]),
                ["requirement", "served by", "measured"],
                [_privacy(quiet), _availability(hit, same, late), _integrity(forged), _application(quiet)],
                "The same training on quiet links and on links with faults.",
            )
        ],
    )


def _numbers(run: Finished) -> dict[str, object]:
    return {
        "run": run.name,
        "weights_sha256": run.summary["weights_sha256"],
        "auc": run.summary["metrics"]["auc"],
        "virtual_s": run.summary["time"]["virtual_s"],
        "messages": run.summary["traffic"]["messages"],
    }


def _privacy(quiet: Finished) -> list[str]:
    privacy = quiet.summary["privacy"]
    spent, noise = float(privacy["spent"]["epsilon"]), privacy["mechanism"]["noise_multiplier"]
    return [
        "privacy",
        "Clipping and noise in training, and the budget that is checked before it starts.",
        f"The accountant: the released model spends epsilon {spent:.3g} with noise {noise:g}; the "
        "attacks above are the empirical side.",
    ]


def _availability(hit: Finished, same: bool, late: float) -> list[str]:
    return [
        "availability",
        "Retries, checkpoints and restarts keep training going; calibrated noise keeps data useful.",
        f"On links that lose and damage messages it ends with the same weights: {'yes' if same else 'no'}, "
        f"in {late:.2f} times the virtual time; AUC {hit.summary['metrics']['auc']:.3f} with noise and "
        f"{hit.summary['baseline']['auc']:.3f} without.",
    ]


def _integrity(forged: dict[str, Any]) -> list[str]:
    return [
        "integrity",
        "HMAC-SHA-256 on every frame (network.authenticate): a forged message ends the run. "
        "Differential privacy itself does not detect tampering, against what the paper suggests.",
        f"{forged['noticed']} of {forged['tried']} trainings in which one message of every link was "
        f"forged, with a checksum that fits, ended with its name: {forged['said']}.",
    ]


def _application(quiet: Finished) -> list[str]:
    clear = {party: sum(view["clear"].values()) for party, view in quiet.summary["views"].items()}
    most = max(clear, key=lambda party: clear[party])
    others = ", ".join(f"{party} {count:,}" for party, count in clear.items() if party != most)
    return [
        "application",
        "Every field of a message says what it reveals, and the views sum it up: who may use what.",
        f"Of {len(clear)} parties {most} sees most in the clear, {clear[most]:,} numbers; "
        f"the others {others}.",
    ]


REQUIREMENTS = Item(
    "requirements",
    "The four protection requirements",
    (
        Source(
            "disturbed.toml",
            name="quiet",
            changed={"name": "quiet", "fault": []},
            steps=(Step(STEP, tampers, {"numbers": [3, 8, 13, 21, 34]}),),
        ),
        Source("disturbed.toml"),
    ),
    _present,
)
