"""Products in Z_2^64: every kernel against Python integers, and the choice among kernels."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from p2n2sim.mpc import ring

EXTREMES = (-(1 << 63), (1 << 63) - 1, -1, 0, 1, 1 << 62, (1 << 21) - 1, -(1 << 21), (1 << 43) - 1, 1 << 32)
LARGEST_DIGITS = (1 << 63) - (1 << 42) - (1 << 21)
ALL_KERNELS = pytest.mark.parametrize("name", list(ring.KERNELS))


def python_product(a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.int64]:
    """The oracle: unbounded integers, reduced to two's complement at the end."""
    rows, columns = a.tolist(), b.T.tolist()
    exact = [[sum(x * y for x, y in zip(r, c, strict=True)) for c in columns] for r in rows]
    wrapped = [[(v + (1 << 63)) % (1 << 64) - (1 << 63) for v in row] for row in exact]
    return np.array(wrapped, dtype=np.int64).reshape(a.shape[0], b.shape[1])


def random_matrix(rng: np.random.Generator, rows: int, columns: int, extreme: bool) -> NDArray[np.int64]:
    """Uniform elements, or values made to break a kernel."""
    if extreme:
        return rng.choice(np.array([*EXTREMES, LARGEST_DIGITS]), size=(rows, columns))
    return rng.integers(-(1 << 63), (1 << 63) - 1, size=(rows, columns), endpoint=True)


def laid_out(x: NDArray[np.int64], layout: str) -> NDArray[np.int64]:
    """The same matrix in another memory layout."""
    if layout == "fortran":
        return np.asfortranarray(x)
    if layout == "strided":
        wide = np.zeros((2 * x.shape[0], 3 * x.shape[1]), dtype=np.int64)
        wide[::2, ::3] = x
        return wide[::2, ::3]
    if layout == "reversed":
        return np.ascontiguousarray(x[::-1, ::-1])[::-1, ::-1]
    if layout == "read-only":
        x = x.copy()
        x.flags.writeable = False
    return x


layouts = st.sampled_from(["c", "fortran", "strided", "reversed", "read-only"])
sizes = st.one_of(st.integers(0, 5), st.integers(0, 40))


@given(sizes, sizes, sizes, layouts, layouts, st.booleans(), st.integers(0, 2**32))
@settings(max_examples=150, deadline=None)
def test_matmul_equals_python_integers(m, k, n, layout_a, layout_b, extreme, seed):
    """matmul is exact for every shape, also empty ones, every layout, and extreme values."""
    rng = np.random.default_rng(seed)
    a, b = random_matrix(rng, m, k, extreme), random_matrix(rng, k, n, extreme)
    product = ring.matmul(laid_out(a, layout_a), laid_out(b, layout_b))
    assert product.dtype == np.int64
    assert product.flags.c_contiguous
    np.testing.assert_array_equal(product, python_product(a, b))


@ALL_KERNELS
@given(st.integers(1, 70), st.integers(1, 40), st.integers(1, 70), layouts, layouts, st.booleans(), st.data())
@settings(max_examples=25, deadline=None)
def test_every_kernel_equals_python_integers(name, m, k, n, layout_a, layout_b, extreme, data):
    """Each kernel alone is exact, whether or not it is ever the fastest."""
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    a, b = random_matrix(rng, m, k, extreme), random_matrix(rng, k, n, extreme)
    out = laid_out(np.ones((m, n), dtype=np.int64), data.draw(st.sampled_from(["c", "fortran", "strided"])))
    ring.KERNELS[name](laid_out(a, layout_a), laid_out(b, layout_b), out)
    np.testing.assert_array_equal(out, python_product(a, b))


@ALL_KERNELS
@pytest.mark.parametrize("value", [*EXTREMES, LARGEST_DIGITS])
@pytest.mark.parametrize("k", [1, 1365, 1366, 2731])
def test_constant_matrices_do_not_overflow_a_kernel(name, value, k):
    """k equal products sum to k v^2 modulo 2^64, also across the depth at which the limb kernel blocks."""
    a, b = np.full((3, k), value), np.full((k, 2), value)
    out = np.ones((3, 2), dtype=np.int64)
    ring.KERNELS[name](a, b, out)
    expected = (k * value * value + (1 << 63)) % (1 << 64) - (1 << 63)
    assert out.tolist() == [[expected] * 2] * 3


@pytest.mark.parametrize(
    ("m", "k", "n"), [(5000, 28, 8), (28, 5000, 8), (257, 556, 400), (32, 556, 400), (2500, 3, 1)]
)
def test_kernels_agree_on_the_shapes_of_training(m, k, n):
    """At the sizes of a training batch all kernels give the same bits, and so do 1 and 3 threads."""
    rng = np.random.default_rng(5)
    a, b = random_matrix(rng, m, k, extreme=False), random_matrix(rng, k, n, extreme=False)
    reference = ring.matmul(a, b)
    for kernel in ring.KERNELS.values():
        out = np.empty_like(reference)
        kernel(a, b, out)
        np.testing.assert_array_equal(out, reference)
    np.testing.assert_array_equal(ring.matmul(a, b, threads=3), reference)
    rows = rng.choice(m, size=2, replace=False)
    np.testing.assert_array_equal(reference[rows], python_product(a[rows], b))


def test_out_receives_the_product_and_may_be_strided():
    """matmul writes to out in any layout, threads or not, and returns it."""
    rng = np.random.default_rng(6)
    a, b = random_matrix(rng, 4000, 28, extreme=True), random_matrix(rng, 28, 8, extreme=True)
    for layout, threads in itertools.product(["c", "fortran", "strided"], [1, 3]):
        out = laid_out(np.ones((4000, 8), dtype=np.int64), layout)
        assert ring.matmul(a, b, out=out, threads=threads) is out
        np.testing.assert_array_equal(out, ring.matmul(a, b))


def test_bad_arguments_are_refused():
    """Wrong types, shapes that do not fit, an out that overlaps and no threads are errors."""
    a, b = np.ones((3, 2), dtype=np.int64), np.ones((2, 3), dtype=np.int64)
    with pytest.raises(TypeError, match="int64"):
        ring.matmul(a.astype(np.uint64), b)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no matrix product"):
        ring.matmul(a, a)
    with pytest.raises(ValueError, match="out has shape"):
        ring.matmul(a, b, out=np.empty((2, 2), dtype=np.int64))
    square = np.ones((3, 3), dtype=np.int64)
    with pytest.raises(ValueError, match="overlaps"):
        ring.matmul(square, square, out=square)
    with pytest.raises(ValueError, match="threads"):
        ring.matmul(a, b, threads=0)


def test_the_self_test_rejects_wrong_kernels(monkeypatch):
    """A kernel that is wrong in one bit, in one deep sum or in one tile is never chosen, however fast."""

    def limbs_in_one_block(a, b, out):
        with monkeypatch.context() as patch:
            patch.setattr(ring, "_LIMB_BLOCK", a.shape[1])
            ring.limbs(a, b, out)

    def too_deep(a, b, out):
        depth = min(a.shape[1], 1365)
        np.matmul(a[:, :depth], b[:depth], out=out)

    def last_column(a, b, out):
        np.matmul(a, b, out=out)
        out[-1, -1] ^= 1

    def idle(a, b, out):
        """The fastest of all."""

    assert ring.is_exact(ring.limbs)  # also computes the oracle with the right block
    wrong = {f.__name__: f for f in (limbs_in_one_block, too_deep, last_column, idle)}
    assert not any(ring.is_exact(kernel) for kernel in wrong.values())
    assert all(ring.is_exact(kernel) for kernel in ring.KERNELS.values())
    monkeypatch.setattr(ring, "KERNELS", {**wrong, **ring.KERNELS})
    ring.exact_kernels.cache_clear()
    ring.fastest.cache_clear()
    try:
        assert ring.fastest((120, 28, 8)) not in wrong
    finally:
        ring.exact_kernels.cache_clear()
        ring.fastest.cache_clear()


@given(st.integers(1, 10**6), st.integers(1, 10**6), st.integers(1, 10**6))
def test_samples_of_the_probe_are_small(m, k, n):
    """Whatever the product, the sample that is timed for it has at most 2^20 ring products."""
    a, b, c = ring.shape_class(m, k, n)
    assert min(a, b, c) >= 1
    assert a * b * c <= 1 << 20
