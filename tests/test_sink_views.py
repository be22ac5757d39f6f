"""`sink_views`: the bits stay, along axes of every length, and stencils of stencils become one region."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import arrayexpr
from arrayexpr._core.engine.plan import RegionStep
from arrayexpr._core.infer import same_lengths
from arrayexpr._core.interpret import interpret
from arrayexpr._core.nodes import Apply, Operand, Slice, View, postorder
from arrayexpr._core.passes.simplify import simplify
from arrayexpr._core.passes.sink_views import sink_views
from arrayexpr._core.types import FLOAT64
from arrayexpr._core.windows import composed, trimmed
from arrayexpr.tracing import trace

BOUNDS = (None, 0, 1, 2, 5, -1, -2, -5)
SLICES = [Slice(start, stop, step) for start in BOUNDS for stop in BOUNDS for step in (None, 1, 2, -1)]


def test_slices_of_slices_take_what_both_do() -> None:
    together = 0
    for item in SLICES:
        for over in SLICES:
            both = composed(item, over)
            if both is None:
                continue
            together += 1
            for length in range(9):
                x = np.arange(length)
                assert np.array_equal(x[slice(*item)][slice(*over)], x[slice(*both)]), (item, over, both, length)
    assert together > 1000


def test_slices_that_leave_out_as_much_are_of_one_length() -> None:
    known = [(item, trimmed(item)) for item in SLICES]
    for item, without in known:
        if without is not None:
            for length in range(9):
                assert len(np.arange(length)[slice(*item)]) == max(0, length - without)
    a = Operand("a", FLOAT64.array(1))
    inner = View(View(a, (Slice(1, None),)), (Slice(None, -2),))
    assert same_lengths(inner, View(a, (Slice(2, -1),))) and not same_lengths(inner, View(a, (Slice(2, None),)))


def random_value(rng: Any, arrays: list[Any]) -> Any:
    """A value of windows of windows, written for NumPy: some slice, some shift, some broadcast."""
    pool = list(arrays)
    for _ in range(rng.integers(3, 9)):
        x = pool[rng.integers(len(pool))]
        match rng.integers(5):
            case 0:
                pool.append(x[1:] - x[:-1])
            case 1:
                pool.append((x[2:] + x[:-2] + 2 * x[1:-1]) / 4)
            case 2:
                pool.append(x[:, 1:] * x[:, :-1] if x.ndim > 1 else x[1:] * 2)
            case 3:
                pool.append(np.where(x > 0.5, x, 1 - x)[::-1])
            case 4:
                pool.append(np.maximum(x, 0.25)[rng.integers(0, 3) :: rng.integers(1, 3)])
    return pool[-1] if rng.random() < 0.5 else pool[-1] * 2 + pool[-1]


@pytest.mark.parametrize("seed", range(60))
def test_random_windows(seed: int) -> None:
    def kernel(a: Any, b: Any) -> Any:
        return random_value(np.random.default_rng(seed), [a, b, a + b])

    program = trace(kernel, ("float64", 2), ("float64", 2))
    sunk = simplify(sink_views(program))
    compiled = arrayexpr.compile(program, engine="block")
    for shape, other in (((12, 9), (12, 9)), ((12, 1), (1, 9)), ((2, 3), (2, 3)), ((1, 9), (7, 1))):
        rng = np.random.default_rng(0)
        a, b = rng.random(shape), rng.random(other)
        try:
            expected = interpret(program, {"a": a, "b": b})["r"]
        except arrayexpr.ArrayExprError:
            continue
        assert np.array_equal(interpret(sunk, {"a": a, "b": b})["r"], expected)
        assert np.array_equal(compiled(a, b), expected)


def steps(function: Any, *specs: Any) -> int:
    kernel = arrayexpr.compile(trace(function, *specs))
    assert all(isinstance(step, RegionStep) for step in kernel.compiled.plan.steps)
    return len(kernel.compiled.plan.steps)


def test_a_limited_laplacian_is_one_region() -> None:
    def diffused(u: Any) -> Any:
        lap = 4.0 * u[1:-1, 1:-1] - (u[2:, 1:-1] + u[:-2, 1:-1] + u[1:-1, 2:] + u[1:-1, :-2])
        flux = lap[1:, 1:-1] - lap[:-1, 1:-1]
        flux = np.where(flux * (u[2:-1, 2:-2] - u[1:-2, 2:-2]) > 0, 0, flux)
        return u[2:-2, 2:-2] - 0.1 * (flux[1:] - flux[:-1])

    assert steps(diffused, ("float64", 2)) == 1


def test_sums_of_columns_are_added_up_once() -> None:
    def function(a: Any, b: Any) -> Any:
        def box(x: Any) -> Any:
            columns = x[:-2] + x[1:-1] + x[2:]
            return columns[:, :-2] + columns[:, 1:-1] + columns[:, 2:]

        return box(a * a) * box(b * b) - box(a * b)

    program = trace(function, ("float64", 2), ("float64", 2))
    kernel = arrayexpr.compile(program)
    found = [n for step in kernel.compiled.plan.steps for n in postorder(step.assigns) if isinstance(n, Apply)]
    # Three sums of columns of two additions, three of rows: none is computed at several places.
    assert sum(n.op.name == "add" for n in found) == 3 * 2 + 3 * 2
    rng = np.random.default_rng(0)
    a, b = rng.random((30, 41)), rng.random((30, 41))
    assert np.array_equal(kernel(a, b), function(a, b))


def test_what_is_kept_is_computed_once() -> None:
    def function(a: Any) -> Any:
        e = np.exp(a)
        d = e[1:] - e[:-1]
        return d[1:] * d[:-1], e[2:] + e[:-2]

    kernel = arrayexpr.compile(trace(function, ("float64", 1)))
    regions = [step for step in kernel.compiled.plan.steps if isinstance(step, RegionStep)]
    found = [n for step in regions for n in postorder(step.assigns) if isinstance(n, Apply) and n.op.name == "exp"]
    assert len(regions) > 1 and len(found) == 1


def test_what_was_computed_before_an_assignment_is_not_taken_after_it() -> None:
    def function(a: Any, b: Any) -> Any:
        first = np.exp(a)[1:] - np.exp(a)[:-1]
        b[...] = first
        a[...] = a * 2
        return np.exp(a)[1:] - np.exp(a)[:-1]

    rng = np.random.default_rng(0)
    a = rng.random(50)
    other, b = a.copy(), np.zeros(49)
    got = arrayexpr.kernel(function)(a, b)
    np.testing.assert_allclose(got, np.diff(np.exp(2 * other)), rtol=1e-13)
    np.testing.assert_allclose(b, np.diff(np.exp(other)), rtol=1e-13)


def test_temporaries_of_the_last_call_are_nobodys() -> None:
    @arrayexpr.kernel
    def function(a: Any) -> Any:
        e = np.exp(a)
        return e[1:] - e[:-1], np.exp(a)

    rng = np.random.default_rng(0)
    results = []
    for n in (1000, 1000, 30, 1000):
        a = rng.random(n)
        results.append((a, function(a)))
    for a, (d, e) in results:
        np.testing.assert_allclose(e, np.exp(a), rtol=1e-14)
        np.testing.assert_allclose(d, np.diff(np.exp(a)), rtol=0, atol=1e-14)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("count", [3, 16, 17])
def test_short_reductions_beside_a_small_operand(order: Any, count: int) -> None:
    @arrayexpr.kernel
    def distances(p: Any, c: Any) -> Any:
        d = ((p[:, None, :] - c[None, :, :]) ** 2).sum(axis=2)
        return d.argmin(axis=1), d

    rng = np.random.default_rng(0)
    p, c = rng.random((700, count)), np.asarray(rng.random((32, count)), order=order)
    for _ in range(2):
        nearest, d = distances(p, c)
        expected = ((p[:, None] - c[None]) ** 2).sum(axis=2)
        np.testing.assert_allclose(d, expected, rtol=1e-14)
        assert np.array_equal(nearest, expected.argmin(axis=1))
