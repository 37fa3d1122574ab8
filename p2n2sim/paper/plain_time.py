"""How long the plain network trains, from its operation counts: the same machine, the same way of counting.

P2N2's parties charge 2 floating-point operations for every weight and row of a product, three products for
every layer that passes a gradient on, two for the first one, and 4 for every weight of it that is stepped.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from p2n2sim.net.cpu import Cost
from p2n2sim.scenario.machines import machine
from p2n2sim.scenario.sections import Scenario


def epoch_cost(features: int, hidden: Sequence[int], rows: int, batches: int) -> Cost:
    """The operations of a pass over the training rows.

    Args:
        features: columns of X.
        hidden: widths of the hidden layers; one logit follows.
        rows: training rows.
        batches: in which they come.
    """
    first = features * hidden[0]
    others = hidden[0] + sum(k * n + n for k, n in pairwise([*hidden, 1]))  # biases too, also the first one's
    return Cost(flops=4 * rows * first + 6 * rows * others + 4 * batches * first)


def epoch_seconds(scenario: Scenario, features: int, rows: int) -> float:
    """Virtual seconds of a pass over the training rows on the machine of a data holder.

    Args:
        scenario: of the run that it is compared with.
        features: columns of X.
        rows: training rows.
    """
    batches = -(-rows // scenario.train.batch_size)
    cost = epoch_cost(features, scenario.model.hidden, rows, batches)
    return machine(scenario.compute, "holder").seconds(cost)
