"""A scenario and its data, put together."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from p2n2sim import assemble as assembling
from p2n2sim.assemble import Setup, assemble
from p2n2sim.errors import InputError, ScenarioError
from p2n2sim.scenario.load import load
from tests import tiny


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the tiny scenario."""
    inside = tiny.move_into(tmp_path, monkeypatch)
    tiny.write_scenario(inside)
    return inside


def setup_with(*overrides: str, **options: Any) -> Setup:
    """The tiny scenario with some overrides, assembled."""
    return assemble(load("tiny.toml", overrides), **options)


def test_an_even_split_of_own_data() -> None:
    """120 rows with a test fraction of 0.2 are 96 and 24; six features are three each."""
    setup = setup_with()
    assert (setup.dataset.X_train.shape, setup.dataset.X_test.shape) == ((96, 6), (24, 6))
    assert [(block.start, block.stop) for block in setup.blocks] == [(0, 3), (3, 6)]
    assert (setup.layer.holders, setup.layer.widths, setup.layer.units) == (("A", "B"), (3, 3), 4)
    assert setup.parts.theta.shape == (6, 4)
    assert len(setup.schedule) == 2 * (5 + 2)


def test_a_split_by_counts() -> None:
    """The numbers are the holders' widths in their order."""
    assert setup_with("data.split=[1, 5]").layer.widths == (1, 5)


def test_a_split_by_names_reorders_the_columns() -> None:
    """Columns follow their holder; the rows and the labels stay as they are."""
    even, named = setup_with(), setup_with('data.split=[["f", "a"], ["b", "e", "d", "c"]]')
    assert named.dataset.feature_names == ("f", "a", "b", "e", "d", "c")
    assert named.layer.widths == (2, 4)
    order = [even.dataset.feature_names.index(name) for name in named.dataset.feature_names]
    np.testing.assert_array_equal(named.dataset.X_train, even.dataset.X_train[:, order])
    np.testing.assert_array_equal(named.dataset.y_train, even.dataset.y_train)
    assert named.dataset.X_train.flags.c_contiguous


def test_the_fingerprint_is_filled_in_and_checked() -> None:
    """The resolved scenario has the data's fingerprint, fits them again, and refuses others."""
    fingerprint = setup_with().scenario.data.fingerprint
    assert fingerprint is not None
    setup_with(f"data.fingerprint={fingerprint}")
    with pytest.raises(InputError, match=r"^data\.fingerprint: the data found \(own file own\.csv .*--data"):
        setup_with(f"data.fingerprint={fingerprint}", "train.seed=2")


def test_the_sweep_is_left_aside(here: Path) -> None:
    """What is assembled, and therefore written to the run folder, is one point."""
    tiny.write_scenario(here, "[sweep]\n train.epochs = [1, 2]\n")
    assert setup_with().scenario.sweep == {}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.batch_size=97", "train.batch_size: 97 is larger than the data, which have 96 training rows"),
        ("data.holders=7", "data.holders: 7 holders for 6 features; every holder needs one: at most 6"),
        ("data.label=z", "data.label: "),
        ("data.drop=['q']", "data.drop: "),
        (
            "data.split=odd",
            'data.split: \'odd\'; "even", "left-right", column counts or lists of names would do',
        ),
        ("data.split=[6]", "data.split: 1 entries for 2 holders; give each holder a count, or each a list"),
        ('data.split=[1, ["a"]]', "data.split: 2 entries for 2 holders; give each holder a count"),
        ("data.split=[1, 1]", "data.split: sizes that add up to 2"),
        ('data.split=[["a"], ["q"]]', "data.split: no column is called 'q'"),
        ('data.split=[["a"], ["b"]]', "data.split: 4 of 6 columns have no holder"),
        ("data.fraction=0.001", "own.csv: the training part has labels of one class only"),
    ],
)
def test_what_does_not_fit_is_refused(here: Path, override: str, message: str) -> None:
    """The message names the key, what was found and what would do."""
    with pytest.raises(InputError) as caught:
        setup_with(override)
    assert message in str(caught.value)


def test_a_data_directory_must_exist_even_if_it_is_not_needed() -> None:
    """A misspelt --data is told although the user's own file is read."""
    with pytest.raises(InputError, match=r"^--data: gone is no directory; name a directory that exists$"):
        setup_with(data_dir="gone")


@pytest.mark.parametrize("first_layer", ["paillier", "ckks"])
def test_real_ciphertexts_that_would_take_hours_are_refused(first_layer: str) -> None:
    """The estimate is named, and so is the remedy, which works."""
    overrides = f"protocol.first_layer={first_layer}", "model.hidden=[60000, 3]", "train.epochs=1000"
    with pytest.raises(ScenarioError) as caught:
        setup_with(*overrides, "train.batch_size=60")
    message = (
        r"protocol\.crypto: real ciphertexts would take about [\d,]{2,} minutes of processor time, more "
    )
    assert re.match(message + "than 20; ", str(caught.value))
    assert str(caught.value).endswith('protocol.crypto = "modelled" would do, or a smaller data.fraction')
    setup_with(*overrides, "train.batch_size=60", "protocol.crypto=modelled")


def test_the_effort_of_real_ciphertexts_is_that_of_the_reference_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each of two epochs has six batches of two ciphertexts and one of one, whatever the scenario's machine.

    A ciphertext holds 48 numbers, a batch 80, 64 or 16. Two holders encrypt it and one adds.
    """
    seconds = 2 * (6 * 2 + 1) * (2 * 9.0e-3 + 8.9e-6 + 2.6e-3)
    overrides = "protocol.first_layer=paillier", "compute.preset=instant"
    monkeypatch.setattr(assembling, "MAX_REAL_CRYPTO_S", seconds * 1.001)
    setup_with(*overrides)
    monkeypatch.setattr(assembling, "MAX_REAL_CRYPTO_S", seconds * 0.999)
    with pytest.raises(ScenarioError, match=r"^protocol\.crypto: "):
        setup_with(*overrides)
    setup_with(*overrides, "protocol.paillier_bits=1024")
    setup_with("protocol.first_layer=algorithm1")


# -- the user's own server module

MODULE = """
import torch
from torch import nn

def good(n, q):
    return nn.Sequential(nn.ReLU(), nn.Dropout(0.5), nn.Linear(n, q))

def lazy(n, q):
    return nn.LazyLinear(q)

def swapped(n, q):
    return nn.Linear(q, n)

def wide(n, q):
    return nn.Linear(n, q + 1)

def double(n, q):
    return nn.Linear(n, q, dtype=torch.float64)

def tuple_of(n, q):
    return nn.LSTM(n, q)

def number(n, q):
    return 5

def frozen(n, q):
    return nn.Linear(n, q).requires_grad_(False)

def raises(n, q):
    raise KeyError("first line\\nsecond line")

def no_arguments():
    return None

value = 5
"""


@pytest.fixture
def own(here: Path, tmp_path: Path) -> str:
    """A module of the user in the working directory, under a name of its own for each test."""
    name = f"own_{tmp_path.name}"
    (here / f"{name}.py").write_text(MODULE)
    (here / f"{name}_broken.py").write_text("def (")
    return name


def test_an_own_server_module_is_taken_with_its_weights_drawn_by_the_seed(own: str) -> None:
    """The factory is called with n and q; equal seeds draw equal weights, whatever torch drew before."""
    first = setup_with(f"model.server={own}:good").parts.server
    torch.rand(3)
    second = setup_with(f"model.server={own}:good").parts.server
    other = setup_with(f"model.server={own}:good", "train.seed=2").parts.server
    assert isinstance(first, nn.Sequential)
    weights = [server.state_dict()["2.weight"] for server in (first, second, other)]
    assert weights[0].shape == (3, 4)
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_a_lazy_module_gets_its_weights_from_the_seed_too(own: str) -> None:
    """Weights that are drawn only when the module is first called are drawn under the seed."""
    first = setup_with(f"model.server={own}:lazy").parts.server.state_dict()["weight"]
    torch.rand(3)
    assert torch.equal(first, setup_with(f"model.server={own}:lazy").parts.server.state_dict()["weight"])


def test_making_a_module_leaves_the_global_generator_alone(own: str) -> None:
    """Nothing that the user draws elsewhere depends on whether a scenario was assembled."""
    torch.manual_seed(4)
    undisturbed = torch.rand(1)
    torch.manual_seed(4)
    setup_with(f"model.server={own}:good")
    assert torch.equal(torch.rand(1), undisturbed)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (":good", "found ':good'; name a function as package.module:function"),
        ("{own}", "found '{own}'; name a function as package.module:function"),
        (
            "{own}:gone",
            "'{own}:gone' cannot be imported (AttributeError: module '{own}' has no attribute 'gone')",
        ),
        (
            "{own}_gone:f",
            "'{own}_gone:f' cannot be imported (ModuleNotFoundError: No module named '{own}_gone')",
        ),
        ("{own}_broken:f", "'{own}_broken:f' cannot be imported (SyntaxError: invalid syntax"),
        ("{own}:value", "'{own}:value' is int, no function"),
        (
            "{own}:number",
            "{own}:number returned int, no module; return a torch.nn.Module from float32 (m, 4) to",
        ),
        ("{own}:swapped", "{own}:swapped does not take h1 of shape (2, 4): RuntimeError: "),
        ("{own}:wide", "{own}:wide makes torch.float32 (2, 4) of (2, 4); return a torch.nn.Module"),
        ("{own}:double", "{own}:double does not take h1 of shape (2, 4): RuntimeError: "),
        ("{own}:tuple_of", "{own}:tuple_of makes tuple of (2, 4)"),
        ("{own}:frozen", "{own}:frozen has no parameters to train"),
        ("{own}:raises", "{own}:raises raised KeyError: "),
        ("{own}:no_arguments", "{own}:no_arguments raised TypeError: "),
    ],
)
def test_a_wrong_server_module_is_refused(own: str, function: str, message: str) -> None:
    """Whatever the user's code does wrong is told in one line with the key in front."""
    with pytest.raises(InputError) as caught:
        setup_with(f"model.server={function.format(own=own)}")
    assert str(caught.value).startswith(f"model.server: {message.format(own=own)}")
    assert "\n" not in str(caught.value)
