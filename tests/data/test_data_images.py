"""MNIST and digits: published files, files that are not what they say, the stand-in, strips of images."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from p2n2sim.data import catalogue, load, prepare
from p2n2sim.data.split import strips
from p2n2sim.errors import DataError, ScenarioError
from tests.images import SMALL, small_mnist, write_idx

IMAGES, LABELS = "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"


def test_digits() -> None:
    """The digits have 1,797 rows of 64 pixels in [0, 1], all ten classes, and are no stand-in."""
    table = load("digits")
    assert table.X.shape == (1_797, 64)
    assert (table.X.min(), table.X.max()) == (0.0, 1.0)
    assert table.X[0, :4].tolist() == [0.0, 0.0, 5 / 16, 13 / 16]
    assert (table.classes, sorted(set(table.y.tolist()))) == (10, list(range(10)))
    assert (table.stand_in, table.image) == (False, (8, 8))
    assert table.feature_names[0] == "0,0"
    assert table.feature_names[9] == "1,1"


def test_files_are_read_as_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Training images come first, then the test images, pixels divided by 255, row by row."""
    folder = small_mnist(tmp_path, monkeypatch)
    table = load("mnist", data_dir=tmp_path)
    assert table.X.shape == (SMALL["train"] + SMALL["t10k"], 784)
    assert table.X.dtype == np.float32
    assert table.X[7, 1] == np.float32(7) / np.float32(255)
    assert table.y.tolist() == [*(i % 10 for i in range(120)), *(i % 10 for i in range(60))]
    assert (table.name, table.stand_in, table.path) == ("mnist", False, folder)
    assert table.feature_names[29] == "1,1"


def test_published_split_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fraction is a random share of the training images; test images are all there, in their order."""
    small_mnist(tmp_path, monkeypatch)
    whole = prepare(source="mnist", seed=1, data_dir=tmp_path)
    half = prepare(source="mnist", seed=1, fraction=0.5, data_dir=tmp_path)
    assert (len(whole.y_train), len(half.y_train), len(half.y_test)) == (120, 60, 60)
    np.testing.assert_array_equal(half.X_train, whole.X_train[:60])
    np.testing.assert_array_equal(half.y_test, np.arange(60) % 10)
    assert sorted(whole.X_train[:, 1]) == sorted(np.arange(120, dtype=np.float32) / np.float32(255))
    assert (half.X_train[:, 1] != whole.X_train[:, 1].min()).any()
    other = prepare(source="mnist", seed=2, fraction=0.5, data_dir=tmp_path)
    assert set(half.X_train[:, 1]) != set(other.X_train[:, 1])
    assert whole.X_train.max() <= 1.0  # not standardised
    assert (whole.classes, whole.logits, whole.image) == (10, 10, (28, 28))


def test_a_cut_file_is_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file cut anywhere, or with changed bytes, is one error that names it."""
    path = small_mnist(tmp_path, monkeypatch) / IMAGES
    good = path.read_bytes()
    broken = [good[:n] for n in (0, 5, len(good) // 2, len(good) - 6, len(good) - 1)]
    broken += [good[:-8] + b"\0\0\0\0" + good[-4:], b"not gzip at all"]
    for content in broken:
        path.write_bytes(content)
        with pytest.raises(DataError, match=f"{IMAGES}: .*bring the four published") as caught:
            load("mnist", data_dir=tmp_path)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("array", "found"),
    [
        (np.zeros((119, 28, 28), np.uint8), "its header is not that of 120 x 28 x 28 unsigned bytes"),
        (np.zeros((120, 784), np.uint8), "its header is not"),
    ],
)
def test_another_shape(
    array: np.ndarray, found: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of another shape is refused, and says what its header should be."""
    write_idx(small_mnist(tmp_path, monkeypatch) / IMAGES, array)
    with pytest.raises(DataError, match=found):
        load("mnist", data_dir=tmp_path)


def test_too_few_and_too_many_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A whole gzip file whose content does not fit its own header is refused."""
    path = small_mnist(tmp_path, monkeypatch) / LABELS
    content = gzip.decompress(path.read_bytes())
    for other, found in ((content[:-3], "117 bytes"), (content + b"\0", "more bytes")):
        path.write_bytes(gzip.compress(other))
        with pytest.raises(DataError, match=f"{found} where its header says 120"):
            load("mnist", data_dir=tmp_path)
    write_idx(path, np.full(120, 10, np.uint8))
    with pytest.raises(DataError, match="a label 10, which is no digit"):
        load("mnist", data_dir=tmp_path)


def test_one_of_four_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where some of the files are, the others are missed; no stand-in takes their place."""
    (small_mnist(tmp_path, monkeypatch) / IMAGES).unlink()
    with pytest.raises(DataError, match=f"{IMAGES}: no such file beside the others"):
        load("mnist", data_dir=tmp_path)
    entry = next(entry for entry in catalogue(tmp_path) if entry.name == "mnist")
    assert "no such file" in entry.problem


def test_digits_stand_in_and_say_so() -> None:
    """Without files, mnist is the digits by another name, and says so in name and source."""
    table = load("mnist")
    assert table.stand_in
    assert table.name == "stand-in for mnist (digits)"
    assert table.source.startswith("stand-in: scikit-learn's 8x8 digits")
    np.testing.assert_array_equal(table.X, load("digits").X)
    data = prepare(source="mnist", seed=1)
    assert (len(data.y_train), len(data.y_test), data.stand_in) == (1_438, 359, True)
    np.testing.assert_array_equal(data.X_train, prepare(source="digits", seed=1).X_train)


def test_what_images_refuse() -> None:
    """MNIST has test rows of its own, also where digits stand in; images have labels of their own."""
    with pytest.raises(ScenarioError, match=r"data.test_fraction: mnist has test rows of its own"):
        prepare(source="mnist", seed=1, test_fraction=0.3)
    assert len(prepare(source="digits", seed=1, test_fraction=0.3).y_test) == 539
    with pytest.raises(ScenarioError, match=r"data.label"):
        load("digits", label="0,0")
    with pytest.raises(DataError, match=r"labels of one class only \(1 of 1 rows are \d\)"):
        prepare(source="digits", seed=1, fraction=0.0001)


def test_strips_are_halves() -> None:
    """Two strips of an image are its left and its right half, row by row; every pixel has one owner."""
    left, right = strips((2, 4), 2)
    assert left.tolist() == [0, 1, 4, 5]
    assert right.tolist() == [2, 3, 6, 7]
    parts = strips((3, 5), 3)
    assert [len(part) for part in parts] == [6, 6, 3]
    assert sorted(np.concatenate(parts)) == list(range(15))
    with pytest.raises(ScenarioError, match="the data are none"):
        strips(None, 2)
    with pytest.raises(ScenarioError, match="6 strips of an image 5 pixels wide"):
        strips((3, 5), 6)
