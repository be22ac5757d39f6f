"""Inputs that are contiguous across rows, or of elements a few apart: the same bits from every way of running."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layouts import lay_out, same, values

import arrayexpr
from arrayexpr._core.engine import compiler
from arrayexpr._core.interpret import interpret
from arrayexpr._core.types import element

needs_compiler = pytest.mark.skipif(not compiler.compiler(), reason="no C compiler")

#: The code in a key of what is read by blocks, and of elements two apart.
ACROSS, TWO = 8, 5
DTYPES = ("int8", "uint16", "float32", "float64", "complex64", "complex128")


def keys(kernel: Any) -> list[bytes]:
    (step,) = kernel.compiled.plan.steps
    return list(step.region.codes)


def made(function: Callable[..., Any], dtypes: tuple[str, ...], engine: str, target: Any = None) -> Any:
    """The program of a function of matrices, and its kernel."""
    operands = [arrayexpr.array(name, dtype, 2) for name, dtype in zip("abc", dtypes, strict=False)]
    program = arrayexpr.program(function(*operands))
    return program, arrayexpr.compile(program, engine=engine, wait=True, target=target or arrayexpr.Target())


REDUCTIONS: tuple[Callable[[Any, Any], Any], ...] = (
    lambda a, b: (a + b).sum(axis=0),
    lambda a, b: ((a - b) ** 2).sum(axis=1),
    lambda a, b: (a * b + b).sum(axis=0),
    lambda a, b: np.maximum(a, b).max(axis=0),
    lambda a, b: np.exp(a / 9 - b / 9).sum(axis=1),
    lambda a, b: (a * b).mean(axis=0),
    lambda a, b: (a - b).var(axis=1),
)


@needs_compiler
@pytest.mark.parametrize("number", range(len(REDUCTIONS)))
@pytest.mark.parametrize("dtype", ["float64", "float32", "uint16", "complex64"])
def test_rows_that_are_reduced_have_the_same_bits_from_both_engines(number: int, dtype: str) -> None:
    function = REDUCTIONS[number]
    if dtype == "complex64" and number in (3, 6):
        pytest.skip("complex numbers have no order")
    rng = np.random.default_rng(number)
    kernels = [made(function, (dtype, dtype), engine)[1] for engine in ("c", "block")]
    for n, m in ((8, 8), (9, 17), (40, 25), (37, 130), (130, 37), (7, 300), (300, 7), (256, 256)):
        a = rng.integers(1, 9, (n, m)).astype(dtype)
        b = np.ascontiguousarray(rng.integers(1, 9, (m, n)).astype(dtype)).T
        got = [kernel(a, b) for kernel in kernels]
        assert same(*got), (n, m)
        np.testing.assert_allclose(got[0], function(a, b), rtol=1e-12 if dtype == "float64" else 1e-4)


@needs_compiler
def test_what_is_contiguous_across_rows_is_turned_in_registers() -> None:
    rng = np.random.default_rng(0)
    program, kernel = made(lambda a, b: (a - b) ** 2, ("float64", "float64"), "c")
    a, b = rng.random((40, 25)), rng.random((25, 40))
    assert same(kernel(a, b.T), (a - b.T) ** 2)
    (key,) = keys(kernel)
    assert key[2:4] == bytes([0, ACROSS])
    # One that runs backwards is none, nor is one of a packed record.
    for other in (b.T[::-1], lay_out(b, "record", rng).T, b[:, ::2].T[:20]):
        part = a[: other.shape[0], : other.shape[1]]
        assert same(kernel(part, other), (part - other) ** 2)
    assert sum(ACROSS in key[2:4] for key in keys(kernel)) == 1


@pytest.mark.parametrize("engine", ["c", "block"])
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_elements_a_few_apart(engine: str, data: st.DataObject) -> None:
    """Steps of either sign, of every type, beside contiguous and packed operands, and of the result."""
    if engine == "c" and not compiler.compiler():
        pytest.skip("no C compiler")
    dtype = data.draw(st.sampled_from(DTYPES))
    program, kernel = _stepped(dtype, engine)
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    shape = (data.draw(st.integers(0, 9)), data.draw(st.integers(0, 90)))

    def view() -> np.ndarray:
        rows, step = data.draw(st.integers(-2, 2)) or 1, data.draw(st.sampled_from((1, 2, 3, 4, 5, -1, -2, -3)))
        base = values(element(dtype), (abs(rows) * shape[0], abs(step) * shape[1]), rng)
        found = base[::rows, ::step]
        return lay_out(found, "record", rng) if data.draw(st.integers(0, 5)) == 0 else found

    a, b, r = view(), view(), view()
    want = np.zeros(shape, dtype)
    with np.errstate(all="ignore"):
        interpret(program, {"a": a, "b": b, "r": want})
        kernel(a, b, out=r)
    assert same(r, want)


_MADE: dict[tuple[str, str], Any] = {}


def _stepped(dtype: str, engine: str) -> Any:
    if (dtype, engine) not in _MADE:
        _MADE[dtype, engine] = made(lambda a, b: a + b * a, (dtype, dtype), engine)
    return _MADE[dtype, engine]


@needs_compiler
def test_steps_of_inputs_are_constants_of_the_kernel() -> None:
    _, kernel = made(lambda a, b: a + b, ("float64", "float64"), "c")
    x = np.arange(3000.0).reshape(30, 100)
    for step in (2, 3, 4):
        assert same(kernel(x[:, ::step], x[:, ::step]), x[:, ::step] * 2)
    assert [key[2:4] for key in keys(kernel)] == [bytes([TWO + k] * 2) for k in range(3)]
    assert same(kernel(x[:, ::5], x[:, ::5]), x[:, ::5] * 2)
    assert len(keys(kernel)) == 4


@needs_compiler
def test_sums_of_what_comes_from_memory_prefetch_the_next_rows() -> None:
    target = arrayexpr.Target(l1=1 << 10, l2=1 << 12, l3=1 << 14)
    rng = np.random.default_rng(0)
    kernels = [made(lambda a, b: (a - b).sum(axis=0), ("float64",) * 2, engine, target)[1] for engine in ("c", "block")]
    for n, m in ((100, 130), (131, 257), (64, 700)):
        a, b = rng.random((n, m)), rng.random((m, n)).T
        assert same(*(kernel(a, b) for kernel in kernels))
    sources = [code.source for step in kernels[0].compiled.plan.steps for code in step.region.codes.values()]
    assert any("arrayexpr_rows_ahead(b" in source and "arrayexpr_turn8(b_t" in source for source in sources)
