"""Eq. 5 trained in one place by autograd, decoders included: what the protocol must equal."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional

from p2n2sim.assemble import Setup
from p2n2sim.defences import penalties_of
from p2n2sim.nn.defence.decoder import Decoder


class Joint:
    """All parties in one, in float64.

    Args:
        setup: from whose initial weights, decoders included, everything starts; it is left as it is.

    Attributes:
        theta: (k, n).
        server: from h1 to h_L.
        head: from h_L to the logit.
        decoders: of each holder; none where the best response is solved for.
    """

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        parts = setup.parts.copy()
        self.theta = parts.theta.double().requires_grad_()
        self.server, self.head = parts.server.double(), parts.head.double()
        layer = setup.layer
        self.decoders: list[nn.Module] = []
        for name, width in zip(layer.holders, layer.widths, strict=True):
            for penalty in penalties_of(setup.scenario, layer.units, width, name):
                if isinstance(penalty, Decoder):
                    self.decoders.append(copy.deepcopy(penalty.module).double())

    def train(self) -> None:
        """Goes through the schedule."""
        setup = self.setup
        train, defender, data = setup.scenario.train, setup.scenario.defender, setup.dataset
        parameters = [self.theta, *self.server.parameters(), *self.head.parameters()]
        model = torch.optim.SGD(parameters, lr=train.learning_rate, momentum=train.momentum)
        kind = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[defender.optimiser]
        learners = [kind(decoder.parameters(), lr=defender.learning_rate) for decoder in self.decoders]
        for batch in setup.schedule:
            if batch.stage == "predict":
                continue
            X = torch.tensor(data.X_train[batch.rows]).double()
            y = torch.tensor(data.y_train[batch.rows]).double()
            if defender.reading == "minmax":
                self._learn(X, learners)
            loss = self._total(X, y)
            gradients = torch.autograd.grad(loss, parameters)
            if defender.reading == "literal":
                self._learn(X, learners)  # at the theta of line 5, which has not stepped yet
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter.grad = gradient
            model.step()

    def _total(self, X: Tensor, y: Tensor) -> Tensor:
        """Eq. 5, summed or averaged over the rows, with the distance correlations of NoPeek."""
        scenario = self.setup.scenario
        h1 = X @ self.theta
        logits = self.head(self.server(h1)).squeeze(1)
        loss = functional.binary_cross_entropy_with_logits(logits, y)  # a mean
        for i, block in enumerate(self.setup.blocks):
            if scenario.defender.weight:
                loss = loss - scenario.defender.weight * self._bounded(self._distance(i, X[:, block], h1))
            if scenario.defence.nopeek:
                loss = loss + scenario.defence.nopeek * correlation(X[:, block], h1)
        return loss * (len(X) if scenario.train.loss_reduction == "sum" else 1)

    def _distance(self, i: int, X: Tensor, h1: Tensor) -> Tensor:
        if self.decoders:
            return ((self.decoders[i](h1) - X) ** 2).mean()
        ridge = self.setup.scenario.defender.ridge
        Y, H = X - X.mean(0), h1 - h1.mean(0)
        W = torch.linalg.solve(H.T @ H + ridge * len(H) * torch.eye(H.shape[1]).double(), H.T @ Y)
        return ((Y - H @ W) ** 2).mean() + ridge * (W**2).sum() / X.shape[1]

    def _bounded(self, d: Tensor) -> Tensor:
        bound = self.setup.scenario.defender.bound
        return d if bound is None else 1 / (1 / d + 1 / bound)

    def _learn(self, X: Tensor, learners: list[torch.optim.Optimizer]) -> None:
        defender = self.setup.scenario.defender
        h1 = (X @ self.theta).detach()
        for i, learner in enumerate(learners):
            for _ in range(defender.steps):
                d = self._bounded(self._distance(i, X[:, self.setup.blocks[i]], h1))
                learner.zero_grad()
                (-d if defender.reading == "literal" else d).backward()
                learner.step()


def correlation(x: Tensor, h: Tensor) -> Tensor:
    """The distance correlation by its definition."""

    def centred(values: Tensor) -> Tensor:
        square = ((values[:, None] - values[None]) ** 2).sum(-1)
        d = torch.where(square > 0, square, 1.0).sqrt() * (square > 0)
        return d - d.mean(0) - d.mean(1)[:, None] + d.mean()

    A, B = centred(x), centred(h)
    return ((A * B).mean() / ((A * A).mean() * (B * B).mean()).sqrt()).sqrt()
