"""The numbers in docs/defender.md are those of the formulas and of the ledger."""

from __future__ import annotations

import re
from pathlib import Path

from p2n2sim.parties.defence import payload_by_link
from p2n2sim.parties.first_layer import traffic
from p2n2sim.parties.layer import FirstLayer
from tests.laws import listen
from tests.small import small_setup

TEXT = (Path(__file__).parents[2] / "docs" / "defender.md").read_text("utf-8")
FRAUD = FirstLayer(holders=("A", "B"), widths=(14, 14), units=8, fractional_bits=20)


def row(name: str) -> list[str]:
    """The cells of a row of the table of prices."""
    (line,) = re.findall(rf"^\| {name}.*\|$", TEXT, re.MULTILINE)
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


def test_the_fraud_column() -> None:
    """The bytes of the fraud data are the closed forms'."""
    more = sum(payload_by_link(FRAUD, 5000).values())
    for name in ("decoder at the holder", "NoPeek"):
        assert row(name)[1] == f"{more:,}"
    m, r, h = 5000, 8, 2
    assert row("trunk at the server")[1] == f"{8 * m * r * h:,} with r = 8"
    whole = sum(traffic.payload_by_link(FRAUD, "A", 5000, 8).values())
    assert f"{whole:,} bytes with the dealer's" in TEXT


def test_each_row_by_the_ledger() -> None:
    """Bytes, rounds and what is learned in a second batch are what the table says of what is built."""
    names = {"decoder at the holder": "defender.weight", "NoPeek": "defence.nopeek", "noise": "defence.noise"}
    plain, _ = listen(small_setup(holders=3))
    (_, second), (_, third) = plain.began[1:3]
    before = plain.ledger.views(plain.parties)
    for name, key in names.items():
        setup = small_setup(holders=3, overrides={key: 0.1})
        outcome, _ = listen(setup)
        payloads = [
            ledger.frame().query("step == 1").payload_bytes.sum() for ledger in (outcome.ledger, plain.ledger)
        ]
        formula, _, rounds, server, holder = row(name)
        m, n, h = 6, setup.layer.units, 3
        values = {"4 m n h^2": 4 * m * n * h**2, "0": 0}
        assert payloads[0] - payloads[1] == values[formula]
        (_, began), (_, ended) = outcome.began[1:3]
        assert (ended - began) - (third - second) == int(rounds)
        views = outcome.ledger.views(outcome.parties)
        assert views["server"] == before["server"]  # the same numbers; with noise less exact ones
        assert server in ("nothing", "h1 less exactly")
        more = set(views["B"].clear) - set(before["B"].clear)
        assert more == (set() if holder == "nothing" else {"h1", "dD_j/dh1"})
