"""The tables and the summary of a run, from what the simulation left behind."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit, softmax
from sklearn.metrics import roc_auc_score

from p2n2sim.assemble import Setup
from p2n2sim.budgeting import told, training_statement
from p2n2sim.guarantees import protected, statement
from p2n2sim.messages import Floats
from p2n2sim.net.ledger import Ledger
from p2n2sim.parties.first_layer.homomorphic import SCHEMES
from p2n2sim.parties.passes import Pass
from p2n2sim.preparing import for_training
from p2n2sim.privacy.adversaries import OUTSIDER
from p2n2sim.reliability import BINS, brier, calibration_error
from p2n2sim.scenario.protocol import SHARED, WHOLE, protocol_name, under_engine
from p2n2sim.scenario.sections import Scenario
from p2n2sim.simulate import Outcome


def metrics_frame(protocol: Sequence[Pass], plain: Sequence[Pass], y_test: Floats) -> pd.DataFrame:
    """A row for every epoch.

    Columns: epoch, loss_train, loss_test, auc, with more than two classes accuracy, and the same of the plain
    network with the prefix ``plain_``. Losses are means over rows; the test columns are missing in epochs
    without a prediction.
    """
    own = pd.DataFrame(_by_epoch(protocol, y_test)).set_index("epoch")
    other = pd.DataFrame(_by_epoch(plain, y_test)).set_index("epoch").add_prefix("plain_")
    return own.join(other).reset_index()


def _by_epoch(passes: Sequence[Pass], y_test: Floats) -> list[dict[str, float]]:
    rows: dict[int, dict[str, float]] = {}
    for done in passes:
        row = rows.setdefault(
            done.epoch, {"epoch": done.epoch, "loss_train": np.nan, "loss_test": np.nan, "auc": np.nan}
        )
        if done.stage == "train":
            row["loss_train"] = done.loss
        else:
            row["loss_test"] = done.loss
            row["auc"] = auc(y_test, done.logits)
            if done.logits.ndim == 2:
                row["accuracy"] = accuracy(y_test, done.logits)
    return list(rows.values())


def auc(y: Floats, logits: Floats) -> float:
    """Area under the ROC curve of the predicted probabilities (Eq. 2); NaN when a logit is no number.

    With more than two classes it is the mean over those that occur of each against the rest.

    Args:
        y: (m,), 0.0 to c - 1.
        logits: (m,), or (m, c) for c classes.
    """
    if np.isnan(logits).any():
        return math.nan
    if logits.ndim == 1:
        return float(roc_auc_score(y, expit(logits.astype(np.float64))))
    p = softmax(logits.astype(np.float64), axis=1)
    return float(np.mean([roc_auc_score(y == c, p[:, int(c)]) for c in np.unique(y)]))


def accuracy(y: Floats, logits: Floats) -> float:
    """Share of the rows whose largest logit is that of their class; NaN when a logit is no number.

    Args:
        y: (m,), 0.0 to c - 1.
        logits: (m, c).
    """
    return math.nan if np.isnan(logits).any() else float(np.mean(logits.argmax(axis=1) == y))


def quality(y: Floats, logits: Floats) -> str:
    """AUC, and accuracy with more than two classes, as text; arguments as of `auc`."""
    told = f"AUC {in_digits(auc(y, logits), 4)}"
    return f"{told}, accuracy {in_digits(accuracy(y, logits), 4)}" if logits.ndim == 2 else told


def measures(summary: Mapping[str, Any]) -> dict[str, str]:
    """Which measures of quality a run's summary has, by name, with what people call them."""
    called = {"auc": "AUC", "accuracy": "accuracy"}
    return {name: title for name, title in called.items() if name in summary["metrics"]}


def in_digits(value: float | None, digits: int) -> str:
    """A number of a summary as text, ``–`` where it is unknown.

    Args:
        value: NaN in a run that has just ended and None in one read from its folder where nobody knows it.
        digits: after the point.
    """
    return "–" if value is None or math.isnan(value) else f"{value:.{digits}f}"


def training_loss(summary: Mapping[str, Any], digits: int) -> str:
    """The last epoch's training loss as text; with the whole network under sharing nobody opens it."""
    if summary["protocol"] == WHOLE:
        return "not opened"
    return in_digits(summary["metrics"]["loss_train"], digits)


def batches_frame(outcome: Outcome) -> pd.DataFrame:
    """A row for every batch that began: step, epoch, stage, rows, began_s, and the mean loss where known."""
    losses = np.concatenate([np.empty(0), *(done.losses for done in outcome.passes)])
    frame = pd.DataFrame(
        [(b.step, b.epoch, b.stage, len(b.rows), began) for b, began in outcome.began],
        columns=["step", "epoch", "stage", "rows", "began_s"],
    )
    frame["loss"] = pd.Series(losses).reindex(frame.index)
    return frame


def modelled(scenario: Scenario) -> list[str]:
    """What was a model in a run of this scenario, a sentence each; empty when everything was real."""
    protocol, out = scenario.protocol, []
    if protocol.first_layer_in_use in SCHEMES and protocol.crypto == "modelled":
        out.append(
            f"{protocol.first_layer_in_use} ciphertexts: sizes and costs are exact, "
            "the values travelled in the clear"
        )
    offline = {"ot": "oblivious transfer", "he": "homomorphic encryption"}.get(protocol.triples)
    if offline and protocol.first_layer_in_use in SHARED and not under_engine(scenario):
        out.append(
            f"triples by {offline}: bytes, rounds and operation counts are exact, "
            "the protocol itself was not run"
        )
    return out


def retimed_sentence(summary: Mapping[str, Any]) -> str:
    """How a re-timed run came about; nothing for one that was run."""
    if "retimed" not in summary:
        return ""
    return (
        f"the events of a run on {summary['retimed']['network']}, replayed on these links; nothing was "
        "computed again, measured times are those of the run"
    )


def summarise(setup: Setup, outcome: Outcome, metrics: pd.DataFrame) -> dict[str, Any]:
    """What `summary.json` says, except the hashes of the weights and the wall time."""
    scenario, dataset = setup.scenario, setup.dataset
    last = metrics.iloc[-1]
    kept = [name for name in ("auc", "accuracy", "loss_train", "loss_test") if name in metrics]
    return {
        "scenario": scenario.name,
        "title": scenario.title,
        "seed": scenario.train.seed,
        **({} if scenario.schedule_seed is None else {"schedule_seed": scenario.schedule_seed}),
        "protocol": protocol_name(scenario),
        "secret_layers": scenario.protocol.layers_under_sharing,
        "modelled": modelled(scenario),
        "shadow": outcome.shadow.sentences() if outcome.shadow else [],
        "data": {
            "name": dataset.name,
            "source": dataset.source,
            "stand_in": dataset.stand_in,
            "rows_train": len(dataset.y_train),
            "rows_test": len(dataset.y_test),
            "features": dataset.features,
            **({} if dataset.classes == 2 else {"classes": dataset.classes}),
            "holders": scenario.data.holders,
            "widths": [block.stop - block.start for block in setup.blocks],
            "fingerprint": scenario.data.fingerprint,
        },
        "preprocessing": setup.prepared.statement(),
        "metrics": {name: float(last[name]) for name in kept},
        **_calibration(setup, outcome),
        "baseline": {name: float(last[f"plain_{name}"]) for name in kept},
        **({"privacy": _privacy(setup)} if protected(scenario) else {}),
        **({"defender": outcome.defender} if outcome.defender else {}),
        **times_and_traffic(outcome.ledger, batches_frame(outcome), outcome.virtual_s),
        "views": {party: view._asdict() for party, view in outcome.ledger.views(outcome.parties).items()},
    }


def _calibration(setup: Setup, outcome: Outcome) -> dict[str, Any]:
    """How well the last predictions hold as probabilities, of two classes."""
    last = [done.logits for done in outcome.passes if done.stage == "predict"]
    if not last or last[-1].ndim == 2 or np.isnan(last[-1]).any():
        return {}
    y = setup.dataset.y_test
    return {"calibration": {"brier": brier(y, last[-1]), "ece": calibration_error(y, last[-1]), "bins": BINS}}


def _privacy(setup: Setup) -> dict[str, Any]:
    """What training spends, and what every adversary is left with."""
    prepared, whole = setup.prepared, setup.scenario.privacy
    setup = dataclasses.replace(setup, scenario=for_training(setup.scenario))
    said = privacy_statement(setup)
    if prepared.private:  # instead of exact means and deviations
        said["assumes"] = [text for text in said.get("assumes", []) if "means and deviations" not in text]
    if prepared.on:  # every row's scaled features, and so every message, depend on what was released there
        lists = ("per_adversary", "collusion_with_the_server", "told_the_noise_on_gradients")
        spent = [said["spent"]] if "spent" in said else []
        for claim in chain(spent, *(said.get(name, []) for name in lists)):
            if claim["epsilon"] not in ("inf", 0.0):
                claim["epsilon"] = told(claim["epsilon"] + prepared.epsilon)
                if "delta" in claim:
                    claim["delta"] = (claim["delta"] or 0.0) + prepared.delta
    if said.get("budget"):
        said["budget"] |= {"epsilon": told(whole.epsilon or math.inf), "delta": whole.delta}
    return said


def privacy_statement(setup: Setup) -> dict[str, Any]:
    """What a summary says of the budget, and of everybody it was spent on."""
    everybody = statement(setup)
    if setup.scenario.privacy.gradients.clip is None:
        return everybody
    said = training_statement(setup.scenario, setup.schedule, setup.layer.features)
    model = {
        "adversary": OUTSIDER,
        "about": "a training row",
        **said["spent"],
        "reason": "DP-SGD; the batches are not known outside",
    }
    return said | everybody | {"per_adversary": [model, *everybody["per_adversary"]]}


def privacy_sentence(summary: Mapping[str, Any]) -> str:
    """The privacy of a run in one line; nothing where none was asked for."""
    if "sampler" not in summary.get("privacy", {}):
        return ""
    said = summary["privacy"]
    sampler, mechanism, budget = said["sampler"], said["mechanism"], said["budget"]
    spent = f"epsilon {_number(said['spent']['epsilon'])}"
    spent += "" if budget is None else f" of {_number(budget['epsilon'])}"
    spent += "" if said["spent"]["delta"] is None else f" at delta {said['spent']['delta']:g}"
    exposed = any(claim["epsilon"] == "inf" for claim in said["per_adversary"])
    known = _number(sampler["epsilon_batches_known"])
    return (
        f"the released model spends {spent} ({sampler['name']} sampling, {sampler['steps']} steps, noise "
        f"{mechanism['noise_multiplier']:.4g}; {known} if batches are known)"
        + ("; against some parties it is infinite" if exposed else "")
    )


def _number(told: float | str) -> str:
    return "infinite" if told == "inf" else f"{told:.4g}"


def times_and_traffic(recorded: Ledger, batches: pd.DataFrame, virtual_s: float) -> dict[str, Any]:
    """The parts of a summary that follow from the messages and from when each batch began.

    Args:
        recorded: all messages.
        batches: as `batches_frame` makes them.
        virtual_s: the clock at the end.
    """
    ledger = recorded.frame().merge(batches[["step", "stage"]], on="step", how="left")
    ledger["stage"] = ledger["stage"].fillna("setup")
    return {
        "time": {"virtual_s": virtual_s} | _stage_seconds(batches, virtual_s),
        "traffic": {
            **_totals(ledger),
            "rounds": recorded.rounds,
            "by_phase": {phase: _totals(ledger[ledger["phase"] == phase]) for phase in ("offline", "online")},
            "by_stage": _grouped(ledger, "stage"),
            "by_link": _grouped(ledger.assign(link=ledger["sender"] + "->" + ledger["receiver"]), "link"),
            "one_batch": _one_batch(ledger, batches),
        },
        "ledger_sha256": recorded.sha256(),
    }


def _stage_seconds(batches: pd.DataFrame, end: float) -> dict[str, float]:
    """Virtual seconds before the first batch, and of training and prediction: from one batch to the next."""
    lengths = np.diff(batches["began_s"], append=end)
    by_stage = pd.Series(lengths).groupby(batches["stage"]).sum()
    setup = {"setup_s": float(batches["began_s"].iloc[0])}
    return setup | {f"{stage}_s": float(by_stage.get(stage, 0.0)) for stage in ("train", "predict")}


def _totals(ledger: pd.DataFrame) -> dict[str, int]:
    return {
        "messages": len(ledger),
        "payload_bytes": int(ledger["payload_bytes"].sum()),
        "wire_bytes": int(ledger["wire_bytes"].sum()),
    }


def _grouped(ledger: pd.DataFrame, column: str) -> dict[str, dict[str, int]]:
    """Totals by the values of a column, in the order in which they occur first."""
    return {str(value): _totals(group) for value, group in ledger.groupby(column, sort=False)}


def _one_batch(ledger: pd.DataFrame, batches: pd.DataFrame) -> dict[str, float | int]:
    """The second training batch, or the only one: rows, bytes, rounds, virtual seconds.

    The second, because the dealer's first triples come late for the first.
    """
    position = int(np.flatnonzero(batches["stage"] == "train")[:2][-1])
    batch = batches.iloc[position]
    mine = ledger[ledger["step"] == batch["step"]]
    earlier = ledger[ledger["step"] < batch["step"]]
    online, offline = (mine[mine["phase"] == phase] for phase in ("online", "offline"))
    before = earlier[earlier["phase"] == "online"]["round"].max() if position else 0
    arrived = ledger["arrived_s"]
    last = arrived[arrived < np.inf].max()  # a message that nobody waits for may still be on its way
    ends = batches["began_s"].iloc[position + 1] if position + 1 < len(batches) else last
    return {
        "step": int(batch["step"]),
        "rows": int(batch["rows"]),
        **_totals(mine),
        "online_payload_bytes": int(online["payload_bytes"].sum()),
        "offline_payload_bytes": int(offline["payload_bytes"].sum()),
        "rounds": int(online["round"].max() - before),
        "seconds": float(ends - batch["began_s"]),
    }
