"""What somebody outside makes of the released network."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from p2n2sim.auditing.canaries import Planted
from p2n2sim.nn.network import PlainNetwork

Matrix = NDArray[np.float64]


def answers(planted: Planted, about: str) -> Matrix:
    """The trained network's logits of what every canary's features may have been."""
    network = PlainNetwork(planted.setup.parts).eval()
    with torch.no_grad():
        both = [network(torch.from_numpy(X)).numpy().reshape(len(X), -1) for X in planted.asked[about]]
    return np.hstack(both).astype(np.float64)
