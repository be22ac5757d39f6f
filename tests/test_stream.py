"""Stores past the caches, by both engines: every element type, alignment and length."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest

import arrayexpr
from arrayexpr._core.engine import compiler

#: Its results are always larger than its caches.
TARGET = arrayexpr.Target(l1=256, l2=4096, l3=1)
DTYPES = ("int8", "uint16", "float16", "float32", "float64", "longdouble", "complex64", "complex128", "clongdouble")
LENGTHS = (1, 2, 7, 31, 32, 33, 63, 64, 65, 100, 511, 513, 1025, 5000)

engines = pytest.mark.parametrize(
    "engine", [pytest.param("c", marks=pytest.mark.skipif(not compiler.compiler(), reason="no C compiler")), "block"]
)


def vector(dtype: str, length: int, start: int) -> np.ndarray:
    """Whole numbers that begin so many elements after a cache line does."""
    size = np.dtype(dtype).itemsize
    memory = np.zeros((length + start) * size + 64, np.uint8)
    found = memory[-memory.ctypes.data % 64 + start * size :][: length * size].view(dtype)
    found[...] = np.arange(length) % 11
    return found


@functools.cache
def compiled(function: Any, engine: str, *dtypes: str) -> Any:
    operands = [arrayexpr.array(name, dtype, 1) for name, dtype in zip("abc", dtypes, strict=False)]
    return arrayexpr.compile(arrayexpr.program(function(*operands)), target=TARGET, engine=engine, wait=True)


def multiply_add(a: Any, b: Any) -> Any:
    return a * b + a


def less(a: Any, b: Any) -> Any:
    return a < b


@engines
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("function", [multiply_add, less])
def test_lengths_and_alignments(function: Any, dtype: str, engine: str) -> None:
    if function is less and np.dtype(dtype).kind == "c":
        pytest.skip("complex numbers have no order")
    kernel = compiled(function, engine, dtype, dtype)
    for length in LENGTHS:
        for start in (0, 1, 3, 5):
            a, b = vector(dtype, length, 0), vector(dtype, length, start)[::-1].copy()
            expected = function(a, b)
            room = vector(expected.dtype.name, length + 64, start)
            around = room.copy()
            out = room[16 : 16 + length]
            around[16 : 16 + length] = expected
            assert kernel(a, b, out=out) is out
            assert np.array_equal(room, around), (length, start)
    (step,) = kernel.compiled.plan.steps
    assert any("in stream(" in str(code.program) for code in step.region.codes.values())


def both(a: Any, b: Any, c: Any) -> Any:
    t = a + b
    return t * c + (t - c), t * c * (t - c)


@engines
@pytest.mark.parametrize("dtype", ["float64", "float32", "int16", "complex128"])
def test_several_results_whose_lines_begin_together_or_not(dtype: str, engine: str) -> None:
    kernel = arrayexpr.kernel(both, target=TARGET, engine=engine, wait=True)
    for length in LENGTHS:
        for start, other in ((0, 0), (3, 3), (1, 2), (0, 5)):
            arrays = [vector(dtype, length, k) for k in (0, 1, 3)]
            expected = both(*arrays)
            rooms = [vector(dtype, length + 128, k) for k in (start, other)]
            around = [room.copy() for room in rooms]
            for each, value in zip(around, expected, strict=True):
                each[64 : 64 + length] = value
            kernel(*arrays, out=tuple(room[64 : 64 + length] for room in rooms))
            assert all(map(np.array_equal, rooms, around)), (length, start, other)
    (made,) = kernel.traced.compiled.values()
    assert any("in stream(" in str(code.program) for code in made.codes())


@engines
def test_results_of_several_sizes_are_stored_as_usual(engine: str) -> None:
    kernel = arrayexpr.kernel(lambda a, b: (a + b, a < b), target=TARGET, engine=engine, wait=True)
    a, b = vector("float64", 3000, 1), vector("float64", 3000, 3)[::-1].copy()
    total, below = kernel(a, b)
    assert np.array_equal(total, a + b) and np.array_equal(below, a < b)


@engines
def test_elements_that_no_line_begins_with(engine: str) -> None:
    """A complex number may lie across two lines: half of it before, half of it after."""
    kernel = compiled(multiply_add, engine, "complex128", "complex128")
    a = vector("complex128", 300, 0)
    memory = np.zeros(300 * 16 + 128, np.uint8)
    out = memory[-memory.ctypes.data % 64 + 8 :][: 300 * 16].view("complex128")
    kernel(a, a, out=out)
    assert np.array_equal(out, a * a + a)


@engines
def test_the_result_may_be_an_operand(engine: str) -> None:
    kernel = compiled(multiply_add, engine, "float64", "float64")
    a, b = vector("float64", 3000, 3), vector("float64", 3000, 1)
    expected = a * b + a
    kernel(a, b, out=a)
    assert np.array_equal(a, expected)


@engines
def test_rows_that_begin_within_lines(engine: str) -> None:
    """A stencil, whose operands are one array; a row and a column, which are not asked for ahead."""

    def stencil(a: Any, row: Any, column: Any) -> Any:
        near = a[:-2, 1:-1] + a[2:, 1:-1] + a[1:-1, :-2] + a[1:-1, 2:] - 4.0 * a[1:-1, 1:-1]
        return near + row[1:-1] + column[1:-1]

    kernel = arrayexpr.kernel(stencil, target=TARGET, engine=engine, wait=True)
    rng = np.random.default_rng(0)
    for shape in ((3, 3), (5, 131), (40, 300), (7, 1003)):
        a, row, column = rng.random(shape), rng.random(shape[1]), rng.random((shape[0], 1))
        assert np.array_equal(kernel(a, row, column), stencil(a, row, column)), shape
    (made,) = kernel.traced.compiled.values()
    assert any("in stream(" in str(code.program) for code in made.codes())


@engines
def test_a_fill_and_a_copy(engine: str) -> None:
    for function in (lambda a: a, lambda a: a * 0.0 + 1.0):
        kernel = arrayexpr.kernel(function, target=TARGET, engine=engine, wait=True)
        a = vector("float64", 2000, 1)
        assert np.array_equal(kernel(a), function(a))
        assert np.array_equal(kernel(a[::-1]), function(a)[::-1])
        assert np.array_equal(kernel(np.broadcast_to(a[:1], 2000)), np.broadcast_to(function(a[:1]), 2000))


@pytest.mark.skipif(not compiler.compiler(), reason="no C compiler")
def test_vector_math_has_the_same_bits_wherever_lines_begin() -> None:
    def damped(a: Any, b: Any) -> Any:
        return np.exp(-a * a) * np.sin(b)

    past = arrayexpr.kernel(damped, target=TARGET, engine="c", wait=True)
    cached = arrayexpr.kernel(damped, engine="block")
    rng = np.random.default_rng(0)
    for length in (*LENGTHS, 8, 9, 15, 16, 17):
        for start in range(9):
            a, b = rng.normal(size=(2, length))
            room = vector("float64", length + 32, start)
            around = room.copy()
            around[16 : 16 + length] = cached(a, b)
            past(a, b, out=room[16 : 16 + length])
            assert np.array_equal(room, around), (length, start)
    for shape in ((3, 37), (5, 200)):
        a, b = rng.normal(size=(2, *shape))
        assert np.array_equal(past(a[:, 1:-1], b[:, 1:-1]), cached(a[:, 1:-1], b[:, 1:-1]))
