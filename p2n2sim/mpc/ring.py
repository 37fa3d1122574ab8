"""Matrix products in Z_2^64, exact, by the fastest kernel for the shape.

A ring element is an int64 in two's complement; numpy's ``+`` and ``-`` on int64 arrays wrap modulo 2^64 and
are the ring's addition and subtraction. For products there are several exact kernels, and which one is
fastest depends on the shape and on the processor. Before its first product a kernel must agree with Python
integers on adversarial values; those that do are timed once per class of shapes. The result is the same bits
whichever kernel wins.

``torch._int_mm`` is not among the kernels: it gave wrong results on some processors.
"""

from __future__ import annotations

import functools
import itertools
import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType

import numpy as np
import torch
from numpy.typing import NDArray

Matrix = NDArray[np.int64]
Kernel = Callable[[Matrix, Matrix, Matrix], None]
"""Writes the product of its first two arguments to the third, which overlaps neither."""

_TILE_ROWS, _TILE_COLUMNS = 16, 64  # of torch.mm on int64 with AVX-512
_COLUMNS_BLOCK = 1 << 15  # elements of a block of torch_columns: 256 KiB, within the second-level cache
_SLAB_PRODUCTS = 1 << 18  # ring products below which a second thread costs more than it brings
_PROBE_PRODUCTS = 1 << 20  # ring products of a timed sample: a millisecond for the slowest kernel
_PROBE_ROUNDS = 5

# Balanced digits a = a0 + 2^22 a1 + 2^43 a2 with |a0| <= 2^21 and |a1|, |a2| <= 2^20. Over one block of K
# the largest sum is that of a0 b2 + a2 b0 + 2 a1 b1, at most K (2^41 + 2^41 + 2^41); K = 1365 keeps it below
# 2^53, where float64 is exact in any order of addition.
_DIGIT_SHIFTS = (22, 21, 21)
_LIMB_BLOCK = 1365
# Elements with digits of the largest magnitude, odd so that their sums lose their last bit beyond 2^53.
_LARGE_DIGITS = ((1 << 20) - 1 << 43) + ((1 << 20) - 1 << 22) + (1 << 21) - 1
_LARGE_DIGITS_EVEN_TOP = _LARGE_DIGITS - (1 << 43)


def matmul(a: Matrix, b: Matrix, *, out: Matrix | None = None, threads: int = 1) -> Matrix:
    """The product of two matrices modulo 2^64.

    Args:
        a: int64 (m, k), any strides, possibly read-only.
        b: int64 (k, n), any strides, possibly read-only.
        out: int64 (m, n) to write to; must not overlap a or b.
        threads: over how many threads the rows of a may be split.

    Returns:
        ``out``, or a new C-contiguous array.

    Raises:
        TypeError: an array that is not int64.
        ValueError: shapes that do not fit, an ``out`` that overlaps an operand, or fewer than 1 thread.
    """
    if a.dtype != np.int64 or b.dtype != np.int64 or (out is not None and out.dtype != np.int64):
        raise TypeError("matmul takes and gives int64")
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[0]:
        raise ValueError(f"no matrix product of shapes {a.shape} and {b.shape}")
    if threads < 1:
        raise ValueError(f"threads must be at least 1, not {threads}")
    (m, k), n = a.shape, b.shape[1]
    if out is None:
        out = np.empty((m, n), dtype=np.int64)
    elif out.shape != (m, n):
        raise ValueError(f"out has shape {out.shape}, the product {(m, n)}")
    elif np.may_share_memory(out, a) or np.may_share_memory(out, b):
        raise ValueError("out overlaps an operand")
    if 0 in (m, k, n):
        out[...] = 0
        return out
    kernel = KERNELS[fastest(shape_class(m, k, n))]
    slabs = min(threads, m, 1 + m * k * n // _SLAB_PRODUCTS)
    if slabs == 1:
        kernel(a, b, out)
        return out
    cuts = [m * i // slabs for i in range(slabs + 1)]
    rows = [slice(*pair) for pair in itertools.pairwise(cuts)]
    # Every kernel spends its time outside the interpreter lock.
    list(_pool(threads, os.getpid()).map(lambda part: kernel(a[part], b, out[part]), rows))
    return out


@functools.cache
def _pool(threads: int, process: int) -> ThreadPoolExecutor:
    """Threads for row slabs. A forked child inherits the object but not the threads: hence the process id."""
    return ThreadPoolExecutor(threads, thread_name_prefix=f"ring-{process}")


@functools.cache
def keep_freed_memory() -> None:
    """Has the allocator keep what a batch frees for the next batch; called before the first product.

    A batch allocates and frees a dozen matrices of about a megabyte. By default glibc may hand each back to
    the operating system and fault it in again page by page, which costs as much as the arithmetic. Freeing
    one block of just under 32 MiB raises its thresholds (mallopt(3): the dynamic mmap threshold, and the trim
    threshold of twice that) for the rest of the process. No page of that block is ever touched. Other
    allocators are not affected.
    """
    np.empty((1 << 25) - (1 << 16), dtype=np.uint8)


# --- kernels ------------------------------------------------------------------------------------------------


def numpy_matmul(a: Matrix, b: Matrix, out: Matrix) -> None:
    """numpy's own integer product: best for a handful of elements."""
    np.matmul(a, b, out=out)


def einsum(a: Matrix, b: Matrix, out: Matrix) -> None:
    """Dot products of contiguous rows of a and columns of b."""
    np.einsum("mk,nk->mn", a, b.T.copy(), out=out)


def limbs(a: Matrix, b: Matrix, out: Matrix) -> None:
    """Float64 products of balanced digits: of nine digit products six matter modulo 2^64.

    The result does not depend on the number of BLAS threads: every sum is an integer below 2^53.
    """
    (m, k), n = a.shape, b.shape[1]
    block = min(k, _LIMB_BLOCK)
    left = np.empty((m, 3 * block))
    right = np.empty((3 * block, n))
    middle = np.empty((2 * block, n))
    out[...] = 0
    for first in range(0, k, block):
        a_part, b_part = a[:, first : first + block], b[first : first + block]
        width = a_part.shape[1]
        for i, digit in enumerate(_digits(a_part)):
            left[:, i * width : (i + 1) * width] = digit  # a0 | a1 | a2
        b0, b1, b2 = _digits(b_part)
        right[:width], right[2 * width : 3 * width] = b2, b0
        np.multiply(b1, 2, out=right[width : 2 * width], casting="unsafe")  # 2^44 = 2 * 2^43
        middle[:width], middle[width : 2 * width] = b1, b0
        high = left[:, : 3 * width] @ right[: 3 * width]  # a0 b2 + 2 a1 b1 + a2 b0, of weight 2^43
        mid = left[:, : 2 * width] @ middle[: 2 * width]  # a0 b1 + a1 b0, of weight 2^22
        low = left[:, :width] @ middle[width : 2 * width]  # a0 b0
        total = high.astype(np.int64) << _DIGIT_SHIFTS[1]
        total += mid.astype(np.int64)
        total <<= _DIGIT_SHIFTS[0]
        total += low.astype(np.int64)
        out += total


def _digits(x: Matrix) -> tuple[Matrix, Matrix, Matrix]:
    """Balanced digits of 22, 21 and 21 bits, lowest first, as int64."""
    digits = []
    for bits in _DIGIT_SHIFTS:
        digit = (x << 64 - bits) >> 64 - bits  # the low bits, sign extended
        digits.append(digit)
        x = (x - digit) >> bits  # a wrap here only touches bits of weight 2^64 and more
    return digits[0], digits[1], digits[2]


def torch_rows(a: Matrix, b: Matrix, out: Matrix) -> None:
    """``torch.mm`` on int64: with AVX-512 a kernel of 16 by 64 tiles; without, a plain loop."""
    if out.flags.c_contiguous:
        torch.mm(_tensor(a), _tensor(b), out=torch.from_numpy(out))
    else:
        out[...] = torch.mm(_tensor(a), _tensor(b)).numpy()


def torch_columns(a: Matrix, b: Matrix, out: Matrix) -> None:
    """``torch.mm`` of the transposes: fills the tile when the result has many rows and few columns.

    Rows are turned block by block, so that a block is still in the cache when it is multiplied.
    """
    (m, k), n = a.shape, b.shape[1]
    rows = min(m, max(_TILE_COLUMNS, _COLUMNS_BLOCK // k // _TILE_COLUMNS * _TILE_COLUMNS))
    tiled = -(-n // _TILE_ROWS) * _TILE_ROWS  # a full tile is faster than a partial one
    left = np.zeros((tiled, k), dtype=np.int64)
    left[:n] = b.T
    turned, product = np.empty(k * rows, dtype=np.int64), np.empty(tiled * rows, dtype=np.int64)
    for first in range(0, m, rows):
        part = a[first : first + rows]
        width = len(part)
        right, result = turned[: k * width].reshape(k, width), product[: tiled * width].reshape(tiled, width)
        right[...] = part.T
        torch.mm(torch.from_numpy(left), torch.from_numpy(right), out=torch.from_numpy(result))
        out[first : first + rows] = result[:n].T


def _tensor(x: Matrix) -> torch.Tensor:
    """A tensor over the same memory, or over a copy where torch can not or should not look at it."""
    plain = x.flags.c_contiguous or x.flags.f_contiguous
    return torch.from_numpy(x if plain and x.flags.writeable else x.copy())


KERNELS: Mapping[str, Kernel] = MappingProxyType(
    {
        "torch columns": torch_columns,
        "torch rows": torch_rows,
        "einsum": einsum,
        "limbs": limbs,
        "numpy @": numpy_matmul,
    }
)


# --- the choice ---------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=1024)
def shape_class(m: int, k: int, n: int) -> tuple[int, int, int]:
    """The shape of the sample that stands for all products of about this shape."""
    sample = [next((size for limit, size in _BUCKETS if x <= limit), _LARGEST) for x in (m, k, n)]
    while sample[0] * sample[1] * sample[2] > _PROBE_PRODUCTS:
        sample[sample.index(max(sample))] //= 2
    return sample[0], sample[1], sample[2]


# Up to the first size a sample has the second. No powers of two: they collide in caches as real sizes do not.
_BUCKETS = ((3, 2), (16, 8), (64, 28), (512, 120))
_LARGEST = 1000


@functools.cache
def fastest(sample: tuple[int, int, int]) -> str:
    """The name of the exact kernel that is fastest on a sample of this shape, measured once per process."""
    m, k, n = sample
    a, b = _pattern(m, k), _pattern(k, n)  # (m, k), (k, n)
    out = np.empty((m, n), dtype=np.int64)
    best = {name: _seconds(KERNELS[name], a, b, out) for name in exact_kernels()}
    for _ in range(_PROBE_ROUNDS):
        bound = 2 * min(best.values())
        for name in [name for name, seconds in best.items() if seconds <= bound]:
            best[name] = min(best[name], _seconds(KERNELS[name], a, b, out))
    return min(best, key=lambda name: best[name])


def _seconds(kernel: Kernel, a: Matrix, b: Matrix, out: Matrix) -> float:
    # The wall clock is in order here: it chooses among kernels that all give the same bits.
    start = time.perf_counter()
    kernel(a, b, out)
    return time.perf_counter() - start


@functools.cache
def exact_kernels() -> tuple[str, ...]:
    """The names of the kernels that pass :func:`is_exact` in this process."""
    keep_freed_memory()
    return tuple(name for name, kernel in KERNELS.items() if is_exact(kernel))


def is_exact(kernel: Kernel) -> bool:
    """Whether a kernel agrees with Python integers on values made to break it.

    One sample is deeper than two blocks of :func:`limbs`, and its largest sum is odd: summed in one block it
    could not come out right. The other crosses the tiles of ``torch.mm``.
    """
    for a, b, expected in _oracle():
        out = np.full_like(expected, 1)
        kernel(a, b, out)
        if not np.array_equal(out, expected):
            return False
    return True


@functools.cache
def _oracle() -> tuple[tuple[Matrix, Matrix, Matrix], ...]:
    samples = []
    for m, k, n in ((3, 2 * _LIMB_BLOCK + 3, 3), (17, 9, 66)):
        a, b = _pattern(m, k), _pattern(k, n)
        a[0], b[:, 0] = -1 << 63, (1 << 63) - 1
        a[1], b[:, 1] = _LARGE_DIGITS, _LARGE_DIGITS_EVEN_TOP
        samples.append((a, b, _python_product(a, b)))
    return tuple(samples)


def _python_product(a: Matrix, b: Matrix) -> Matrix:
    """The product by Python integers, reduced modulo 2^64 at the end."""
    columns = b.T.tolist()
    rows = [[sum(map(int.__mul__, row, column)) % (1 << 64) for column in columns] for row in a.tolist()]
    return np.array(rows, dtype=np.uint64).view(np.int64)


def _pattern(rows: int, columns: int) -> Matrix:
    """Elements that exercise all 64 bits: multiples of an odd constant, 2^64 divided by the golden ratio."""
    count = np.arange(1, rows * columns + 1, dtype=np.uint64)
    return (count * np.uint64(0x9E3779B97F4A7C15)).view(np.int64).reshape(rows, columns)
