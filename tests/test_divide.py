"""Rows divided by one number: the bits of a division, though they are multiplied."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import arrayexpr
from arrayexpr.target import Target
from arrayexpr.tracing import trace

DIVISORS = [
    3.0,
    -7.1,
    0.1,
    np.nextafter(2.0, 1.0),
    1.0,
    2.0**-500,
    2.0**500,
    2.0**501,
    1e-320,
    0.0,
    -0.0,
    np.inf,
    np.nan,
]


def same(got: Any, want: Any) -> None:
    np.testing.assert_array_equal(got, want)
    np.testing.assert_array_equal(np.signbit(got)[~np.isnan(want)], np.signbit(want)[~np.isnan(want)])


@pytest.fixture(scope="module")
def divide() -> Any:
    return arrayexpr.kernel(lambda a, s: a / s, engine="c")


@pytest.mark.parametrize("exponent", [0, 3, 400, 1070])
@pytest.mark.parametrize("divisor", DIVISORS)
def test_quotients_are_rounded_once(divide: Any, divisor: float, exponent: int) -> None:
    rng = np.random.default_rng(exponent)
    for length in (1, 64, 200):
        powers = rng.integers(-exponent, min(exponent, 1000) + 1, (6, length))
        x = rng.standard_normal((6, length)) * 2.0**powers
        # The quotients that are hardest to round: halfway between two numbers, but for the last bit or two.
        with np.errstate(all="ignore"):
            x[1] = divisor * (1 + rng.random(length)) + np.spacing(x[1]) * rng.integers(-2, 3, length)
        for row, value in enumerate((-0.0, np.inf, np.nan, 5e-324), 2):
            x[row, length // 2] = value
        with np.errstate(all="ignore"):
            same(divide(x, divisor), x / divisor)
            inplace = x.copy()
            same(divide(inplace, divisor, out=inplace), x / divisor)


def test_only_rows_of_doubles_by_what_the_loop_does_not_change_are_multiplied() -> None:
    def emitted(function: Any, *types: Any) -> bool:
        return "arrayexpr_divide_float64((" in arrayexpr.emit(trace(function, *types))

    rows = ("float64", 2)
    assert emitted(lambda a: a / a.sum(axis=1, keepdims=True), rows)
    assert emitted(lambda a: a / 3.0, rows)
    assert not emitted(lambda a: 3.0 / a, rows)
    assert not emitted(lambda a, b: a / b, rows, rows)
    assert not emitted(lambda a: a / np.float32(3), ("float32", 2))


def test_results_of_reductions_larger_than_the_caches_are_stored_past_them() -> None:
    target = Target(l3=1 << 16)
    x = np.random.default_rng(0).standard_normal((300, 400))

    def softmax(a: Any) -> Any:
        e = np.exp(a - a.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)

    made = arrayexpr.kernel(softmax, target=target)
    # The next row is prefetched while functions are computed.
    assert "ARRAYEXPR_PREFETCH(a + (i0 + 1)" in arrayexpr.emit(trace(softmax, ("float64", 2)))
    np.testing.assert_allclose(made(x), softmax(x), rtol=1e-13)
    assert "in stream(" in arrayexpr.explain(made, x)
    assert "in stream(" not in arrayexpr.explain(arrayexpr.kernel(lambda a: a.sum(axis=0), target=target), x)
    assert "in stream(" not in arrayexpr.explain(arrayexpr.kernel(lambda a: a.sum(axis=1), target=target), x)
