"""What Skellam noise costs: Renyi divergence, exact in one dimension and bounded in many.

Bound: Agarwal, Kairouz & Liu 2021, "The Skellam mechanism for differentially private federated learning".
Amplification by Poisson sampling: Zhu & Wang 2019, "Poisson subsampled Renyi differential privacy", theorem
5, which holds for every mechanism. Conversion to (epsilon, delta): Canonne, Kamath & Steinke 2020, as
`dp-accounting` does it.
"""

from __future__ import annotations

import functools
import math

import numpy as np
from dp_accounting.rdp.rdp_privacy_accountant import compute_epsilon
from scipy.special import gammaln, ive, logsumexp

from p2n2sim.privacy.draws import Reals

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


def poisson_sampled(rate: float, divergences: Reals) -> Reals:
    """Zhu & Wang 2019, theorem 5: an upper bound for any mechanism, for whole orders.

    Args:
        rate: probability of each row, in (0, 1].
        divergences: (orders,) of the mechanism itself, for the orders 2, 3, ... without a gap.

    Returns:
        (orders,) of the mechanism on the rows that their coins let in.
    """
    if rate == 1:
        return divergences
    orders = np.arange(2, len(divergences) + 2)
    none_or_one = (orders - 1) * math.log1p(-rate) + np.log1p((orders - 1) * rate)
    terms = _log_binomials(len(divergences), rate) + (orders - 1) * divergences  # (orders, how many times)
    total = logsumexp(np.column_stack([none_or_one, terms]), axis=1)
    sampled: Reals = np.maximum(total / (orders - 1), 0.0)
    return sampled


@functools.lru_cache(maxsize=8)
def _log_binomials(count: int, rate: float) -> Reals:
    """log of (order over j) rate^j (1 - rate)^(order - j), three times that for j > 2; -inf for j > order."""
    order = np.arange(2, count + 2)[:, None]
    j = np.arange(2, count + 2)
    rest = np.maximum(order - j, 0)
    logs = gammaln(order + 1) - gammaln(j + 1) - gammaln(rest + 1)
    logs = logs + rest * math.log1p(-rate) + j * math.log(rate) + np.where(j > 2, math.log(3), 0.0)
    allowed: Reals = np.where(j <= order, logs, -np.inf)
    return allowed


def skellam_epsilon(*, mu: float, l2: float, l1: float, count: int, delta: float, rate: float = 1.0) -> float:
    """Epsilon at a delta of so many sums, each with Skellam noise of variance mu on every number.

    Raises:
        ValueError: delta is not in (0, 1).
    """
    if not 0 < delta < 1:
        raise ValueError(f"delta is in (0, 1), not {delta:g}")
    if mu == 0:
        return math.inf
    alone = np.array([skellam_rdp(order, mu=mu, l2=l2, l1=l1) for order in ORDERS])
    found, _ = compute_epsilon(list(ORDERS), list(count * poisson_sampled(rate, alone)), delta)
    return float(found)
