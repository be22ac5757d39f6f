"""Lengths of arrays in functions that are traced: as numbers, as bounds, and as shapes of new arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from passes_support import assert_same

import arrayexpr
from arrayexpr._core.errors import UnsupportedError
from arrayexpr._core.interpret import interpret
from arrayexpr._core.parser import parse
from arrayexpr.build import spec_of, trace


def mean(a: Any, b: Any) -> Any:
    return a.sum(axis=0) / a.shape[0] + len(b) - b.size * np.shape(a.T[::2])[0]


def of_computed(a: Any, b: Any) -> Any:
    c = a[1:] * b
    return c.shape[0] * 100 + c.T.shape[0] * 10 + np.size(c.max(axis=1, keepdims=True), 1) + c.min(axis=0).nbytes


def halves(a: Any, b: Any) -> Any:
    half = a.shape[0] // 2
    return a[:half] + a[half : 2 * half] * b


def product(a: Any, b: Any) -> Any:
    n, m = a.shape
    c = np.zeros((n, b.shape[0]))
    for i in range(n):
        for j in range(b.shape[0]):
            for k in range(m):
                c[i, j] += a[i, k] * b[j]
    return c


def inner(a: Any, b: Any) -> Any:
    new = np.empty((a.shape[0] - 2, a.shape[1]), dtype="float32")
    new[...] = a[:-2] + a[2:]
    other = np.full(new.T.shape, b[0])
    other[1:] += new.T[:-1]
    return other + np.ones(new.shape[0], dtype=int)


def written_before(a: Any, b: Any) -> Any:
    kept = a[1:, 0] + 1
    a[...] = 0
    made = np.full((kept.shape[0], 1), 7, dtype=np.int16)
    return made + kept


FUNCTIONS: list[Callable[..., Any]] = [mean, of_computed, halves, product, inner, written_before]


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("shape", [(4, 3), (2, 1), (6, 2), (2, 5)])
def test_lengths_are_those_that_arguments_have(function: Any, shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 9, shape).astype(float), rng.integers(0, 9, shape[1:]).astype(float)
    kernel = arrayexpr.kernel(function)
    for given in (a, np.asfortranarray(a), np.repeat(a, 2, axis=1)[:, ::-2]):
        theirs, ours, read = given.copy(), given.copy(), given.copy()
        expected = function(theirs, b)
        assert_same(np.asarray(kernel(ours, b)), np.asarray(expected))
        assert_same(ours, theirs)
        program = trace(function, spec_of(read), spec_of(b))
        assert parse(str(program)) == program
        assert_same(np.asarray(interpret(program, {"a": read, "b": b})["r"]), np.asarray(expected))


@pytest.mark.filterwarnings("ignore:invalid value")
def test_arrays_of_no_elements_have_lengths() -> None:
    a = np.zeros((0, 3))
    for function in (mean, product, halves):
        theirs = np.asarray(function(a, np.ones(3)))
        assert_same(np.asarray(arrayexpr.kernel(function)(a, np.ones(3))), theirs)


def test_creators_of_known_shapes_are_numpys() -> None:
    def f(a: Any) -> Any:
        return a + np.zeros(()) + len("abc") + np.full((), 2.0)

    assert_same(arrayexpr.kernel(f)(np.ones(3)), np.full(3, 6.0))


def test_shapes_that_a_program_cannot_have_are_named() -> None:
    def constant(a: Any) -> Any:
        return np.zeros((a.shape[0], 3))

    def longer(a: Any) -> Any:
        return np.zeros(a.shape[0] + 1)

    def placed(a: Any) -> Any:
        return np.zeros(a.shape[0], device="cpu")

    def moved(a: Any) -> Any:
        return a[a.shape[0] // 2 :].shape[0] + a

    def counted(a: Any) -> Any:
        while a.shape[0] > 3:
            a = a[1:]
        return a

    def scalar(a: Any) -> Any:
        return len(a[0])

    for function, error, message in [
        (constant, UnsupportedError, "np.zeros of symbolic lengths and 3: expected lengths of arrays and ones"),
        (longer, UnsupportedError, r"np.zeros of the length .*a.shape\[0\] \+ 1: expected lengths of arrays, or fewer"),
        (placed, UnsupportedError, "np.zeros of symbolic lengths with device"),
        (moved, UnsupportedError, "a slice to a place that is computed"),
        (counted, TypeError, "the truth of a symbolic array bool is unknown"),
        (scalar, TypeError, "of a scalar float64: expected an array"),
    ]:
        with pytest.raises(error, match=message):
            arrayexpr.kernel(function)(np.ones(4))
