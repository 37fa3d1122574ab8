"""All attacks that a run allows, or those asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from p2n2sim.adversary import kinds
from p2n2sim.adversary.kinds import Asked, NotPossibleError
from p2n2sim.adversary.scene import Scene, load_scene
from p2n2sim.attacks.result import Finding
from p2n2sim.errors import InputError
from p2n2sim.run import one_float_thread
from p2n2sim.views import REMEDY

OF_PARTIES = MappingProxyType(
    {"recovery": kinds.recovery, "labels": kinds.labels, "properties": kinds.properties}
)
KINDS = (*OF_PARTIES, "membership")
"""Every kind of attack."""


@dataclass(frozen=True)
class Attacked:
    """What the attacks on a run came to.

    Attributes:
        findings: what was found.
        left_out: why kinds that were not asked for by name were left out, a sentence each.
        source: what the data are.
        stand_in: whether they stand in for a published set.
    """

    findings: list[Finding]
    left_out: list[str]
    source: str
    stand_in: bool


def attack(
    folder: Path,
    *,
    wanted: Sequence[str] = (),
    adversaries: Sequence[str] = (),
    asked: Asked | None = None,
    on_attack: Callable[[str], object] = lambda name: None,
) -> Attacked:
    """Attacks a finished run. A function of the run, the data and the arguments.

    Args:
        folder: the run.
        wanted: kinds of attack; all that are possible if none is named.
        adversaries: parties; all whose views were recorded if none is named.
        asked: the rest.
        on_attack: told of every attacker before it begins.

    Raises:
        InputError: what was asked for by name is not possible, or the folder or the data do not fit.
    """
    asked = asked or Asked()
    for kind in wanted:
        if kind not in KINDS:
            raise InputError(
                f"--kind {kind}", "there is no such kind of attack", f"known: {', '.join(KINDS)}"
            )
    with one_float_thread():
        scene = load_scene(folder, asked.data_dir)
        for party in adversaries:
            if party not in scene.views:
                known = ", ".join(scene.views)
                raise InputError(
                    f"--adversary {party}",
                    f"its view was not recorded; recorded are {known}",
                    REMEDY.replace("server", party),
                )
        findings, left_out = _all(scene, wanted, adversaries, asked, on_attack)
    data = scene.setup.dataset
    return Attacked(findings, left_out, data.source, data.stand_in)


def _all(
    scene: Scene,
    wanted: Sequence[str],
    adversaries: Sequence[str],
    asked: Asked,
    on_attack: Callable[[str], object],
) -> tuple[list[Finding], list[str]]:
    findings: list[Finding] = []
    left_out: list[str] = []
    for kind in wanted or KINDS:
        if kind == "membership":
            if not adversaries or wanted:
                findings.append(kinds.membership(scene, asked, lambda name: on_attack(f"membership: {name}")))
            continue
        impossible: list[NotPossibleError] = []
        for party in adversaries or scene.views:

            def tell(name: str, about: str = f"{kind} by {party}") -> None:
                on_attack(f"{about}: {name}")

            try:
                findings += OF_PARTIES[kind](scene, party, asked, tell)
            except NotPossibleError as error:
                impossible.append(error)
        if wanted and len(impossible) == len(adversaries or scene.views):
            raise impossible[0]
        left_out += [f"{kind}: {error.found}" for error in impossible]
    if not findings:
        raise InputError(str(scene.folder), f"no attack is possible ({'; '.join(left_out)})", REMEDY)
    return findings, list(dict.fromkeys(left_out))
