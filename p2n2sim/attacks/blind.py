"""Input recovery without a single leaked pair: from h1 and the marginal distributions of the features.

A linear cut mixes the features. If these are independent and not Gaussian, the mixture can be taken apart
again up to order, sign and scale (Comon: Independent component analysis, a new concept?, 1994); which
component is which feature is then told by the features' known distributions. Both assumptions fail to some
degree on real data, and a cut narrower than the input leaves mixtures; so this attack is a lower end.
"""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from sklearn.decomposition import FastICA
from sklearn.exceptions import ConvergenceWarning

Matrix = NDArray[np.float64]
COMPONENTS = 64
"""Most components that are taken apart."""
_QUANTILES = np.linspace(0.005, 0.995, 100)


def by_marginals(h1: Matrix, marginals: Matrix, seed: int) -> Matrix:
    """Guesses X from h1.

    Args:
        h1: (m, n).
        marginals: a sample of every feature, (r, k); only each column by itself is used.
        seed: of the start of the search.

    Returns:
        (m, k); features to which no component was assigned are their mean.
    """
    guess = np.tile(marginals.mean(axis=0), (len(h1), 1))
    varying = np.flatnonzero(marginals.std(axis=0) > 0)
    rank = int(np.linalg.matrix_rank(h1 - h1.mean(axis=0), tol=1e-6 * max(float(np.abs(h1).max()), 1e-300)))
    count = min(rank, COMPONENTS, len(varying))
    if count == 0:
        return guess
    ica = FastICA(n_components=count, whiten="unit-variance", random_state=seed, max_iter=300, tol=1e-3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # what it has by then is as good a guess as any
        components = ica.fit_transform(h1)  # (m, count)
    known = _shape(marginals[:, varying])  # (quantiles, features)
    costs = np.stack(
        [_distances(_shape(sign * components), known) for sign in (1, -1)]
    )  # (2, count, features)
    rows, columns = linear_sum_assignment(costs.min(axis=0))
    for row, column in zip(rows, columns, strict=True):
        sign = 1 if costs[0, row, column] <= costs[1, row, column] else -1
        feature = marginals[:, varying[column]]
        component = sign * components[:, row]
        guess[:, varying[column]] = (component - component.mean()) / component.std() * feature.std()
        guess[:, varying[column]] += feature.mean()
    return guess


def _shape(columns: Matrix) -> Matrix:
    """Quantiles of standardised columns."""
    scaled = (columns - columns.mean(axis=0)) / columns.std(axis=0)
    quantiles: Matrix = np.quantile(scaled, _QUANTILES, axis=0)
    return quantiles


def _distances(some: Matrix, others: Matrix) -> Matrix:
    """The first Wasserstein distance of each column to each of the others."""
    distances: Matrix = np.abs(some[:, :, None] - others[:, None, :]).mean(axis=0)
    return distances
