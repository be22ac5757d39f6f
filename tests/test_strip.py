"""Strips keep every bit of a program's meaning, and kernels over strips have one result per value."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from layouts import clone, lay_out, same, ulps
from strategies import elementwise_programs, loop_programs, operand_arrays

import arrayexpr
from arrayexpr._core.errors import ShapeMismatch, UnsupportedError
from arrayexpr._core.interpret import interpret
from arrayexpr._core.nodes import Apply, Guard, Loop, Scratch, Store
from arrayexpr._core.parser import parse
from arrayexpr._core.passes.lower import lower
from arrayexpr._core.passes.nests import enclosed
from arrayexpr._core.passes.strip import strip
from arrayexpr._core.passes.vectorize import vectorize
from arrayexpr._core.vector_math import is_vector_math
from arrayexpr._core.verify import verify
from arrayexpr.target import Target

LENGTHS = (0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 63, 64, 65, 500, 511, 512, 513, 520, 1023, 1024, 1025, 1100)


# -- The pass -----------------------------------------------------------------------------------


@settings(max_examples=300)
@given(st.data(), elementwise_programs(kinds="f", max_rank=2, max_nodes=16), st.sampled_from([1, 3, 4, 512]))
def test_strips_keep_the_meaning(data: Any, case: Any, size: int) -> None:
    # The sign of a NaN is nobody's, and a logaddexp of other functions is as near as NumPy's.
    inexact = ("copysign", "signbit", "logaddexp", "logaddexp2")
    assume(not any(isinstance(n, Apply) and n.op.name in inexact for n in case.program.nodes()))
    # NumPy's function of a half is not always its function of a single, rounded, which is what strips compute.
    assume(not any(n.type is not None and n.type.element.name == "float16" for n in case.program.nodes()))
    arrays = data.draw(operand_arrays(case))
    lowered = lower(case.program)
    cut = strip(lowered, size=size)
    verify(cut)
    assert parse(str(cut)) == cut
    try:
        expected = interpret(lowered, clone(arrays))
    except (ShapeMismatch, UnsupportedError):
        assume(False)
    for name, value in interpret(cut, clone(arrays)).items():
        assert same(value, expected[name]), f"{name}: expected\n{expected[name]}\ngot\n{value}\nof\n{cut}"


@given(st.data(), loop_programs(), st.sampled_from([1, 3, 512]))
def test_loops_of_a_host_keep_their_meaning(data: Any, case: Any, size: int) -> None:
    arrays = data.draw(operand_arrays(case))
    cut = strip(case.program, size=size)
    verify(cut)
    one, two = clone(arrays), clone(arrays)
    try:
        expected = interpret(case.program, one)
    except (ShapeMismatch, UnsupportedError):
        assume(False)
    got = interpret(cut, two)
    for name in expected:
        assert same(got[name], expected[name]), name
    for name in one:
        assert same(one[name], two[name]), name


@given(elementwise_programs(kinds="f", max_rank=2, max_nodes=16))
def test_a_function_stands_alone(case: Any) -> None:
    """What the emitter and the block engine rely on: a function's loop has one store, of a function of loads."""
    for loop in enclosed(vectorize(strip(lower(case.program)), versions=False).statements):
        if not isinstance(loop, Loop) or not all(isinstance(s, Store) for s in loop.body) or loop.role != "vector":
            continue
        values = [v for s in loop.body for v in _values(s.value)]
        if any(map(is_vector_math, values)):
            assert len(loop.body) == 1 and is_vector_math(loop.body[0].value), loop
            assert not any(isinstance(part, Apply) for part in loop.body[0].value.args), loop


def _values(node: Any) -> list[Any]:
    return [node, *(v for part in node.args for v in _values(part))] if isinstance(node, Apply) else [node]


def test_strips_are_few() -> None:
    """A chain of functions needs one strip however long it is."""
    text = "a"
    for _ in range(10):
        text = f"exp(-{text} * 0.5)"
    program = strip(lower(parse(f"def f(a: float64[::1], *, r: float64[::1]):\n    r[...] = {text}\n")))
    assert sum(isinstance(s, Scratch) for s in enclosed(program.statements)) == 1


def test_without_vector_math_functions_stay_where_they_are() -> None:
    program = lower(parse("def f(a: float64[::1], *, r: float64[::1]):\n    r[...] = exp(-a) + 1.0\n"))
    assert strip(program.replace(target=Target(vector_math=False))).statements == program.statements
    assert strip(program.replace(target=Target())).statements != program.statements


# -- Kernels ------------------------------------------------------------------------------------

EXPRESSIONS = {
    "product": lambda x, y: np.exp(-x * x) * np.sin(y),
    "alone": lambda x, y: np.tanh(x),
    "nested": lambda x, y: np.log1p(np.exp(np.cos(x) + y)) / (1 + np.abs(y)),
    "shared": lambda x, y: np.sin(x / (2 + y * y)) + np.cos(x / (2 + y * y)) * (x / (2 + y * y)),
    "softplus": lambda x, y: np.logaddexp(0, x) + np.logaddexp2(x, y),
    "two": lambda x, y: np.arctan2(x, y) + np.hypot(x, y) ** 1.5,
    "scalars": lambda x, y: np.power(np.abs(x), 2.5) + np.power(2.5, y),
    "lazy": lambda x, y: np.where(x > y, np.log(np.abs(x)) + np.sin(y), x + y),
    "lazy both": lambda x, y: np.where(x > 0, np.exp(x), np.where(y > 0, np.sin(y), np.cos(x) * 2)),
}


@pytest.mark.parametrize("name", EXPRESSIONS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_kernels_over_strips(name: str, dtype: str) -> None:
    """Near NumPy's values at every length, and the same bits whatever the offset, the stride and the length."""
    function = EXPRESSIONS[name]
    kernel = arrayexpr.kernel(function)
    rng = np.random.default_rng(3)
    x, y = (rng.normal(size=1100).astype(dtype) for _ in range(2))
    whole = kernel(x, y)
    expected = function(x.astype("longdouble"), y.astype("longdouble")).astype(dtype)
    # Differences cancel: what is near zero is so of terms of size one.
    tolerance = 64 * np.finfo(dtype).eps
    np.testing.assert_allclose(whole, expected, rtol=tolerance, atol=tolerance)
    for n in LENGTHS:
        for start in (0, 1, 5):
            part = slice(start, min(1100, start + n))
            assert same(kernel(x[part], y[part]), whole[part]), (n, start)
            assert same(kernel(x[part][::-1], y[part][::-1]), whole[part][::-1]), (n, start)
            assert same(kernel(x[part][::3], y[part][::3]), whole[part][::3]), (n, start)
    for layout in ("F", "permuted", "reversed", "stepped", "record"):
        a, b = (lay_out(v.reshape(20, 55), layout, rng) for v in (x, y))
        assert same(kernel(a, b), whole.reshape(20, 55)), layout
        assert same(kernel(a, b.copy()), whole.reshape(20, 55)), layout
    out = x.copy()
    assert kernel(out, y, out=out) is out and same(out, whole)
    for k in range(8):
        assert same(kernel(x[k], y[k]), whole[k]), "an array of no axes"


def test_broadcast_operands() -> None:
    kernel = arrayexpr.kernel(lambda x, y: np.sin(x * x) + np.cos(y))
    rng = np.random.default_rng(4)
    row, column = rng.normal(size=(1, 700)), rng.normal(size=(30, 1))
    full = np.broadcast_arrays(row, column)
    assert same(kernel(row, column), kernel(full[0].copy(), full[1].copy()))


@pytest.mark.parametrize("share", [0.0, 0.003, 0.5, 0.997, 1.0])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_branch_is_taken_by_some_all_or_none(share: float, dtype: str) -> None:
    kernel = arrayexpr.kernel(lambda m, x, y: np.where(m, np.exp(x) / y, np.where(~m & (x > 0), np.log(x), y)))
    rng = np.random.default_rng(5)
    x, y = (rng.normal(size=5000).astype(dtype) for _ in range(2))
    scattered = rng.random(5000) < share
    for mask in (scattered, np.sort(scattered), np.repeat(scattered[:10], 500)):
        with np.errstate(all="ignore"):
            expected = np.where(mask, np.exp(x) / y, np.where(~mask & (x > 0), np.log(x), y))
        assert ulps(kernel(mask, x, y), expected) <= 8


def test_what_no_element_takes_is_not_computed() -> None:
    """The interpreter would raise for the array that the branch reads: no element does."""
    text = "def f(m: bool[::1], a: float64[::1], *, r: float64[::1]):\n    r[...] = where(m, exp(a) * 2.0, 1.0)\n"
    program = strip(lower(parse(text)), size=4)
    guards = [s for s in enclosed(program.statements) if isinstance(s, Guard)]
    assert len(guards) == 1
    # Short in the elements that no true mask asks for.
    arrays = {"m": np.array([True] * 4 + [False] * 4), "a": np.arange(4.0), "r": np.zeros(8)}
    expected = [*np.exp(np.arange(4.0)) * 2, 1, 1, 1, 1]
    np.testing.assert_allclose(interpret(program, arrays)["r"], expected, rtol=1e-15)


@pytest.mark.parametrize("cores", [1, 2])
def test_threads_have_strips_of_their_own(cores: int) -> None:
    kernel = arrayexpr.kernel(threads=cores)(lambda x, y: np.exp(-x * x) * np.sin(y) + np.log1p(x * x))
    one = arrayexpr.kernel(lambda x, y: np.exp(-x * x) * np.sin(y) + np.log1p(x * x))
    rng = np.random.default_rng(6)
    for shape in ((400_000,), (700, 600)):
        x, y = rng.normal(size=shape), rng.normal(size=shape)
        assert same(kernel(x, y), one(x, y))
        assert same(kernel(x.T, y.T), one(x, y).T)


def test_strips_in_c_emitted_ahead_of_time(tmp_path: Any) -> None:
    """With strides unknown: a version for elements side by side calls the functions, and the other one copies."""
    source = arrayexpr.emit(parse("def f(a: float64[:], *, r: float64[:]):\n    r[...] = exp(a)\n"))
    assert source.count("arrayexpr_exp_float64((double *)") == 2 and "-lm" in source
