"""Loops over elements that Numba compiles with our pass: the same bits as without it, in whatever order of memory."""

from __future__ import annotations

import ctypes
import os
import pickle
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

numba = pytest.importorskip("numba")

from numba_arrays import LAYOUTS, laid_out, small  # noqa: E402
from numba_cached import printed  # noqa: E402
from numba_differential import check, copied, nest_differential, run, same, same_bits  # noqa: E402

import arrayexpr.adapters.numba as ours  # noqa: E402
from arrayexpr.adapters.numba import explain, nests, njit, walk  # noqa: E402

SHAPES = ((1, 1), (0, 3), (5, 7), (9, 9), (33, 70), (130, 65))


class Walks:
    """Counts the walks that compiled code asks for."""

    def __init__(self) -> None:
        self.count = 0


@pytest.fixture
def walks(monkeypatch: pytest.MonkeyPatch) -> Iterator[Walks]:
    """Nests are run by walks however small they are, and counted."""
    counted = Walks()
    addresses = walk.addresses()
    words = {"arrayexpr_walk_2": 11, "arrayexpr_walk_nest_1": 4, "arrayexpr_walk_shared_1": 13}
    kept = []
    for name, count in words.items():
        kind = ctypes.CFUNCTYPE(ctypes.c_int32, *[ctypes.c_size_t] * count)
        original = kind(addresses[name])

        def counting(*args: int, original: Any = original) -> int:
            counted.count += 1
            return int(original(*args))

        kept.append(kind(counting))
        addresses = {**addresses, name: ctypes.cast(kept[-1], ctypes.c_void_p).value}
    monkeypatch.setattr(walk, "addresses", lambda: addresses)
    monkeypatch.setattr(nests._Nest, "small", 1)
    monkeypatch.setattr(nests._Nest, "small_sum", 1)
    yield counted
    monkeypatch.undo()
    ours.pipeline.provide()
    # What was compiled calls them still.
    KEPT.extend(kept)


KEPT: list[Any] = []


def both(function: Any, **flags: Any) -> tuple[Any, Any]:
    return numba.njit(**flags)(function), njit(**flags)(function)


def in_all_layouts(plain: Any, mine: Any, count: int, shapes: Any = SHAPES, mixed: int = 1) -> None:
    """Calls both on arrays of each layout, of lengths from none to some tiles; of the last `mixed` shapes, also on
    arrays of a layout each."""
    rng = np.random.default_rng(3)
    for layout in LAYOUTS:
        for shape in shapes:
            arrays = tuple(laid_out(rng, small(rng, shape, "f8"), layout) for _ in range(count))
            check(plain, mine, arrays, rng)
    for shape in shapes[-mixed:]:
        arrays = tuple(laid_out(rng, small(rng, shape, "f8"), str(rng.choice(LAYOUTS))) for _ in range(count))
        check(plain, mine, arrays, rng)


# -- What is taken ----------------------------------------------------------------------------------


def wrong_order(a: Any, b: Any, r: Any) -> None:
    n, m = r.shape
    for j in range(m):
        for i in range(n):
            r[i, j] = a[i, j] * 2.0 + b[i, j]


def stencil(a: Any, r: Any) -> None:
    for i in range(1, a.shape[0] - 1):
        for j in range(1, a.shape[1] - 1):
            r[i][j] = 0.25 * (a[i - 1, j] + a[i + 1, j] + a[i, j - 1] + a[i, j + 1])


def named(a: Any, b: Any, r: Any, s: Any) -> None:
    for i in range(a.shape[0]):
        for j in range(len(a[0])):
            t = a[i, j] * b[i, j]
            u = t + 1
            r[i, j] = u * t
            s[i, j] = u - r[i, j]


def chosen(a: Any, b: Any, r: Any) -> None:
    for i in range(a.shape[0]):
        for j in range(a.shape[1]):
            t = a[i, j]
            if t > 1.0:
                t = b[i, j]
            elif b[i, j] < 0:
                t = -t
            if j > 1:
                r[i, j] = t
            else:
                r[i, j] = 0


def bounded(a: Any, r: Any) -> None:
    for i in range(a.shape[0]):
        for j in range(a.shape[1]):
            if j >= 2 and i < a.shape[0] - 1:
                r[i, j] = a[i + 1, j - 2]


def backward(a: Any, r: Any) -> Any:
    i = j = 0
    for i in range(a.shape[0] - 1, -1, -1):
        for j in range(0, a.shape[1], 2):
            r[i, j] = a[i, j] + a[i, -1]
    return i, j


def in_place(a: Any, r: Any) -> None:
    for j in range(r.shape[1]):
        for i in range(r.shape[0]):
            r[i, j] += a[i, j] ** 2


def times(a: Any, r: Any) -> Any:
    s = 0.0
    for _ in range(3):
        for j in range(r.shape[1]):
            for i in range(r.shape[0]):
                r[i, j] = a[i, j] * 2 - r[i, j]
        if r.size:
            s += r[0, 0]
    return s


@pytest.mark.parametrize("mixed", [1, pytest.param(len(SHAPES), marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "function", [wrong_order, stencil, named, chosen, bounded, backward, in_place, times], ids=lambda f: f.__name__
)
def test_nests_that_are_taken(walks: Walks, function: Any, mixed: int) -> None:
    plain, mine = both(function)
    in_all_layouts(plain, mine, function.__code__.co_argcount, mixed=mixed)
    assert "loops over" in explain(mine), explain(mine)
    assert walks.count >= 10


def three(a: Any, r: Any, c: Any) -> None:
    for k in range(r.shape[2]):
        for i in range(r.shape[0]):
            for j in range(r.shape[1]):
                r[i, j, k] = a[k, j, i] + c[j]


def test_three_axes_permuted(walks: Walks) -> None:
    plain, mine = both(three)
    rng = np.random.default_rng(1)
    for order in ((0, 1, 2), (2, 1, 0), (1, 2, 0)):
        for lengths in ((4, 5, 6), (40, 17, 33)):
            room = np.zeros([lengths[k] for k in order]).transpose(np.argsort(order))
            a = rng.random(lengths[::-1])
            check(plain, mine, (a, room, rng.random(lengths[1])), rng)
    assert walks.count >= 6


def test_element_types(walks: Walks) -> None:
    rng = np.random.default_rng(2)
    plain, mine = both(wrong_order)
    for kinds in (("u1", "u1", "i2"), ("i4", "f4", "f4"), ("i8", "i8", "i8"), ("c16", "f8", "c16"), ("?", "i1", "f8")):
        arrays = tuple(laid_out(rng, small(rng, (20, 30), kind), "C") for kind in kinds)
        check(plain, mine, arrays, rng)
        largest = tuple(np.full_like(each, 1 if each.dtype.kind in "?c" else 100) for each in arrays)
        check(plain, mine, largest, rng)
    assert walks.count >= 8


@pytest.mark.parametrize("functions", [(named, stencil), pytest.param((wrong_order, in_place), marks=pytest.mark.slow)])
def test_memory_that_is_shared(walks: Walks, functions: Any) -> None:
    rng = np.random.default_rng(4)
    for function in functions:
        plain, mine = both(function)
        count = function.__code__.co_argcount
        room = rng.random((40, 30))
        for views in (
            [room] * count,
            [room[k : k + 30] for k in range(count)],
            [room[5 - k : 35 - k] for k in range(count)],
            [room[:30, :30].T if k % 2 else room[:30, :30] for k in range(count)],
            [room[:, ::-1] if k % 2 else room for k in range(count)],
        ):
            check(plain, mine, tuple(views), rng)
    # An array whose elements are in the same memory.
    plain, mine = both(in_place)
    line = rng.random(60)
    windows = np.lib.stride_tricks.as_strided(line, (20, 30), (8, 8))
    check(plain, mine, (rng.random((20, 30)), windows), rng)


def test_lengths_that_do_not_fit(walks: Walks) -> None:
    rng = np.random.default_rng(5)
    plain, mine = both(wrong_order, boundscheck=True)
    for shapes in (((9, 9), (8, 9), (9, 9)), ((9, 9), (9, 9), (9, 8)), ((12, 12), (10, 10), (9, 9))):
        arrays = tuple(rng.random(shape) for shape in shapes)
        check(plain, mine, arrays, rng)

    def around(a: Any, r: Any, n: int) -> None:
        for i in range(0, n):
            for j in range(0, n):
                r[i, j] = a[i - 1, j]

    for flags in ({}, {"boundscheck": True}):
        plain, mine = both(around, **flags)
        for n in (0, 1, 9, -3):
            check(plain, mine, (rng.random((9, 9)), rng.random((9, 9)), n), rng)
    # Sums that an int64 cannot hold.
    plain, mine = both(around, boundscheck=True)
    for n in (2**62, 2**63 - 1, -(2**63)):
        check(plain, mine, (rng.random((9, 9)), rng.random((9, 9)), n), rng)


@pytest.mark.parametrize("count", [3, pytest.param(12, marks=pytest.mark.slow)])
def test_random_nests(walks: Walks, count: int) -> None:
    start = int(os.environ.get("ARRAYEXPR_SEED", "25"))
    flags = [{}, {"error_model": "numpy", "nogil": True}]
    taken = sum(nest_differential(start + k, **flags[k % 2]) for k in range(count))
    assert taken > 1 and walks.count > 2, (taken, walks.count)


def product(a: Any, b: Any, r: Any) -> None:
    for i in range(r.shape[0]):
        for j in range(r.shape[1]):
            for k in range(a.shape[1]):
                r[i, j] += a[i, k] * b[k, j]


def down(a: Any, b: Any, r: Any) -> None:
    for j in range(a.shape[1]):
        for i in range(a.shape[0]):
            r[0, j] = r[0, j] * b[i, 0] + a[i, j]


def test_elements_that_are_added_to_in_order(walks: Walks) -> None:
    rng = np.random.default_rng(8)
    for function in (product, down):
        plain, mine = both(function)
        for layout in ("C", "F", "stepped"):
            for n, m, p in ((3, 4, 5), (0, 3, 3), (40, 70, 1030)):
                shapes = ((n, m), (m, p), (n, p)) if function is product else ((n, p), (n, 1), (1, p))
                arrays = [laid_out(rng, small(rng, shape, "f8"), layout) for shape in shapes]
                for each in arrays:
                    each *= rng.random(each.shape)
                check(plain, mine, tuple(arrays), rng)
                if n == m or function is down and p > n:
                    check(plain, mine, (arrays[0], arrays[1], arrays[0]), rng)
        assert "loops over" in explain(mine), explain(mine)
    assert walks.count >= 4


def indexed(r: Any, b: Any) -> None:
    for j in range(r.shape[1]):
        for i in range(r.shape[0]):
            r[i, j] = i * j + b[i, j]


def distance(r: Any, b: Any) -> None:
    n, m = r.shape
    for j in range(m - 1, -1, -1):
        for i in range(1, n):
            far = (i - n // 2) ** 2 + (j - 3.5) ** 2
            r[i, j] = far * b[i, j] if i > 2 else float(j)


@pytest.mark.parametrize("function", [indexed, distance], ids=lambda f: f.__name__)
def test_indices_that_are_values(walks: Walks, function: Any) -> None:
    plain, mine = both(function)
    in_all_layouts(plain, mine, 2)
    assert "loops over" in explain(mine), explain(mine)
    assert walks.count >= 10


def test_indices_below_0_are_values_in_the_loops_as_written(walks: Walks) -> None:
    def shifted(r: Any, b: Any, k: int) -> None:
        for j in range(r.shape[1]):
            for i in range(k, r.shape[0] + k):
                r[i - k, j] = i * b[i - k, j]

    plain, mine = both(shifted)
    rng = np.random.default_rng(12)
    for k, count in ((0, 1), (5, 2), (-3, 2)):
        check(plain, mine, (np.zeros((40, 30)), rng.random((40, 30)), k), rng)
        assert walks.count == count, explain(mine)


def product_sum(a: Any, b: Any) -> Any:
    s = 0.0
    m, n = min(a.shape[1], b.shape[0]), min(a.shape[0], b.shape[1])
    for j in range(m):
        for i in range(n):
            s += a[i, j] * b[j, i]
    return s


def two_sums(a: Any, b: Any) -> Any:
    s, p = 1.5, 1.0
    for j in range(a.shape[1]):
        for i in range(a.shape[0]):
            s = s + a[i, j] * 0.7
            p *= 1.0 + a[i, j] * 0.001
    return s, p


def sum_of_many(a: Any, b: Any) -> Any:
    s = 1.5
    for k in range(3):
        for j in range(a.shape[1]):
            for i in range(a.shape[0]):
                s += a[i, j] * b[i, j] + k * j
    return s, s + 1


def old_sum(a: Any, b: Any) -> Any:
    s, old = 0.0, 5.0
    for j in range(a.shape[1]):
        for i in range(a.shape[0]):
            old = s
            s += a[i, j]
            s = old
    return s, old


def sum_before(a: Any, b: Any) -> Any:
    s = p = 0.5
    for j in range(a.shape[1]):
        for i in range(a.shape[0]):
            p = s
            s += a[i, j]
    return s, p


def sum_where(a: Any, b: Any) -> Any:
    s = 0.0
    for j in range(a.shape[1]):
        for i in range(a.shape[0]):
            if i > j:
                s += a[i, j]
    return s


def sum_stored(a: Any, b: Any) -> Any:
    s = 0.0
    for j in range(a.shape[1]):
        for i in range(a.shape[0]):
            s += a[i, j]
            b[i, j] = s
    return s


@pytest.mark.parametrize("function", [product_sum, two_sums, sum_of_many], ids=lambda f: f.__name__)
def test_sums_in_the_order_of_the_text(walks: Walks, function: Any) -> None:
    plain, mine = both(function)
    rng = np.random.default_rng(9)
    for layout in LAYOUTS:
        for shape in SHAPES:
            a, b = (laid_out(rng, rng.standard_normal(shape), layout) for _ in range(2))
            check(plain, mine, (a, b.T if function is product_sum else b), rng)
    a = rng.standard_normal((90, 80))
    for b in (a, a.T, a[::-1]):
        check(plain, mine, (a, b), rng)
    assert "is added up in the order of the text" in explain(mine), explain(mine)
    assert walks.count >= 6, walks.count
    fast = njit(fastmath=True)(function)
    check(plain, fast, (a, rng.standard_normal((90, 80))), rng, close=True)
    assert "fastmath" in explain(fast)


@pytest.mark.parametrize("function", [old_sum, sum_before, sum_where, sum_stored], ids=lambda f: f.__name__)
def test_what_is_no_sum_alone_stays(walks: Walks, function: Any) -> None:
    plain, mine = both(function)
    rng = np.random.default_rng(10)
    for shape in SHAPES:
        check(plain, mine, tuple(rng.standard_normal(shape) for _ in range(2)), rng)
    assert "loop left to Numba" in explain(mine) and not walks.count


# -- What is refused --------------------------------------------------------------------------------


def kept_over(a: Any, r: Any) -> None:
    for i in range(r.shape[0]):
        t = 0.0
        for j in range(r.shape[1]):
            r[i, j] = t + a[i, j]
            t = a[i, j]


def taken_before(a: Any, r: Any) -> None:
    for i in range(r.shape[0]):
        t = a[i, 0]
        for j in range(r.shape[1]):
            a[i, j] = a[i, j] + 1.0
            r[i, j] = t + a[i, j]


def taken_before_a_test(a: Any, r: Any) -> None:
    for j in range(r.shape[1]):
        for i in range(r.shape[0]):
            t = a[i, j]
            if i > 1:
                a[i, j] = t + 1.0
            r[i, j] = t * 2.0


def left_over(a: Any, r: Any) -> Any:
    for i in range(r.shape[0]):
        for j in range(r.shape[1]):
            t = a[i, j]
            r[i, j] = t
        r[i, 0] = t
    return t


@pytest.mark.parametrize(
    "function", [kept_over, taken_before, taken_before_a_test, left_over], ids=lambda f: f.__name__
)
def test_numbers_that_are_kept(walks: Walks, function: Any) -> None:
    plain, mine = both(function)
    in_all_layouts(plain, mine, 2, shapes=((5, 7), (33, 70)))


def test_what_is_left_says_why() -> None:
    def recurrence(a: Any, r: Any) -> None:
        for i in range(1, a.shape[0]):
            for j in range(1, a.shape[1]):
                r[i, j] = r[i - 1, j - 1] + a[i, j]

    def total(a: Any, r: Any) -> Any:
        s = 0.0
        for i in range(a.shape[0]):
            for j in range(a.shape[1]):
                s = a[i, j] - s * r[i, j]
        return s

    def divided(a: Any, r: Any) -> None:
        for i in range(a.shape[0]):
            for j in range(a.shape[1]):
                r[i, j] = 1.0 / a[i, j]

    def masked(a: Any, r: Any) -> None:
        for i in range(a.shape[0]):
            for j in range(a.shape[1]):
                if a[i, j] > 0:
                    r[i, j] = 1.0

    def left(a: Any, r: Any) -> None:
        for i in range(a.shape[0]):
            for j in range(a.shape[1]):
                if a[i, j] > 2:
                    break
                r[i, j] = 1.0

    def triangle(a: Any, r: Any) -> None:
        for i in range(a.shape[0]):
            for j in range(i):
                r[i, j] = a[j, i]

    def twice(a: Any, r: Any) -> None:
        for i in range(a.shape[0]):
            for j in range(a.shape[1]):
                r[i, (i * j) % 3] = a[i, j]

    rng = np.random.default_rng(6)
    for function, why in (
        (recurrence, "flow dependence by r, distance (1, 1)"), (total, "goes from one iteration to the next"),
        (divided, "truediv in line"), (masked, "only where a value says so"), (left, "to its end"),
        (triangle, "triangular"), (twice, "a subscript of r is no sum of indices"),
    ):  # fmt: skip
        plain, mine = both(function)
        check(plain, mine, (rng.random((6, 6)) + 0.1, rng.random((6, 6))), rng)
        assert "loop left to Numba" in explain(mine) and why in explain(mine), explain(mine)
    plain, mine = both(divided, error_model="numpy")
    check(plain, mine, (np.zeros((60, 60)), np.asfortranarray(rng.random((60, 60)))), rng)
    assert "loops over" in explain(mine)


# -- Flags, caches, ways in -------------------------------------------------------------------------


def test_parallel_loops_in_the_order_of_memory(walks: Walks) -> None:
    def expression(a: Any, b: Any, r: Any) -> Any:
        t = a * 2.0 + b
        r[:, :] = t - a
        return t

    def ranges(a: Any, b: Any, r: Any) -> Any:
        for i in numba.prange(r.shape[0]):
            for j in range(r.shape[1]):
                r[i, j] = a[i, j] / b[i, j]
        return r

    rng = np.random.default_rng(7)
    for function in (expression, ranges):
        plain, mine = both(function, parallel=True)
        for layout in ("F", "part", "stepped") if function is expression else ("part", "stepped"):
            for shape in ((5, 7), (300, 200)):
                arrays = tuple(laid_out(rng, small(rng, shape, "f8"), layout) for _ in range(3))
                one, other = copied(arrays, rng), copied(arrays, rng)
                expected, found = plain(*one), mine(*other)
                assert (
                    np.array_equal(expected, found, equal_nan=True)
                    and found.flags.c_contiguous == expected.flags.c_contiguous
                )
                assert same_bits(one, other)
        assert "loops over" in explain(mine), explain(mine)
    assert walks.count >= 6

    def reduced(a: Any) -> Any:
        return (a * 2 + 1).sum()

    plain, mine = both(reduced, parallel=True)
    assert mine(np.ones((50, 50))) == plain(np.ones((50, 50)))
    assert "it reduces to a temporary" in explain(mine)


def test_parallel_statements_without_temporaries(walks: Walks) -> None:
    def three(a: Any, b: Any, out: Any) -> Any:
        t = a * b
        u = t + a
        out[:] = u * t
        return u

    def made(a: Any, b: Any, out: Any) -> Any:
        t = a * b
        return (t + a) / b + t // b

    rng = np.random.default_rng(8)
    for function in (three, made):
        plain, mine = both(function, parallel=True)
        for layout in ("C", "F") if function is three else ("F",):
            for shape in ((5, 7), (90, 70)):
                base = laid_out(rng, small(rng, (shape[0] + 1, shape[1]), "f8"), layout)
                a, b = (laid_out(rng, small(rng, shape, "f8") + 1, layout) for _ in range(2))
                # Apart, the same, what overlaps, and what the result has to broadcast to.
                row = laid_out(rng, small(rng, (1, shape[1]), "f8") + 1, layout)
                cases = [(a, b, base[1:]), (a, b, b), (a[:1], row, base[1:]), (a, b[:-1], base)]
                if layout == "C":
                    cases.append((base[:-1], b, base[1:]))
                for args in cases:
                    one, other = copied(args, rng), copied(args, rng)
                    expected, error = run(plain, one)
                    found, raised = run(mine, other)
                    assert raised == error and (error or same(found, expected)), explain(mine)
                    assert same_bits(one, other), explain(mine)
    assert walks.count >= 6
    plain, mine = both(three, parallel=True)
    mine(np.ones((3, 4)), np.ones((3, 4)), np.ones((3, 4)))
    assert "line" in explain(mine) and "assigns to 'out' in the parallel loop, without a temporary" in explain(mine)


def test_callees_and_ufuncs(walks: Walks) -> None:
    inner = njit(wrong_order)
    inlined = njit(inline="always")(wrong_order)

    def outer(a: Any, b: Any, r: Any) -> None:
        inner(a, b, r)

    def around(a: Any, b: Any, r: Any) -> None:
        inlined(a, b, r)

    plain = numba.njit(wrong_order)
    for function in (njit(outer), njit(around), numba.njit(outer)):
        before = walks.count
        in_all_layouts(plain, function, 3, shapes=((9, 9), (70, 40)))
        assert walks.count > before
    assert "loops over" in explain(inner)
    ours.install()
    try:
        body = numba.guvectorize(["void(f8[:,:], f8[:,:], f8[:,:])"], "(n,m),(n,m)->(n,m)", nopython=True)(wrong_order)
        a, b = np.random.default_rng(0).random((2, 3, 20, 30))
        before = walks.count
        assert np.array_equal(body(a, b), a * 2 + b) and walks.count > before
    finally:
        ours.uninstall()


def test_dispatchers_pickle(walks: Walks) -> None:
    mine = pickle.loads(pickle.dumps(njit(wrong_order)))
    in_all_layouts(numba.njit(wrong_order), mine, 3, shapes=((9, 9),))
    assert "loops over" in explain(mine)


@pytest.mark.parametrize("orders", ["CCC", "FFF", "CFC", "FCF"])
def test_what_stands_still_along_an_axis_of_length_one(orders: str, walks: Walks) -> None:
    # Kernels have a loop for what types tell to stand still: at run time that axis may be gone, another one innermost.
    rng = np.random.default_rng(5)
    for shape in ((1, 9), (9, 1), (1, 1), (12, 40), (40, 12)):
        for function in (product, indexed):
            arrays = [small(rng, (n, m), "f8") for n, m in ((shape[0], 7), (7, shape[1]), shape)]
            if function is indexed:
                arrays = [small(rng, shape, "f8"), small(rng, shape, "f8")]
            laid = [np.array(x, order=order) for x, order in zip(arrays, orders, strict=False)]
            check(*both(function), tuple(laid), rng)
    assert walks.count


CACHED = """
import sys, numpy as np, numba
from arrayexpr.adapters.numba import install, njit
how, path = sys.argv[1:]
sys.path.insert(0, path)
if how == "installed":
    install()
import cached
f = (njit if how == "ours" else numba.njit)(cache=True)(cached.f)
a = np.arange(6000.0).reshape(100, 60)
r = np.zeros((100, 60), order="F")
f(a, r)
assert np.array_equal(r, a * 2)
(compiled,) = f.overloads.values()
ours = "arrayexpr_walk" in compiled.library.get_llvm_str() if not f.stats.cache_hits else None
print(ours, sum(f.stats.cache_hits.values()))
"""


def test_the_cache_serves_no_code_of_the_other_kind(tmp_path: Path) -> None:
    (tmp_path / "cached.py").write_text(
        "def f(a, r):\n    for j in range(r.shape[1]):\n        for i in range(r.shape[0]):\n"
        "            r[i, j] = a[i, j] * 2\n"
    )

    assert printed(CACHED, "ours", tmp_path) == "True 0"
    assert printed(CACHED, "plain", tmp_path) == "False 0"
    assert printed(CACHED, "installed", tmp_path) == "None 1"
    assert printed(CACHED, "ours", tmp_path) == "None 1"
    assert printed(CACHED, "plain", tmp_path) == "None 1"


SWITCHED = """
import numpy as np, numba
@numba.njit
def f(a, r):
    for j in range(r.shape[1]):
        for i in range(r.shape[0]):
            r[i, j] = a[i, j] * 2
f(np.ones((3, 3)), np.ones((3, 3)))
(compiled,) = f.overloads.values()
print("arrayexpr" in compiled.metadata)
"""


def test_numba_finds_the_pass_where_the_environment_says_so(tmp_path: Path) -> None:
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    entry = project["entry-points"]["numba_extensions"]
    assert entry == {"init": "arrayexpr_numba:init"}
    # As an installed distribution has it, whether or not this one was installed before the entry was there.
    made = tmp_path / "switched-1.dist-info"
    made.mkdir()
    shutil.copy(Path(__file__).parents[1] / "arrayexpr_numba.py", tmp_path)
    (made / "METADATA").write_text("Metadata-Version: 2.1\nName: switched\nVersion: 1\n")
    (made / "entry_points.txt").write_text(f"[numba_extensions]\ninit = {entry['init']}\n")

    def run(value: str | None) -> tuple[str, str]:
        path = os.pathsep.join(filter(None, (str(tmp_path), os.environ.get("PYTHONPATH"))))
        env = {**os.environ, "PYTHONPATH": path}
        env.pop("ARRAYEXPR_NUMBA", None)
        if value is not None:
            env["ARRAYEXPR_NUMBA"] = value
        done = subprocess.run(
            [sys.executable, "-c", SWITCHED], capture_output=True, text=True, check=False, env=env
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout.strip(), done.stderr

    assert run(None)[0] == "False" and run("0")[0] == "False"
    assert run("1")[0] == "True"
    found, warned = run("yes")
    assert found == "False" and "expected 0 or 1" in warned
