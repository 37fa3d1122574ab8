"""What Skellam noise costs: Renyi divergence, exact in one dimension and bounded in many.

Bound: Agarwal, Kairouz & Liu 2021, "The Skellam mechanism for differentially private federated learning".
Amplification by Poisson sampling: Zhu & Wang 2019, "Poisson subsampled Renyi differential privacy", theorem
5, which holds for every mechanism. Conversion to (epsilon, delta): Canonne, Kamath & Steinke 2020, as
`dp-accounting` does it.
"""

from __future__ import annotations

import math

import numpy as np
from dp_accounting.rdp.rdp_privacy_accountant import compute_epsilon
from scipy.special import gammaln, ive, logsumexp

ORDERS = tuple(range(2, 257))
"""Renyi orders that are tried: whole numbers, for which both theorems are stated."""


def skellam_rdp(order: float, *, mu: float, l2: float, l1: float) -> float:
    """Bound on the Renyi divergence of order alpha between two sums of integer vectors with Skellam noise.

    Args:
        order: alpha, above 1.
        mu: variance of the noise on each number.
        l2: L2 sensitivity.
        l1: L1 sensitivity.
    """
    gaussian = order * l2 * l2 / (2 * mu)
    return gaussian + min(((2 * order - 1) * l2 * l2 + 6 * l1) / (4 * mu * mu), 3 * l1 / (2 * mu))


def skellam_rdp_exact(order: float, *, mu: float, shift: int) -> float:
    """The Renyi divergence itself between Skellam noise and the same noise moved by a whole number."""
    reach = math.ceil(40 * math.sqrt(mu) + abs(shift) * (order + 1) + 40)
    x = np.arange(-reach, reach + 1)
    log_p = np.log(np.maximum(ive(np.abs(x), mu), 1e-300))
    log_q = np.log(np.maximum(ive(np.abs(x - shift), mu), 1e-300))
    return float(logsumexp(order * log_p + (1 - order) * log_q)) / (order - 1)


def poisson_sampled_rdp(order: int, rate: float, divergences: dict[int, float]) -> float:
    """Zhu & Wang 2019, theorem 5: an upper bound for any mechanism, for whole orders.

    Args:
        order: alpha, at least 2.
        rate: probability of each row, in (0, 1].
        divergences: of the mechanism itself, for all orders from 2 to alpha.
    """
    if rate == 1:
        return divergences[order]
    log_q, log_rest = math.log(rate), math.log1p(-rate)
    terms = [(order - 1) * log_rest + math.log1p((order - 1) * rate)]
    for j in range(2, order + 1):
        choose = float(gammaln(order + 1) - gammaln(j + 1) - gammaln(order - j + 1))
        term = choose + (order - j) * log_rest + j * log_q + (j - 1) * divergences[j]
        terms.append(term + (math.log(3) if j > 2 else 0.0))
    return max(0.0, float(logsumexp(terms)) / (order - 1))


def skellam_epsilon(*, mu: float, l2: float, l1: float, count: int, delta: float, rate: float = 1.0) -> float:
    """Epsilon at a delta of so many sums, each with Skellam noise of variance mu on every number.

    Raises:
        ValueError: delta is not in (0, 1).
    """
    if not 0 < delta < 1:
        raise ValueError(f"delta is in (0, 1), not {delta:g}")
    if mu == 0:
        return math.inf
    alone = {order: skellam_rdp(order, mu=mu, l2=l2, l1=l1) for order in ORDERS}
    total = [count * poisson_sampled_rdp(order, rate, alone) for order in ORDERS]
    found, _ = compute_epsilon(list(ORDERS), total, delta)
    return float(found)
