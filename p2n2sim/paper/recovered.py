"""Input recovery on a finished run, by every attacker, as a step of an item."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from p2n2sim.adversary.attack import Attacked
from p2n2sim.adversary.kinds import STAGES, Asked, recovery_targets
from p2n2sim.adversary.scene import load_scene
from p2n2sim.adversary.write import to_tree
from p2n2sim.attacks.recovery import Material, recover
from p2n2sim.attacks.regress import LEARNERS, slower_mlp
from p2n2sim.attacks.result import Finding
from p2n2sim.evaluation.item import ATTACKS, PICTURES, Step
from p2n2sim.messages import SERVER
from p2n2sim.parties.schedule import Stage
from p2n2sim.run import one_float_thread

SLOWER = "the paper's MLP at rate 0.001"
LEAKED = 0.1
"""Share of the rows whose inputs the server has come to know."""
_LEVELS = 255


def recovering(
    *, leaked: float = LEAKED, stages: tuple[Stage, ...] = STAGES, pictures: int = 0, slower: bool = False
) -> Step:
    """The step.

    Args:
        leaked: share of the rows whose inputs the server has.
        stages: whose h1 is attacked: of the training rows in the last epoch, of the test rows afterwards.
        pictures: of how many classes one recovered image each is kept.
        slower: whether the paper's network attacks at a tenth of its rate, too.
    """
    options = {"leaked": leaked, "stages": list(stages), "pictures": pictures, "slower": slower}
    return Step(ATTACKS, attacks, options)


def attacks(folder: Path, data_dir: Path | None, options: Mapping[str, Any]) -> dict[str, Any]:
    """Attacks what the server saw in a run.

    Args:
        folder: the run's, with the server's recorded view.
        data_dir: where to look for data first.
        options: of `recovering`.

    Returns:
        What ``attacks.json`` says of a run; ``pictures`` for every stage: ``rows`` (their numbers),
        ``classes``, ``image`` (height and width), ``original`` and by attacker ``recovered``: for every row
        the pixels from 0 to 255.
    """
    asked = Asked(leaked=options["leaked"], data_dir=data_dir)
    findings: list[Finding] = []
    pictures: list[dict[str, Any]] = []
    learners = {**LEARNERS, **({SLOWER: slower_mlp} if options["slower"] else {})}
    with one_float_thread():
        scene = load_scene(folder, data_dir)
        for material, target in recovery_targets(scene, SERVER, asked, options["stages"]):
            shown = _Shown(material, options["pictures"])
            finding = recover(
                material,
                seed=asked.seed,
                adversary=SERVER,
                target=target,
                learners=learners,
                on_guess=shown.keep,
            )
            findings.append(finding)
            if material.image is not None and options["pictures"]:
                pictures.append({"target": target, **shown.tree()})
    data = scene.setup.dataset
    tree = to_tree(Attacked(findings, [], data.source, data.stand_in), folder, asked)
    return {**tree, PICTURES: pictures}


class _Shown:
    """One judged row of each of the first classes, and what every attacker made of it.

    Args:
        material: of the attack.
        classes: how many.
    """

    def __init__(self, material: Material, classes: int) -> None:
        self._material = material
        found = np.empty(0, np.int64) if material.y is None else material.y[material.scored]
        self._places = [int(np.argmax(found == label)) for label in np.unique(found)[:classes]]
        self._recovered: dict[str, list[list[int]]] = {}

    def keep(self, name: str, guess: NDArray[np.float64]) -> None:
        """Takes the guesses of an attacker, (m, k)."""
        self._recovered[name] = [_pixels(guess[place]) for place in self._places]

    def tree(self) -> dict[str, Any]:
        """As plain values."""
        material = self._material
        rows = material.scored[self._places]
        return {
            "rows": rows.tolist(),
            "classes": [] if material.y is None else material.y[rows].tolist(),
            "image": list(material.image or ()),
            "original": [_pixels(material.X[row]) for row in rows],
            "recovered": self._recovered,
        }


def _pixels(values: NDArray[np.float64]) -> list[int]:
    shades: list[int] = np.rint(np.clip(values, 0.0, 1.0) * _LEVELS).astype(np.int64).tolist()
    return shades
