"""The four protection requirements of the second paper's section 3.1: a mechanism and a number for each."""

from __future__ import annotations

import pandas as pd

from p2n2sim.dp.tampered import STEP, tampers
from p2n2sim.evaluation.item import Evidence, Item, Section, Source, Step, Table, Verdict

_RULE = (
    "shown if the disturbed run ends with the weights of the quiet one, and every forged message is noticed."
)


def _present(evidence: Evidence) -> Section:
    (quiet,), (hit,) = evidence["quiet"], evidence["disturbed"]
    privacy = quiet.summary["privacy"]
    spent, noise = float(privacy["spent"]["epsilon"]), privacy["mechanism"]["noise_multiplier"]
    same = quiet.summary["weights_sha256"] == hit.summary["weights_sha256"]
    views = quiet.summary["views"]
    clear = {party: sum(view["clear"].values()) for party, view in views.items()}
    most = max(clear, key=lambda party: clear[party])
    late = hit.summary["time"]["virtual_s"] / quiet.summary["time"]["virtual_s"]
    forged = quiet.found[STEP]
    rows = [
        [
            "privacy",
            "Clipping and noise in training, and the budget that is checked before it starts.",
            f"The accountant: the released model spends epsilon {spent:.3g} with noise {noise:g}; the "
            "attacks above are the empirical side.",
        ],
        [
            "availability",
            "Retries, checkpoints and restarts keep training going; calibrated noise keeps data useful.",
            f"On links that lose and damage messages it ends with the same weights: "
            f"{'yes' if same else 'no'}, in {late:.2f} times the virtual time; "
            f"AUC {hit.summary['metrics']['auc']:.3f} with noise and "
            f"{hit.summary['baseline']['auc']:.3f} without.",
        ],
        [
            "integrity",
            "HMAC-SHA-256 on every frame (network.authenticate): a forged message ends the run. "
            "Differential privacy itself does not detect tampering, against what the paper suggests.",
            f"{forged['noticed']} of {forged['tried']} trainings in which one message of every link was "
            f"forged, with a checksum that fits, ended with its name: {forged['said']}.",
        ],
        [
            "application",
            "Every field of a message says what it reveals, and the views sum it up: who may use what.",
            f"Of {len(views)} parties {most} sees most in the clear, {clear[most]:,} numbers; the others "
            f"{', '.join(f'{party} {count:,}' for party, count in clear.items() if party != most)}.",
        ],
    ]
    numbers = pd.DataFrame(
        [
            {
                "run": run.name,
                "weights_sha256": run.summary["weights_sha256"],
                "auc": run.summary["metrics"]["auc"],
                "virtual_s": run.summary["time"]["virtual_s"],
                "messages": run.summary["traffic"]["messages"],
            }
            for run in (quiet, hit)
        ]
    )
    caption = "The same training on quiet links and on links with faults."
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
                numbers,
                ["requirement", "served by", "measured"],
                rows,
                caption,
            )
        ],
    )


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
