"""Reductions in regions: against NumPy over layouts, axes and element types; their error, and what decides it."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import arrayexpr
from arrayexpr._core.engine.plan import RegionStep
from arrayexpr._core.interpret import interpret
from arrayexpr._core.nodes import Loop, postorder
from arrayexpr._core.passes.sweep import ROWS, STRIP, sweep
from arrayexpr.tracing import trace

SHAPE = (5, 7, 6, 4)

LAYOUTS: dict[str, Callable[[Any], Any]] = {
    "C": lambda x: x,
    "F": np.asfortranarray,
    "permuted": lambda x: np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 0, -1)), -1, 0),
    "reversed": lambda x: x[::-1],
    "stepped": lambda x: np.repeat(x, 2, axis=-1)[..., ::2],
    "broadcast": lambda x: np.broadcast_to(x[..., :1], x.shape),
}

EXPRESSIONS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "sum": lambda a, b, axis: (a * b).sum(axis=axis),
    "keepdims": lambda a, b, axis: np.maximum(a, b).max(axis=axis, keepdims=True),
    "mean": lambda a, b, axis: (a - b).mean(axis=axis),
    "var": lambda a, b, axis: (a + b).var(axis=axis),
    "std": lambda a, b, axis: np.std(a, axis=axis, ddof=1) + b.min(axis=axis),
    "prod": lambda a, b, axis: (1 + a * b / 9).prod(axis=axis),
    "fmin": lambda a, b, axis: np.fmin.reduce(a * b, axis=axis),
    "any": lambda a, b, axis: (a > b + 1).any(axis=axis),
    "all": lambda a, b, axis: (a < b + 1).all(axis=axis),
    "count": lambda a, b, axis: np.count_nonzero(a > b, axis=axis),
    "softmax": lambda a, b, axis: _softmax(a - b, axis),
    "norm": lambda a, b, axis: (a - a.mean(axis=axis, keepdims=True)) / np.sqrt(a.var(axis=axis, keepdims=True)) * b,
    "two results": lambda a, b, axis: (a.mean(axis=axis), a.var(axis=axis), (a * b).max(axis=axis)),
    "used again": lambda a, b, axis: a - a.sum(axis=axis, keepdims=True) * b,
}


def _softmax(x: Any, axis: Any) -> Any:
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def same(got: Any, want: Any, rtol: float = 1e-11) -> None:
    for g, w in zip(*(x if isinstance(x, tuple) else (x,) for x in (got, want)), strict=True):
        assert np.shape(g) == np.shape(w)
        assert np.asarray(g).dtype == np.asarray(w).dtype
        np.testing.assert_allclose(g, w, rtol=rtol, atol=rtol)


def axes_of(rank: int) -> list[Any]:
    pairs = [axes for axes in itertools.combinations(range(rank), 2)]
    return [None, *range(rank), *pairs]


PAIRS = (("C", "C"), ("F", "C"), ("permuted", "F"), ("reversed", "stepped"), ("C", "broadcast"))


#: Each pair of layouts means a compiled kernel: of those of more axes each expression has some in turn, the slow ones
#: all of them.
@pytest.mark.parametrize("name", EXPRESSIONS)
@pytest.mark.parametrize(
    ("rank", "pairs"),
    [
        (1, 5),
        (2, 3),
        (3, 1),
        (4, 1),
        pytest.param(2, 5, marks=pytest.mark.slow),
        pytest.param(3, 5, marks=pytest.mark.slow),
        pytest.param(4, 5, marks=pytest.mark.slow),
    ],
)
def test_over_layouts_and_axes(name: str, rank: int, pairs: int) -> None:
    rng = np.random.default_rng(rank)
    # Expressions begin at different places, so that together they meet each axis in each pair of layouts.
    turn = itertools.islice(itertools.cycle(PAIRS), list(EXPRESSIONS).index(name), None)
    for axis in axes_of(rank):
        kernel = _made(name, axis)
        for first, second in itertools.islice(turn, pairs):
            a, b = (LAYOUTS[layout](rng.standard_normal(SHAPE[:rank])) for layout in (first, second))
            same(kernel(a, b), EXPRESSIONS[name](a, b, axis))


def _made(name: str, axis: Any) -> Any:
    def traced(a: Any, b: Any) -> Any:
        return EXPRESSIONS[name](a, b, axis)

    return arrayexpr.kernel(traced)


@pytest.mark.parametrize("name", ["sum", "var", "softmax", "any", "two results"])
@pytest.mark.parametrize("shape", [(3, 3 * STRIP + 5), (3 * ROWS + 5, 9), (2, 1), (1, 700), (700, 1)])
def test_beyond_strips(name: str, shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    a, b = rng.standard_normal((2, *shape))
    for axis in (0, 1, None):
        with np.errstate(all="ignore"):
            same(_made(name, axis)(a, b), EXPRESSIONS[name](a, b, axis))


ELEMENTS = [
    *("bool", "int8", "uint8", "int16", "int32", "int64", "uint64"),
    *("float16", "float32", "float64", "complex64", "complex128"),
]
NAMES = ["sum", "prod", "min", "max", "any", "all", "mean", "count_nonzero", "argmin", "argmax"]


@pytest.mark.parametrize("element", ELEMENTS)
@pytest.mark.parametrize("name", NAMES)
def test_element_types(element: str, name: str) -> None:
    rng = np.random.default_rng(2)
    # Of ones and their like, so that no product leaves the range.
    low = -1 if name == "prod" else -9
    x = (rng.integers(low, -low + 1, (37, 65)) * (1 + (1j if element.startswith("c") else 0))).astype(element)
    # Of strided arrays one axis each: together all types, and all names, have all of them.
    strided = (ELEMENTS.index(element) + NAMES.index(name)) % 3
    for k, axis in enumerate((0, 1, None)):
        for y in (x, x.T, x[::-2, ::3])[: 3 if k == strided else 2]:

            def reduced(a: Any, axis: Any = axis) -> Any:
                return getattr(np, name)(a, axis=axis)

            made = arrayexpr.kernel(_of_one(reduced))
            tolerance = {"float16": 2e-2, "float32": 1e-4, "complex64": 1e-4}.get(element, 1e-11)
            with np.errstate(all="ignore"):
                same(made(y), reduced(y), tolerance)


def _of_one(function: Callable[..., Any]) -> Callable[[Any], Any]:
    def traced(a: Any) -> Any:
        return function(a)

    return traced


@pytest.mark.parametrize("name", ["minimum", "maximum", "fmin", "fmax"])
@pytest.mark.parametrize("element", ["float32", "float64"])
def test_both_rules_for_nan(name: str, element: str) -> None:
    ufunc = getattr(np, name)
    x = np.random.default_rng(3).standard_normal((70, 45)).astype(element)
    for places in ([], [(0, 0)], [(69, 44)], [(3, 7), (3, 8), (68, 1)]):
        y = x.copy()
        for place in places:
            y[place] = np.nan
        y[5] = np.nan
        for axis in (0, 1, None):
            made = arrayexpr.kernel(_of_one(lambda a, axis=axis: ufunc.reduce(a, axis=axis)))
            np.testing.assert_array_equal(made(y), ufunc.reduce(y, axis=axis))


def test_of_no_elements() -> None:
    for shape in ((0, 3), (3, 0), (0, 0)):
        x = np.zeros(shape)
        for axis in (0, 1, None):
            same(_made("sum", axis)(x, x), x.sum(axis=axis))
            same(_made("any", axis)(x, x), x.any(axis=axis))
    with pytest.raises(arrayexpr.ShapeMismatch, match="zero-size"):
        arrayexpr.kernel(lambda a: a.max(axis=0))(np.zeros((0, 3)))


@given(st.integers(1, 6000), st.integers(0, 2**32 - 1))
def test_the_error_of_a_sum_is_within_that_of_pairwise_sums(count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(count) * 10.0 ** rng.integers(-8, 9, count)
    got = float(arrayexpr.evaluate("sum(x)", x=x))
    exact = sum(map(Fraction, x.tolist()))
    # Pairwise over blocks of 128 in 8 lanes: 16 + 3 + log2(n / 128) roundings of sums of magnitudes.
    roundings = 19 + max(0.0, np.log2(count / 128))
    bound = roundings * 2.0**-53 * sum(abs(Fraction(v)) for v in x.tolist())
    assert abs(Fraction(got) - exact) <= bound


def test_a_long_sum_keeps_its_digits() -> None:
    x = np.full(10_000_019, 0.1, np.float32)
    got = arrayexpr.evaluate("sum(x)", x=x)
    assert abs(float(got) / 1_000_001.9 - 1) <= abs(float(x.sum()) / 1_000_001.9 - 1) + 1e-7


@pytest.mark.parametrize("threads", [2, 3, 5])
def test_any_number_of_threads_gives_the_same_bits(threads: int) -> None:
    rng = np.random.default_rng(4)
    for shape in ((700, 900), (3, 200_000), (200_000, 3), (40, 50, 300)):
        a, b = rng.standard_normal((2, *shape))
        for axis in (None, *range(len(shape))):
            for name in ("sum", "var", "softmax"):

                def traced(a: Any, b: Any, name: str = name, axis: Any = axis) -> Any:
                    return EXPRESSIONS[name](a, b, axis)

                for x, y in ((a, b), (a, b.copy(order="F"))):
                    one, many = (arrayexpr.kernel(_of_two(traced), threads=n)(x, y) for n in (1, threads))
                    np.testing.assert_array_equal(one, many)


def _of_two(function: Callable[..., Any]) -> Callable[[Any, Any], Any]:
    def traced(a: Any, b: Any) -> Any:
        return function(a, b)

    return traced


@pytest.mark.parametrize("offset", [0.0, 1e8, -1e12])
def test_variance_of_values_far_from_zero(offset: float) -> None:
    x = np.random.default_rng(5).random((1001, 40)) + offset
    exact = np.asarray(x.astype(np.longdouble).var(axis=0), float)
    for axis, y in ((0, x), (1, x.T), (0, np.asfortranarray(x))):
        got = _made("var", axis)(y, 0 * y)
        numpy_error = np.abs(y.var(axis=axis) / exact - 1).max()
        assert np.abs(got / exact - 1).max() <= 4 * numpy_error + 1e-13


def test_variance_whose_first_element_lies_far_from_the_others() -> None:
    x = np.random.default_rng(9).random((3 * ROWS + 7, 5))
    x[0] += 1e9
    exact = np.asarray(x.astype(np.longdouble).var(axis=0), float)
    np.testing.assert_allclose(_made("var", 0)(x, 0 * x), exact, rtol=1e-13)
    same(_made("var", 0)(x[1:], 0 * x[1:]), x[1:].var(axis=0), 1e-13)


def test_variance_at_the_ends_of_the_numbers() -> None:
    x = np.random.default_rng(10).random((2 * ROWS, 6))
    x[:, 1] *= 1e200
    x[3, 2], x[0, 3], x[5, 4] = np.inf, -np.inf, np.nan
    x[:, 5] = 0.25
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(_made("var", 0)(x, 0.0), x.var(axis=0), rtol=1e-12)
        moments = EXPRESSIONS["two results"](x, x, 0)
    same(_made("two results", 0)(x, x), moments)


@pytest.mark.parametrize("name", ["sum", "var", "two results", "softmax", "norm", "any"])
@pytest.mark.parametrize("axis", [0, 1, None])
def test_both_engines_give_the_same_bits(name: str, axis: Any) -> None:
    rng = np.random.default_rng(11)

    def traced(a: Any, b: Any) -> Any:
        return EXPRESSIONS[name](a, b, axis)

    block, compiled = (arrayexpr.kernel(_of_two(traced), engine=engine) for engine in ("block", "c"))
    for shape in ((3 * ROWS + 5, 9), (7, STRIP + 3), (1, 40), (700, 33)):
        a, b = rng.standard_normal((2, *shape))
        for x, y in ((a, b), (a, b.T.copy().T)):
            one, other = (found if isinstance(found, tuple) else (found,) for found in (block(x, y), compiled(x, y)))
            for g, w in zip(one, other, strict=True):
                np.testing.assert_array_equal(g, w)


@pytest.mark.parametrize("element", ["float32", "float64"])
def test_strips_of_every_length_have_the_bits_of_the_block_engine(element: str) -> None:
    def function(a: Any, b: Any) -> Any:
        difference = np.absolute(a - b)
        extremes = a.max(axis=1), (a * b).min(axis=1), np.fmin.reduce(a, axis=1), np.fmax.reduce(b / a, axis=1)
        return (difference * difference).sum(axis=1), a.prod(axis=1), (a * b).sum(), *extremes

    block, compiled = (
        arrayexpr.kernel(lambda a, b: function(a, b), engine=engine, wait=True) for engine in ("block", "c")
    )
    # Around whole vectors, groups of four of them, and strips.
    for length in (*range(1, 70), 127, 128, 129, *range(509, 516), 1023, 1030, 1600):
        rng = np.random.default_rng(length)
        a, b = (rng.normal(size=(3, length)).astype(element) for _ in range(2))
        a[1, rng.integers(length)] = np.nan
        b[2, rng.integers(length)] = np.inf
        for got, want in zip(compiled(a, b), block(a, b), strict=True):
            np.testing.assert_array_equal(got, want)


def test_results_into_given_arrays() -> None:
    a, b = np.random.default_rng(6).standard_normal((2, 30, 40))
    for axis in (0, 1):
        want = EXPRESSIONS["two results"](a, b, axis)
        made = _made("two results", axis)
        for _ in range(3):
            out = tuple(np.full(w.shape, np.nan) for w in want)
            assert made(a, b, out=out) == out
            same(out, want)
        # One result over an operand, and two over one another's memory.
        memory = a.copy()
        out = (memory[0, : want[0].size] if axis == 0 else memory[:, 0], np.empty_like(want[1]), np.empty_like(want[2]))
        same(made(memory, b, out=out), want)
    softmax = _made("softmax", 1)
    inplace = a.copy()
    for _ in range(2):
        inplace[...] = a
        same(softmax(inplace, b, out=inplace), EXPRESSIONS["softmax"](a, b, 1))
    with pytest.raises(arrayexpr.ShapeMismatch, match="expected"):
        _made("sum", 0)(a, b, out=np.empty(30))


def test_a_reduction_into_more_axes_than_it_keeps() -> None:
    a = np.arange(12.0).reshape(3, 4)
    made = arrayexpr.kernel(lambda x: x.sum(axis=1, keepdims=True))
    out = np.empty((3, 4))
    made(a, out=out)
    np.testing.assert_array_equal(out, np.broadcast_to(a.sum(axis=1, keepdims=True), (3, 4)))


def test_reductions_over_one_set_of_axes_are_one_region() -> None:
    for name in ("mean", "var", "softmax", "norm"):
        made = _made(name, 1)
        made(np.ones((4, 5)), np.ones((4, 5)))
        (compiled,) = made.traced.compiled.values()
        assert [type(step) for step in compiled.plan.steps] == [RegionStep], name


def test_sums_over_the_same_array_share_a_sweep() -> None:
    made = arrayexpr.kernel(lambda x: (x.sum(), (x * x).sum(), x.max()))
    made(np.ones((300, 7)))
    (compiled,) = made.traced.compiled.values()
    (step,) = compiled.plan.steps
    assert len(step.targets) == 3


@pytest.mark.parametrize("axis", [0, 1, None])
@pytest.mark.parametrize("name", ["sum", "var", "softmax", "norm", "any"])
def test_the_loops_mean_what_the_statement_means(name: str, axis: Any) -> None:
    program = trace(lambda a, b: EXPRESSIONS[name](a, b, axis), ("float64", 2), ("float64", 2))
    loops = sweep(program)
    rng = np.random.default_rng(7)
    a, b = rng.standard_normal((2, ROWS + 3, 33))
    (result,) = program.results
    want = np.asarray(EXPRESSIONS[name](a, b, axis))
    if loops is program:
        assert axis is None and name in ("var", "softmax", "norm")
        return
    assert any(isinstance(n, Loop) for n in postorder(loops.statements))
    arrays = {"a": a, "b": b, result.name: np.full(want.shape, want.dtype.type(0))}
    np.testing.assert_allclose(interpret(loops, arrays)[result.name], want, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("engine", ["block", "c"])
@pytest.mark.parametrize("element", ["int8", "float32", "float64", "complex128"])
@pytest.mark.parametrize("shape", [(300, 260), (257, 513), (33, 2000), (2000, 33)])
def test_operands_that_conflict(shape: tuple[int, int], element: str, engine: str) -> None:
    rng = np.random.default_rng(8)
    # Whole numbers: their sums are exact in any order.
    a = np.round(rng.standard_normal(shape) * 9).astype(element)
    b = np.round(rng.standard_normal(shape[::-1]) * 9).astype(element)
    functions: list[Callable[[Any, Any], Any]] = [
        lambda x, y: (x * y).sum(),
        lambda x, y: (x + y).sum(axis=0),
        lambda x, y: (x + y).sum(axis=1),
    ]
    if element == "float64":
        functions += [
            lambda x, y: _softmax(x - y, 0),
            lambda x, y: _softmax(x - y, 1),
            lambda x, y: ((x - y).var(axis=0), np.maximum(x, y).max(axis=0)),
            lambda x, y: np.exp(x / 9 - y / 9).mean(axis=1),
        ]
    for function in functions:
        made = arrayexpr.kernel(_of_two(function), engine=engine)
        for x, y in ((a, b.T), (a[::-1], b.T[:, ::-1]), (a.T, b), (a[1:, 1:], b.T[1:, 1:])):
            same(made(x, y), function(x, y))


def test_operands_that_conflict_are_packed() -> None:
    a, b = np.ones((700, 900)), np.ones((900, 700))
    for axis, (l3, said) in itertools.product((0, 1), ((1 << 20, "pack("), (1 << 25, "is contiguous across rows"))):
        made, other = (
            arrayexpr.kernel(_of_two(lambda x, y, axis=axis: (x + y).sum(axis=axis)), target=arrayexpr.Target(l3=l3))
            for _ in range(2)
        )
        assert said in arrayexpr.explain(made, a, b.T)
        assert said not in arrayexpr.explain(other, a, b.T.copy())


@pytest.mark.parametrize(
    "function",
    [
        lambda a, b, c: (a * b).sum(1) * a.sum(1),
        lambda a, b, c: a / a.sum(1, keepdims=True) * b,
        lambda a, b, c: (a - a.mean(1, keepdims=True)).sum(1) * b.sum(1),
        lambda a, b, c: (a.sum(1), (a * b).sum(1)),
        lambda a, b, c: b.sum(1) * c.sum(1),
        lambda a, b, c: (b.max(1) + c.min(1), b.mean(1) - c.mean(1)),
        lambda a, b, c: (b * 2).sum(1, keepdims=True) + c,
        lambda a, b, c: a.sum(1)[:, None] * b + a.max(1, keepdims=True),
    ],
)
def test_reductions_over_lengths_of_their_own(function: Any) -> None:
    """An axis of length 1 that broadcasts beside a reduction is one element of it; two reductions need not match."""
    rng = np.random.default_rng(0)
    a, b, c = (rng.integers(1, 9, (3, n)).astype(float) for n in (1, 5, 7))
    kernel = arrayexpr.kernel(function)
    want = function(a, b, c)
    for _ in range(2):
        got = kernel(a, b, c)
        for x, y in zip(*(r if isinstance(r, tuple) else (r,) for r in (got, want)), strict=True):
            assert x.shape == y.shape
            np.testing.assert_allclose(x, y, rtol=1e-14)


@pytest.mark.parametrize("engine", ["block", "c"])
def test_of_what_does_not_vary_along_the_innermost_axis(engine: str) -> None:
    x = np.broadcast_to(np.random.default_rng(12).random((1, 90)), (1100, 90))
    for axis in (None, 0):
        kernel = arrayexpr.kernel(_of_one(lambda a, axis=axis: ((a - a.mean()) * 3).sum(axis=axis)), engine=engine)
        np.testing.assert_allclose(kernel(x), ((x - x.mean()) * 3).sum(axis=axis), rtol=1e-10, atol=1e-9)
        (compiled,) = kernel.traced.compiled.values()
        assert None not in [code for step in compiled.plan.steps for code in step.region.codes.values()]


def _as_before(name: str, axis: int, keepdims: bool) -> Callable[[Any], Any]:
    return lambda a: getattr(np, name)(a, axis=axis, keepdims=keepdims)


@pytest.mark.parametrize("element", ["int8", "uint64", "int32", "float32", "float64"])
@pytest.mark.parametrize("name", ["argmin", "argmax"])
def test_places_of_extremes(element: str, name: str) -> None:
    """The first extreme, or the first NaN, wherever the axis lies."""
    rng = np.random.default_rng(13)
    kernels: dict[Any, Any] = {}
    for shape in ((37, 65), (5, 7, 6), (1000,), (3, 1), (1, 4), (3, 2 * STRIP + 5)):
        x = (rng.standard_normal(shape) * 4).astype(element)
        given = [x]
        if x.dtype.kind == "f":
            some, most = x.copy(), np.full(shape, np.inf if name == "argmin" else -np.inf, element)
            some.flat[rng.integers(0, x.size, 5)] = np.nan
            given += [some, most]
        for y, layout in itertools.product(given, LAYOUTS):
            y = LAYOUTS[layout](y) if y.ndim > 1 else y[::-1]
            for axis in range(y.ndim):
                kernel = kernels.setdefault(
                    (y.ndim, axis), arrayexpr.kernel(_of_one(_as_before(name, axis, axis == 0)))
                )
                got, want = kernel(y), _as_before(name, axis, axis == 0)(y)
                assert got.dtype == want.dtype and np.shape(got) == np.shape(want)
                np.testing.assert_array_equal(got, want)
    for kernel in kernels.values():
        for compiled in kernel.traced.compiled.values():
            assert [type(step) for step in compiled.plan.steps] == [RegionStep]
            assert None not in compiled.plan.steps[0].region.codes.values()


@pytest.mark.parametrize("engine", ["block", "c"])
@pytest.mark.parametrize("axis", [0, 1])
def test_places_are_found_with_the_work_inside(engine: str, axis: int) -> None:
    a, b = np.random.default_rng(14).standard_normal((2, 70, 700))
    a[3, 5] = b[60, 600] = np.nan
    functions: list[Callable[[Any, Any], Any]] = [
        lambda a, b: np.argmin((a - b) ** 2, axis=axis),
        lambda a, b: np.argmax(np.exp(a - b), axis=axis) * 2 + a.argmin(axis=axis),
        lambda a, b: (np.argmin(a, axis=axis), a.min(axis=axis), (a * b).argmax(axis=axis)),
        lambda a, b: np.argmax(a - a.max(axis=axis, keepdims=True), axis=axis),
    ]
    for function in functions:
        for x, y in ((a, b), (a, b.T.copy().T), (a[::-1], b[:, ::-1])):
            kernel = arrayexpr.kernel(_of_two(function), engine=engine)
            want = function(x, y)
            got = kernel(x, y)
            for g, w in zip(*(r if isinstance(r, tuple) else (r,) for r in (got, want)), strict=True):
                np.testing.assert_array_equal(g, w)
            (compiled,) = kernel.traced.compiled.values()
            assert [type(step) for step in compiled.plan.steps] == [RegionStep]


@pytest.mark.parametrize("engine", ["block", "c"])
@pytest.mark.parametrize("shape", [(2_000_003,), (3, 900_001), (900_001, 3)])
def test_places_in_any_number_of_threads(shape: tuple[int, ...], engine: str) -> None:
    rng = np.random.default_rng(15)
    x = rng.integers(0, 100_000, shape).astype(float)
    axis = int(np.argmax(shape))
    some = x.copy()
    some.flat[[1_500_000, 1_600_000]] = np.nan
    for threads in (1, 2, 3, 7):
        low = arrayexpr.kernel(_of_one(lambda a: np.argmin(a * 2, axis=axis)), threads=threads, engine=engine)
        high = arrayexpr.kernel(_of_one(lambda a: np.argmax(a, axis=axis)), threads=threads, engine=engine)
        for y in (x, some, x[::-1]):
            np.testing.assert_array_equal(low(y), np.argmin(y, axis=axis))
            np.testing.assert_array_equal(high(y), np.argmax(y, axis=axis))


def test_places_of_nothing_are_refused() -> None:
    made = arrayexpr.kernel(lambda a: a.argmin(axis=0))
    with pytest.raises(arrayexpr.ShapeMismatch, match="empty"):
        made(np.zeros((0, 3)))
    assert made(np.zeros((3, 0))).shape == (0,)


@pytest.mark.parametrize("engine", ["block", "c"])
@pytest.mark.parametrize("name", ["max", "sum"])
def test_what_stands_beside_a_reduction_may_be_of_another_length(name: str, engine: str) -> None:
    """Along the axis that is reduced, the result is as long as what stands beside it."""
    reduction = getattr(np, name)

    @arrayexpr.kernel(engine=engine)
    def rows(a, b):  # type: ignore[no-untyped-def]
        return a[:-1] - reduction(b[::-1], axis=0)

    @arrayexpr.kernel(engine=engine)
    def in_place(a, b):  # type: ignore[no-untyped-def]
        a[1:] = a[:-1] - reduction(b, axis=0)

    for length, other in itertools.product((2, 3, 4), (1, 2, 3)):
        a, b = np.arange(2.0 * length).reshape(length, 2) ** 2, np.arange(2.0 * other).reshape(other, 2)
        expected = a[:-1] - reduction(b, axis=0)
        np.testing.assert_array_equal(rows(a, b), expected)
        in_place(a, b)
        np.testing.assert_array_equal(a[1:], expected)
