"""Who is promised what: an epsilon for every adversary, what collusion costs, what sampling amplifies."""

from __future__ import annotations

import pandas as pd

from p2n2sim.evaluation.item import Evidence, Item, Section, Source, Table, Verdict

_RULE = (
    "shown if with exact h1 the server's epsilon is said to be infinite, while with noise on h1 it is a "
    "number, and Poisson sampling spends less than shuffled batches of the same noise."
)
_KINDS = {"gradients": "noise on gradients", "both": "noise on gradients and on h1"}


def _number(told: float | str) -> float:
    return float(told)


def _present(evidence: Evidence) -> Section:
    claims = pd.DataFrame(
        [
            {"noise": title, "run": run.name, **claim, "epsilon": _number(claim["epsilon"])}
            for key, title in _KINDS.items()
            for run in evidence[key]
            for claim in run.summary["privacy"]["per_adversary"]
        ]
    )
    samplers = pd.DataFrame(
        [
            {
                "run": run.name,
                "sampler": run.summary["privacy"]["sampler"]["name"],
                "noise_multiplier": run.summary["privacy"]["mechanism"]["noise_multiplier"],
                "secret": _number(run.summary["privacy"]["sampler"]["epsilon_batches_secret"]),
                "known": _number(run.summary["privacy"]["sampler"]["epsilon_batches_known"]),
                "auc": run.summary["metrics"]["auc"],
            }
            for run in evidence["samplers"]
        ]
    )
    pooled = pd.DataFrame(
        [
            {"run": run.name, **line}
            for run in evidence["both"]
            for line in run.summary["privacy"].get("collusion_with_the_server", [])
        ]
    )
    tables = [_adversaries(claims), _tellers(evidence), _samplers(samplers)]
    if len(pooled):
        tables.insert(1, _collusion(pooled))
    return Section(
        _verdict(claims, samplers),
        '"the models still have privacy leakage risks, such as inference attacks on training data".',
        tables=tables,
    )


def _verdict(claims: pd.DataFrame, samplers: pd.DataFrame) -> Verdict:
    server = claims[(claims["adversary"] == "server") & claims["about"].str.startswith("all features")]
    exact, noisy = (server[server["noise"] == title]["epsilon"].iloc[0] for title in _KINDS.values())
    spent = samplers.set_index("sampler")["secret"]
    shown = exact == float("inf") and noisy < float("inf") and spent["poisson"] < spent["shuffled"]
    reason = (
        f"Against the server all features of a training row have epsilon {exact:g} by DP-SGD alone and "
        f"{noisy:.3g} with noise on h1; the same noise spends {spent['poisson']:.3g} with Poisson sampling "
        f"and {spent['shuffled']:.3g} with shuffled batches."
    )
    return Verdict("shown" if shown else "not shown", reason, _RULE)


def _adversaries(claims: pd.DataFrame) -> Table:
    rows = []
    for key, group in claims.groupby(["adversary", "about"], sort=False):
        own = group.set_index("noise")
        cells = [
            f"{float(own['epsilon'][title]):.3g}" if title in own.index else "–" for title in _KINDS.values()
        ]
        rows.append([*map(str, key), *cells, str(group["reason"].iloc[-1])])
    head = ["adversary", "about", *_KINDS.values(), "why (of the last)"]
    caption = (
        "A row is replaced. Infinite: nothing is promised. The outsider gets the weights and nothing else."
    )
    return Table("adversaries", "An epsilon for every adversary", claims, head, rows, caption)


def _collusion(pooled: pd.DataFrame) -> Table:
    shown = [column for column in pooled.columns if column != "run"]
    rows = [
        [f"{value:.3g}" if isinstance(value, float) else str(value) for value in line]
        for line in pooled[shown].itertuples(index=False)
    ]
    caption = "The server pools its view with holders, who know the shares of the noise that they drew."
    return Table("collusion", "What collusion costs", pooled, shown, rows, caption)


def _tellers(evidence: Evidence) -> Table:
    """What the model costs if parties tell who has it the noise on gradients that they know."""
    frame = pd.DataFrame(
        [
            {
                "run": run.name,
                "noise_by": run.summary["privacy"]["mechanism"]["noise_by"],
                "noise_multiplier": run.summary["privacy"]["mechanism"]["noise_multiplier"],
                "told_by": line["told_by"],
                "epsilon": _number(line["epsilon"]),
                "auc": run.summary["metrics"]["auc"],
            }
            for run in evidence["shares"]
            for line in run.summary["privacy"]["told_the_noise_on_gradients"]
        ]
    )
    tellers = list(dict.fromkeys(frame["told_by"]))
    rows = []
    for key, group in frame.groupby("noise_by", sort=False):
        costs = group.set_index("told_by")["epsilon"]
        first = group.iloc[0]
        own = [f"{costs[who]:.3g}" for who in tellers]
        rows.append([str(key), f"{first['noise_multiplier']:.3g}", *own, f"{first['auc']:.3f}"])
    caption = (
        "Epsilon of the released model if some of those who draw noise tell who has the model what they "
        "drew, and nothing else; the same budget for all three. Shares: theta stays under secret sharing and "
        "each holder adds its part of Skellam noise to its share. The owners of the other weights step them "
        "in the clear, and so know all of the noise on them."
    )
    head = ["noise by", "noise multiplier", *(f"told by {who}" for who in tellers), "AUC"]
    return Table("tellers", "Who knows the noise on gradients", frame, head, rows, caption)


def _samplers(samplers: pd.DataFrame) -> Table:
    rows = [
        [str(r.sampler), f"{r.noise_multiplier:.3g}", f"{r.secret:.3g}", f"{r.known:.3g}", f"{r.auc:.3f}"]
        for r in samplers.itertuples(index=False)
    ]
    head = ["sampler", "noise multiplier", "epsilon, batches secret", "epsilon, batches known", "AUC"]
    caption = (
        "The same noise and epochs. Amplification is claimed only where every row had a coin of its own, and "
        "only against who does not know the batches; all parties do."
    )
    return Table("samplers", "Poisson sampling beside no amplification", samplers, head, rows, caption)


GUARANTEES = Item(
    "guarantees",
    "Who is promised what",
    (
        Source(
            "guarantees.toml", name="gradients", changed={"name": "guarantees-gradients", "privacy.h1": {}}
        ),
        Source("guarantees.toml", name="both"),
        Source("samplers.toml"),
        Source("shares.toml"),
    ),
    _present,
)
