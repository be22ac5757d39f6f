"""The call path: signatures, what is remembered, memory order of results, calls from many threads."""

from __future__ import annotations

import gc
import itertools
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from layouts import LAYOUTS, WRITABLE, lay_out, same

import arrayexpr
from arrayexpr._core.engine.dispatch import MAX_CODES, allocate_like, walks_itself


def muladd(rank: int, dtype: str = "float64", **options: Any) -> Any:
    a, b, c = (arrayexpr.array(name, dtype, rank) for name in "abc")
    return arrayexpr.compile(arrayexpr.program(a * b + c), **options)


def codes(kernel: Any) -> list[Any]:
    """The specialisations that were compiled for a kernel of one region."""
    compiled = getattr(kernel, "compiled", None) or next(iter(kernel.traced.compiled.values()))
    (step,) = compiled.plan.steps
    return list(dict.fromkeys(step.region.codes.values()))


# -- Signatures ---------------------------------------------------------------------------------


def test_same_walk_same_code() -> None:
    """C, Fortran, permuted alike and reversed alike are one problem, of one axis, for one compiled kernel."""
    kernel = muladd(3)
    rng = np.random.default_rng(0)
    a, b, c = rng.normal(size=(3, 4, 5, 6))
    out = np.zeros((4, 5, 6))
    for view in (
        lambda x: x,
        lambda x: x.T,
        lambda x: x.transpose(1, 0, 2),
        lambda x: x[::-1],
        lambda x: x[:, ::-1, ::-1],
        lambda x: x.transpose(2, 0, 1)[::-1],
        lambda x: x[:1],
        lambda x: x.reshape(20, 1, 6),
        lambda x: x[2:, ::-1],
    ):
        x, y, z, r = view(a), view(b), view(c), view(out)
        kernel(x, y, z, out=r)
        assert same(r, x * y + z)
    assert [code.rank for code in codes(kernel)] == [1]


def test_a_new_shape_never_compiles() -> None:
    kernel = muladd(2)
    for _ in range(2):
        assert kernel(*(np.ones((0, 4)),) * 3).shape == (0, 4)
    assert codes(kernel) == []
    kernel(*(np.ones((3, 4)),) * 3)
    before = codes(kernel)
    for shape in [(1, 1), (1, 7), (100, 3), (0, 4), (33, 65), (5000, 2)]:
        kernel(*(np.ones(shape),) * 3)
    assert codes(kernel) == before


def test_a_thousand_random_layouts_compile_at_most_eight_kernels() -> None:
    kernel = muladd(3)
    rng = np.random.default_rng(0)
    for attempt in range(1000):
        shape = tuple(int(n) for n in rng.integers(1, 7, 3))
        if attempt % 40 == 0:
            # Large enough for tiles.
            shape = tuple(int(n) for n in rng.integers(20, 40, 3))
        arrays = []
        for _ in range(3):
            its = tuple(1 if rng.random() < 0.15 else n for n in shape)
            arrays.append(lay_out(rng.normal(size=its), LAYOUTS[rng.integers(len(LAYOUTS))], rng))
        a, b, c = arrays
        expected = a * b + c
        if attempt % 2:
            out = lay_out(np.zeros(expected.shape), WRITABLE[rng.integers(len(WRITABLE))], rng)
            kernel(a, b, c, out=out)
            assert same(out, expected)
        else:
            assert same(kernel(a, b, c), expected)
    assert 1 < len(codes(kernel)) <= MAX_CODES == 8


def test_the_generic_codes_take_all_layouts_beyond_the_budget() -> None:
    """Every combination of classes of five operands, small and large enough for tiles: right, and eight codes."""
    names = "abcde"
    operands = [arrayexpr.array(name, "float32", 2) for name in names]
    kernel = arrayexpr.compile(arrayexpr.program(operands[0] - operands[1] * operands[2] + operands[3] - operands[4]))
    rng = np.random.default_rng(0)
    for n, m in ((5, 7), (130, 130)):
        base = rng.normal(size=(2 * n, 2 * m)).astype("f4")
        kinds = [
            base[:n, :m],
            base[:m, :n].T if m <= 2 * n else base[:n, :m],
            base[:n, ::2],
            base[:1, :m],
            base[:n, :1],
        ]
        kinds = [k for k in kinds if k.shape in ((n, m), (1, m), (n, 1))]
        for combination in itertools.islice(itertools.product(kinds, repeat=5), 0, None, 31):
            a, b, c, d, e = combination
            assert same(kernel(a, b, c, d, e), a - b * c + d - e)
    assert len(codes(kernel)) <= MAX_CODES


def test_decisions_are_the_same_for_the_same_signature() -> None:
    kernel = muladd(2)
    x = np.ones((6, 7))
    kernel(x, x, x)
    (step,) = kernel.compiled.plan.steps
    out = np.zeros((6, 7))
    first = step.region.decide([x, x, x, out])
    assert step.region.decide([x[::-1], x[::-1], x[::-1], out[::-1]]) is first
    assert step.region.decide([x[:2], x[:2], x[:2], out[:2]]) is first
    assert step.region.decide([x, x, x, np.zeros((6, 14))[:, ::2]]) is not first


# -- What is remembered -------------------------------------------------------------------------


def test_repeat_calls_look_at_every_thing_that_may_have_changed() -> None:
    """After a call is remembered: another shape, stride, type, order, alignment, overlap or writability is seen."""
    kernel = muladd(1)
    base = np.arange(64.0)
    a, b, c, out = base[:8].copy(), base[8:16].copy(), base[16:24].copy(), np.zeros(8)
    for _ in range(3):
        kernel(a, b, c, out=out)
        assert same(out, a * b + c)
    assert same(kernel(a[:5], b[:5], c[:5]), (a * b + c)[:5])
    assert same(kernel(a[::2], b[::2], c[::2]), (a * b + c)[::2])
    assert same(kernel(a, b[:1], c), a * b[0] + c)
    swapped = b.astype(">f8")
    assert same(kernel(a, swapped, c), a * b + c)
    unaligned = np.zeros(8, "u1,f8")["f1"]
    unaligned[...] = b
    assert not unaligned.flags.aligned and same(kernel(a, unaligned, c), a * b + c)
    with pytest.raises(TypeError, match="operand b has element type float32"):
        kernel(a, b.astype("f4"), c)
    # The same layouts as before, but overlapping now.
    ours = base.copy()
    kernel(ours[:8], ours[1:9], ours[2:10], out=ours[3:11])
    expected = base.copy()
    expected[3:11] = base[:8] * base[1:9] + base[2:10]
    assert same(ours, expected)
    # In place is no overlap to solve.
    x = a.copy()
    kernel(x, x, x, out=x)
    assert same(x, a * a + a)
    locked = np.zeros(8)
    locked.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        kernel(a, b, c, out=locked)
    assert same(kernel(a, b, c, out=None), a * b + c)


def test_repeat_calls_fill_an_output_longer_than_the_operands() -> None:
    kernel = muladd(2)
    row, one = np.arange(3.0)[None], np.ones((1, 1))
    for _ in range(3):
        for x, y, z in ((row, one, one), (one, one, one)):
            out = np.full((4, 3), np.nan)
            kernel(x, y, z, out=out)
            assert same(out, np.broadcast_to(x * y + z, (4, 3)))


@settings(max_examples=150)
@given(st.data(), st.integers(0, 2**32 - 1))
def test_calls_in_any_order(data: Any, seed: int) -> None:
    """A few kernels, called with a few layouts in every order, each as if it were the only call."""
    rng = np.random.default_rng(seed)
    arrays = []
    for _ in range(4):
        shape = data.draw(st.sampled_from([(3, 4), (4, 3), (1, 4), (3, 1), (40, 40), (1, 1), (0, 4)]))
        arrays.append(lay_out(rng.normal(size=shape), data.draw(st.sampled_from(LAYOUTS)), rng))
    for _ in range(6):
        a, b, c = (arrays[k] for k in rng.integers(0, 4, 3))
        try:
            expected = a * b + c
        except ValueError:
            with pytest.raises(ValueError):
                _SHARED(a, b, c)
            continue
        if rng.random() < 0.5:
            out = lay_out(np.zeros(expected.shape), data.draw(st.sampled_from(WRITABLE)), rng)
            _SHARED(a, b, c, out=out)
            assert same(out, expected)
        else:
            assert same(_SHARED(a, b, c), expected)


_SHARED = muladd(2)


def test_python_numbers_by_the_quick_way() -> None:
    @arrayexpr.kernel
    def f(a: Any, x: Any) -> Any:
        return a * x + a

    x = np.arange(4, dtype="i2")
    for a in (3, -3, True, 0, np.int16(5), np.array(7, "i2"), 2.5, np.float32(1.5), 1j):
        for _ in range(3):
            got, want = f(a, x), a * x + a
            assert same(got, want) and got.dtype == want.dtype, a
    for _ in range(2):
        with pytest.raises(Exception, match="70000"):
            f(70000, x)


# -- Memory order of results --------------------------------------------------------------------


@settings(max_examples=400)
@given(st.data(), st.integers(0, 5))
def test_results_lie_in_memory_as_numpy_would_lay_them(data: Any, rank: int) -> None:
    """NumPy's K order: for one ufunc, the strides are its own."""
    full = tuple(data.draw(st.lists(st.sampled_from([1, 2, 3]), min_size=rank, max_size=rank)))
    seed = data.draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    arrays = []
    for _ in range(2):
        kind = data.draw(st.sampled_from(["C", "F", "permuted", "stepped", "reversed", "broadcast"]))
        shape = tuple(1 if rng.random() < 0.2 else n for n in full[len(full) - rng.integers(0, rank + 1) :])
        arrays.append(lay_out(np.ones(shape), kind, rng))
    a, b = arrays
    expected = np.add(a, b, order="K")
    assume(isinstance(expected, np.ndarray))
    made = allocate_like([a, b], expected.shape, np.dtype("f8"))
    told = [s for s, n in zip(expected.strides, expected.shape, strict=True) if n > 1]
    assert [s for s, n in zip(made.strides, made.shape, strict=True) if n > 1] == told
    got = _ADD(a, b)
    assert [s for s, n in zip(got.strides, got.shape, strict=True) if n > 1] == told
    assert [s for s, n in zip(_ADD(a, b).strides, got.shape, strict=True) if n > 1] == told
    assert got.flags.owndata and got.flags.writeable


@arrayexpr.kernel
def _ADD(x: Any, y: Any) -> Any:
    return x + y


@settings(max_examples=300)
@given(st.lists(st.integers(0, 4), max_size=4), st.lists(st.integers(-24, 24), min_size=4, max_size=4))
def test_arrays_that_walk_themselves_are_found(shape: list[int], strides: list[int]) -> None:
    """No array in which two elements share memory is taken for one in which none do."""
    steps = strides[: len(shape)]
    low = sum((n - 1) * s for n, s in zip(shape, steps, strict=True) if s < 0 and n)
    array: np.ndarray = np.ndarray(tuple(shape), "i4", np.zeros(600, "u1"), -low, tuple(steps))
    touched = [
        sum(k * s for k, s in zip(place, steps, strict=True)) for place in itertools.product(*(range(n) for n in shape))
    ]
    really = any(
        0 < abs(x - y) < 4 or (x == y and i != j) for i, x in enumerate(touched) for j, y in enumerate(touched)
    )
    if really:
        assert walks_itself(array)


# -- Threads ------------------------------------------------------------------------------------


def test_the_gil_is_released_while_a_kernel_runs() -> None:
    """Another thread counts on while one long call runs."""
    a = arrayexpr.array("a", "float64", 1)
    value = a
    for _ in range(12):
        value = np.sin(value) + a
    kernel = arrayexpr.compile(arrayexpr.program(value))
    x = np.linspace(0, 1, 12_000_000)
    kernel(x[:5000])
    beats: list[float] = []
    stop = threading.Event()

    def beat() -> None:
        while not stop.is_set():
            beats.append(time.perf_counter())
            time.sleep(0.001)

    other = threading.Thread(target=beat)
    other.start()
    try:
        start = time.perf_counter()
        kernel(x)
        end = time.perf_counter()
    finally:
        stop.set()
        other.join()
    within = sum(start < t < end for t in beats)
    assert end - start > 0.02, "the call was too short to tell"
    # Held all the time, there is none; one millisecond of sleep may well take several.
    assert within >= (end - start) / 0.05


def test_small_and_large_calls_from_many_threads() -> None:
    """Python threads that call one kernel at once, with remembered and new layouts, get right results."""
    kernel = muladd(2)
    rng = np.random.default_rng(0)
    problems = []
    for shape in ((3, 4), (4, 3), (60, 70), (70, 60), (1, 9), (9, 1), (200, 300)):
        for kind in ("C", "F", "stepped", "reversed", "permuted"):
            arrays = [lay_out(rng.normal(size=shape), kind, rng) for _ in range(3)]
            problems.append((arrays, arrays[0] * arrays[1] + arrays[2]))

    def work(seed: int) -> int:
        own = np.random.default_rng(seed)
        for k in own.permutation(len(problems)):
            (a, b, c), expected = problems[k]
            out = np.empty_like(expected)
            for _ in range(4):
                assert same(kernel(a, b, c), expected)
                kernel(a, b, c, out=out)
                assert same(out, expected)
        return seed

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(work, range(16))) == list(range(16))
    assert len(codes(kernel)) <= MAX_CODES


# -- Memory -------------------------------------------------------------------------------------


def test_references_are_kept_in_balance() -> None:
    kernel = muladd(1)
    a, b, c, out = (np.ones(5) for _ in range(4))
    given_dtype = a.dtype
    counts: list[list[int]] = []
    for _ in range(3):
        for _ in range(500):
            kernel(a, b, c)
            kernel(a, b, c, out=out)
            kernel(a[:3], b[:3], c[:3])
            with pytest.raises(TypeError):
                kernel(a, b)
        gc.collect()
        counts.append([sys.getrefcount(x) for x in (a, b, c, out, given_dtype, kernel, None)])
    first, last = counts[1], counts[2]
    assert all(abs(x - y) < 50 for x, y in zip(first, last, strict=True)), counts


def test_kernels_are_collected() -> None:
    import weakref

    kernel = muladd(1)
    kernel(*(np.ones(3),) * 3)
    gone = weakref.ref(kernel.compiled)
    del kernel
    gc.collect()
    assert gone() is None


def test_results_are_no_view_of_anything() -> None:
    kernel = arrayexpr.kernel(lambda x: x)
    x = np.ones(3)
    for _ in range(2):
        got = kernel(x)
        assert got.base is None and not np.shares_memory(got, x)
