"""A Scenario and its data -> everything that a simulation starts from."""

from __future__ import annotations

import dataclasses
import difflib
import importlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from p2n2sim import messages
from p2n2sim.budgeting import check_module, with_noise
from p2n2sim.data.names import matching
from p2n2sim.data.prepare import prepare
from p2n2sim.data.sets import Dataset
from p2n2sim.data.split import columns, columns_by_name, holder_names, strips
from p2n2sim.errors import DataError, ScenarioError
from p2n2sim.messages import DEALER, SERVER
from p2n2sim.net.cpu import Cost
from p2n2sim.net.faults import Ack
from p2n2sim.nn.network import Parts, ServerFactory, build
from p2n2sim.nn.sequences import Convolution, Recurrence, step_pattern
from p2n2sim.parties.first_layer import homomorphic
from p2n2sim.parties.layer import FirstLayer
from p2n2sim.parties.schedule import Schedule
from p2n2sim.preparing import Prepared, for_training, prepare_features
from p2n2sim.scenario.machines import machine
from p2n2sim.scenario.protocol import all_layers
from p2n2sim.scenario.sections import Compute, Model, Scenario
from p2n2sim.wire import Message

MAX_REAL_CRYPTO_S = 20 * 60.0
"""Processor time in seconds that real ciphertexts may take on the reference machine."""


@dataclass(frozen=True)
class Setup:
    """Everything that a simulation starts from.

    Attributes:
        scenario: the settings.
        dataset: the prepared data, its columns in the holders' order.
        blocks: the columns of each holder.
        parts: the network; its weights are trained in place.
        schedule: the batches.
        prepared: what was done to the features before, and what it cost.
    """

    scenario: Scenario
    dataset: Dataset
    blocks: tuple[slice, ...]
    parts: Parts
    schedule: Schedule
    prepared: Prepared = field(default_factory=lambda: Prepared(normalisation="none"))

    @property
    def parties(self) -> tuple[str, ...]:
        """Everybody who may take part."""
        return (*holder_names(len(self.blocks)), SERVER, DEALER)

    @property
    def layer(self) -> FirstLayer:
        """The first layer as all holders know it."""
        gradients = self.scenario.privacy.gradients
        return FirstLayer(
            holders=holder_names(len(self.blocks)),
            widths=tuple(block.stop - block.start for block in self.blocks),
            units=self.parts.theta.shape[1],
            fractional_bits=self.scenario.protocol.fractional_bits,
            paillier_bits=self.scenario.protocol.paillier_bits,
            weight_bits=gradients.weight_bits if gradients.in_ring else None,
        )


def assemble(scenario: Scenario, *, data_dir: Path | str | None = None) -> Setup:
    """Loads the data, checks that the scenario fits them, and draws the initial weights.

    Raises:
        InputError: something does not fit.
    """
    dataset = _load(scenario, data_dir)
    _check_fits(scenario, dataset)
    schedule = _schedule(scenario, dataset)
    _check_faults(scenario, schedule)
    features = _features_used(scenario, dataset)
    noisy = with_noise(for_training(scenario), schedule, features)  # from what preprocessing leaves
    privacy = msgspec.structs.replace(scenario.privacy, gradients=noisy.privacy.gradients)
    resolved = msgspec.structs.replace(scenario.data, fingerprint=dataset.fingerprint)
    scenario = msgspec.structs.replace(scenario, privacy=privacy)
    dataset, blocks = _split_columns(scenario, dataset)
    dataset, blocks, prepared = prepare_features(scenario, dataset, blocks)
    setup = Setup(
        scenario=msgspec.structs.replace(scenario, data=resolved, sweep={}),
        dataset=dataset,
        blocks=blocks,
        parts=build_parts(scenario, dataset),
        schedule=schedule,
        prepared=prepared,
    )
    _check_effort(setup)
    check_module(setup.scenario, setup.parts.server, setup.layer.units)
    return setup


def _load(scenario: Scenario, data_dir: Path | str | None) -> Dataset:
    """The scenario's data, cleaned and scaled unless that is to be private."""
    data, exact = scenario.data, scenario.privacy.preprocessing.normalise == "exact"
    if data_dir is not None and not Path(data_dir).is_dir():  # also where the user's own file is read
        raise DataError("--data", f"{data_dir} is no directory", "name a directory that exists")
    return prepare(
        source=data.source,
        seed=scenario.train.seed,
        label=data.label,
        drop=data.drop,
        fraction=data.fraction,
        test_fraction=data.test_fraction,
        standardise=data.standardise and exact,
        clip=data.clip if exact else None,
        leak_target=data.leak_target,
        history=data.history,
        columns=data.columns,
        bounds=data.bounds,
        logarithm=data.logarithm,
        data_dir=Path(data_dir) if data_dir is not None else None,
    )


def _check_fits(scenario: Scenario, dataset: Dataset) -> None:
    """Refuses data that are not those of a recorded run, or that the protocol or a batch does not fit."""
    if scenario.data.fingerprint not in (None, dataset.fingerprint):
        raise ScenarioError(
            "data.fingerprint",
            f"the data found ({dataset.source}) are not those of the recorded run",
            "name their directory with --data, or remove the key to run on these",
        )
    if dataset.classes > 2 and scenario.protocol.layers_under_sharing == all_layers(scenario):
        raise ScenarioError(
            "protocol.secret_layers",
            f"the label's head cannot be under secret sharing with {dataset.classes} classes",
            f"at most {all_layers(scenario) - 1} would do, or a label of two classes",
        )
    if scenario.train.batch_size > len(dataset.y_train):
        raise ScenarioError(
            "train.batch_size",
            f"{scenario.train.batch_size} is larger than the data, which have {len(dataset.y_train)} "
            "training rows",
            "a smaller batch would do",
        )


def _schedule(scenario: Scenario, dataset: Dataset) -> Schedule:
    train = scenario.train
    return Schedule(
        rows_train=len(dataset.y_train),
        rows_test=len(dataset.y_test),
        batch_size=train.batch_size,
        epochs=train.epochs,
        predict_every=train.predict_every,
        seed=train.seed,
        sampler=train.sampler,
    )


def _check_faults(scenario: Scenario, schedule: Schedule) -> None:
    """Refuses faults that could never happen: of a batch or a type of message that there is not."""
    kinds = [Ack.__name__, *(name for name, what in vars(messages).items() if _is_message(what))]
    for number, fault in enumerate(scenario.fault):
        if fault.batch is not None and fault.batch > len(schedule):
            raise ScenarioError(
                f"fault.{number}.batch", f"found {fault.batch}", f"the run has {len(schedule)} batches"
            )
        if fault.message and fault.message not in kinds:
            near = difflib.get_close_matches(fault.message, kinds, 1)
            raise ScenarioError(
                f"fault.{number}.message",
                f"there is no message {fault.message!r}",
                (f"did you mean {near[0]!r}? " if near else "") + f"known: {', '.join(kinds)}",
            )


def _is_message(what: object) -> bool:
    return isinstance(what, type) and issubclass(what, Message) and what is not Message


def _check_effort(setup: Setup) -> None:
    """Refuses real ciphertexts that would take too long, by their number and the reference machine."""
    protocol, layer = setup.scenario.protocol, setup.layer
    scheme = homomorphic.SCHEMES.get(protocol.first_layer_in_use)
    if scheme is None or protocol.crypto == "modelled":
        return
    reference = machine(Compute(), "holder", paillier_bits=layer.paillier_bits)
    seconds = sum(
        reference.seconds(Cost(operations=homomorphic.operations(scheme, layer, len(batch.rows))))
        for batch in setup.schedule
    )
    if seconds > MAX_REAL_CRYPTO_S:
        raise ScenarioError(
            "protocol.crypto",
            f"real ciphertexts would take about {seconds / 60:,.0f} minutes of processor time, "
            f"more than {MAX_REAL_CRYPTO_S / 60:.0f}",
            'protocol.crypto = "modelled" would do, or a smaller data.fraction',
        )


def _split_columns(scenario: Scenario, dataset: Dataset) -> tuple[Dataset, tuple[slice, ...]]:
    """The data set with its columns in the holders' order, and the columns of each holder."""
    split, holders = scenario.data.split, scenario.data.holders
    if holders > dataset.features:
        raise ScenarioError(
            "data.holders",
            f"{holders} holders for {dataset.features} features",
            f"every holder needs one: at most {dataset.features} holders would do",
        )
    if split == "left-right":
        return _reordered(dataset, strips(dataset.image, holders))
    if isinstance(split, str):
        if split != "even":
            raise ScenarioError(
                "data.split", f"{split!r}", '"even", "left-right", column counts or lists of names would do'
            )
        return dataset, columns(dataset.features, holders)
    counts = [part for part in split if isinstance(part, int)]
    groups = [part for part in split if not isinstance(part, int)]
    if len(split) != holders or (counts and groups):
        raise ScenarioError(
            "data.split",
            f"{len(split)} entries for {holders} holders",
            "give each holder a count, or each a list",
        )
    if counts:
        return dataset, columns(dataset.features, holders, counts)
    return _reordered(dataset, columns_by_name(dataset.feature_names, groups))


def _reordered(dataset: Dataset, owned: Sequence[NDArray[np.intp]]) -> tuple[Dataset, tuple[slice, ...]]:
    """With the columns that each holder owns one after the other."""
    blocks = columns(dataset.features, len(owned), [len(part) for part in owned])
    order = np.concatenate(owned)
    return dataclasses.replace(
        dataset,
        feature_names=tuple(dataset.feature_names[i] for i in order),
        X_train=np.ascontiguousarray(dataset.X_train[:, order]),
        X_test=np.ascontiguousarray(dataset.X_test[:, order]),
        ranges=None if dataset.ranges is None else dataset.ranges.of(order),
    ), blocks


def _features_used(scenario: Scenario, dataset: Dataset) -> int:
    """k, the columns that are trained on."""
    return sum(scenario.privacy.preprocessing.keep) or dataset.features


def build_parts(scenario: Scenario, dataset: Dataset) -> Parts:
    """The network of a scenario with its initial weights, which `train.seed` decides."""
    model = scenario.model
    return build(
        dataset.features,
        model.hidden,
        model.activation_list,
        initialisation=model.initialisation,
        seed=scenario.train.seed,
        server=_server(model),
        logits=dataset.logits,
        pattern=_pattern(model, dataset.feature_names) if model.steps else None,
    )


def _server(model: Model) -> ServerFactory | None:
    """What makes the server's module; None for the built-in perceptron."""
    if model.server is not None:
        return _factory(model.server)
    if model.kind == "perceptron":
        return None
    made = Convolution if model.kind == "cnn" else Recurrence
    return partial(made, len(model.steps), activation=model.activation_list[0])


def _pattern(model: Model, feature_names: Sequence[str]) -> torch.Tensor:
    """Which columns feed which steps of a sequence."""
    steps = []
    for names in model.steps:
        found = {name: matching(feature_names, name) for name in names}
        for name, numbers in found.items():
            if not numbers:
                raise ScenarioError(
                    "model.steps", f"no column is called {name!r}", "name columns of the data"
                )
        steps.append([number for numbers in found.values() for number in numbers])
    return step_pattern(len(feature_names), steps, model.hidden[0])


def _factory(name: str) -> ServerFactory:
    """The function that `package.module:function` names, with a check of what it makes.

    The working directory is searched, too.
    """
    module, colon, function = name.partition(":")
    remedy = "name a function as package.module:function"
    if not (module and colon and function):
        raise ScenarioError("model.server", f"found {name!r}", remedy)
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        found = getattr(importlib.import_module(module), function)
    except Exception as error:  # the user's own code may raise anything
        raise ScenarioError(
            "model.server", f"{name!r} cannot be imported ({_told(error)})", remedy
        ) from error
    finally:
        sys.path.remove(here)
    if not callable(found):
        raise ScenarioError("model.server", f"{name!r} is {type(found).__name__}, no function", remedy)

    def make(n: int, q: int) -> nn.Module:
        try:
            server = found(n, q)
        except Exception as error:  # as above
            remedy = f"make it return a module when it is called with ({n}, {q})"
            raise ScenarioError("model.server", f"{name} raised {_told(error)}", remedy) from error
        _check_server(server, name, n, q)
        return server  # type: ignore[no-any-return]  # just checked

    return make


def _check_server(server: object, name: str, n: int, q: int) -> None:
    """The user's module must map h1 (m, n) to h_L (m, q), and have something to train."""
    where, remedy = "model.server", f"return a torch.nn.Module from float32 (m, {n}) to float32 (m, {q})"
    if not isinstance(server, nn.Module):
        raise ScenarioError(where, f"{name} returned {type(server).__name__}, no module", remedy)
    try:
        with torch.no_grad():
            made = server.eval()(torch.zeros(2, n))
    except Exception as error:  # as above
        raise ScenarioError(
            where, f"{name} does not take h1 of shape (2, {n}): {_told(error)}", remedy
        ) from error
    if not isinstance(made, torch.Tensor) or made.shape != (2, q) or made.dtype != torch.float32:
        kind = f"{made.dtype} {tuple(made.shape)}" if isinstance(made, torch.Tensor) else type(made).__name__
        raise ScenarioError(where, f"{name} makes {kind} of (2, {n})", remedy)
    if not any(parameter.requires_grad for parameter in server.parameters()):
        raise ScenarioError(where, f"{name} has no parameters to train", remedy)


def _told(error: Exception) -> str:
    """The type and the first line of an exception."""
    first, *_ = str(error).splitlines() or [""]
    return f"{type(error).__name__}: {first}".removesuffix(": ")
