"""Reductions in parts: the same bits in any number of threads and from either engine, and errors of pairwise sums."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from layouts import LAYOUTS, lay_out
from test_threads import python

import arrayexpr
from arrayexpr._core.types import element

THREADS = (1, 2, 3, 7)

FULL: dict[str, Callable[[Any, Any], Any]] = {
    "sum": lambda a, b: a.sum(),
    "squares": lambda a, b: ((a - b) ** 2).sum(),
    "several": lambda a, b: (a.mean(), (a * b).sum(), a.max(), (a > b).any(), np.count_nonzero(a < b)),
    "moments": lambda a, b: (a.mean(), a.var(), np.sqrt((a * a).sum()) * b.min()),
    "costly": lambda a, b: np.exp(a - b).sum(),
    "with a number": lambda a, b: ((a - b.mean()) ** 2).sum() / 3 + b.mean(),
}


def results(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


def made(function: Callable[..., Any], **options: Any) -> Any:
    def traced(a: Any, b: Any) -> Any:
        return function(a, b)

    return arrayexpr.kernel(traced, **options)


def divided(kernel: Any) -> int:
    """How many of a kernel's regions have been run in parts."""
    (compiled,) = kernel.traced.compiled.values()
    return sum(bool(step.region.divided) for step in compiled.plan.every_step() if hasattr(step, "region"))


def check(function: Callable[..., Any], a: Any, b: Any, rtol: float, engines: tuple[str, ...] = ("block", "c")) -> Any:
    """The same bits of every engine and number of threads, near NumPy's."""
    with np.errstate(all="ignore"):
        want = results(function(a, b))
    first = None
    for engine in engines:
        for threads in THREADS:
            kernel = made(function, engine=engine, threads=threads)
            for _ in range(2):
                got = results(kernel(a, b))
                first = got if first is None else first
                for one, other in zip(got, first, strict=True):
                    np.testing.assert_array_equal(one, other)
    for g, w in zip(got, want, strict=True):
        assert np.shape(g) == np.shape(w) and np.asarray(g).dtype == np.asarray(w).dtype
        np.testing.assert_allclose(g, w, rtol=rtol)
    return kernel


@pytest.mark.parametrize("name", FULL)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_over_layouts(name: str, layout: str) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.random((2, 1100, 900))
    kernel = check(FULL[name], lay_out(a, layout, rng), lay_out(b, "C", rng), 1e-12)
    assert divided(kernel)


@pytest.mark.parametrize("name", ["bool", "int8", "uint16", "int32", "int64", "float32", "complex64", "complex128"])
def test_over_element_types(name: str) -> None:
    rng = np.random.default_rng(1)
    a, b = ((rng.random((3000, 1100)) * 5).astype(element(name).dtype) for _ in range(2))

    def function(a: Any, b: Any) -> Any:
        if name == "bool":
            return a.any(), b.all(), a.sum(), (a & b).sum()
        if name.startswith("complex"):
            return a.sum(), (a * b).sum()
        return a.sum(), a.min(), (a * b).max(), (a == b).any(), (a + b).sum()

    kernel = check(function, a, b.T.copy().T, 1e-5 if name in ("float32", "complex64") else 1e-12)
    assert divided(kernel)


@pytest.mark.parametrize("shape", [(3, 700_001), (700_001, 3), (2, 1_100_003), (40_000, 30), (5, 6, 70_001)])
def test_over_one_axis_of_few(shape: tuple[int, ...]) -> None:
    """Where the axes that are kept leave too little to share."""
    rng = np.random.default_rng(2)
    a, b = rng.random((2, *shape))
    axis = int(np.argmax(shape))
    kernel = check(lambda a, b: ((a - b) ** 2).sum(axis=axis), a, b, 1e-12)
    assert divided(kernel)
    check(lambda a, b: (a.mean(axis=axis, keepdims=True) * 2, (a * b).max(axis=axis, keepdims=True)), a, b, 1e-12)
    check(lambda a, b: a.sum(axis=axis) * b.max(axis=axis) + 1, a[::-1], b, 1e-12)


def test_of_more_axes_than_a_nest_has() -> None:
    rng = np.random.default_rng(3)
    a, b = (x[:, ::2, ::2, ::2, ::2] for x in rng.random((2, 6, 8, 10, 8, 10)))
    kernel = check(lambda a, b: ((a - b) ** 2).sum(), a, b, 1e-12)
    assert divided(kernel) and all(code is not None for code in next(iter(kernel.traced.compiled.values())).codes())
    check(lambda a, b: (a * b).sum(axis=(0, 1, 2, 3)), a, b, 1e-12)
    check(lambda a, b: (a * b).max(axis=(1, 2, 3, 4)), a, b, 1e-12)


@pytest.mark.parametrize("count", [781_250, 1_000_003, 3_000_017])
def test_the_error_is_that_of_pairwise_sums(count: int) -> None:
    rng = np.random.default_rng(count)
    x = rng.standard_normal(count) * 10.0 ** rng.integers(-8, 9, count)
    kernel = made(lambda a, b: a.sum())
    got = float(kernel(x, x))
    assert divided(kernel)
    bound = (12 + math.log2(count)) * 2.0**-53 * math.fsum(np.abs(x))
    assert abs(got - math.fsum(x)) <= bound


def test_lengths_alone_say_what_the_parts_are() -> None:
    """The same numbers elsewhere in memory, in other layouts that walk it alike, have the same sum."""
    rng = np.random.default_rng(4)
    x = rng.standard_normal((1500, 1300))
    kernel = made(lambda a, b: (a * b).sum())
    want = kernel(x, x)
    room = np.empty(x.size + 3)
    for start in (1, 3):
        moved = room[start : start + x.size].reshape(x.shape)
        moved[...] = x
        assert kernel(moved, moved) == want
    flat, turned = x.reshape(-1), np.ascontiguousarray(x).reshape(1300, 1500).T
    assert made(lambda a, b: (a * b).sum())(flat, flat) == want
    assert kernel(turned, turned) == want


def test_nan_and_overflow_pass_through_parts() -> None:
    x = np.ones(2_000_000)
    for place in (0, 1_000_003, 1_999_999):
        y = x.copy()
        y[place] = np.nan
        kernel = made(lambda a, b: (a.min(), a.sum(), np.fmin.reduce(a), (a == a).all()))
        for _ in range(2):
            low, total, least, equal = kernel(y, y)
            assert np.isnan(low) and np.isnan(total) and least == 1 and not equal


def test_integers_whose_power_raises_do_so_in_a_part() -> None:
    base, exponent = np.full(2_000_000, 2), np.zeros(2_000_000, np.int64)
    kernel = made(lambda a, b: (a**b).sum())
    assert kernel(base, exponent) == 2_000_000
    exponent[1_700_000] = -1
    with pytest.raises(ValueError, match="negative"):
        kernel(base, exponent)


def test_threads_take_part() -> None:
    script = (
        "import numpy as np, arrayexpr\n"
        "from arrayexpr._core.engine import pool\n"
        "f = arrayexpr.kernel(lambda x: (x * x).sum(), threads=3)\n"
        "f(np.ones(1000)); assert pool.workers() == 0\n"
        "assert f(np.ones(3_000_000)) == 3_000_000; assert pool.workers() == 2, pool.workers()\n"
    )
    done = python(script)
    assert done.returncode == 0, done.stderr


def test_explain_says_that_there_are_parts() -> None:
    kernel = made(lambda a, b: (a - b).sum())
    x = np.ones(1_000_000)
    assert "in parts" in arrayexpr.explain(kernel, x, x)
    assert "in parts" not in arrayexpr.explain(made(lambda a, b: (a - b).sum()), x[:1000], x[:1000])
