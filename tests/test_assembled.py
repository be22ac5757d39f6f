"""Functions whose results are put together of parts, in functions that are traced."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from passes_support import assert_same

import arrayexpr
from arrayexpr._core.errors import TypeMismatch, UnsupportedError
from arrayexpr._core.interpret import interpret
from arrayexpr.build import array, spec_of, trace


def differences(a: Any, b: Any) -> Any:
    return np.diff(a), np.diff(b, 2, axis=0), np.diff(b > 3), np.diff(a[1:], n=9)


def rolled(a: Any, b: Any) -> Any:
    a[...] = np.roll(a, 1) - 2 * a + np.roll(a, -1)
    return np.roll(a, 5), np.roll(a * 2, -3), np.roll(b, (1, -4), axis=(0, 1)), np.roll(b, 2, 1), np.roll(b, 0, 1)


def running(a: Any, b: Any) -> Any:
    np.cumsum(a, out=a)
    return (
        np.cumprod(b.astype("int8"), axis=1),
        np.cumsum(b.astype("float16"), axis=0),
        np.maximum.accumulate(b[:, ::-1], axis=1) + a[0],
        np.subtract.accumulate(b),
        np.cumsum(b[0] > 3),
    )


FUNCTIONS: list[Callable[..., Any]] = [differences, rolled, running]


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize(("n", "m"), [(5, 3), (1, 7), (2, 1), (4, 0)])
def test_results_are_numpys(function: Any, n: int, m: int) -> None:
    rng = np.random.default_rng(n)
    a, b = rng.integers(0, 9, n).astype(float), rng.integers(0, 9, (n, m)).astype(float)
    for x in (b, np.asfortranarray(b), np.repeat(b, 2, axis=1)[::-1, ::2]):
        theirs, ours, read = a.copy(), a.copy(), a.copy()
        expected = function(theirs, x)
        found = arrayexpr.kernel(function)(ours, x)
        interpreted = interpret(trace(function, spec_of(a), spec_of(x)), {"a": read, "b": x})
        assert_same(ours, theirs)
        assert_same(read, theirs)
        for k, each in enumerate(expected):
            assert_same(found[k], each)
            assert_same(interpreted[f"r{k}"], each)


def test_what_is_refused_is_named() -> None:
    x = array("x", "float64", 2)
    for refused, error, message in (
        (lambda: np.roll(x, 1), UnsupportedError, "without an axis"),
        (lambda: np.roll(x, 1.5, 0), TypeMismatch, "whole numbers"),
        (lambda: np.diff(x, prepend=0), UnsupportedError, "prepend"),
        (lambda: np.diff(x, -1), ValueError, "non-negative"),
        (lambda: np.cumsum(x, axis=2), np.exceptions.AxisError, "axis 2"),
    ):
        with pytest.raises(error, match=message):
            refused()
