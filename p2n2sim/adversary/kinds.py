"""Each kind of attack on a run: which material it takes, and why it may not be possible."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from p2n2sim.adversary.observed import observations, pixels
from p2n2sim.adversary.scene import Matrix, Scene, forward_labels, is_gradient
from p2n2sim.assemble import build_parts
from p2n2sim.attacks.labels import LabelMaterial, infer
from p2n2sim.attacks.membership import Shadows, attack_membership, train_shadows
from p2n2sim.attacks.properties import above_median, infer_property
from p2n2sim.attacks.recovery import Material, copies, leak, recover
from p2n2sim.attacks.result import Finding
from p2n2sim.baselines.plain import train_plain
from p2n2sim.errors import InputError
from p2n2sim.nn.network import PlainNetwork
from p2n2sim.parties.schedule import Schedule, Stage
from p2n2sim.scenario.protocol import under_engine
from p2n2sim.state import plain_optimiser

STAGES: tuple[Stage, ...] = ("train", "predict")
WHERE = {"train": "training rows", "predict": "test rows"}
QUERIES = "queries"
"""The adversary of membership inference, who is no party."""
USUAL_PROPERTY = "Amount"
OnAttack = Callable[[str], object]


@dataclass(frozen=True)
class Asked:
    """What was asked for.

    Attributes:
        leaked: share of the rows that the adversary knows.
        seed: of everything that is drawn.
        prop: the column whose size is inferred; None for `USUAL_PROPERTY` where there is one.
        shadows: how many shadow models are trained.
        data_dir: where to look for data files first.
    """

    leaked: float = 0.1
    seed: int = 0
    prop: str | None = None
    shadows: int = 8
    data_dir: Path | None = None


class NotPossibleError(InputError):
    """A run that does not allow a kind of attack."""


def _leak(
    scene: Scene, stage: Stage, asked: Asked, most: tuple[int, int] = (10_000, 10_000)
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Leaked and judged rows of a stage, among those that are no copies of others."""
    distinct = np.unique(copies(scene.X(stage).astype(np.float32)))
    leaked, scored = leak(len(distinct), asked.leaked, asked.seed, most=most)
    if not len(scored):
        raise InputError("--leaked", f"of {len(distinct)} {WHERE[stage]} none is left", "leak fewer")
    return distinct[leaked], distinct[scored]


def recovery(scene: Scene, party: str, asked: Asked, on_attack: OnAttack) -> Iterator[Finding]:
    """Input recovery from what a party was given of hidden layers, by stage, and from all epochs together.

    Raises:
        NotPossibleError: it was given nothing of them.
    """
    for material, target in recovery_targets(scene, party, asked):
        yield recover(material, seed=asked.seed, adversary=party, target=target, on_attack=on_attack)


def recovery_targets(
    scene: Scene, party: str, asked: Asked, stages: Sequence[Stage] = STAGES
) -> Iterator[tuple[Material, str]]:
    """What a party can try to recover: the material of the attacks, and the target in words.

    Args:
        scene: the run.
        party: the adversary.
        asked: how much is leaked.
        stages: whose rows are wanted.

    Raises:
        NotPossibleError: it was given nothing of hidden layers.
    """
    others = scene.others(party)
    for stage, what, observed, theta in _observations(scene, party, stages):
        X, image = scene.X(stage)[:, others], scene.setup.dataset.image
        if image is not None and len(others) == scene.setup.dataset.features:
            order = pixels(scene.setup.dataset.feature_names)
            X, theta = X[:, order], None if theta is None else theta[order]
        else:
            image = None
        leaked, scored = _leak(scene, stage, asked)
        own = scene.block(party)
        whose = "X" if own is None else "the other holders' columns"
        material = Material(
            observed,
            X,
            leaked,
            scored,
            y=scene.y(stage),
            own=None if own is None else scene.X(stage)[:, own],
            theta=theta,
            image=image,
        )
        yield material, f"{whose} of {WHERE[stage]} from {what}"


def _observations(
    scene: Scene, party: str, stages: Sequence[Stage] = STAGES
) -> list[tuple[Stage, str, Matrix, Matrix | None]]:
    """As `observations`, at least one."""
    found = list(observations(scene, party, stages))
    if not found:
        raise NotPossibleError(
            f"--adversary {party}",
            f"{party} was given nothing of a hidden layer that could be turned back into inputs",
            "name another party, or another --kind",
        )
    return found


def labels(scene: Scene, party: str, asked: Asked, on_attack: OnAttack) -> Iterator[Finding]:
    """Label inference on the training rows.

    Raises:
        NotPossibleError: the party owns the label, or has nothing that depends on it.
    """
    owner = scene.setup.scenario.data.label_owner
    if party == owner:
        raise NotPossibleError(f"--adversary {party}", f"{party} owns the label", "name another party")
    view, own = scene.views[party], scene.block(party)
    gradients = {
        label: seen.by_row()[1].astype(np.float64)
        for (stage, label), seen in view.seen.items()
        if stage == "train" and is_gradient(label)
    }
    features = {
        label: view.seen["train", label].by_row()[1].astype(np.float64)
        for label in forward_labels(view, "train")
    }
    if own is not None and not under_engine(scene.setup.scenario):  # else theta is under sharing, too
        features["X_i theta_i"] = scene.X("train")[:, own] @ scene.theta()[own]
    if not gradients and not features:
        raise NotPossibleError(
            f"--adversary {party}",
            f"{party} was told nothing that depends on the label",
            "name another party",
        )
    y = scene.y("train")
    leaked, scored = _leak(scene, "train", asked, (50_000, 200_000))
    yield infer(
        LabelMaterial(
            gradients, features, y, leaked, scored, None if own is None else scene.X("train")[:, own]
        ),
        seed=asked.seed,
        adversary=party,
        target=f"y of {WHERE['train']} from {', '.join([*gradients, *features])}",
        on_attack=on_attack,
    )


def properties(scene: Scene, party: str, asked: Asked, on_attack: OnAttack) -> Iterator[Finding]:
    """Property inference from what a party was given of hidden layers.

    Raises:
        NotPossibleError: it was given nothing of them, or no property is named and the data have no `Amount`.
        DataError: there is no such column.
    """
    name = asked.prop or USUAL_PROPERTY
    try:
        by_stage = dict(zip(STAGES, scene.property(name, asked.data_dir), strict=True))
    except InputError as error:
        if asked.prop is not None:
            raise
        remedy = "name a column of the data with --property"
        raise NotPossibleError("--property", f"the data have no {name!r}", remedy) from error
    features, own = scene.setup.dataset.feature_names, scene.block(party)
    if own is not None and name in features[own]:
        raise NotPossibleError("--property", f"{name!r} is a column of {party}'s own", "name another column")
    for stage, what, observed, _ in _observations(scene, party):
        leaked, scored = _leak(scene, stage, asked)
        yield infer_property(
            observed,
            above_median(by_stage[stage]),
            leaked,
            scored,
            seed=asked.seed,
            adversary=party,
            target=f"whether {name} of {WHERE[stage]} is above its median, from {what}",
            own=None if own is None else scene.X(stage)[:, own],
            on_attack=on_attack,
        )


def membership(scene: Scene, asked: Asked, on_attack: OnAttack) -> Finding:
    """Membership inference on the trained network, by who may query it; see `p2n2sim.attacks.membership`."""
    data = scene.setup.dataset
    X = np.concatenate([data.X_train, data.X_test])
    y = np.concatenate([data.y_train, data.y_test])
    member = np.arange(len(y)) < len(data.y_train)
    same = copies(X)

    def train(rows: NDArray[np.intp], number: int) -> Matrix:
        return _shadow(scene, X, y, rows, asked.seed + 1 + number)

    shadows = train_shadows(
        same,
        asked.shadows,
        train,
        asked.seed,
        on_model=lambda number: on_attack(f"shadow model {number + 1}"),
    )
    both = np.intersect1d(same[member], same[~member])  # equal rows on either side are neither
    judged = np.setdiff1d(np.unique(same), both)
    return attack_membership(
        scene.predict(X)[judged],
        Shadows(shadows.logits[:, judged], shadows.inside[:, judged]),
        y[judged],
        member[judged],
        adversary=QUERIES,
        description="who was trained on",
    )


def _shadow(
    scene: Scene, X: NDArray[np.float32], y: NDArray[np.float32], rows: NDArray[np.intp], seed: int
) -> Matrix:
    """Trains the scenario's plain network on some rows, from other weights; its logits of all rows."""
    scenario, layer = scene.setup.scenario, scene.setup.layer
    train = msgspec.structs.replace(scenario.train, seed=seed)
    network = PlainNetwork(build_parts(msgspec.structs.replace(scenario, train=train), scene.setup.dataset))
    schedule = Schedule(
        rows_train=len(rows),
        rows_test=len(y),
        batch_size=min(train.batch_size, len(rows)),
        epochs=train.epochs,
        predict_every=train.epochs,
        seed=seed,
        sampler=train.sampler,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        passes = train_plain(
            network,
            schedule,
            X[rows],
            y[rows],
            X,
            y,
            optimiser=plain_optimiser(train, network, dict(zip(layer.holders, layer.widths, strict=True))),
            reduction=train.loss_reduction,
        )
    return passes[-1].logits.astype(np.float64)
