"""Items with attacks: verdicts follow from the numbers, and a tiny evaluation holds together."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from p2n2sim.attacks.recovery import PAIRS
from p2n2sim.attacks.regress import LEARNERS, ridge
from p2n2sim.evaluation.item import ATTACKS, PICTURES, Finished
from p2n2sim.paper import recovered
from p2n2sim.paper.attacked import averaged, outcome
from p2n2sim.paper.items import attack_weight, attack_width, figure7, figure8, frontier
from p2n2sim.paper.recovered import SLOWER
from tests.here import work_here
from tests.paper.conftest import evaluated

STATED = "reproduced only under stated conditions"
SHIPPED = Path(__file__).parents[2] / "scenarios" / "paper"


# -- Figure 7


def errors(**by_reading: tuple[float, float]) -> pd.DataFrame:
    """The errors of the paper's MLP and of ridge regression by reading; a class's mean leaves 0.05."""
    rows = [
        {"reading": reading, "part": "scores", "attack": name, "assumes": PAIRS, "mse": error}
        for reading, both in by_reading.items()
        for name, error in zip((SLOWER, "ridge regression"), both, strict=True)
    ]
    floor = {"part": "floors", "attack": "class mean", "assumes": "", "mse": 0.05}
    omniscient = {"part": "scores", "attack": "known theta", "assumes": "theta", "mse": 0.0}
    rows += [{"reading": reading, **one} for reading in by_reading for one in (floor, omniscient)]
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("none", "literal", "level"),
    [
        ((0.01, 0.001), (0.04, 0.04), "reproduced"),
        ((0.01, 0.001), (0.04, 0.002), STATED),
        ((0.04, 0.001), (0.06, 0.002), "not reproduced"),  # the MLP recovers nothing without it, either
        ((0.01, 0.001), (0.01, 0.04), "not reproduced"),  # another attacker becomes the strongest
    ],
)
def test_who_only_fools_the_papers_network_is_told(
    none: tuple[float, float], literal: tuple[float, float], level: str
) -> None:
    """The strongest attacker of those with leaked pairs decides; who knows theta is no such attacker."""
    assert figure7.verdict(errors(none=none, literal=literal)).level == level


# -- Figure 8


def changes(**by_reading: list[list[float]]) -> pd.DataFrame:
    """Changes of the AUC by reading, for every lambda a list of repeats."""
    rows = [
        {"counts": "figure8-defender", "reading": reading, "lambda": 10.0 ** (n - 5), "change": one}
        for reading, line in by_reading.items()
        for n, repeats in enumerate(line)
        for one in repeats
    ]
    return pd.DataFrame(rows).assign(weight=lambda frame: frame["lambda"])


RISES = [[0.001, 0.002], [0.002, 0.001], [-0.03, -0.02]]
ONE_RISES = [[0.001, -0.002], [0.0, 0.0], [-0.03, -0.02]]
FALLS_FIRST = [[-0.03, -0.02], [0.002, 0.001]]
STAYS = [[0.001, 0.002], [-0.001, -0.009]]


@pytest.mark.parametrize(
    ("literal", "other", "level"),
    [
        (RISES, STAYS, "reproduced"),
        (STAYS, RISES, STATED),
        (ONE_RISES, FALLS_FIRST, "not reproduced"),
        (STAYS, STAYS, "not reproduced"),
    ],
)
def test_rise_and_then_fall(literal: list[list[float]], other: list[list[float]], level: str) -> None:
    """A rise counts with every seed only, a fall by more than 0.01 only, and in this order."""
    assert figure8.verdict(changes(literal=literal, minmax=other)).level == level


# -- beyond the paper


def means(**columns: list[Any]) -> pd.DataFrame:
    """Rows as of `averaged`; a class's mean leaves 0.6."""
    return pd.DataFrame(columns).assign(class_mean=0.6)


@pytest.mark.parametrize(
    ("best", "papers", "test", "level"),
    [(0.4, 0.8, 0.97, "reproduced"), (0.1, 0.8, 0.97, STATED), (0.4, 0.8, 0.8, "not reproduced")],
)
def test_a_weight_must_hide_at_no_great_price(best: float, papers: float, test: float, level: str) -> None:
    """Hiding by giving up the accuracy does not count."""
    frame = means(
        data=["digits"] * 2,
        reading=["none", "minmax"],
        weight=[0.0, 1.0],
        best=[0.01, best],
        papers=[0.2, papers],
        test=[0.98, test],
    )
    assert attack_weight.verdict(frame).level == level


@pytest.mark.parametrize(
    ("best", "level"),
    [([0.01, 0.2], "reproduced"), ([0.5, 0.2], STATED), ([0.5, 0.4], "not reproduced")],
)
def test_a_width_gives_inputs_away(best: list[float], level: str) -> None:
    """All widths must, for the paper's sentence to hold in general."""
    frame = means(data=["digits", "fraud"], width=[1, 8], best=best)
    assert attack_width.verdict(frame).level == level


def test_the_frontier_has_no_dominated_points() -> None:
    """A point with less accuracy and no larger error is not on it; equal points both are."""
    frame = means(test=[0.9, 0.9, 0.8, 0.7, 0.95], best=[0.5, 0.5, 0.5, 0.6, 0.1])
    assert frontier.on_frontier(frame) == [True, True, False, True, True]


@pytest.mark.parametrize(
    ("defence", "level"),
    [
        (frontier.OF_PAPER["literal"], "reproduced"),
        (frontier.OF_PAPER["best-response"], STATED),
        ("NoPeek", "not reproduced"),
    ],
)
def test_the_papers_defender_must_be_on_the_frontier(defence: str, level: str) -> None:
    """And protect there: no defence at all is always on it."""
    frame = means(
        defence=[frontier.NONE, defence, frontier.OF_PAPER["literal"]],
        strength=[64.0, 1.0, 9.0],
        test=[0.98, 0.95, 0.9],
        best=[0.01, 0.5, 0.02],
        papers=[0.2, 0.9, 0.9],
    )
    assert frontier.verdict(frame.assign(frontier=frontier.on_frontier(frame))).level == level


# -- a tiny evaluation

TINY = {
    'source = "digits"': 'source = "digits"\nfraction = 0.2',
    'source = "mnist"': 'source = "digits"',
    "fraction = 0.1  ": "fraction = 0.2  ",
    "hidden = [512, 128]": "hidden = [16, 8]",
    "layers = [128, 512]": "layers = [8]",
    "epochs = 30": "epochs = 1",
    "predict_every = 30": "",
    "batch_size = 250": "batch_size = 50",
    '"train.seed" = [1, 2]': '"train.seed" = [1]',
    "[[1, 32], [2, 32], [4, 32], [8, 32], [16, 32], [32, 32], [64, 32]]": "[[2, 8], [64, 8]]",
    "[1.0, 10.0, 100.0, 1000.0]": "[10.0]",
    "[0.3, 3.0, 30.0, 300.0]": "[3.0]",
    "[0.1, 0.3, 1.0, 3.0, 10.0]": "[1.0]",
    "[1e-6, 1e-4, 1e-2, 1.0]": "[1e-4]",
}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of Figure 7 and the frontier on few digits."""
    home = tmp_path_factory.mktemp("attacked")
    (home / "scenarios").mkdir()
    for path in [*SHIPPED.glob("figure7*"), *SHIPPED.glob("digits-*")]:
        text = path.read_text()
        for old, new in TINY.items():
            text = text.replace(old, new)
        (home / "scenarios" / path.name).write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        work_here(patch)
        quick = dict.fromkeys(LEARNERS, ridge)  # networks take most of the time, and are tested elsewhere
        patch.setattr(recovered, "LEARNERS", quick)
        patch.setattr(recovered, "slower_mlp", ridge)
        return evaluated(home, "out", "figure7,frontier")


def test_pictures_and_attacks_are_kept(report: Path) -> None:
    """Every picture of Figure 7 has its pixels and a run that says what every attacker came to."""
    table = pd.read_csv(report / "figures" / "figure7.csv")
    assert set(table["reading"]) == {"none", "literal", "minmax", "best-response"}
    assert len(table) == 4 * 6 * table["digit"].nunique()
    originals = table[table["attack"] == "original"]
    assert (originals["mse"] == 0).all()
    assert originals.groupby("row")["pixels_0_to_255"].nunique().eq(1).all()
    for name in set(table["run"]):
        kept = json.loads((report / "runs" / name / "attacks.json").read_text())
        assert PICTURES not in kept
        assert SLOWER in [score["attack"] for score in kept["findings"][0]["scores"]]


def test_the_strongest_attack_is_that_of_the_kept_findings(report: Path) -> None:
    """The frontier's CSV has the smallest share of the means' error that any attacker with pairs leaves."""
    table = pd.read_csv(report / "figures" / "frontier-table.csv")
    assert set(table["defence"]) == set(frontier.LOOKS)
    for row in table.to_dict("records"):
        kept = json.loads((report / "runs" / row["run"] / "attacks.json").read_text())
        shares = []
        for finding in kept["findings"]:
            (mean,) = [one["metrics"]["mse"] for one in finding["floors"] if one["attack"] == "mean"]
            shares += [one["metrics"]["mse"] / mean for one in finding["scores"] if one["assumes"] == PAIRS]
        assert row["best"] == pytest.approx(min(shares))


def test_repeats_are_averaged() -> None:
    """Mean and standard deviation by key, in the order of appearance; one repeat has no spread."""
    columns = ("test", "best", "papers", "class_mean", "bound")
    rows = [
        {"k": k, "run": k, "best_attack": "ridge", **dict.fromkeys(columns, v)}
        for k, v in (("b", 1.0), ("b", 3.0), ("a", 5.0))
    ]
    found = averaged(pd.DataFrame(rows), ["k"])
    assert found["k"].tolist() == ["b", "a"]
    assert found["run"].tolist() == ["b b", "a"]
    assert found["best"].tolist() == [2.0, 5.0]
    assert found["best_sd"].tolist() == pytest.approx([2**0.5, 0.0])


def test_an_outcome_tells_the_measure_and_the_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Distances on training and test rows compare as shares of what the means of the same rows leave."""

    def finding(rows: str, error: float, mean: float) -> dict[str, Any]:
        def one(name: str, mse: float, assumes: str = PAIRS) -> dict[str, Any]:
            return {"attack": name, "assumes": assumes, "metrics": {"mse": mse}}

        return {
            "target": f"X of {rows} from h1",
            "scores": [one("the paper's MLP", 2 * error), one("ridge regression", error)],
            "floors": [one("mean", mean, ""), one("class mean", mean / 2, "")],
            "bounds": [one("best linear estimate", error / 2, "")],
        }

    findings = [finding("training rows", 0.2, 1.0), finding("test rows", 0.3, 3.0)]

    summary = {"seed": 4, "metrics": {"accuracy": 0.9, "auc": 0.99}}
    monkeypatch.setattr(Finished, "summary", summary)
    row = outcome(Finished("x", tmp_path, {}, {ATTACKS: {"findings": findings}}), {"a": 1})
    assert (row["seed"], row["a"], row["measure"], row["test"]) == (4, 1, "accuracy", 0.9)
    assert (row["best_attack"], row["best_rows"], row["best_mse"]) == ("ridge regression", "test rows", 0.3)
    shares = [row[name] for name in ("best", "papers", "class_mean", "bound")]
    assert shares == pytest.approx([0.1, 0.2, 0.5, 0.05])
