"""What the report on the P2N2 paper says of itself."""

from __future__ import annotations

from typing import Final

from p2n2sim.evaluation.item import Edition

PAPER: Final = Edition(
    command="p2n2sim paper",
    title="The P2N2 paper's evaluation",
    preface=(
        "Every table and figure of Zheng et al., Industrial Scale Privacy Preserving Deep Neural Network "
        "(P2N2), made again by one command, p2n2sim paper, with the paper's numbers beside ours. A verdict "
        "follows from the numbers by the rule that is stated with it.",
        "Times are virtual time of the simulated protocol unless they are called processor time: bytes over "
        "the link's rate, its latency, and local work charged from operation counts over the machine profile "
        "reference (one core of a cloud server with AVX-512, measured once and rounded: 4e9 ring "
        "multiply-adds, 5.5e9 floating-point operations, 5e9 random bytes and 3e10 moved bytes a second, 15 "
        "µs a message). They do not depend on the computer. Processor times do, and nothing else here but "
        "the times that summary.json calls wall or processor time.",
        "Each figure has its numbers as CSV. Their column run names the folder in runs/ that a number comes "
        "from: summary.json is what the run said of itself, scenario.toml runs it again.",
    ),
)
