"""What the report on differential privacy in financial data says of itself."""

from __future__ import annotations

from typing import Final

from p2n2sim.evaluation.item import Edition

DP: Final = Edition(
    command="p2n2sim dp",
    title="Differential privacy in four financial applications",
    preface=(
        "The pipeline of a paper on deep learning under differential privacy for financial big data "
        "(preprocessing, model choice, noise in training, tuning, applications in credit, loans, risk and "
        "anti-fraud) inside the distributed training of P2N2. It reports no numbers, so a verdict here says "
        "whether what it claims is shown by ours, by the rule stated with it.",
        "An epsilon belongs to an adversary. That of the released model is for somebody outside who gets "
        "the trained weights and saw nothing of the training; it says nothing of the server, which sees h1, "
        "or of the holders, which see its gradient: the table of adversaries does.",
        "A row is a record, not a person or a company: where one has several records, each is protected "
        "alone. Data sets differ in one row that is there or not; for an adversary's epsilon in the table of "
        "adversaries, in one that is replaced.",
        "Each figure and table has its numbers as CSV. Their column run names the folder in runs/ that a "
        "number comes from: summary.json is what the run said of itself, scenario.toml runs it again.",
    ),
)
